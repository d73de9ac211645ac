import { pino } from 'pino'
import t, { type Test } from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { type Cidr, parseCidr } from '../../../src/base/ip.js'
import { Cluster, type ClusterView } from '../../../src/daemon/cluster.js'
import { type ApiRequest } from '../../../src/kube/api/client.js'
import { until } from '../../support/api-world.js'
import { ScriptedApi } from '../../support/scripted-api.js'

const NODE = { metadata: { name: 'node-1', uid: 'u' }, status: { conditions: [] }, spec: {} }

/** A cluster whose node is as `view` says; what is not given is well. */
function clusterOf(t: Test, view: Partial<ClusterView>, reply: (request: ApiRequest) => unknown = () => NODE) {
  const client = new ScriptedApi(reply)
  const all: ClusterView = {
    ready: () => true,
    published: () => undefined,
    subnets: () => [],
    inUse: () => [],
    hostNetworks: () => Promise.resolve([]),
    refusal: () => undefined,
    flaws: () => [],
    ...view,
  }
  const cluster = new Cluster(
    'node-1',
    { client, networks: [], claimNamespace: 'netloom' },
    all,
    pino({ level: 'silent' }),
  )
  t.teardown(() => cluster.close())
  /** Events that were written. */
  const events = () =>
    client.requests.flatMap(({ method, body }) =>
      method === 'POST' ? [body as { reason: string; note: string; regarding: Readonly<Record<string, unknown>> }] : [],
    )
  return { cluster, client, events }
}

t.test('a node that is ready is said to have a network', async (t) => {
  const { cluster, client } = clusterOf(t, {})
  cluster.becameReady()
  await t.resolves(until(() => client.asked.includes('PATCH /api/v1/nodes/node-1/status')))
})

t.test('of one that is not, nothing is said', async (t) => {
  const { cluster, client } = clusterOf(t, { ready: () => false })
  cluster.becameReady()
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.same(client.asked, [])
})

t.test('trouble is an Event once while it lasts, and again when it comes back', async (t) => {
  let refusal: string | undefined = 'subnets overlap'
  const { cluster, events } = clusterOf(t, { ready: () => false, refusal: () => refusal })
  cluster.becameReady()
  cluster.becameReady()
  await t.resolves(until(() => events().length > 0))
  t.match(events(), [{ reason: 'SubnetRefused', note: 'subnets overlap', regarding: { kind: 'Node', name: 'node-1' } }])
  refusal = undefined
  cluster.becameReady()
  t.equal(events().length, 1)
})

t.test('an object that cannot be read has an Event of its own', async (t) => {
  const problem = { line: undefined, column: undefined, field: 'spec', message: 'spec: is no mapping', since: 0 }
  const { cluster, events } = clusterOf(t, {
    ready: () => false,
    flaws: () => [
      { ...problem, file: 'Service shop/web' },
      { ...problem, file: 'https://192.0.2.1:6443' },
    ],
  })
  cluster.becameReady()
  await t.resolves(until(() => events().length > 0))
  t.match(events(), [{ reason: 'ObjectNotUnderstood', regarding: { kind: 'Service', namespace: 'shop', name: 'web' } }])
  t.equal(events().length, 1)
})

t.test('a pod without an address has an Event', async (t) => {
  const { cluster, events } = clusterOf(t, {})
  cluster.failed({ namespace: 'shop', name: 'web' }, 'AddressPoolExhausted', 'no address is free')
  await t.resolves(until(() => events().length > 0))
  t.match(events(), [{ reason: 'AddressPoolExhausted', regarding: { kind: 'Pod', namespace: 'shop', name: 'web' } }])
})

t.test('an API server that cannot be told is a problem', async (t) => {
  const { cluster } = clusterOf(t, {}, () => new NetloomError('denied', 'nodes is forbidden'))
  cluster.becameReady()
  await t.resolves(until(() => cluster.problems().length > 0))
  t.match(cluster.problems(), [/nodes is forbidden/])
})

t.test('a node waits for all subnets that it claims, and only the first time', async (t) => {
  const subnets: Cidr[] = []
  const lease = (name: string, subnet: string) => ({
    metadata: {
      name,
      namespace: 'netloom',
      uid: 'l',
      resourceVersion: '1',
      labels: { 'app.kubernetes.io/managed-by': 'netloom' },
      annotations: { 'netloom.dev/subnet': subnet },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'u' }],
    },
    spec: { holderIdentity: 'node-1', acquireTime: '2026-01-01T00:00:00.000000Z', leaseDurationSeconds: 1800 },
  })
  const items = [lease('netloom-10.99.0.0-24', '10.99.0.0/24')]
  const client = new ScriptedApi(({ path, method }) => {
    if (path.endsWith('/leases') && method === 'GET')
      return { kind: 'LeaseList', metadata: { resourceVersion: '1' }, items }
    return path.includes('/leases/') ? items[0] : NODE
  })
  const networks = [{ cidr: parseCidr('10.99.0.0/16'), nodePrefix: 24 }]
  const view: ClusterView = {
    ready: () => false,
    published: () => undefined,
    subnets: () => subnets,
    inUse: () => [],
    hostNetworks: () => Promise.resolve([]),
    refusal: () => undefined,
    flaws: () => [],
  }
  const cluster = new Cluster(
    'node-1',
    { client, networks, claimNamespace: 'netloom' },
    view,
    pino({ level: 'silent' }),
  )
  t.teardown(() => cluster.close())
  t.match(cluster.incomplete, /claimed/)
  cluster.start()
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.match(cluster.incomplete, /claimed/, 'the source has not told of it yet')
  subnets.push(parseCidr('10.99.0.0/24'))
  await t.resolves(until(() => cluster.incomplete === undefined))
  subnets.length = 0
  t.equal(cluster.incomplete, undefined)
})
