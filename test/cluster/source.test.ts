import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pino } from 'pino'
import { HttpApiClient } from '../../src/kube/api/http-client.js'
import { readKubeconfig } from '../../src/kube/api/kubeconfig.js'
import { type Timing } from '../../src/kube/api/reflector.js'
import { ApiSource } from '../../src/kube/api/source.js'
import { type LogLine, textOf, until } from '../support/api-world.js'
import { type KubeInput } from '../support/cluster-client.js'
import { ControlPlane, withoutControlPlane } from '../support/control-plane.js'

/** An object by what it is (`v1 Node`), where (`NAMESPACE/NAME`), and with what. */
function object(type: string, place: string, fields: object = {}, labels: object = {}): KubeInput {
  const [apiVersion = '', kind = ''] = type.split(' ')
  const slash = place.indexOf('/')
  const namespace = slash === -1 ? {} : { namespace: place.slice(0, slash) }
  return { apiVersion, kind, metadata: { name: place.slice(slash + 1), ...namespace, labels }, ...fields }
}

const node = (name: string): KubeInput => object('v1 Node', name)

const service = (name: string, labels: object = {}): KubeInput =>
  object('v1 Service', `default/${name}`, { spec: { ports: [{ port: 80 }] } }, labels)

const pod = (name: string, nodeName: string): KubeInput => {
  const spec = { nodeName, containers: [{ name: 'main', image: 'none' }] }
  return object('v1 Pod', `default/${name}`, { spec })
}

const claim = (name: string, subnet: string, holderIdentity: string): KubeInput => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: {
    name,
    namespace: 'kube-system',
    labels: { 'app.kubernetes.io/managed-by': 'netloom' },
    annotations: { 'netloom.dev/subnet': subnet },
  },
  spec: { holderIdentity, acquireTime: '2026-01-01T00:00:00.000000Z' },
})

const RULES = [
  { apiGroups: [''], resources: ['nodes', 'namespaces', 'pods', 'services'] },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'] },
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'] },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'] },
]

/** An account that may read all that rules say. */
function accountOf(name: string, rules: readonly object[]): KubeInput[] {
  const rbac = 'rbac.authorization.k8s.io'
  return [
    object('v1 ServiceAccount', `kube-system/${name}`),
    object(`${rbac}/v1 ClusterRole`, name, { rules: rules.map((rule) => ({ ...rule, verbs: ['list', 'watch'] })) }),
    object(`${rbac}/v1 ClusterRoleBinding`, name, {
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace: 'kube-system' }],
    }),
  ]
}

/** A source that calls as a service account, and what it told and logged. */
async function sourceFor(t: Test, plane: ControlPlane, account: string, timing: Partial<Timing> = {}) {
  const token = await plane.serviceAccountToken('kube-system', account)
  const client = new HttpApiClient(await readKubeconfig(plane.kubeconfig({ token })), { userAgent: 'netloom/test' })
  const logged: LogLine[] = []
  const batches: string[][] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => logged.push(JSON.parse(line) as LogLine) })
  const options = { client, server: client.server, node: 'node-1', claimNamespace: 'kube-system', log, timing }
  const source = new ApiSource(options)
  source.subscribe((changes) => batches.push(changes.map(textOf)))
  t.teardown(async () => {
    await source.close()
    client.close()
  })
  const problems = (): string[] => source.problems().map(({ file, message }) => `${file}: ${message}`)
  return { source, client, logged, batches, problems }
}

