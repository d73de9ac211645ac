import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import t from 'tap'
import { layOut, SEGMENT_HOST } from '../../src/cli/demo/layout.js'
import { Place } from '../../src/cli/demo/place.js'
import { raiseSegment } from '../../src/cli/demo/segment.js'
import { createNamespace, deleteNamespace } from '../../src/kernel/netns.js'
import { ControlPlane, withoutControlPlane } from '../support/control-plane.js'
import { ClusterClient, type KubeObject, settled } from '../support/cluster-client.js'

const configMap = (name: string, fields: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  ...fields,
})

const node = (name: string) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } })

const account = (name: string) => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name, namespace: 'default' },
})

/** Lets an account read nodes. */
const reader = (name: string) => [
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name },
    rules: [{ apiGroups: [''], resources: ['nodes'], verbs: ['list'] }],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace: 'default' }],
  },
]

const LIST_NODES = { method: 'GET', path: '/api/v1/nodes' } as const

/** A Pod that kubelet says is running. */
const runningPod = (name: string, app: string, podIP: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels: { app } },
  spec: { nodeName: 'node-1', containers: [{ name: 'main', image: 'none' }] },
  status: {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True' }],
    podIP,
    podIPs: [{ ip: podIP }],
  },
})

interface Slice extends KubeObject {
  readonly endpoints: readonly { readonly addresses: readonly string[]; readonly conditions: { ready: boolean } }[]
}

const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager'] as const

const runs = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))

/** Starts a control plane, tells about it in one line, and never ends. */
const STARTER = `
  const { ControlPlane } = await import(process.argv[1])
  const plane = await ControlPlane.start()
  const pids = ${JSON.stringify(PROGRAMS)}.map((name) => plane.pid(name))
  console.log(JSON.stringify({ pids, directory: plane.directory }))
  setInterval(() => undefined, 1000)
`

