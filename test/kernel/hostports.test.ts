import t from 'tap'
import { once } from 'node:events'
import { type Socket as UdpSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from '../../src/cli/demo/client.js'
import { Place } from '../../src/cli/demo/place.js'
import { Responder } from '../../src/cli/demo/responder.js'
import { Kernel } from '../../src/daemon/kernel.js'
import { hostPortsOf } from '../../src/hostports/hostport.js'
import { HOSTPORT_SETS, HOSTPORTS } from '../../src/hostports/layout.js'
import {
  hostPortDifferences,
  type HostPortsActual,
  type HostPortsDesired,
  localnetDevice,
  localnetSysctl,
  planConceal,
  planExpose,
  planHostPorts,
  planWithdraw,
} from '../../src/hostports/plan.js'
import { observeElements, observeRuleset, observeSysctls } from '../../src/kernel/observe.js'
import { createNamespace, deleteNamespace } from '../../src/kernel/netns.js'
import { type Lease } from '../../src/model/lease.js'
import { type Op } from '../../src/ops/op.js'
import { type PortMapping } from '../../src/model/portmapping.js'
import { type Protocol } from '../../src/model/port.js'
import { exampleLease } from '../support/lease.js'
import { nft as load } from '../support/namespaces.js'
import { clearNamespace, ip, nft, raiseUplink, run, type TestContext, TestNode } from '../support/node.js'

/**
 * A node, a host outside, and containers with servers. Host ports are applied by the tests themselves: the agent, which
 * would put that right, attaches containers and is stopped then.
 */
class Scene {
  readonly kernel = new Kernel()
  readonly node = new Place('/proc/thread-self/ns/net')
  readonly outside: Place
  readonly #agent: TestNode
  readonly #t: TestContext

  private constructor(t: TestContext, outside: Place, agent: TestNode) {
    this.#t = t
    this.outside = outside
    this.#agent = agent
  }

  static async raise(t: TestContext): Promise<Scene> {
    t.teardown(clearNamespace)
    raiseUplink()
    const outside = place(t, 'outside')
    ip('link', 'set', 'uplink1', 'netns', 'outside')
    inPlace('outside', 'link set uplink1 up')
    inPlace('outside', 'address add 192.168.50.9/24 dev uplink1')
    inPlace('outside', 'address add fd00:50::9/64 dev uplink1 nodad')
    const scene = new Scene(t, outside, await new TestNode(t).start())
    t.teardown(() => {
      scene.kernel.close()
      scene.node.close()
    })
    await scene.sync()
    return scene
  }

  async #apply(ops: readonly Op[]): Promise<void> {
    await this.#agent.stop()
    await this.kernel.applier.apply(ops)
  }

  /** A container as the agent attaches it. */
  async attach(name: string): Promise<{ place: Place; lease: (...ports: PortMapping[]) => Lease }> {
    this.#agent.createPod(name)
    await this.#agent.stop()
    await this.#agent.start()
    const { answer } = await this.#agent.cni('ADD', name)
    const addresses = (answer?.ips ?? []).map(({ address }) => address.replace(/\/.*/, ''))
    const pod = new Place(`/run/netns/${name}`)
    this.#t.teardown(() => pod.close())
    return { place: pod, lease: (...ports) => exampleLease({ containerId: name, addresses, ports }) }
  }

  /** Answers on ports 8080 of TCP and UDP. */
  async serve(place: Place, name: string, port = 8080): Promise<void> {
    const responder = new Responder(place, { pod: name, node: 'node-1' })
    this.#t.teardown(() => responder.close())
    const problems = await responder.listen(
      (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, port, undeclared: false })),
    )
    if (problems.length > 0) throw new Error(problems.join())
  }

  async expose(lease: Lease): Promise<void> {
    const ports = hostPortsOf(lease)
    await this.#apply(planExpose(ports, localnetDevice(lease, ports)))
  }

  async conceal(lease: Lease): Promise<void> {
    await this.#apply(planConceal(hostPortsOf(lease)))
  }

  async observe(): Promise<HostPortsActual | undefined> {
    const { netfilter } = this.kernel
    const structure = await observeRuleset(netfilter, HOSTPORTS)
    if (structure === undefined) return undefined
    const sets = HOSTPORT_SETS.filter(({ name }) => structure.sets.has(name))
    const elements = sets.map(async (set) => [set.name, await observeElements(netfilter, HOSTPORTS, set)] as const)
    return { structure, elements: new Map(await Promise.all(elements)) }
  }

  /** Makes the kernel as wanted; answers what is still to be done then. */
  async sync(desired: HostPortsDesired = { ports: [], devices: [] }): Promise<string[]> {
    const plan = async () =>
      planHostPorts(desired, await this.observe(), observeSysctls(desired.devices.map(localnetSysctl)))
    await this.#agent.stop()
    await this.#apply(await plan())
    return (await plan()).map(({ kind }) => kind)
  }
}