t.test('a source of truth over a real API server', { skip: withoutControlPlane() }, async (t) => {
  const plane = await ControlPlane.start()
  t.teardown(() => plane.stop())
  await plane.apply(...accountOf('reader', RULES), node('node-1'), node('node-2'), node('node-3'))
  await plane.apply(pod('here', 'node-1'), pod('there', 'node-2'), claim('subnet-a', '10.244.1.0/24', 'node-1'))

  t.test('lists in pages, watches, and tells of what happens', async (t) => {
    const { source, batches, problems } = await sourceFor(t, plane, 'reader', { pageSize: 2 })
    await source.start()
    t.equal(batches.length, 1)
    t.same([...source.store.all('Node').keys()].sort(), ['node-1', 'node-2', 'node-3'])
    t.same([...source.store.all('Pod').keys()], ['default/here'])
    t.match(source.store.get('Node', 'node-1')?.podCIDRs, [{ address: '10.244.1.0', prefix: 24 }])
    t.ok(source.store.get('Service', 'default/kubernetes'))
    await plane.apply(service('web'), service('theirs', { 'service.kubernetes.io/service-proxy-name': 'other' }))
    await until(() => source.store.get('Service', 'default/web') !== undefined, 'a new Service')
    await plane.delete(service('web'), service('theirs'))
    await until(() => source.store.get('Service', 'default/web') === undefined, 'a Service that is gone')
    t.notOk(batches.flat().some((change) => change.includes('theirs')))
    t.same(problems(), [])
  })

  t.test('asks for the pods of other nodes once a policy needs them', async (t) => {
    const { source } = await sourceFor(t, plane, 'reader')
    await source.start()
    const policy = object('networking.k8s.io/v1 NetworkPolicy', 'default/deny', { spec: { podSelector: {} } })
    await plane.apply(policy)
    await until(() => source.store.all('Pod').size === 2, 'all pods')
    await plane.delete(policy)
    await until(() => source.store.all('Pod').size === 1, "the node's own pod alone")
    t.ok(source.store.get('Pod', 'default/here'))
  })

  t.test('hears bookmarks', async (t) => {
    const { client } = await sourceFor(t, plane, 'reader')
    const query = { allowWatchBookmarks: true, timeoutSeconds: 4 }
    const types: unknown[] = []
    const { signal } = new AbortController()
    for await (const batch of await client.watch({ path: '/api/v1/nodes', query, signal }))
      types.push(...batch.map((event) => (event as { type: string }).type))
    t.equal(types.at(-1), 'BOOKMARK', 'one comes shortly before the end')
  })

  t.test('compares what it holds with the state of the very version it has been told of', async (t) => {
    const { source, logged } = await sourceFor(t, plane, 'reader', { verifyMs: 0, watchSeconds: 1 })
    await source.start()
    for (let i = 0; i < 30; i++) {
      await plane.apply(service(`s-${i % 5}`, { turn: String(i) }))
      if (i % 7 === 6) await plane.delete(service(`s-${i % 5}`))
      await sleep(100)
    }
    const wanted = (await plane.admin.list('v1', 'Service', 'default')).map(
      ({ metadata }) => `default/${metadata.name}`,
    )
    await until(() => source.store.all('Service').size === wanted.length, 'all Services')
    t.same([...source.store.all('Service').keys()].sort(), wanted.sort())
    t.notOk(
      logged.some(({ msg }) => msg.includes('missed')),
      'nothing was missed, or late and taken for missed',
    )
    t.notOk(logged.some(({ level }) => level >= 40))
  })

  t.test('keeps all while the API server is dead, and goes on when it is back', async (t) => {
    const { source, client, batches, problems } = await sourceFor(t, plane, 'reader', { mostBackoffMs: 1000 })
    await source.start()
    const before = source.store.all('Node').size
    await plane.kill()
    await until(() => problems().length === 1, 'a problem')
    t.match(problems(), [/^https:\/\/127\.0\.0\.1:\d+: cannot be reached since /])
    t.equal(source.store.all('Node').size, before)
    t.equal(batches.length, 1)
    await plane.restart()
    await plane.apply(node('node-4'))
    await until(() => source.store.get('Node', 'node-4') !== undefined, 'a new Node')
    await until(() => problems().length === 0, 'no problem')
    const withdrawn = batches.slice(1).flatMap((batch) => batch.filter((change) => change.startsWith('-')))
    t.same(withdrawn, [])
    const query = { resourceVersion: '1', timeoutSeconds: 5 }
    const ancient = await client.watch({ path: '/api/v1/nodes', query, signal: new AbortController().signal })
    for await (const [event] of ancient)
      t.match(event, { type: 'ERROR', object: { code: 410, reason: 'Expired' } }, 'old versions are gone with it')
    await plane.delete(node('node-4'))
  })

  t.test('notices connections on which nothing comes any more', async (t) => {
    const { source, logged } = await sourceFor(t, plane, 'reader', { silenceMs: 2000, mostBackoffMs: 1000 })
    await source.start()
    plane.suspend()
    await until(() => logged.some(({ msg }) => msg.includes('nothing was heard of a watch')), 'silence is noticed')
    plane.resume()
    await plane.apply(node('node-5'))
    await until(() => source.store.get('Node', 'node-5') !== undefined, 'a new Node')
    await plane.delete(node('node-5'))
  })

  t.test('names what it may not read, and reads it as soon as it may', async (t) => {
    await plane.apply(...accountOf('poor', RULES.slice(0, 3)))
    const { source, batches, problems } = await sourceFor(t, plane, 'poor', { mostBackoffMs: 500 })
    const started = source.start()
    await until(() => problems().length > 0, 'a problem')
    t.match(problems(), [
      /^NetworkPolicy: list failed: networkpolicies\.networking\.k8s\.io is forbidden: User "system:/,
    ])
    t.equal(batches.length, 0)
    await plane.apply(...accountOf('poor', RULES))
    await started
    t.equal(batches.length, 1)
    t.same(problems(), [])
  })

  t.test('calls with a client certificate as well', async (t) => {
    const credential = plane.certificate({ name: 'ann', groups: ['system:masters'] })
    const access = await readKubeconfig(plane.kubeconfig({ credential }))
    const client = new HttpApiClient(access, { userAgent: 'netloom/test' })
    t.teardown(() => client.close())
    t.match(await client.call({ method: 'GET', path: '/api/v1/nodes/node-1' }), { metadata: { name: 'node-1' } })
    await t.rejects(client.call({ method: 'POST', path: '/api/v1/nodes', body: node('node-1') }), { code: 'exists' })
    await t.rejects(client.call({ method: 'POST', path: '/api/v1/nodes', body: node('NO') }), {
      code: 'invalid',
      field: 'metadata.name',
    })
  })
})
