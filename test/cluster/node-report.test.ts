import { pino } from 'pino'
import t, { type Test } from 'tap'
import { Events, type Regarding } from '../../src/daemon/events.js'
import { NodeReport } from '../../src/daemon/node-report.js'
import { HttpApiClient } from '../../src/kube/api/http-client.js'
import { readKubeconfig } from '../../src/kube/api/kubeconfig.js'
import { until } from '../support/api-world.js'
import { type KubeInput, type KubeObject, settled } from '../support/cluster-client.js'
import { ControlPlane, withoutControlPlane } from '../support/control-plane.js'

/** All that the agent needs for this, and nothing else. */
const RULES = [
  { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'patch'] },
  { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
  { apiGroups: [''], resources: ['services'], verbs: ['get'] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
]
const RBAC = 'rbac.authorization.k8s.io'
const ACCOUNT: readonly KubeInput[] = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'agent', namespace: 'kube-system' } },
  { apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: { name: 'agent' }, rules: RULES },
  {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: 'agent' },
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: 'agent' },
    subjects: [{ kind: 'ServiceAccount', name: 'agent', namespace: 'kube-system' }],
  },
]

const OURS = 'netloom.dev/agent-not-ready'
const UNAVAILABLE = 'node.kubernetes.io/network-unavailable'
const THEIRS = { key: 'example.com/reserved', value: 'x', effect: 'NoSchedule' }

interface Node extends KubeObject {
  readonly spec: { readonly taints?: readonly { key: string; effect: string }[] }
  readonly status: { readonly conditions?: readonly { type: string; status: string; reason: string }[] }
}

const taintsOf = ({ spec }: Node): string[] => (spec.taints ?? []).map(({ key }) => key)
const networkOf = ({ status }: Node) => status.conditions?.find(({ type }) => type === 'NetworkUnavailable')

/** A Node as kubelet registers it, in a cloud whose networks come by routes. */
const registered = (name: string): KubeInput => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec: {
    taints: [{ key: OURS, effect: 'NoSchedule' }, THEIRS, { key: OURS, effect: 'NoExecute' }],
  },
  status: {
    conditions: [
      { type: 'Ready', status: 'True', reason: 'KubeletReady' },
      { type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' },
    ],
  },
})

const READY = { ready: true, addresses: undefined }
const log = pino({ level: 'silent' })

