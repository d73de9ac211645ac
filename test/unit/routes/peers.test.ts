import t from 'tap'
import { formatCidr, parseCidr } from '../../../src/base/ip.js'
import { ROUTE_PROTOCOL } from '../../../src/base/names.js'
import { type Route } from '../../../src/codec/rtnl/route.js'
import { type Node } from '../../../src/model/node.js'
import { parseObject } from '../../../src/model/object.js'
import { planText } from '../../../src/ops/text.js'
import { desiredRoutes, type PeerRoute, planPeerRoutes } from '../../../src/routes/peers.js'

const node = (name: string, podCIDRs: readonly string[], ips: readonly string[]): Node =>
  parseObject({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { podCIDRs },
    status: { addresses: ips.map((address) => ({ type: 'InternalIP', address })) },
  }) as Node

const A = node('a', ['10.1.0.0/24', 'fd00:1::/64'], ['192.168.0.1', 'fd00::1'])
const B = node('b', ['10.2.0.0/24', 'fd00:2::/64'], ['192.168.0.2', 'fd00::2'])

const lines = (nodes: readonly Node[], self = 'a'): string[] =>
  desiredRoutes(nodes, self).routes.map(
    ({ destination, gateway, node: name }) => `${formatCidr(destination)} via ${gateway} (${name})`,
  )

t.test(
  "a node has a route to each network of each other node, through that node's address of the family",
  async (t) => {
    t.same(lines([A, B]), ['10.2.0.0/24 via 192.168.0.2 (b)', 'fd00:2::/64 via fd00::2 (b)'])
    t.same(lines([A, B], 'b'), ['10.1.0.0/24 via 192.168.0.1 (a)', 'fd00:1::/64 via fd00::1 (a)'])
    t.same(lines([A]), [])
    t.same(lines([]), [])
  },
)

t.test('a node that is not among the Nodes yet reaches all of them', async (t) => {
  t.equal(lines([A, B], 'new').length, 4)
})

t.test('a node without networks yet needs no route and is no problem', async (t) => {
  t.same(desiredRoutes([A, node('c', [], ['192.168.0.3'])], 'a'), { routes: [], problems: [] })
})

t.test('a network without a node address of its family is told of, and hurts no other', async (t) => {
  const { routes, problems } = desiredRoutes([A, node('c', ['10.3.0.0/24', 'fd00:3::/64'], ['192.168.0.3'])], 'a')
  t.equal(routes.length, 1)
  t.same(problems, ['node c: no InternalIP of IPv6 for pod network fd00:3::/64'])
})

t.test('of two nodes that claim one network the first by name has it, whatever their order', async (t) => {
  const nodes = [node('y', ['10.2.0.0/25'], ['192.168.0.8']), node('x', ['10.2.0.0/24'], ['192.168.0.9']), A]
  for (const order of [nodes, [...nodes].reverse()]) {
    const { routes, problems } = desiredRoutes(order, 'a')
    t.same(
      routes.map(({ node: name }) => name),
      ['x'],
    )
    t.same(problems, ['node y: pod network 10.2.0.0/25 overlaps 10.2.0.0/24 of node x'])
  }
})

t.test("a node's own network is never routed elsewhere, though the other node's name comes first", async (t) => {
  const thief = node('0-first', ['10.1.0.0/16'], ['192.168.0.66'])
  const { routes, problems } = desiredRoutes([thief, A], 'a')
  t.same(routes, [])
  t.match(problems, ['node 0-first: pod network 10.1.0.0/16 overlaps 10.1.0.0/24 of node a'])
})

interface ActualFields extends Partial<Route> {
  readonly to: string
}

const actual = ({ to, ...fields }: ActualFields): Route => {
  const destination = parseCidr(to)
  return {
    family: destination.family,
    destination,
    tos: 0,
    table: 254,
    protocol: ROUTE_PROTOCOL,
    scope: 0,
    type: 1,
    ...(destination.family.bytes === 16 ? { priority: 1024 } : {}),
    onlink: false,
    dead: false,
    cloned: false,
    multipath: false,
    nextHops: [],
    ...fields,
  }
}

const DESIRED: PeerRoute[] = [
  { node: 'b', destination: parseCidr('10.2.0.0/24'), gateway: '192.168.0.2' },
  { node: 'b', destination: parseCidr('fd00:2::/64'), gateway: 'fd00::2' },
]
const [V4, V6] = [
  actual({ to: '10.2.0.0/24', gateway: '192.168.0.2' }),
  actual({ to: 'fd00:2::/64', gateway: 'fd00::2' }),
]
const REPLACED = 'ip route replace 10.2.0.0/24 via 192.168.0.2 proto 110'

const PLANS: Readonly<Record<string, readonly [have: readonly Route[], plan: readonly string[]]>> = {
  'what is right is left alone': [[V4, V6], []],
  'what is missing is made': [[V6], [REPLACED]],
  'another gateway is replaced': [[{ ...V4, gateway: '192.168.0.7' }, V6], [REPLACED]],
  'several next hops are replaced': [[{ ...V4, multipath: true }, V6], [REPLACED]],
  'one that the kernel does not use is made again': [[{ ...V4, dead: true }, V6], [REPLACED]],
  'one that nobody wants is deleted': [
    [V4, V6, actual({ to: '10.9.0.0/24', gateway: '192.168.0.9' })],
    ['ip route delete 10.9.0.0/24 via 192.168.0.9 proto 110'],
  ],
  "others' routes are not touched": [[V4, V6, actual({ to: '10.9.0.0/24', protocol: 4 })], []],
  "another's route to a wanted destination is no reason to leave ours out": [[{ ...V4, protocol: 3 }, V6], [REPLACED]],
  'an exception that the kernel made of one is none of ours': [
    [V4, V6, actual({ to: 'fd00:2::7/128', gateway: 'fd00::2', cloned: true })],
    [],
  ],
  'a second one to the same destination, of another priority, goes': [
    [V4, V6, { ...V4, priority: 50 }],
    ['ip route delete 10.2.0.0/24 via 192.168.0.2 proto 110'],
  ],
  'one in another table goes, and does not count': [
    [{ ...V4, table: 100 }, V6],
    ['ip route delete 10.2.0.0/24 via 192.168.0.2 proto 110', REPLACED],
  ],
}

for (const [name, [have, plan]] of Object.entries(PLANS))
  t.test(name, async (t) => {
    const text = planText(planPeerRoutes(DESIRED, have)).trimEnd()
    t.same(
      text
        .split('\n')
        .filter((line) => line !== '')
        // What tells routes of one destination apart is none of this test.
        .map((line) => line.replace(/ (table|metric) \d+/g, '')),
      plan,
    )
  })

t.test('when all is taken away, nothing of ours stays', async (t) => {
  const ours = [V4, V6, { ...V4, priority: 50 }, { ...V4, table: 100 }, { ...V6, priority: 1 }]
  const ops = planPeerRoutes([], [...ours, actual({ to: '10.9.0.0/24', protocol: 4 })])
  t.equal(ops.length, ours.length)
  for (const op of ops) t.match(op, { kind: 'route.delete', route: { protocol: ROUTE_PROTOCOL } })
  t.same(
    ops.map((op) => ('route' in op ? [op.route.table, op.route.priority] : [])),
    ours.map(({ table, priority }) => [table, priority]),
  )
})
