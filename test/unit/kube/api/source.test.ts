import t from 'tap'
import { formatCidr } from '../../../../src/base/ip.js'
import { claim, namespace, node, PATHS, pod, policy, service, slice } from '../../../support/api-objects.js'
import { ApiWorld, settle, until } from '../../../support/api-world.js'
import { status } from '../../../support/fake-api.js'

/** A small cluster. */
function fill({ api }: ApiWorld): void {
  for (const name of ['n1', 'n2', 'n3']) api.put(PATHS.nodes, node(name))
  api.put(PATHS.namespaces, namespace('shop'))
  api.put(PATHS.services, service('web', '10.96.0.1'))
  api.put(PATHS.slices, slice('web', ['10.244.1.1']))
  api.put(PATHS.pods, pod('here', 'n1'))
  api.put(PATHS.pods, pod('there', 'n2'))
}

const names = ({ source }: ApiWorld, kind: 'Node' | 'Pod' | 'Service' | 'EndpointSlice'): string[] =>
  [...source.store.all(kind).keys()].sort()

t.test('a start delivers everything as one batch, listed in pages', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  await world.source.start()
  t.equal(world.batches.length, 1)
  t.same(world.batches[0]?.sort(), [
    '+ EndpointSlice shop/web-1',
    '+ Namespace shop',
    '+ Node n1',
    '+ Node n2',
    '+ Node n3',
    '+ Pod shop/here',
    '+ Service shop/web',
  ])
  t.same(
    world.api.lists(PATHS.nodes).map(({ query }) => query['continue'] !== undefined),
    [false, true],
  )
  t.same(world.problems(), [])
  await world.source.start()
  t.equal(world.batches.length, 1, 'a second start is the first')
})

t.test('changes are told as they happen, those of one moment as one batch', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  await world.source.start()
  await until(() => world.api.openWatches().length === 7)
  const { api } = world
  api.put(PATHS.services, service('db', '10.96.0.2'))
  api.put(PATHS.slices, slice('db', ['10.244.1.2']))
  api.put(PATHS.nodes, node('n2', 'z2'))
  api.delete(PATHS.nodes, 'n3')
  await until(() => world.batches.length === 2)
  t.same(world.batches[1]?.sort(), ['+ EndpointSlice shop/db-1', '+ Service shop/db', '- Node n3', '~ Node n2'])
  api.put(PATHS.nodes, node('n2', 'z2'))
  await settle()
  t.equal(world.batches.length, 2, 'what says the same as before is no change')
})

t.test('a batch has each object once, from its first state to its last', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  await world.source.start()
  await until(() => world.api.openWatches(PATHS.nodes).length === 1)
  for (const zone of ['a', 'b', 'c']) world.api.put(PATHS.nodes, node('n2', zone))
  world.api.put(PATHS.nodes, node('n4'))
  world.api.delete(PATHS.nodes, 'n4')
  await until(() => world.source.store.get('Node', 'n2')?.zone === 'c')
  t.same(world.batches.slice(1).flat(), ['~ Node n2'])
})

t.test('Services and slices of another proxy, and headless ones, are not even asked for', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  const other = { 'service.kubernetes.io/service-proxy-name': 'other' }
  world.api.put(PATHS.services, service('theirs', '10.96.0.3', other))
  world.api.put(PATHS.slices, slice('theirs', ['10.244.1.3'], other))
  world.api.put(PATHS.slices, slice('headless', ['10.244.1.4'], { 'service.kubernetes.io/headless': '' }))
  await world.source.start()
  t.same([names(world, 'Service'), names(world, 'EndpointSlice')], [['shop/web'], ['shop/web-1']])
  await until(() => world.api.openWatches(PATHS.services).length === 1)
  world.api.put(PATHS.services, service('web', '10.96.0.1', other))
  await until(() => names(world, 'Service').length === 0)
  t.pass('also when the label comes later')
})

t.test("only the node's own pods are asked for, until a policy speaks of others", async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  await world.source.start()
  t.same(names(world, 'Pod'), ['shop/here'])
  await until(() => world.api.openWatches().length === 7)
  world.api.put(PATHS.policies, policy('deny'))
  await until(() => names(world, 'Pod').length === 2)
  t.same(world.batches.slice(1).flat(), ['+ NetworkPolicy shop/deny', '+ Pod shop/there'], 'what is held stays')
  await until(() => world.api.openWatches(PATHS.pods).length === 1)
  world.api.put(PATHS.pods, pod('third', 'n3'))
  await until(() => names(world, 'Pod').length === 3)
  world.api.delete(PATHS.policies, 'shop/deny')
  await until(() => names(world, 'Pod').length === 1)
  t.same(names(world, 'Pod'), ['shop/here'])
})

t.test('where there are policies at the start, the first batch has all pods', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  world.api.put(PATHS.policies, policy('deny'))
  await world.source.start()
  t.same(names(world, 'Pod'), ['shop/here', 'shop/there'])
  t.equal(world.batches.length, 1)
})

