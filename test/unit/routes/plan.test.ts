import t from 'tap'
import { parseCidr, parseIp } from '../../../src/base/ip.js'
import { ROUTE_PROTOCOL } from '../../../src/base/names.js'
import { type FdbEntry, type Neighbour } from '../../../src/codec/rtnl/neighbour.js'
import { type Route } from '../../../src/codec/rtnl/route.js'
import { planText } from '../../../src/ops/text.js'
import { type PeerRoute } from '../../../src/routes/ways.js'
import {
  differsFrom,
  type ObservedWays,
  observedWays,
  planWays,
  replaceWays,
  type WayEvent,
  waysOf,
} from '../../../src/routes/plan.js'

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

const NAMES = new Map([
  [2, 'eth0'],
  [9, 'nlx4'],
])

const observed = (ways: Partial<ObservedWays>): ReturnType<typeof observedWays> =>
  observedWays({ routes: [], neighbours: [], vteps: [], names: NAMES, ...ways })

const lines = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    // What tells routes of one destination apart is none of these tests.
    .map((line) => line.replace(/ (table|metric) \d+/g, ''))

const DESIRED: PeerRoute[] = [
  { kind: 'direct', node: 'b', destination: parseCidr('10.2.0.0/24'), gateway: '192.168.0.2' },
  { kind: 'direct', node: 'b', destination: parseCidr('fd00:2::/64'), gateway: 'fd00::2' },
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
  'one that is to be another size is made again': [[{ ...V4, mtu: 1280 }, V6], [REPLACED]],
  'one with another source is made again': [[{ ...V4, source: '10.1.0.1' }, V6], [REPLACED]],
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
  t.test(name, async (t) => t.same(lines(planText(planWays(waysOf(DESIRED), observed({ routes: have })))), plan))

t.test('when all is taken away, nothing of ours stays', async (t) => {
  const ours = [V4, V6, { ...V4, priority: 50 }, { ...V4, table: 100 }, { ...V6, priority: 1 }]
  const ops = planWays(waysOf([]), observed({ routes: [...ours, actual({ to: '10.9.0.0/24', protocol: 4 })] }))
  t.equal(ops.length, ours.length)
  for (const op of ops) t.match(op, { kind: 'route.delete', route: { protocol: ROUTE_PROTOCOL } })
  t.same(
    ops.map((op) => ('route' in op ? [op.route.table, op.route.priority] : [])),
    ours.map(({ table, priority }) => [table, priority]),
  )
})

const MAC = '02:00:00:00:00:0b'
const TUNNEL: PeerRoute = {
  kind: 'vxlan',
  node: 'b',
  destination: parseCidr('10.2.0.0/24'),
  gateway: '10.2.0.1',
  device: 'nlx4',
  source: '10.1.0.1',
  mac: MAC,
  remote: '192.168.9.2',
}
const ROUTE = actual({ to: '10.2.0.0/24', gateway: '10.2.0.1', index: 9, source: '10.1.0.1', onlink: true })
const NEIGHBOUR: Neighbour = { ...parseIp('10.2.0.1'), index: 9, mac: MAC, state: 0x80, flags: 0, protocol: 110 }
const VTEP: FdbEntry = { index: 9, mac: MAC, destination: '192.168.9.2', state: 0x80, flags: 2 }

const MAKE_ROUTE = 'ip route replace 10.2.0.0/24 via 10.2.0.1 dev nlx4 proto 110 src 10.1.0.1 onlink'
const MAKE_NEIGHBOUR = `ip neighbour replace 10.2.0.1 dev nlx4 lladdr ${MAC} nud permanent proto 110`
const MAKE_VTEP = `bridge fdb replace ${MAC} dev nlx4 dst 192.168.9.2`

const TUNNELS: Readonly<Record<string, readonly [have: Partial<ObservedWays>, plan: readonly string[]]>> = {
  'what a route needs comes before it': [{}, [MAKE_VTEP, MAKE_NEIGHBOUR, MAKE_ROUTE]],
  'a tunnel that is right costs nothing': [{ routes: [ROUTE], neighbours: [NEIGHBOUR], vteps: [VTEP] }, []],
  'a forwarding entry that is gone': [{ routes: [ROUTE], neighbours: [NEIGHBOUR] }, [MAKE_VTEP]],
  'one that leads elsewhere': [
    { routes: [ROUTE], neighbours: [NEIGHBOUR], vteps: [{ ...VTEP, destination: '192.168.9.66' }] },
    [MAKE_VTEP],
  ],
  'one with another port': [
    { routes: [ROUTE], neighbours: [NEIGHBOUR], vteps: [{ ...VTEP, port: 8472 }] },
    [MAKE_VTEP],
  ],
  'one that is to age': [{ routes: [ROUTE], neighbours: [NEIGHBOUR], vteps: [{ ...VTEP, state: 0x2 }] }, [MAKE_VTEP]],
  'one that would flood goes: nobody else has anything on our devices': [
    { routes: [ROUTE], neighbours: [NEIGHBOUR], vteps: [VTEP, { ...VTEP, mac: '00:00:00:00:00:00' }] },
    ['bridge fdb delete 00:00:00:00:00:00 dev nlx4 dst 192.168.9.2'],
  ],
  'a neighbour with another MAC address': [
    { routes: [ROUTE], neighbours: [{ ...NEIGHBOUR, mac: '02:00:00:00:00:66' }], vteps: [VTEP] },
    [MAKE_NEIGHBOUR],
  ],
  'a neighbour that somebody else made instead': [
    { routes: [ROUTE], neighbours: [{ ...NEIGHBOUR, protocol: 0 }], vteps: [VTEP] },
    [MAKE_NEIGHBOUR],
  ],
  'a neighbour that the kernel would look for': [
    { routes: [ROUTE], neighbours: [{ ...NEIGHBOUR, state: 0x4 }], vteps: [VTEP] },
    [MAKE_NEIGHBOUR],
  ],
  'a neighbour of ours that nobody needs goes, and what the kernel or others found out stays': [
    {
      routes: [ROUTE],
      neighbours: [
        NEIGHBOUR,
        { ...NEIGHBOUR, ...parseIp('10.7.0.1') },
        { ...NEIGHBOUR, ...parseIp('10.8.0.1'), protocol: 0 },
      ],
      vteps: [VTEP],
    },
    ['ip neighbour delete 10.7.0.1 dev nlx4'],
  ],
  'a route that leaves by another link': [
    { routes: [{ ...ROUTE, index: 2 }], neighbours: [NEIGHBOUR], vteps: [VTEP] },
    [MAKE_ROUTE],
  ],
}

for (const [name, [have, plan]] of Object.entries(TUNNELS))
  t.test(name, async (t) => t.same(lines(planText(planWays(waysOf([TUNNEL]), observed(have)))), plan))

t.test('what a route needed goes after it', async (t) => {
  t.same(lines(planText(planWays(waysOf([]), waysOf([TUNNEL])))), [
    'ip route delete 10.2.0.0/24 via 10.2.0.1 proto 110',
    'ip neighbour delete 10.2.0.1 dev nlx4',
    `bridge fdb delete ${MAC} dev nlx4 dst 192.168.9.2`,
  ])
})

t.test('a node that moves into reach changes to a route without a moment between', async (t) => {
  t.same(lines(planText(planWays(waysOf([DESIRED[0]!]), waysOf([TUNNEL])))), [
    REPLACED,
    'ip neighbour delete 10.2.0.1 dev nlx4',
    `bridge fdb delete ${MAC} dev nlx4 dst 192.168.9.2`,
  ])
})

t.test('parts of what is held change in place', async (t) => {
  const held = waysOf([TUNNEL, DESIRED[1]!])
  replaceWays(held, waysOf([TUNNEL]), waysOf([DESIRED[0]!]))
  t.same(planWays(waysOf(DESIRED), held), [])
})

const route = (fields: Partial<Route> = {}, gone = false): WayEvent => ({
  kind: 'route',
  gone,
  route: { ...ROUTE, ...fields },
})
const neighbour = (fields: Partial<Neighbour> = {}, gone = false): WayEvent => ({
  kind: 'neighbour',
  gone,
  neighbour: { ...NEIGHBOUR, ...fields },
})
const fdb = (fields: Partial<FdbEntry> = {}, gone = false): WayEvent => ({
  kind: 'fdb',
  gone,
  entry: { ...VTEP, ...fields },
})

const EVENTS: Readonly<Record<string, readonly [event: WayEvent, differs: boolean]>> = {
  'a route as we made it': [route(), false],
  'a route of ours that is gone': [route({}, true), true],
  'one that is gone and nobody wants': [route({ destination: parseCidr('10.7.0.0/24') }, true), false],
  'one of our number that nobody wants': [route({ destination: parseCidr('10.7.0.0/24') }), true],
  'one that leads elsewhere': [route({ gateway: '10.2.0.9' }), true],
  "somebody else's in its place": [route({ protocol: 4 }), true],
  "somebody else's that is gone from there": [route({ protocol: 4 }, true), false],
  "somebody else's of less weight": [route({ protocol: 4, priority: 7 }), false],
  "somebody else's to elsewhere": [route({ protocol: 4, destination: parseCidr('10.7.0.0/24') }), false],
  'a neighbour as we made it': [neighbour(), false],
  'a neighbour that is gone': [neighbour({}, true), true],
  'a neighbour that somebody else changed': [neighbour({ protocol: 0 }), true],
  'one that fails as it is deleted': [neighbour({ ...parseIp('10.7.0.1'), state: 0x20, mac: undefined }), false],
  'one of ours that somebody has fail': [neighbour({ state: 0x20 }), true],
  "somebody else's neighbour": [neighbour({ protocol: 0, ...parseIp('10.7.0.1') }), false],
  'a forwarding entry as we made it': [fdb(), false],
  'a forwarding entry that is gone': [fdb({}, true), true],
  'a forwarding entry to elsewhere': [fdb({ destination: '192.168.9.66' }), true],
  "somebody else's forwarding entry": [fdb({ mac: '00:00:00:00:00:00' }), true],
  "somebody else's that is gone": [fdb({ mac: '00:00:00:00:00:00' }, true), false],
}

for (const [name, [event, differs]] of Object.entries(EVENTS))
  t.test(`told by the kernel: ${name}`, async (t) => t.equal(differsFrom(waysOf([TUNNEL]), event, NAMES), differs))
