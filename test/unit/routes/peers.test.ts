import t from 'tap'
import { formatCidr } from '../../../src/base/ip.js'
import { type Node } from '../../../src/model/node.js'
import { PeerCatalog } from '../../../src/routes/peers.js'
import { type PeerRoute, type Vantage } from '../../../src/routes/ways.js'
import { node, UNDERLAY_V4, UNDERLAY_V6 } from './fake-node.js'

const A = node('a', ['10.1.0.0/24', 'fd00:1::/64'], ['192.168.0.1', 'fd00::1'])
const B = node('b', ['10.2.0.0/24', 'fd00:2::/64'], ['192.168.0.2', 'fd00::2'])

const DIRECT: Vantage = { mode: 'direct', subnets: A.podCIDRs, underlays: [UNDERLAY_V4, UNDERLAY_V6] }

/** That of a node whose own addresses are not known. */
const ELSEWHERE: Vantage = { ...DIRECT, underlays: [] }

function catalogOf(nodes: readonly Node[], self = 'a', vantage = DIRECT): PeerCatalog {
  const catalog = new PeerCatalog(self)
  catalog.move(vantage)
  for (const each of nodes) catalog.set(each.name, each)
  return catalog
}

const text = (route: PeerRoute): string =>
  `${formatCidr(route.destination)} via ${route.gateway} ` +
  (route.kind === 'vxlan' ? `in ${route.device} to ${route.remote}` : (route.device ?? '')) +
  ` (${route.node})`

const lines = (nodes: readonly Node[], vantage = DIRECT, self = 'a'): string[] =>
  catalogOf(nodes, self, vantage)
    .routes()
    .map((route) => text(route).replace('  ', ' '))

t.test(
  "a node has a route to each network of each other node, through that node's address of the family",
  async (t) => {
    t.same(lines([A, B]), ['10.2.0.0/24 via 192.168.0.2 (b)', 'fd00:2::/64 via fd00::2 (b)'])
    t.same(lines([A, B], ELSEWHERE, 'b'), ['10.1.0.0/24 via 192.168.0.1 (a)', 'fd00:1::/64 via fd00::1 (a)'])
    t.same(lines([A]), [])
    t.same(lines([]), [])
  },
)

t.test('a node that is not among the Nodes yet reaches all of them', async (t) => {
  t.equal(lines([A, B], ELSEWHERE, 'new').length, 4)
})

t.test('a node without networks yet needs no route and is no problem', async (t) => {
  const catalog = catalogOf([A, node('c', [], ['192.168.0.3'])])
  t.same([catalog.routes(), catalog.problems()], [[], []])
})

t.test('a network without a node address of its family is told of, and hurts no other', async (t) => {
  const catalog = catalogOf([A, node('c', ['10.3.0.0/24', 'fd00:3::/64'], ['192.168.0.3'])])
  t.equal(catalog.routes().length, 1)
  t.same(catalog.problems(), ['node c: no node address of IPv6 for pod network fd00:3::/64'])
})

t.test('of two nodes that claim one network the first by name has it, whatever their order', async (t) => {
  const nodes = [node('y', ['10.2.0.0/25'], ['192.168.0.8']), node('x', ['10.2.0.0/24'], ['192.168.0.9']), A]
  for (const order of [nodes, [...nodes].reverse()]) {
    const catalog = catalogOf(order)
    t.same(
      catalog.routes().map(({ node: name }) => name),
      ['x'],
    )
    t.same(catalog.problems(), ['node y: pod network 10.2.0.0/25 overlaps 10.2.0.0/24 of node x'])
  }
})

t.test("a node's own network is never routed elsewhere, though the other node's name comes first", async (t) => {
  const catalog = catalogOf([node('0-first', ['10.1.0.0/16'], ['192.168.0.66']), A])
  t.same(catalog.routes(), [])
  t.match(catalog.problems(), ['node 0-first: pod network 10.1.0.0/16 overlaps 10.1.0.0/24 of node a'])
})

