import t from 'tap'
import { vtepMac } from '../../src/routes/tunnel.js'
import {
  clearNamespace,
  eventually,
  ip,
  nodeObject,
  OperationCounter,
  PEER,
  raiseUplink,
  run,
  SELF,
  type TestContext,
  TestNode,
  UPLINK,
} from '../support/node.js'
import { TalkCounter } from '../support/talk-counter.js'

/** A node behind a router. */
const FAR = nodeObject('node-3', ['10.244.3.0/24', 'fd00:244:3::/64'], ['192.168.99.3', 'fd00:99::3'])
/** And one that has IPv6 alone. */
const SIX = nodeObject('node-6', ['10.244.6.0/24', 'fd00:244:6::/64'], ['fd00:99::6'])

async function started(
  t: TestContext,
  mode: 'auto' | 'vxlan' = 'auto',
  objects = [SELF, PEER, FAR, SIX],
): Promise<TestNode> {
  t.teardown(clearNamespace)
  raiseUplink()
  return new TestNode(t, objects, { mode }).start()
}

const bridge = (...args: readonly string[]): string => run('bridge', ...args)
const routes = (): string => `${ip('route')}${ip('-6', 'route')}`
const fdb = (device = 'nlx4'): string => bridge('fdb', 'show', 'dev', device)
const neighbours = (device = 'nlx4'): string =>
  `${ip('neigh', 'show', 'dev', device)}${ip('-6', 'neigh', 'show', 'dev', device)}`
const device = (name = 'nlx4'): string => ip('-d', 'link', 'show', name)

const MAC = vtepMac('node-3')
const RIGHT: readonly [read: () => string, text: RegExp][] = [
  [routes, /10\.244\.2\.0\/24 via 192\.168\.50\.2 dev uplink0 proto 110/],
  [routes, /10\.244\.3\.0\/24 via 10\.244\.3\.1 dev nlx4 proto 110 src 10\.244\.1\.1 onlink/],
  [routes, /fd00:244:3::\/64 via fe80::\S+ dev nlx4 proto 110 src fd00:244:1::1/],
  [routes, /10\.244\.6\.0\/24 via 10\.244\.6\.1 dev nlx6 proto 110 src 10\.244\.1\.1 onlink/],
  [fdb, new RegExp(`^${MAC} dst 192\\.168\\.99\\.3 self permanent\\s*$`)],
  [() => fdb('nlx6'), new RegExp(`^${vtepMac('node-6')} dst fd00:99::6 self permanent\\s*$`)],
  [neighbours, new RegExp(`10\\.244\\.3\\.1 lladdr ${MAC} PERMANENT proto 110`)],
  [neighbours, new RegExp(`fe80::\\S+ lladdr ${MAC} PERMANENT proto 110`)],
  [
    device,
    new RegExp(
      `mtu 1430 [^]*link/ether ${vtepMac('node-1')} [^]*vxlan id 110 local 192\\.168\\.50\\.1 srcport 0 0 dstport 4789 nolearning .*udpcsum`,
    ),
  ],
  [device, /<BROADCAST,MULTICAST,UP/],
  [() => device('nlx6'), /mtu 1410 [^]*vxlan id 110 local fd00:50::1 .*dstport 4789 nolearning/],
  [() => ip('address', 'show', 'nlx4'), /inet 10\.244\.1\.1\/32 [^]*inet6 fd00:244:1::1\/128/],
  [() => run('sysctl', '-n', 'net.ipv4.conf.nlx4.rp_filter', 'net.ipv4.conf.nlx4.send_redirects'), /^2\n0\n$/],
]

/** What is not as it should be. */
const wrong = (): string[] =>
  RIGHT.flatMap(([read, text]) => {
    try {
      return text.test(read()) ? [] : [`${text.source} not in ${read()}`]
    } catch (error) {
      return [String(error)]
    }
  })