function place(t: TestContext, name: string): Place {
  const place = new Place(createNamespace(name))
  t.teardown(() => {
    place.close()
    deleteNamespace(name)
  })
  ip('-n', name, 'link', 'set', 'lo', 'up')
  return place
}

const inPlace = (name: string, command: string): string => ip('-n', name, ...command.split(' '))

const mapping = (hostPort: number, fields: Partial<PortMapping> = {}): PortMapping => ({
  hostPort,
  containerPort: 8080,
  protocol: 'TCP',
  ...fields,
})

const both = (hostPort: number, fields: Partial<PortMapping> = {}): PortMapping[] =>
  (['TCP', 'UDP'] as const).map((protocol) => mapping(hostPort, { ...fields, protocol }))

/** Who answered and whom it saw, or why nobody did. */
async function answerOf(from: Place, address: string, port: number, protocol: Protocol = 'TCP'): Promise<string> {
  const { answer, failure } = await ask(from, protocol, address, port)
  return answer === undefined ? failure : `${answer.pod} saw ${answer.client}`
}

t.test('a container is reached at ports of the node, by clients that keep their addresses', async (t) => {
  const scene = await Scene.raise(t)
  const a = await scene.attach('a')
  const b = await scene.attach('b')
  await scene.serve(a.place, 'a')
  await scene.expose(a.lease(...both(80)))
  for (const protocol of ['TCP', 'UDP'] as const) {
    t.equal(await answerOf(scene.outside, '192.168.50.1', 80, protocol), 'a saw 192.168.50.9', `IPv4 ${protocol}`)
    t.equal(await answerOf(scene.outside, 'fd00:50::1', 80, protocol), 'a saw fd00:50::9', `IPv6 ${protocol}`)
  }
  t.equal(await answerOf(b.place, '192.168.50.1', 80), 'a saw 10.244.1.3', 'another container of the node')
  t.equal(await answerOf(b.place, '10.244.1.1', 80), 'a saw 10.244.1.3', 'at the gateway')
  t.equal(await answerOf(b.place, 'fd00:50::1', 80, 'UDP'), 'a saw fd00:244:1::3', 'IPv6')
})

t.test('a port at one address of the node is at no other', async (t) => {
  const scene = await Scene.raise(t)
  ip('address', 'add', '192.168.50.3/24', 'dev', 'uplink0')
  ip('address', 'add', 'fd00:50::3/64', 'dev', 'uplink0', 'nodad')
  const a = await scene.attach('a')
  await scene.serve(a.place, 'a')
  await scene.expose(a.lease(...both(80, { hostIP: '192.168.50.3' }), ...both(80, { hostIP: 'fd00:50::3' })))
  for (const protocol of ['TCP', 'UDP'] as const) {
    t.equal(await answerOf(scene.outside, '192.168.50.3', 80, protocol), 'a saw 192.168.50.9')
    t.equal(await answerOf(scene.outside, 'fd00:50::3', 80, protocol), 'a saw fd00:50::9')
    t.equal(await answerOf(scene.outside, '192.168.50.1', 80, protocol), 'refused')
    t.equal(await answerOf(scene.outside, 'fd00:50::1', 80, protocol), 'refused')
  }
})

