import t from 'tap'
import { planNodeReport } from '../../../src/daemon/node-report-plan.js'

const NOW = Date.parse('2030-01-02T03:04:05.678Z')
const EARLIER = '2029-12-31T00:00:00Z'
const READY = { ready: true, addresses: undefined }
const OURS = { key: 'netloom.dev/agent-not-ready', effect: 'NoSchedule' }
const OTHER = { key: 'node.kubernetes.io/network-unavailable', effect: 'NoSchedule', timeAdded: EARLIER }

const condition = (status: string, reason: string) => ({
  type: 'NetworkUnavailable',
  status,
  reason,
  lastTransitionTime: EARLIER,
})
const SET = condition('False', 'NetloomReady')

const node = ({
  annotations,
  taints,
  conditions,
}: {
  annotations?: object
  taints?: object[]
  conditions?: object[]
}) => ({
  metadata: { name: 'node-1', annotations },
  spec: { taints },
  status: { conditions },
})

t.test('a Node without the condition gets it', async (t) => {
  t.same(planNodeReport(READY, node({ conditions: [{ type: 'Ready', status: 'True' }] }), NOW), [
    {
      method: 'PATCH',
      path: '/api/v1/nodes/node-1/status',
      query: { fieldManager: 'netloom' },
      patch: 'strategic',
      body: {
        status: {
          conditions: [
            {
              type: 'NetworkUnavailable',
              status: 'False',
              reason: 'NetloomReady',
              message: 'netloom has set up the pod network of this node',
              lastHeartbeatTime: '2030-01-02T03:04:05Z',
              lastTransitionTime: '2030-01-02T03:04:05Z',
            },
          ],
        },
      },
    },
  ])
})

t.test('the time of transition is that of the status, not of the reason', async (t) => {
  const transition = (before: object): unknown => {
    const [request] = planNodeReport(READY, node({ conditions: [before] }), NOW)
    return (request?.body as { status: { conditions: [{ lastTransitionTime: string }] } }).status.conditions[0]
      .lastTransitionTime
  }
  t.equal(transition(condition('False', 'RouteCreated')), EARLIER)
  t.equal(transition(condition('True', 'NoRouteCreated')), '2030-01-02T03:04:05Z')
  t.equal(transition({ type: 'NetworkUnavailable', status: 'False' }), '2030-01-02T03:04:05Z', 'where there is none')
})

t.test('nothing is written to a Node that is as wished', async (t) => {
  t.same(planNodeReport(READY, node({ conditions: [SET], taints: [OTHER] }), NOW), [])
  const annotations = { 'netloom.dev/node-addresses': '192.0.2.1,2001:db8::1' }
  const wish = { ready: true, addresses: ['192.0.2.1', '2001:db8::1'] }
  t.same(planNodeReport(wish, node({ annotations, conditions: [SET] }), NOW), [])
})

t.test('the startup taint goes whatever its effect, if it still is where it was', async (t) => {
  const again = { ...OURS, effect: 'NoExecute', value: 'x', timeAdded: EARLIER }
  t.match(planNodeReport(READY, node({ taints: [OURS, OTHER, again], conditions: [SET] }), NOW), [
    {
      path: '/api/v1/nodes/node-1',
      patch: 'json',
      body: [
        { op: 'test', path: '/spec/taints/2', value: again },
        { op: 'remove', path: '/spec/taints/2' },
        { op: 'test', path: '/spec/taints/0', value: OURS },
        { op: 'remove', path: '/spec/taints/0' },
      ],
    },
  ])
})

t.test('an agent that is not ready says nothing about the network', async (t) => {
  t.same(planNodeReport({ ...READY, ready: false }, node({ taints: [OURS] }), NOW), [])
})

t.test('addresses are published before pods can come, and withdrawn', async (t) => {
  const plan = planNodeReport({ ready: true, addresses: ['192.0.2.1'] }, node({ taints: [OURS] }), NOW)
  t.match(plan, [
    { patch: 'merge', body: { metadata: { annotations: { 'netloom.dev/node-addresses': '192.0.2.1' } } } },
    { patch: 'strategic' },
    { patch: 'json' },
  ])
  const annotations = { 'netloom.dev/node-addresses': '192.0.2.1' }
  t.match(planNodeReport({ ready: false, addresses: undefined }, node({ annotations }), NOW), [
    { path: '/api/v1/nodes/node-1', body: { metadata: { annotations: { 'netloom.dev/node-addresses': null } } } },
  ])
})

t.test('what is no Node is refused', async (t) => {
  t.throws(() => planNodeReport(READY, 'a page of a proxy', NOW), { code: 'invalid' })
  t.throws(() => planNodeReport(READY, {}, NOW), { code: 'invalid', field: 'metadata.name' })
})
