import { type Socket } from 'node:dgram'
import t from 'tap'
import { type Place } from '../../src/cli/demo/place.js'
import { DEFAULT_VXLAN } from '../../src/base/names.js'
import { ETHER_TYPE } from '../../src/codec/nft/types.js'
import { vtepMac } from '../../src/routes/tunnel.js'
import { ethernet, ipv4, ipv6, udp } from '../support/frames.js'
import { Lab, type LabPod, sleep } from '../support/lab.js'
import { nft } from '../support/namespaces.js'
import { type TestContext } from '../support/node.js'
import { clearTopology, inside, ip, type Topology } from '../support/topology.js'

/** Nobody but nodes gets packets into a pod network by sending them to a tunnel's port. */

const OUTSIDE = ['172.31.1.99/24', 'fd00:31:1::99/64']
/** Of the second node, beside those that its Node object has. */
const UNKNOWN = ['172.31.1.77/24', 'fd00:31:1::77/64']
const TOPOLOGY: Topology = {
  segments: { near: OUTSIDE },
  nodes: [1, 2].map((i) => ({
    name: `node-${i}`,
    links: { eth0: { segment: 'near', addresses: [`172.31.1.1${i}/24`, `fd00:31:1::1${i}/64`] } },
    routers: [],
    podCIDRs: [`10.244.${i}.0/24`, `fd00:244:${i}::/64`],
    routing: { mode: 'vxlan' },
  })),
}

const PORT = 9000
const GENUINE = 'genuine'

/** A packet in a tunnel (RFC 7348): what is sent to the port of one. */
function tunnelled(node: string, source: string, destination: string, mark: string): Buffer {
  const flagsAndVni = Buffer.of(0x08, 0, 0, 0, 0, 0, DEFAULT_VXLAN.vni, 0)
  const ends = { source, destination }
  const packet = source.includes(':') ? ipv6(ends, udp(PORT, PORT, mark)) : ipv4(ends, udp(PORT, PORT, mark))
  const type = source.includes(':') ? ETHER_TYPE.ip6 : ETHER_TYPE.ip
  return Buffer.concat([
    flagsAndVni,
    ethernet({ source: '02:00:00:00:00:01', destination: vtepMac(node) }, type, packet),
  ])
}

async function send(place: Place, address: string, port: number, payload: Buffer | string): Promise<void> {
  const socket = await place.bind(address.includes(':') ? 'udp6' : 'udp4', 0)
  await new Promise((resolve) => socket.send(payload, port, address, resolve))
  socket.close()
}

/** What arrives at a pod's port, of both families. */
async function arriving(t: TestContext, { place }: LabPod): Promise<Set<string>> {
  const seen = new Set<string>()
  const socket: Socket = await place.bind('udp6', PORT)
  socket.on('message', (message) => seen.add(message.toString()))
  t.teardown(() => socket.close())
  return seen
}

async function within(check: () => boolean, ms: number): Promise<boolean> {
  const end = performance.now() + ms
  while (!check() && performance.now() < end) await sleep(20)
  return check()
}

interface Attack {
  readonly from: Place
  /** The node whose tunnel is sent to, and by what address. */
  readonly node: string
  readonly outer: string
  /** That of tunnels, unless given. */
  readonly port?: number
  /** Whose address is inside. */
  readonly inner: string
  readonly victim: LabPod
}

/** Ports of a node that lead to the tunnels of this node and of another, as those of a Service could. */
const LURE = [
  ['ip', '172.31.1.11', '172.31.1.12'],
  ['ip6', '[fd00:31:1::11]', '[fd00:31:1::12]'],
]
  .map(
    ([family, own, other]) => `
      add table ${family} lure
      add chain ${family} lure c { type nat hook prerouting priority dstnat; }
      add rule ${family} lure c udp dport 30001 dnat to ${own}:4789
      add rule ${family} lure c udp dport 30002 dnat to ${other}:4789
      add chain ${family} lure m { type nat hook postrouting priority 101; }
      add rule ${family} lure m udp dport 4789 ct status dnat masquerade`,
  )
  .join('')

const guard = (node: string): string => inside(node, 'nft', 'list', 'table', 'inet', 'netloom-tunnels').stdout