t.test('the one address wins where a container has both, and families are told apart', async (t) => {
  const scene = await Scene.raise(t)
  const a = await scene.attach('a')
  await scene.serve(a.place, 'general')
  await scene.serve(a.place, 'special', 9090)
  await scene.expose(
    a.lease(mapping(80, { hostIP: '0.0.0.0' }), mapping(80, { hostIP: '192.168.50.1', containerPort: 9090 })),
  )
  t.equal(await answerOf(scene.outside, '192.168.50.1', 80), 'special saw 192.168.50.9')
  t.equal(await answerOf(scene.node, '10.244.1.1', 80), 'general saw 10.244.1.1')
  t.equal(await answerOf(scene.outside, 'fd00:50::1', 80), 'refused')
})

t.test('a mapping to an address that the node does not have catches nothing', async (t) => {
  const scene = await Scene.raise(t)
  const a = await scene.attach('a')
  await scene.serve(a.place, 'thief')
  await scene.serve(scene.outside, 'owner')
  await scene.expose(a.lease(...both(8080, { hostIP: '192.168.50.9' })))
  for (const protocol of ['TCP', 'UDP'] as const)
    t.match(await answerOf(scene.node, '192.168.50.9', 8080, protocol), /^owner /, protocol)
})

t.test('the node reaches its own ports, also at 127.0.0.1', async (t) => {
  const scene = await Scene.raise(t)
  const a = await scene.attach('a')
  await scene.serve(a.place, 'a')
  await scene.expose(a.lease(...both(80), ...both(81, { hostIP: '127.0.0.1' })))
  for (const protocol of ['TCP', 'UDP'] as const) {
    t.equal(await answerOf(scene.node, '192.168.50.1', 80, protocol), 'a saw 192.168.50.1')
    t.equal(await answerOf(scene.node, 'fd00:50::1', 80, protocol), 'a saw fd00:50::1')
    t.equal(await answerOf(scene.node, '127.0.0.1', 80, protocol), 'a saw 10.244.1.1')
    t.equal(await answerOf(scene.node, '127.0.0.1', 81, protocol), 'a saw 10.244.1.1')
    t.equal(await answerOf(scene.node, '::1', 80, protocol), 'refused', '::1 says so at once')
  }
  t.equal(await answerOf(scene.outside, '192.168.50.1', 81), 'refused', 'what is at 127.0.0.1 is there alone')
})

t.test('a container reaches itself through its own port', async (t) => {
  const scene = await Scene.raise(t)
  const a = await scene.attach('a')
  await scene.serve(a.place, 'a')
  await scene.expose(a.lease(...both(80)))
  for (const protocol of ['TCP', 'UDP'] as const) {
    t.equal(await answerOf(a.place, '192.168.50.1', 80, protocol), 'a saw 10.244.1.1')
    t.equal(await answerOf(a.place, 'fd00:50::1', 80, protocol), 'a saw fd00:244:1::1')
  }
})

/** Makes a namespace send packets for 127.0.0.1 through a router. */
function loseLoopback(name: string, link: string, router: string): void {
  inPlace(name, 'address delete 127.0.0.1/8 dev lo')
  for (const setting of [`${link}/route_localnet=1`, 'lo/route_localnet=1'])
    run('ip', 'netns', 'exec', name, 'sysctl', '-qw', `net/ipv4/conf/${setting}`)
  inPlace(name, `route add 127.0.0.0/8 via ${router} dev ${link}`)
}