t.test('a node goes by the addresses that its agent chose, and by its InternalIPs where those are wrong', async (t) => {
  t.same(lines([A, node('b', ['10.2.0.0/24'], ['192.168.0.2'], '192.168.7.2')]), ['10.2.0.0/24 via 192.168.7.2 (b)'])
  const catalog = catalogOf([A, node('b', ['10.2.0.0/24'], ['192.168.0.2'], 'nonsense')])
  t.match(catalog.routes(), [{ gateway: '192.168.0.2' }])
  t.match(catalog.problems(), [
    /^node b: metadata\.annotations\[netloom\.dev\/node-addresses\]: .*nonsense.*InternalIPs/,
  ])
})

const BEHIND = node('behind', ['10.3.0.0/24', 'fd00:3::/64'], ['192.168.9.3', 'fd00:9::3'])
const V6_ONLY = node('v6', ['10.4.0.0/24', 'fd00:4::/64'], ['fd00:9::4'])

t.test('nodes without a family in common are told of', async (t) => {
  const catalog = catalogOf([A, V6_ONLY], 'a', { ...DIRECT, mode: 'vxlan', underlays: [UNDERLAY_V4] })
  t.same(catalog.routes(), [])
  t.match(catalog.problems(), [
    /^node v6: no node address of a family that this node has one of as well for pod network 10/,
    /fd00:4/,
  ])
})

t.test("a node that says it has this node's address is told of, and gets nothing", async (t) => {
  const catalog = catalogOf([A, B, node('c', ['10.3.0.0/24'], ['192.168.0.1'])])
  t.same(catalog.routesTo('c'), [])
  t.same(catalog.problems(), ['node c: its address 192.168.0.1 is that of this node'])
  t.equal(catalog.routes().length, 2, 'and the others stand')
})

t.test('a change tells which nodes it concerns, and no others', async (t) => {
  const catalog = catalogOf([A, B, BEHIND])
  t.same([...catalog.set('b', node('b', ['10.2.0.0/24'], ['192.168.0.7']))], ['b'])
  t.match(catalog.routesTo('b'), [{ gateway: '192.168.0.7' }])
  t.same([...catalog.set('a', node('a', ['10.3.0.0/16'], ['192.168.0.1']))], ['behind'], 'who overlaps with the own')
  t.same([...catalog.set('b', undefined)], ['b'])
  t.same(catalog.routesTo('b'), [])
})

t.test("pods' own addresses are for all pods, and for nodes that have a way back to them", async (t) => {
  const known = (mode: Vantage['mode']): string[] =>
    [...catalogOf([A, B, BEHIND], 'a', { ...DIRECT, mode }).known()].map(formatCidr)
  const networks = ['10.1.0.0/24', 'fd00:1::/64', '10.2.0.0/24', 'fd00:2::/64', '10.3.0.0/24', 'fd00:3::/64']
  t.same(known('vxlan'), networks)
  t.same(known('auto'), [...networks, '192.168.0.2/32', 'fd00::2/128'])
  t.same(known('direct'), [...networks, '192.168.0.2/32', 'fd00::2/128', '192.168.9.3/32', 'fd00:9::3/128'])
})

t.test('who may send to a tunnel is every other node by any of its addresses, straight ways or not', async (t) => {
  const chosen = { ...B, nodeAddresses: node('b', [], ['172.16.0.2']).nodeAddresses }
  const thief = node('thief', ['10.9.0.0/24'], ['192.168.0.1', '192.168.0.9'])
  for (const mode of ['auto', 'vxlan'] as const) {
    const catalog = catalogOf([A, chosen, thief], 'a', { ...DIRECT, mode })
    const parties = [...catalog.parties().values()]
    const [own, peers] = [parties.flatMap((party) => party.own), parties.flatMap((party) => party.peers)]
    const pods = parties.flatMap((party) => party.pods)
    t.same([...new Set(own.map(({ address }) => address))].sort(), ['192.168.0.1', 'fd00::1'])
    catalog.set('b', undefined)
    t.same(catalog.partyOf('b'), { own: [], peers: [], pods: [] })
    t.same(
      peers.map(({ address }) => address),
      ['172.16.0.2', '192.168.0.2', 'fd00::2', '192.168.0.9'],
      'never an address of this node',
    )
    t.same(pods.map(formatCidr), ['10.2.0.0/24', 'fd00:2::/64'], mode)
  }
})