t.test('what is sent to the port of a tunnel', async (t) => {
  const lab = await Lab.between(TOPOLOGY)
  t.teardown(async () => {
    await lab.close()
    clearTopology()
  })
  const [first, second, evil] = await Promise.all([
    lab.start({ name: 'first', node: 'node-1' }),
    lab.start({ name: 'second', node: 'node-2' }),
    lab.start({ name: 'evil', node: 'node-1' }),
  ])
  const node2 = lab.node('node-2').place
  const seen = new Map([
    [first, await arriving(t, first)],
    [second, await arriving(t, second)],
  ])
  lab.node('node-1').place.run(() => nft(['-f', '-'], LURE))
  // Deprecated: what the node sends by itself does not come from there.
  for (const address of UNKNOWN) ip('-n', 'node-2', 'address', 'add', address, 'dev', 'eth0', 'preferred_lft', '0')
  let marks = 0

  /** Whether it arrives. Behind it comes a packet that does: then it has come, or never will. */
  async function arrives({ from, node, outer, port = DEFAULT_VXLAN.port, inner, victim }: Attack): Promise<boolean> {
    const [mark, genuine] = [`mark-${marks++}`, `${GENUINE}-${marks}`]
    const i = inner.includes(':') ? 1 : 0
    const there = seen.get(victim)!
    for (let again = 0; again < 3; again++)
      await send(from, outer, port, tunnelled(node, inner, victim.addresses[i]!, mark))
    const sender = victim === first ? second : first
    const sent = async (): Promise<void> => send(sender.place, victim.addresses[i]!, PORT, genuine)
    await sent()
    if (!(await within(() => there.has(genuine), 10_000))) throw new Error('nothing arrives in a tunnel at all')
    return within(() => there.has(mark), 100)
  }

  const attacks = Object.fromEntries(
    [0, 1].flatMap((i): [string, Attack][] => {
      const [one, two] = lab.nodes.map(({ addresses }) => addresses[i]!) as [string, string]
      const gateway = i === 0 ? '10.244.1.1' : 'fd00:244:1::1'
      const family = i === 0 ? 'IPv4' : 'IPv6'
      const [mine, theirs] = [first.addresses[i]!, second.addresses[i]!]
      const on1 = { node: 'node-1', victim: first }
      return [
        [`a pod to its own node, as a pod of another: ${family}`, { ...on1, from: evil.place, outer: one, inner: theirs }],
        [`a pod to its gateway, as a pod of another: ${family}`, { ...on1, from: evil.place, outer: gateway, inner: theirs }],
        [
          `a pod to another node, as its neighbour: ${family}`,
          { node: 'node-2', victim: second, from: evil.place, outer: two, inner: mine },
        ],
        [
          `a pod to another node by an address that nobody knows: ${family}`,
          { node: 'node-2', victim: second, from: evil.place, outer: UNKNOWN[i]!.split('/')[0]!, inner: mine },
        ],
        [`through a port of its node, to that: ${family}`, { ...on1, from: node2, port: 30001, outer: one, inner: theirs }],
        [
          `through a port of a node, to another: ${family}`,
          { node: 'node-2', victim: second, from: node2, port: 30002, outer: one, inner: mine },
        ],
        [`from outside, as a pod: ${family}`, { ...on1, from: lab.outside, outer: one, inner: theirs }],
        [`a node, as a pod of the receiver's: ${family}`, { ...on1, from: node2, outer: one, inner: evil.addresses[i]! }],
        [`a node, as itself: ${family}`, { ...on1, from: node2, outer: one, inner: two }],
      ]
    }),
  ) // prettier-ignore

  t.test('gets through where nothing guards it', async (t) => {
    for (const { name, agent } of lab.nodes) {
      await agent.stop()
      t.equal(inside(name, 'nft', 'delete', 'table', 'inet', 'netloom-tunnels').status, 0)
    }
    for (const [what, attack] of Object.entries(attacks)) t.equal(await arrives(attack), true, what)
  })

  t.test('does not, where agents run', async (t) => {
    for (const node of lab.nodes) await node.startAgent().ready()
    for (const [what, attack] of Object.entries(attacks)) t.equal(await arrives(attack), false, what)
  })

  t.test("gets through from a node, with what its pods' addresses are", async (t) => {
    for (const i of [0, 1]) {
      const outer = lab.node('node-1').addresses[i]!
      const attack = { from: node2, node: 'node-1', outer, inner: second.addresses[i]!, victim: first }
      t.equal(await arrives(attack), true, outer)
    }
  })

  t.test('is kept from a node without a guard by the node of the pod that sends it', async (t) => {
    const own = Object.keys(attacks).filter((what) => what.startsWith('a pod to its own'))
    const other = Object.keys(attacks).filter((what) => what.startsWith('a pod to another node, as'))
    t.equal(own.length + other.length, 4)
    await lab.node('node-2').agent.stop()
    inside('node-2', 'nft', 'delete', 'table', 'inet', 'netloom-tunnels')
    for (const what of [...own, ...other]) t.equal(await arrives(attacks[what]!), false, what)
    await lab.node('node-2').startAgent().ready()
  })

  t.test('is guarded again when somebody took the guard away', async (t) => {
    const before = guard('node-1')
    t.match(before, /172\.31\.1\.12/)
    inside('node-1', 'nft', 'delete', 'table', 'inet', 'netloom-tunnels')
    t.ok(await within(() => guard('node-1') === before, 10_000))
    inside('node-1', 'nft', 'flush', 'chain', 'inet', 'netloom-tunnels', 'input')
    t.ok(await within(() => guard('node-1') === before, 10_000))
  })
})