t.test('devices, forwarding entries, neighbours and routes, as ip and bridge list them', async (t) => {
  const node = await started(t)
  t.same(wrong(), [])
  t.match(ip('-j', 'link', 'show', 'netloom0'), /"mtu":1430/)
  t.match(node.status, { ready: true, problems: [] })
  t.match(node.status.routes, [
    { destination: '10.244.2.0/24', gateway: '192.168.50.2', node: 'node-2', kind: 'direct' },
    { kind: 'direct' },
    { destination: '10.244.3.0/24', gateway: '192.168.99.3', node: 'node-3', kind: 'vxlan' },
    { kind: 'vxlan' },
    { destination: '10.244.6.0/24', gateway: 'fd00:99::6', node: 'node-6', kind: 'vxlan' },
    { kind: 'vxlan' },
  ])
  t.notMatch(ip('-6', 'address', 'show', 'nlx4'), /fe80|tentative/)
})

const zeros = '00:00:00:00:00:00'
const DRIFTS: Readonly<Record<string, () => unknown>> = {
  'a route in a tunnel was deleted': () => ip('route', 'delete', '10.244.3.0/24'),
  'an IPv6 route in a tunnel was deleted': () => ip('-6', 'route', 'delete', 'fd00:244:3::/64'),
  'a route to a node on the link was deleted': () => ip('route', 'delete', '10.244.2.0/24'),
  'a route leads past the tunnel': () => ip('route', 'replace', '10.244.3.0/24', 'via', '192.168.50.9', 'proto', '110'),
  'a forwarding entry was deleted': () => bridge('fdb', 'delete', MAC, 'dev', 'nlx4', 'dst', '192.168.99.3'),
  'a forwarding entry leads to another node': () =>
    bridge('fdb', 'replace', MAC, 'dev', 'nlx4', 'dst', '192.168.99.66'),
  'a forwarding entry has another port': () =>
    bridge('fdb', 'replace', MAC, 'dev', 'nlx4', 'dst', '192.168.99.3', 'port', '8472'),
  'somebody has it flood': () => bridge('fdb', 'append', zeros, 'dev', 'nlx4', 'dst', '192.168.99.66'),
  'a neighbour was deleted': () => ip('neigh', 'delete', '10.244.3.1', 'dev', 'nlx4'),
  'a neighbour has another MAC address': () =>
    ip('neigh', 'replace', '10.244.3.1', 'lladdr', '02:00:00:00:00:66', 'dev', 'nlx4', 'nud', 'permanent'),
  'all neighbours were flushed': () => ip('neigh', 'flush', 'dev', 'nlx4', 'nud', 'permanent'),
  'an address was deleted': () => ip('address', 'delete', '10.244.1.1/32', 'dev', 'nlx4'),
  'the device is down': () => ip('link', 'set', 'nlx4', 'down'),
  'the device went down and came up again': () => {
    ip('link', 'set', 'nlx4', 'down')
    ip('link', 'set', 'nlx4', 'up')
  },
  'the device has another MTU': () => ip('link', 'set', 'nlx4', 'mtu', '1500'),
  'the device has another MAC address': () => ip('link', 'set', 'nlx4', 'address', '02:00:00:00:00:01'),
  'the device learns': () => ip('link', 'set', 'nlx4', 'type', 'vxlan', 'id', '110', 'learning'),
  'the device has another local address': () =>
    ip('link', 'set', 'nlx4', 'type', 'vxlan', 'id', '110', 'local', '192.168.50.77'),
  'the device was deleted': () => ip('link', 'delete', 'nlx4'),
  'both devices were deleted': () => {
    ip('link', 'delete', 'nlx4')
    ip('link', 'delete', 'nlx6')
  },
  'the device was replaced by one of another network': () => {
    ip('link', 'delete', 'nlx4')
    ip('link', 'add', 'nlx4', 'type', 'vxlan', 'id', '7', 'local', '192.168.50.1', 'dstport', '4789')
  },
}

for (const [name, damage] of Object.entries(DRIFTS))
  t.test(`right again within a second: ${name}`, async (t) => {
    await started(t)
    t.same(wrong(), [])
    damage()
    t.ok(wrong().length > 0, 'it is damaged')
    await t.resolves(eventually(() => wrong().length === 0, 1500))
    t.same(wrong(), [])
  })