t.test('a Node has the subnets that it claimed', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  world.api.put(PATHS.leases, claim('10.244.1.0/24', 'n1'))
  world.api.put(PATHS.leases, { metadata: { name: 'other', namespace: 'kube-system' }, spec: { holderIdentity: 'x' } })
  await world.source.start()
  const subnets = (): string[] | undefined => world.source.store.get('Node', 'n1')?.podCIDRs.map(formatCidr)
  t.same(subnets(), ['10.244.1.0/24'])
  await until(() => world.api.openWatches(PATHS.leases).length === 1)
  world.api.put(PATHS.leases, claim('fd00:1::/64', 'n1'))
  await until(() => subnets()?.length === 2)
  world.api.delete(PATHS.leases, 'kube-system/10.244.1.0-24')
  await until(() => subnets()?.length === 1)
  t.same(subnets(), ['fd00:1::/64'])
})

t.test('a server that is away at the start is waited for', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  const { port } = world.api
  await world.api.close()
  const started = world.source.start()
  await until(() => world.problems().length === 1)
  t.match(world.problems(), [/^http:\/\/127\.0\.0\.1:\d+: cannot be reached since \d{4}-.*: .*ECONNREFUSED/])
  t.equal(world.batches.length, 0)
  await world.api.listen(port)
  await started
  t.equal(world.batches.length, 1)
  t.same(world.problems(), [])
})

t.test('a server that goes away takes nothing with it, and what changed meanwhile comes as it returns', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  await world.source.start()
  const { port } = world.api
  await world.api.close()
  await until(() => world.problems().length === 1)
  world.api.put(PATHS.nodes, node('n4'))
  world.api.delete(PATHS.nodes, 'n3')
  t.same(names(world, 'Node'), ['n1', 'n2', 'n3'])
  await world.api.listen(port)
  await until(() => names(world, 'Node').includes('n4'))
  await until(() => world.problems().length === 0)
  t.same(names(world, 'Node'), ['n1', 'n2', 'n4'])
  t.same(world.batches.slice(1).flat().sort(), ['+ Node n4', '- Node n3'])
  t.equal(world.api.lists(PATHS.nodes).length, 2, 'and nothing is listed again')
})

t.test('a kind that may not be read is named, and is read as soon as it may be', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  const message = 'networkpolicies.networking.k8s.io is forbidden: User "x" cannot list resource "networkpolicies"'
  world.api.fail({ status: 403, body: status(403, { message }) }, ({ path }) => path === PATHS.policies, 1000)
  const started = world.source.start()
  await until(() => world.problems().length === 1)
  t.same(world.problems(), [`NetworkPolicy: list failed: ${message}`])
  world.api.heal()
  await started
  t.same(world.problems(), [])
})

t.test('who is not known at all is told once, not for each kind', async (t) => {
  const world = await ApiWorld.make(t)
  world.api.tokens = new Set(['another'])
  const started = world.source.start()
  await until(() => world.problems().length > 0)
  await settle()
  t.match(world.problems(), [/cannot be reached since .*: made up: 401$/])
  world.api.tokens = undefined
  await started
})

t.test('an object that cannot be read keeps its last good state and hurts no other', async (t) => {
  const world = await ApiWorld.make(t)
  fill(world)
  world.api.put(PATHS.services, service('broken', 'nonsense'))
  await world.source.start()
  t.same(names(world, 'Service'), ['shop/web'])
  t.match(world.source.problems(), [
    { file: 'Service shop/broken', field: 'spec.clusterIP', message: /"nonsense".*; it is left out$/ },
  ])
  await until(() => world.api.openWatches(PATHS.services).length === 1)
  world.api.put(PATHS.services, service('web', 'nonsense'))
  world.api.put(PATHS.services, service('new', '10.96.0.9'))
  await until(() => names(world, 'Service').includes('shop/new'))
  t.equal(world.source.store.get('Service', 'shop/web')?.clusterIPs[0]?.address, '10.96.0.1')
  t.match(world.problems().at(-1), /^Service shop\/web: .*; its last good state is kept$/)
  world.api.put(PATHS.services, service('web', '10.96.0.2'))
  world.api.delete(PATHS.services, 'shop/broken')
  await until(() => world.source.store.get('Service', 'shop/web')?.clusterIPs[0]?.address === '10.96.0.2')
  await until(() => world.problems().length === 0)
})

t.test('a source that is closed tells nothing more, and a start that has not ended says so', async (t) => {
  const world = await ApiWorld.make(t)
  await world.api.close()
  const started = world.source.start()
  const rejected = t.rejects(started, { code: 'unavailable', message: /closed/ })
  await world.source.close()
  await rejected
  const other = await ApiWorld.make(t)
  fill(other)
  await other.source.start()
  await until(() => other.api.openWatches().length === 7)
  other.api.put(PATHS.nodes, node('n4'))
  await other.source.close()
  await settle()
  t.equal(other.batches.length, 1)
  t.equal(other.api.openWatches().length, 0)
})