t.test('nobody but the node reaches what is at 127.0.0.1', async (t) => {
  const scene = await Scene.raise(t)
  const [a, b] = [await scene.attach('a'), await scene.attach('b')]
  await scene.serve(a.place, 'a')
  await scene.serve(scene.node, 'the node', 9100)
  await scene.expose(a.lease(...both(80)))
  loseLoopback('b', 'eth0', '10.244.1.1')
  loseLoopback('outside', 'uplink1', '192.168.50.1')
  for (const [name, from] of [
    ['a container', b.place],
    ['a host outside', scene.outside],
  ] as const)
    // prettier-ignore
    for (const port of [80, 9100]) {
      t.equal(await answerOf(from, '127.0.0.1', port), 'timeout', `${name}, TCP port ${port}`)
      t.equal(await answerOf(from, '127.0.0.1', port, 'UDP'), 'timeout', `${name}, UDP port ${port}`)
    }
  nft('flush', 'chain', 'inet', 'netloom-hostports', 'martians')
  t.match(await answerOf(b.place, '127.0.0.1', 9100), /^the node saw /, 'as it would without the rules')
})

/** A client that sends from one port for ever. */
class Client {
  readonly #socket: UdpSocket
  readonly #to: readonly [port: number, address: string]

  private constructor(socket: UdpSocket, to: readonly [number, string]) {
    this.#socket = socket
    this.#to = to
  }

  static async open(t: TestContext, from: Place, address: string, port: number): Promise<Client> {
    const socket = await from.bind(address.includes(':') ? 'udp6' : 'udp4', 0)
    t.teardown(() => socket.close())
    socket.on('error', () => undefined)
    return new Client(socket, [port, address])
  }

  /** True where an answer comes to one of some datagrams. */
  async isAnswered(): Promise<boolean> {
    const patience = new AbortController()
    const answered = once(this.#socket, 'message', { signal: patience.signal }).then(
      () => true,
      () => false,
    )
    for (let attempt = 0; attempt < 30; attempt++) {
      this.#socket.send('who is there?', ...this.#to)
      if (await Promise.race([answered, sleep(100, false)])) return true
    }
    patience.abort()
    return false
  }
}

t.test('a client that never changes its port follows a mapping that comes, moves and goes', async (t) => {
  const scene = await Scene.raise(t)
  const [a, b] = [await scene.attach('a'), await scene.attach('b')]
  await scene.serve(a.place, 'a')
  await scene.serve(b.place, 'b')
  const clients = {
    'IPv4 from outside': await Client.open(t, scene.outside, '192.168.50.1', 53),
    'IPv6 from outside': await Client.open(t, scene.outside, 'fd00:50::1', 53),
    'the node at 127.0.0.1': await Client.open(t, scene.node, '127.0.0.1', 53),
    'a container': await Client.open(t, b.place, '192.168.50.1', 53),
  }
  const answered = async (): Promise<Record<string, boolean>> =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(clients).map(async ([name, client]) => [name, await client.isAnswered()] as const),
      ),
    )
  const all = (value: boolean): Record<string, boolean> =>
    Object.fromEntries(Object.keys(clients).map((name) => [name, value]))
  const lease = a.lease(mapping(53, { protocol: 'UDP' }))
  t.same(await answered(), all(false), 'before')
  await scene.expose(lease)
  t.same(await answered(), all(true), 'when it is there')
  await scene.conceal(lease)
  t.same(await answered(), all(false), 'when it is gone')
  await scene.expose(lease)
  t.same(await answered(), all(true), 'when it is there again')
  const moved = b.lease(mapping(53, { protocol: 'UDP' }))
  await scene.sync({ ports: hostPortsOf(moved), devices: [] })
  inPlace('a', 'link set eth0 down')
  t.same(await answered(), all(true), 'when it leads elsewhere')
})

t.test('flows to the same port of other hosts are left alone', async (t) => {
  const scene = await Scene.raise(t)
  const [a, b] = [await scene.attach('a'), await scene.attach('b')]
  await scene.serve(scene.outside, 'outside', 53)
  const client = await Client.open(t, b.place, '192.168.50.9', 53)
  t.ok(await client.isAnswered())
  const flows = (): string => run('conntrack', '-L', '-p', 'udp', '--orig-port-dst', '53')
  const ids = (): string[] => flows().match(/sport=\d+/g) ?? []
  const before = ids()
  t.not(before.length, 0)
  await scene.expose(a.lease(...both(53)))
  t.same(ids(), before)
})