t.test('what an agent tells a real API server', { skip: withoutControlPlane() }, async (t) => {
  const plane = await ControlPlane.start()
  t.teardown(() => plane.stop())
  await plane.apply(...ACCOUNT)
  const token = await plane.serviceAccountToken('kube-system', 'agent')
  const client = new HttpApiClient(await readKubeconfig(plane.kubeconfig({ token })), { userAgent: 'netloom/test' })
  t.teardown(() => client.close())

  const nodeReference = (name: string) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } })
  const read = async (name: string): Promise<Node> => (await plane.get(nodeReference(name))) as Node

  function reportOn(t: Test, node: string): NodeReport {
    const timing = { firstBackoffMs: 20, mostBackoffMs: 200 }
    const report = new NodeReport({ client, node, log, timing })
    t.teardown(() => report.close())
    return report
  }

  t.test('a node that is ready gets its condition and loses its startup taint', async (t) => {
    await plane.apply(registered('node-1'))
    const tainted = await settled(
      () => read('node-1'),
      (node) => taintsOf(node).includes(UNAVAILABLE),
    )
    t.ok(taintsOf(tainted).includes(OURS))
    const report = reportOn(t, 'node-1')
    report.update({ ready: false, addresses: ['192.0.2.1', '2001:db8::1'] })
    const published = await settled(
      () => read('node-1'),
      ({ metadata }) => metadata.annotations?.['netloom.dev/node-addresses'] === '192.0.2.1,2001:db8::1',
    )
    t.ok(taintsOf(published).includes(OURS), 'not before it is ready')
    t.match(networkOf(published), { status: 'True' })

    report.update(READY)
    const node = await settled(
      () => read('node-1'),
      (node) => !taintsOf(node).includes(UNAVAILABLE) && !taintsOf(node).includes(OURS),
    )
    t.match(networkOf(node), { status: 'False', reason: 'NetloomReady' })
    t.match(
      node.spec.taints?.find(({ key }) => key === THEIRS.key),
      THEIRS,
      'the taints of others stay',
    )
    t.ok(
      node.status.conditions?.some(({ type }) => type === 'Ready'),
      'and so do their conditions',
    )
    t.notOk(node.metadata.annotations?.['netloom.dev/node-addresses'])
    t.equal(report.problem(), undefined)
  })

  t.test('whoever changes taints at the same time loses nothing', async (t) => {
    await plane.apply(registered('node-2'))
    const report = reportOn(t, 'node-2')
    const path = await plane.admin.path(nodeReference('node-2'))
    const added = Array.from({ length: 30 }, (_, i) => `example.com/t-${i}`)
    for (const key of added) {
      const body = [{ op: 'add', path: '/spec/taints/0', value: { key, effect: 'NoSchedule' } }]
      await plane.admin.call({ method: 'PATCH', path, patch: 'json', body })
      report.update({ ready: true, addresses: [`192.0.2.${added.indexOf(key)}`] })
    }
    const node = await settled(
      () => read('node-2'),
      (node) => !taintsOf(node).includes(OURS),
    )
    t.same(
      taintsOf(node).filter((key) => key.startsWith('example.com/t-')),
      [...added].reverse(),
    )
  })

  t.test('a Node that is made anew gets its condition again', async (t) => {
    const report = reportOn(t, 'node-3')
    report.update(READY)
    await until(() => report.problem() !== undefined, 'a problem')
    t.match(report.problem(), /nodes "node-3" not found/)
    const isSet = (node: Node): boolean => networkOf(node)?.status === 'False'
    await plane.apply(registered('node-3'))
    report.look() // its status came behind it, maybe after the report
    const { metadata } = await settled(() => read('node-3'), isSet)
    await until(() => report.problem() === undefined, 'success')
    await plane.delete(nodeReference('node-3'))
    await plane.apply(registered('node-3'))
    report.look()
    const anew = await settled(() => read('node-3'), isSet)
    t.not(anew.metadata.uid, metadata.uid)
  })

  t.test('an agent survives its API server, and tells it when it is back', async (t) => {
    await plane.apply(registered('node-4'))
    const report = reportOn(t, 'node-4')
    await plane.kill()
    report.update(READY)
    await until(() => report.problem() !== undefined, 'a problem')
    await plane.restart()
    await settled(
      () => read('node-4'),
      (node) => networkOf(node)?.status === 'False' && !taintsOf(node).includes(OURS),
    )
    await until(() => report.problem() === undefined, 'success')
    t.pass()
  })

  /** Our Events as `kubectl describe` looks for them; controllers have some of their own. */
  async function described(namespace: string, { name, kind }: Regarding, uid: string): Promise<KubeObject[]> {
    const fieldSelector = `involvedObject.kind=${kind},involvedObject.name=${name},involvedObject.uid=${uid}`
    const path = `/api/v1/namespaces/${namespace}/events`
    const answer = await plane.admin.call({ method: 'GET', path, query: { fieldSelector } })
    const { items } = answer as { items: KubeObject[] }
    return items.filter(({ reportingComponent }) => reportingComponent === 'netloom.dev/agent')
  }

  function eventsOf(t: Test): Events {
    const events = new Events({ client, node: 'node-1', log })
    t.teardown(() => events.close())
    return events
  }

  t.test('Events are found by who describes their object, and counted', async (t) => {
    const events = eventsOf(t)
    const node = { kind: 'Node', name: 'node-1' } as const
    const report = {
      type: 'Warning',
      reason: 'AddressPoolExhausted',
      message: `no address is left: ${'ä'.repeat(1000)}`,
      action: 'AttachPod',
      regarding: node,
    } as const
    const { metadata } = await read('node-1')
    const find = () => described('default', node, metadata.uid)
    events.report(report)
    const [first] = await settled(find, (found) => found.length > 0)
    t.match(first, {
      type: 'Warning',
      reason: 'AddressPoolExhausted',
      message: /^no address is left: ä/,
      reportingInstance: 'node-1',
    })
    events.report(report)
    events.report(report)
    const again = await settled(find, ([event]) => (event?.['series'] as { count?: number } | undefined)?.count === 3)
    t.equal(again.length, 1)

    await plane.delete({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace: 'default', name: first!.metadata.name },
    })
    events.report(report)
    t.match(await settled(find, (found) => found.length > 0), [{ series: { count: 4 } }], 'one that is gone comes back')
  })

  t.test('an Event about what is in a namespace is there', async (t) => {
    const regarding = { kind: 'Service', namespace: 'default', name: 'kubernetes' } as const
    const service = await plane.get({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'kubernetes' } })
    const report = {
      type: 'Normal',
      reason: 'PortConflict',
      message: 'a port',
      action: 'Translate',
      regarding,
    } as const
    eventsOf(t).report(report)
    t.match(
      await settled(
        () => described('default', regarding, service.metadata.uid),
        (found) => found.length > 0,
      ),
      [{ type: 'Normal', reason: 'PortConflict', message: 'a port' }],
    )
  })

  t.test('one object has only so many Events', async (t) => {
    const events = eventsOf(t)
    const { metadata } = await read('node-2')
    const regarding = { kind: 'Node', name: 'node-2', uid: metadata.uid } as const
    const shared = { type: 'Warning', reason: 'SubnetRefused', action: 'ClaimSubnet' } as const
    for (let i = 0; i < 100; i++) events.report({ ...shared, message: `subnet ${i}`, regarding })
    // Events of others are written behind those, one at a time.
    const other = { kind: 'Node', name: 'node-3' } as const
    events.report({ ...shared, message: 'the last', regarding: other })
    const { metadata: last } = await read('node-3')
    await settled(
      () => described('default', other, last.uid),
      (found) => found.length > 0,
    )
    t.equal((await described('default', regarding, metadata.uid)).length, 25)
    t.equal(events.dropped, 75)
  })
})