t.test("others' devices, neighbours and forwarding entries are left alone", async (t) => {
  t.teardown(clearNamespace)
  raiseUplink()
  ip('link', 'add', 'foreign0', 'type', 'vxlan', 'id', '42', 'local', '192.168.50.1', 'dstport', '4789')
  ip('link', 'set', 'foreign0', 'up')
  bridge('fdb', 'append', zeros, 'dev', 'foreign0', 'dst', '192.168.99.9')
  ip('neigh', 'add', '10.1.1.1', 'lladdr', MAC, 'dev', 'foreign0', 'nud', 'permanent')
  ip('route', 'add', '10.1.0.0/16', 'via', '10.1.1.1', 'dev', 'foreign0', 'onlink')
  const before = (): string =>
    `${ip('-d', 'link', 'show', 'foreign0')}${fdb('foreign0')}${neighbours('foreign0')}${ip('route', 'show', '10.1.0.0/16')}`
  const was = before()
  const node = await new TestNode(t, [SELF, PEER, FAR, SIX], { mode: 'auto' }).start()
  ip('neigh', 'add', '10.77.0.1', 'lladdr', '02:00:00:00:00:77', 'dev', 'nlx4', 'nud', 'permanent')
  node.source.remove(FAR)
  await eventually(() => fdb() === '')
  t.equal(before(), was)
  t.match(neighbours(), /10\.77\.0\.1/)
  t.notMatch(neighbours(), MAC)
})

t.test('nodes that come, move and go are followed', async (t) => {
  const node = await started(t, 'auto', [SELF])
  t.equal(fdb(), '')
  node.source.put(FAR, SIX, PEER)
  await t.resolves(eventually(() => wrong().length === 0))
  node.source.put(nodeObject('node-3', ['10.244.3.0/24', 'fd00:244:3::/64'], ['192.168.99.7', 'fd00:99::7']))
  await t.resolves(eventually(() => fdb().includes('dst 192.168.99.7') && !fdb().includes('dst 192.168.99.3')))
  node.source.put(nodeObject('node-3', ['10.244.3.0/24', 'fd00:244:3::/64'], ['192.168.50.3', 'fd00:50::3']))
  await t.resolves(eventually(() => routes().includes('10.244.3.0/24 via 192.168.50.3 dev uplink0') && fdb() === ''))
  t.match(routes(), /fd00:244:3::\/64 via fd00:50::3 dev uplink0/)
  t.notMatch(neighbours(), MAC)
  node.source.put(FAR)
  await t.resolves(eventually(() => wrong().length === 0))
  node.source.remove(FAR, SIX, PEER)
  await t.resolves(eventually(() => !routes().includes('proto 110') && fdb() === '' && fdb('nlx6') === ''))
})

t.test('a node without its own tunnels any more takes them away', async (t) => {
  const node = await started(t, 'vxlan')
  await node.stop()
  const direct = await new TestNode(t, [SELF, PEER]).start()
  t.notMatch(ip('link'), /nlx/)
  t.match(routes(), /10\.244\.2\.0\/24 via 192\.168\.50\.2 dev uplink0 proto 110/)
  t.same(direct.status.problems, [])
})

t.test('a link of the name that is no VXLAN device is left alone and told of, and plain routes stand', async (t) => {
  t.teardown(clearNamespace)
  raiseUplink()
  ip('link', 'add', 'nlx4', 'type', 'veth', 'peer', 'name', 'old0')
  const node = await new TestNode(t, [SELF, PEER, FAR, SIX], { mode: 'auto' }).start()
  t.match(node.status, { ready: true, problems: [/nlx4 is there already, and is no VXLAN device/] })
  t.match(device(), /veth/)
  t.match(routes(), /10\.244\.2\.0\/24 via 192\.168\.50\.2/)
  ip('link', 'delete', 'nlx4')
  await t.resolves(eventually(() => wrong().length === 0 && node.status.problems.length === 0, 11_000))
})

t.test('an agent that starts again changes nothing that is right', async (t) => {
  const counter = new OperationCounter(t)
  const node = await started(t)
  t.ok(counter.take().length > 20)
  await node.restart([SELF, PEER, FAR, SIX])
  t.same(counter.take(), [])
  t.same(wrong(), [])
})