const DAMAGES: Readonly<Record<string, () => unknown>> = {
  'nft flush ruleset': () => nft('flush', 'ruleset'),
  'a map is empty': () => nft('flush', 'map', 'inet', 'netloom-hostports', 'anywhere_ipv4'),
  'a port leads elsewhere': () => {
    nft('delete', 'element', 'inet', 'netloom-hostports', 'anywhere_ipv6', '{ tcp . 80 }')
    nft('add', 'element', 'inet', 'netloom-hostports', 'anywhere_ipv6', '{ tcp . 80 : fd00::99 . 1 }')
  },
  "somebody else's port stands there": () =>
    nft('add', 'element', 'inet', 'netloom-hostports', 'at_address_ipv4', '{ 192.0.2.1 . tcp . 22 : 192.0.2.2 . 22 }'),
  'a client is masqueraded for nothing': () =>
    nft('add', 'element', 'inet', 'netloom-hostports', 'nearby_ipv4', '{ 192.0.2.0/24 . 10.244.1.9 }'),
  'what protects 127.0.0.1 is gone': () => nft('flush', 'chain', 'inet', 'netloom-hostports', 'martians'),
  'a rule stands in front': () => nft('insert', 'rule', 'inet', 'netloom-hostports', 'prerouting', 'counter', 'accept'),
  'the link was closed to 127.0.0.1': () => run('sysctl', '-qw', 'net.ipv4.conf.netloom0.route_localnet=0'),
}

t.test('what others did is put right, and what they did not touch stays', async (t) => {
  const scene = await Scene.raise(t)
  const a = await scene.attach('a')
  const lease = a.lease(...both(80), mapping(81, { hostIP: '192.168.50.1' }))
  const ports = hostPortsOf(lease)
  await scene.expose(lease)
  const intact = nft('list', 'table', 'inet', 'netloom-hostports')
  const desired = { ports, devices: ['netloom0'] }
  t.same(await scene.sync(desired), [], 'exposing and the whole plan agree')
  t.equal(nft('list', 'table', 'inet', 'netloom-hostports'), intact)
  t.same([...hostPortDifferences(ports, await scene.observe())], [])
  for (const [name, damage] of Object.entries(DAMAGES)) {
    damage()
    t.same(await scene.sync(desired), [], name)
    t.equal(nft('list', 'table', 'inet', 'netloom-hostports'), intact, name)
    t.same(observeSysctls([localnetSysctl('netloom0')]).get(localnetSysctl('netloom0')), '1', name)
  }
})

t.test('exposing twice is once, and nothing is left afterwards', async (t) => {
  const scene = await Scene.raise(t)
  const a = await scene.attach('a')
  const empty = nft('list', 'table', 'inet', 'netloom-hostports')
  const lease = a.lease(...both(80), ...both(81, { hostIP: '192.168.50.1' }), mapping(82, { protocol: 'SCTP' }))
  await scene.expose(lease)
  await scene.expose(lease)
  t.match(nft('list', 'table', 'inet', 'netloom-hostports'), /sctp \. 82 : 10\.244\.1\.2 \. 8080/)
  await scene.conceal(lease)
  t.equal(nft('list', 'table', 'inet', 'netloom-hostports'), empty)
  await t.rejects(scene.conceal(lease), { code: 'not-found' }, 'what is gone is told')
  await scene.kernel.applier.apply(planWithdraw(['netloom0']))
  t.notMatch(nft('list', 'ruleset'), /hostports/)
  t.same([...observeSysctls([localnetSysctl('netloom0')]).values()], ['0'])
})