t.test('a control plane', { skip: withoutControlPlane() }, async (t) => {
  t.test('with nodes and controllers', async (t) => {
    const nodeNetworks = [
      { cidr: '10.244.0.0/16', nodePrefix: 24 },
      { cidr: 'fd00:244::/48', nodePrefix: 64 },
    ]
    const plane = await ControlPlane.start({ nodeNetworks })
    t.teardown(() => plane.stop())

    t.test('is of the version that the module names', async (t) => {
      t.match(JSON.parse((await plane.admin.text('/version')).text), { gitVersion: /^v1\.36\./ })
    })

    t.test('objects are written, read, changed and deleted', async (t) => {
      const [written] = await plane.apply(configMap('notes', { data: { a: '1' } }))
      t.match(await plane.get(written!), { data: { a: '1' } })
      await plane.apply(configMap('notes', { data: { b: '2' } }))
      t.strictSame((await plane.get(written!))['data'], { b: '2' })
      await t.rejects(plane.create(configMap('notes')), { code: 'exists' })
      await plane.delete(written!, written!)
      t.equal(await plane.admin.find(written!), undefined)
    })

    t.test('an account is refused until a role is bound to it', async (t) => {
      await plane.apply(account('reader'))
      const client = plane.client({ token: await plane.serviceAccountToken('default', 'reader') })
      await t.rejects(client.call(LIST_NODES), { code: 'denied', message: /403 .*cannot list resource "nodes"/ })
      await plane.apply(...reader('reader'))
      const answer = await settled(
        () => client.call(LIST_NODES).catch(() => undefined),
        (answer) => answer !== undefined,
      )
      t.match(answer, { kind: 'NodeList' })
    })

    t.test('who says nothing or something wrong about itself is not known', async (t) => {
      await t.rejects(plane.client().call(LIST_NODES), { code: 'denied', message: /403 .*system:anonymous/ })
      await t.rejects(plane.client({ token: 'x' }).call(LIST_NODES), { code: 'denied', message: /401/ })
    })

    t.test('a token that lasts for seconds is good for as long', async (t) => {
      await plane.apply(account('hasty'), ...reader('hasty'))
      const brief = plane.client({ token: await plane.serviceAccountToken('default', 'hasty', { seconds: 300 }) })
      t.match(await settled(() => brief.call(LIST_NODES).catch(() => undefined), Boolean), { kind: 'NodeList' })
      const late = plane.client({ token: await plane.serviceAccountToken('default', 'hasty', { seconds: -60 }) })
      await t.rejects(late.call(LIST_NODES), { code: 'denied', message: /401/ })
    })

    t.test('a client certificate says who asks', async (t) => {
      const credential = plane.certificate({ name: 'ann', groups: ['some', 'others'] })
      t.ok(new X509Certificate(credential.certificate).verify(new X509Certificate(plane.ca).publicKey))
      await t.rejects(plane.client({ credential }).call(LIST_NODES), { code: 'denied', message: /User "ann"/ })
      const admin = plane.client({ credential: plane.certificate({ name: 'ann', groups: ['system:masters'] }) })
      t.match(await admin.call(LIST_NODES), { kind: 'NodeList' })
    })

    t.test('nodes get networks of their own', async (t) => {
      await plane.apply(node('node-1'), node('node-2'))
      const networks = await settled(
        async () =>
          (await plane.admin.list('v1', 'Node')).map(({ spec }) => (spec as { podCIDRs?: string[] }).podCIDRs),
        (all) => all.every((cidrs) => cidrs !== undefined),
      )
      t.equal(new Set(networks.flat()).size, 4)
      for (const [ipv4, ipv6] of networks as string[][]) {
        t.match(ipv4, /^10\.244\.\d+\.0\/24$/)
        t.match(ipv6, /^fd00:244:.*\/64$/)
      }
    })

    t.test('a Service with a selector gets slices of the Pods that match', async (t) => {
      await plane.apply(runningPod('web-1', 'web', '10.244.0.7'), runningPod('other', 'other', '10.244.0.8'), {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web', namespace: 'default' },
        spec: { clusterIP: '10.96.7.7', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
      })
      const slices = (await settled(
        () => plane.admin.list('discovery.k8s.io/v1', 'EndpointSlice', 'default'),
        (slices) => (slices[0] as Slice | undefined)?.endpoints.length === 1,
      )) as Slice[]
      t.match(slices, [
        {
          metadata: { labels: { 'kubernetes.io/service-name': 'web' } },
          endpoints: [{ addresses: ['10.244.0.7'], conditions: { ready: true } }],
          ports: [{ port: 8080 }],
        },
      ])
    })

    t.test('an object goes after the one that owned it', async (t) => {
      const [owner] = await plane.apply(node('node-9'))
      const { apiVersion, kind, metadata } = owner!
      const lease = {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: {
          name: 'owned',
          namespace: 'default',
          ownerReferences: [{ apiVersion, kind, name: metadata.name, uid: metadata.uid }],
        },
      }
      await plane.apply(lease)
      await plane.delete(owner!)
      const found = await settled(
        () => plane.admin.find(lease),
        (found) => found === undefined,
      )
      t.equal(found, undefined)
    })

    t.test('after the end of its API server it goes on with what it had', async (t) => {
      await plane.apply(configMap('kept', { data: { a: '1' } }))
      await plane.kill()
      await t.rejects(plane.get(configMap('kept')), { code: 'unavailable' })
      await plane.restart()
      t.match(await plane.get(configMap('kept')), { data: { a: '1' } })
    })

    t.test('after a restart it does not remember how it was before', async (t) => {
      // Another value than it has: what is no change has a version from before the last restart.
      const [{ metadata }] = (await plane.apply(configMap('kept', { data: { a: '0' } }))) as [KubeObject]
      await plane.apply(configMap('kept', { data: { a: '2' } }))
      const watch = `/api/v1/configmaps?watch=1&timeoutSeconds=1&resourceVersion=${metadata.resourceVersion}`
      t.match((await plane.admin.text(watch)).text, /^{"type":"MODIFIED"/)
      await plane.restart()
      t.match((await plane.admin.text(watch)).text, /"code":410/)
    })

    t.test('an API server that hangs answers no more until it goes on', async (t) => {
      plane.suspend()
      await t.rejects(plane.admin.call({ ...LIST_NODES, timeoutMs: 1000 }), { code: 'unavailable' })
      plane.resume()
      t.match(await plane.admin.call(LIST_NODES), { kind: 'NodeList' })
    })
  })

  t.test('nodes of a segment reach it at the address of the host, in both families', async (t) => {
    const places = await raiseSegment(layOut(1))
    const addresses = SEGMENT_HOST.map(({ address }) => address)
    const plane = await ControlPlane.start({ addresses, controllers: [] })
    t.teardown(async () => {
      await plane.stop()
      for (const place of places) place.close()
    })
    for (const address of addresses) {
      const { port, ca } = plane
      const client = new ClusterClient({ address, port, ca, place: places[0] })
      t.teardown(() => client.close())
      t.match(await client.text('/readyz'), { status: 200, text: 'ok' }, address)
    }
    const kubernetes = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: 'kubernetes' } }
    t.match(await settled(() => plane.admin.find(kubernetes), Boolean), { endpoints: [{ addresses: [addresses[0]] }] })
  })

  t.test('it runs in another namespace where it is told to', async (t) => {
    const place = new Place(createNamespace('server'))
    const plane = await ControlPlane.start({ place, controllers: ['serviceaccount-controller'] })
    t.teardown(async () => {
      await plane.stop()
      place.close()
      deleteNamespace('server')
    })
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } }
    t.match(await settled(() => plane.admin.find(account), Boolean), account)
    const here = new ClusterClient({ address: '127.0.0.1', port: plane.port, ca: plane.ca })
    await t.rejects(here.text('/readyz'), { code: 'unavailable' })
  })

  t.test('without controllers it does nothing by itself', async (t) => {
    const plane = await ControlPlane.start({ controllers: [] })
    t.teardown(() => plane.stop())
    t.equal(plane.pid('kube-controller-manager'), undefined)
  })

  t.test('where it cannot start it says why and leaves nothing behind', async (t) => {
    const started = ControlPlane.start({ flags: { 'kube-apiserver': { 'event-ttl': 'soon' } } })
    await t.rejects(started, { code: 'unavailable', message: /kube-apiserver has ended[^]*event-ttl/ })
  })

  t.test('stopped it leaves no process and no file behind', async (t) => {
    const plane = await ControlPlane.start()
    const pids = PROGRAMS.map((name) => plane.pid(name)!)
    t.ok(pids.every(runs))
    await plane.stop()
    t.notOk(pids.some(runs))
    t.notOk(existsSync(plane.directory))
  })

  t.test('it ends when its test is killed', async (t) => {
    const module = new URL('../support/control-plane.js', import.meta.url).href
    const args = ['--input-type=module', '-e', STARTER, module]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const { pids, directory } = JSON.parse(line.toString()) as { pids: number[]; directory: string }
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    t.ok(pids.length === PROGRAMS.length && pids.every(runs))
    child.kill('SIGKILL')
    t.notOk(
      await settled(
        async () => pids.some(runs),
        (some) => !some,
      ),
    )
  })
})