t.test('what the agent does itself does not make it look again', async (t) => {
  const node = await started(t)
  const talk = await restingCounter(t)
  const counter = new OperationCounter(t)
  node.source.put(nodeObject('node-9', ['10.244.9.0/24', 'fd00:244:9::/64'], ['192.168.99.9']))
  await eventually(() => fdb().includes('192.168.99.9'))
  node.source.remove(nodeObject('node-9', ['10.244.9.0/24', 'fd00:244:9::/64'], ['192.168.99.9']))
  await eventually(() => !fdb().includes('192.168.99.9'))
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const ops = counter.take().filter(({ kind }) => !kind.startsWith('elements'))
  t.equal(ops.length, 10, 'two routes, two neighbours, one forwarding entry, made and taken away')
  t.same(talk.dumps(), [], 'and nothing was listed')
})

const FLEET = Array.from({ length: 500 }, (_, i) =>
  nodeObject(
    `fleet-${i}`,
    [`10.${100 + (i >> 8)}.${i & 255}.0/24`, `fd00:100:${i.toString(16)}::/64`],
    [`192.168.${100 + (i >> 8)}.${i & 255}`],
  ),
)

t.test('500 nodes that join at once take one batch, and each costs what it is', async (t) => {
  const node = await started(t, 'vxlan', [SELF])
  const talk = await restingCounter(t)
  node.source.put(...FLEET)
  await t.resolves(eventually(() => fdb().split('\n').length > 500, 10_000))
  const inTunnels = (): number =>
    routes()
      .split('\n')
      .filter((line) => line.includes('nlx4 proto 110')).length
  await t.resolves(eventually(() => inTunnels() === 1000, 10_000))
  t.same(talk.batches(), [2500], 'two routes, two neighbours and one forwarding entry each, in one batch')
  t.same(talk.dumps(), [], 'and nothing was listed')

  node.source.put(nodeObject('fleet-7', ['10.100.7.0/24', 'fd00:100:7::/64'], ['192.168.200.7']))
  await t.resolves(eventually(() => fdb().includes('192.168.200.7')))
  t.same(talk.batches(), [1], 'one that has another address is one request')
  node.source.remove(FLEET[8]!)
  await t.resolves(eventually(() => !routes().includes('10.100.8.0/24')))
  t.same(talk.batches(), [5])
  t.same(talk.dumps(), [])
})

/** Counts from when the node rests: the kernel looks for duplicates of link-local addresses for a while. */
async function restingCounter(t: TestContext): Promise<TalkCounter> {
  await eventually(() => !ip('-6', 'address').includes('tentative'), 10_000)
  const counter = new TalkCounter(t)
  do await new Promise((resolve) => setTimeout(resolve, 1500))
  while (counter.dumps().length > 0)
  counter.batches()
  return counter
}

t.test('a node that has another address of its own takes it over', async (t) => {
  const node = await started(t)
  ip('address', 'add', '192.168.51.1/24', 'dev', UPLINK)
  node.source.put(nodeObject('node-1', ['10.244.1.0/24', 'fd00:244:1::/64'], ['192.168.51.1', 'fd00:50::1']))
  await t.resolves(eventually(() => device().includes('local 192.168.51.1')))
  t.match(routes(), /10\.244\.2\.0\/24 via 192\.168\.50\.2 dev uplink0 proto 110/, 'the other is on the link as before')
  ip('address', 'delete', '192.168.50.1/24', 'dev', UPLINK)
  await t.resolves(
    eventually(() => routes().includes('10.244.2.0/24 via 10.244.2.1 dev nlx4')),
    'and is no longer',
  )
})

t.test('an address that is on no link is told of, and what stands stays', async (t) => {
  const node = await started(t)
  node.source.put(nodeObject('node-1', ['10.244.1.0/24', 'fd00:244:1::/64'], ['192.168.52.1', 'fd00:50::1']))
  await t.resolves(eventually(() => node.status.problems.join().includes('192.168.52.1 is on no link of this node')))
  t.same(wrong(), [])
  ip('address', 'add', '192.168.52.1/24', 'dev', UPLINK)
  await t.resolves(eventually(() => device().includes('local 192.168.52.1') && node.status.problems.length === 0))
})