t.test('what the tables are listed as is loaded again, and nothing is different then', async (t) => {
  const scene = await Scene.raise(t)
  const a = await scene.attach('a')
  const lease = a.lease(...both(80), mapping(81, { hostIP: '192.168.50.1' }), mapping(81, { hostIP: 'fd00:50::1' }))
  await scene.expose(lease)
  const before = nft('list', 'ruleset')
  nft('flush', 'ruleset')
  load(['-f', '-'], before)
  t.equal(nft('list', 'ruleset'), before)
  const left = planHostPorts(
    { ports: hostPortsOf(lease), devices: [] },
    await scene.observe(),
    new Map<string, string>(),
  )
  t.same(left, [])
})

/** Containers behind a link of their own, or behind a bridge that somebody else made. */
function wire(t: TestContext, name: string, address: string, router: string): { place: Place; link: string } {
  const pod = place(t, name)
  const link = `foreign-${name}`
  ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
  ip('link', 'set', link, 'up')
  inPlace(name, 'link set eth0 up')
  inPlace(name, `address add ${address} dev eth0`)
  inPlace(name, `route add ${router}/32 dev eth0`)
  inPlace(name, `route add default via ${router}`)
  return { place: pod, link }
}

t.test('a container that is attached point to point is reached alike', async (t) => {
  const scene = await Scene.raise(t)
  const { place: pod, link } = wire(t, 'p', '10.9.0.2/32', '10.9.0.1')
  ip('address', 'add', '10.9.0.1/32', 'dev', link)
  ip('route', 'add', '10.9.0.2/32', 'dev', link)
  await scene.serve(pod, 'p')
  const lease = exampleLease({ mode: 'ptp', hostInterface: link, addresses: ['10.9.0.2'], ports: both(80) })
  await scene.expose(lease)
  for (const protocol of ['TCP', 'UDP'] as const) {
    t.equal(await answerOf(scene.outside, '192.168.50.1', 80, protocol), 'p saw 192.168.50.9')
    t.equal(await answerOf(scene.node, '127.0.0.1', 80, protocol), 'p saw 10.9.0.1')
    t.equal(await answerOf(pod, '192.168.50.1', 80, protocol), 'p saw 10.9.0.1')
  }
})

t.test('neighbours on a bridge that another plugin made get their answers', async (t) => {
  const scene = await Scene.raise(t)
  ip('link', 'add', 'foreign0', 'type', 'bridge')
  ip('link', 'set', 'foreign0', 'up')
  ip('address', 'add', '10.8.0.1/24', 'dev', 'foreign0')
  const [p, q] = ['p', 'q'].map((name, i) => wire(t, name, `10.8.0.${i + 2}/24`, '10.8.0.1')) as [
    ReturnType<typeof wire>,
    ReturnType<typeof wire>,
  ]
  // Hairpin (hairpinMode of the bridge plugin), for where br_netfilter translates inside of the bridge already.
  for (const { link } of [p, q]) {
    ip('link', 'set', link, 'master', 'foreign0')
    ip('link', 'set', link, 'type', 'bridge_slave', 'hairpin', 'on')
  }
  await scene.serve(p.place, 'p')
  const lease = exampleLease({ mode: 'chained', hostInterface: p.link, addresses: ['10.8.0.2'], ports: both(80) })
  const ports = hostPortsOf(lease)
  await scene.kernel.applier.apply(planExpose(ports, 'foreign0'))
  for (const protocol of ['TCP', 'UDP'] as const) {
    t.equal(await answerOf(q.place, '192.168.50.1', 80, protocol), 'p saw 10.8.0.1', 'a neighbour')
    t.equal(await answerOf(p.place, '192.168.50.1', 80, protocol), 'p saw 10.8.0.1', 'itself')
    t.equal(await answerOf(scene.outside, '192.168.50.1', 80, protocol), 'p saw 192.168.50.9', 'from outside')
    t.equal(await answerOf(scene.node, '127.0.0.1', 80, protocol), 'p saw 10.8.0.1', 'the node')
  }
})
