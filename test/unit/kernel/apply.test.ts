import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { IPV4 } from '../../../src/base/family.js'
import { parseCidr, parseIp, parseIpPrefix } from '../../../src/base/ip.js'
import { MESSAGE } from '../../../src/codec/nft/constants.js'
import { type Table } from '../../../src/codec/nft/table.js'
import { RTM } from '../../../src/codec/rtnl/constants.js'
import { Attributes } from '../../../src/codec/attr.js'
import { type Message } from '../../../src/codec/wire.js'
import { Applier } from '../../../src/kernel/apply.js'
import { Talk } from '../../../src/kernel/talk.js'
import { type Op } from '../../../src/ops/op.js'
import { acknowledgement, reply, ScriptedTransport, type Verdict } from '../../support/transport.js'

const ENODEV = 19
const ESRCH = 3
const EINVAL = 22
const EEXIST = 17
const EADDRNOTAVAIL = 99
const IFINFOMSG_BYTES = 16
const IFLA_IFNAME = 3

const NAMES = new Map<number, string>(Object.entries(RTM).map(([name, type]) => [type, name]))

/** A kernel with these links, which acknowledges everything but what `refuse` has an answer for. */
class FakeKernel extends ScriptedTransport {
  readonly links: Map<string, number>
  refuse: (message: Message) => Verdict | undefined = () => undefined

  constructor(links: Record<string, number> = {}) {
    super()
    this.links = new Map(Object.entries(links))
    this.answer = (datagram) => [Buffer.concat(datagram.map((message) => this.#one(message)))]
  }

  #one(message: Message): Buffer {
    const { type, sequence, payload } = message
    const refusal = this.refuse(message)
    if (refusal !== undefined) return acknowledgement(sequence, refusal)
    if (type !== RTM.GETLINK) return acknowledgement(sequence)
    const name = new Attributes(payload.subarray(IFINFOMSG_BYTES)).string(IFLA_IFNAME) ?? ''
    const index = this.links.get(name)
    if (index === undefined) return acknowledgement(sequence, { errno: ENODEV })
    const link = reply({
      type: RTM.NEWLINK,
      sequence,
      body: (writer) => writer.u32(0).u32(index).u32(0).u32(0).attrString(IFLA_IFNAME, name),
    })
    return Buffer.concat([link, acknowledgement(sequence)])
  }

  /** What went out, a line for each datagram. */
  get datagrams(): string[] {
    return this.sent.map((datagram) => datagram.map(({ type }) => NAMES.get(type) ?? String(type)).join(' '))
  }
}

const applierOf = (kernel: FakeKernel): Applier => new Applier({ route: new Talk(kernel.open) })

const make: Op = { kind: 'link.add', link: { kind: 'veth', name: 'v0', peer: { name: 'p0' } } }
const up = (name: string): Op => ({ kind: 'link.set', name, changes: { up: true } })
const address = (device: string): Op => ({ kind: 'address.add', address: { ...parseIpPrefix('10.0.0.1/24'), device } })
const route = (device: string): Op => ({
  kind: 'route.replace',
  route: { destination: parseCidr('10.1.0.0/16'), device, protocol: 110 },
})
const neighbour = (device: string, kind: 'neighbour.replace' | 'neighbour.delete' = 'neighbour.replace'): Op => ({
  kind,
  neighbour: { ...parseIp('10.0.0.2'), device, mac: '02:00:00:00:00:01' },
})

t.test('neighbouring operations travel together, the indexes of all their links ahead of them', async (t) => {
  const kernel = new FakeKernel({ v0: 3, v1: 4 })
  await applierOf(kernel).apply([up('v0'), address('v0'), up('v1'), address('v1'), route('v0'), neighbour('v0')])
  t.strictSame(kernel.datagrams, ['GETLINK GETLINK', 'NEWLINK NEWADDR NEWLINK NEWADDR NEWROUTE NEWNEIGH'])
})

t.test('operations that need no index ask for none', async (t) => {
  const kernel = new FakeKernel()
  await applierOf(kernel).apply([make, up('v0'), { kind: 'link.delete', name: 'v9' }])
  t.strictSame(kernel.datagrams, ['NEWLINK NEWLINK DELLINK'])
})

t.test('the index of a link is asked for after the operation that makes the link, of either end', async (t) => {
  for (const device of ['v0', 'p0']) {
    const kernel = new FakeKernel({ v0: 3, p0: 4 })
    await applierOf(kernel).apply([make, up('v0'), address(device), route(device)])
    t.strictSame(kernel.datagrams, ['NEWLINK NEWLINK', 'GETLINK', 'NEWADDR NEWROUTE'], device)
  }
})

t.test('a link that an operation needs and that is not there is named', async (t) => {
  await t.rejects(applierOf(new FakeKernel()).apply([address('v0')]), { code: 'not-found', message: /v0/ })
})

t.test('the first refusal is thrown, with the operation as a person would type it', async (t) => {
  const kernel = new FakeKernel({ v0: 3 })
  kernel.refuse = ({ type }) =>
    type === RTM.NEWADDR || type === RTM.NEWROUTE ? { errno: EEXIST, text: 'no' } : undefined
  await t.rejects(applierOf(kernel).apply([up('v0'), address('v0'), route('v0')]), {
    code: 'exists',
    operation: 'ip address replace 10.0.0.1/24 dev v0',
    message: /ip address replace 10\.0\.0\.1\/24 dev v0: .*EEXIST.*: no/,
  })
})

t.test('what comes after a refused datagram is not done', async (t) => {
  const kernel = new FakeKernel({ v0: 3 })
  kernel.refuse = ({ type }) => (type === RTM.NEWLINK ? { errno: EEXIST } : undefined)
  await t.rejects(applierOf(kernel).apply([make, address('v0')]), { code: 'exists' })
  t.strictSame(kernel.datagrams, ['NEWLINK'])
})

const filter: Op = { kind: 'filter.delete', device: 'v0', family: IPV4, priority: 5 }
const removals: Record<string, readonly [Op, number]> = {
  link: [{ kind: 'link.delete', name: 'v0' }, ENODEV],
  address: [{ kind: 'address.delete', address: { ...parseIpPrefix('10.0.0.1/24'), device: 'v0' } }, EADDRNOTAVAIL],
  route: [
    { kind: 'route.delete', route: { destination: parseCidr('10.1.0.0/16'), device: 'v0', protocol: 110 } },
    ESRCH,
  ],
  neighbour: [neighbour('v0', 'neighbour.delete'), 2],
  clsact: [{ kind: 'clsact.delete', device: 'v0' }, 2],
  'the clsact of a link that had one': [{ kind: 'clsact.delete', device: 'v0' }, EINVAL],
  "another's limit": [{ kind: 'limit.delete', device: 'v0', handle: 1 }, EINVAL],
  filter: [filter, 2],
  'a filter where none can be': [filter, EINVAL],
}

t.test('what is gone already counts as removed', async (t) => {
  for (const [what, [op, errno]] of Object.entries(removals)) {
    const kernel = new FakeKernel({ v0: 3 })
    kernel.refuse = ({ type }) => (type === RTM.GETLINK ? undefined : { errno })
    await t.resolves(applierOf(kernel).apply([op]), what)
    await t.resolves(applierOf(new FakeKernel()).apply(op.kind === 'link.delete' ? [] : [op]), `${what} of a gone link`)
    kernel.refuse = ({ type }) => (type === RTM.GETLINK ? undefined : { errno: EEXIST })
    await t.rejects(applierOf(kernel).apply([op]), { code: 'exists' }, `${what}: another refusal is one`)
  }
})

t.test('what adds something to a link that is not there is not passed over', async (t) => {
  const kernel = new FakeKernel({ v0: 3 })
  kernel.refuse = ({ type }) => (type === RTM.NEWNEIGH ? { errno: ENODEV } : undefined)
  await t.rejects(applierOf(kernel).apply([neighbour('v0')]), { code: 'not-found' })
})

const table: Table = { family: 'ip', name: 't' }

t.test('neighbouring operations on rulesets are one transaction; others stand between transactions', async (t) => {
  const network = new FakeKernel()
  const netfilter = new FakeKernel()
  const order: string[] = []
  for (const [name, kernel] of [
    ['route', network],
    ['netfilter', netfilter],
  ] as const) {
    const { answer } = kernel
    kernel.answer = (datagram) => {
      order.push(name)
      return answer(datagram)
    }
  }
  const applier = new Applier({ route: new Talk(network.open), netfilter: new Talk(netfilter.open) })
  const chain = (name: string): Op => ({ kind: 'chain.add', table, chain: { name } })
  await applier.apply([{ kind: 'table.add', table }, chain('a'), up('v0'), chain('b')])
  t.strictSame(order, ['netfilter', 'route', 'netfilter'])
  const types = netfilter.sent.map((datagram) => datagram.map(({ type }) => type))
  t.strictSame(types, [
    [0x10, MESSAGE.NEWTABLE, MESSAGE.NEWCHAIN, 0x11],
    [0x10, MESSAGE.NEWCHAIN, 0x11],
  ])
})

t.test('the number of a generation of our own is passed on', async (t) => {
  const netfilter = new FakeKernel()
  const { answer } = netfilter
  netfilter.answer = (datagram) => [
    reply({
      type: MESSAGE.NEWGEN,
      sequence: datagram[1]?.sequence ?? 0,
      body: (writer) => writer.u32(0).attrBe32(1, 42),
    }),
    ...answer(datagram),
  ]
  const generations: number[] = []
  const applier = new Applier({
    route: new Talk(new FakeKernel().open),
    netfilter: new Talk(netfilter.open),
    onGeneration: (generation) => generations.push(generation),
  })
  await applier.apply([{ kind: 'table.add', table }])
  t.strictSame(generations, [42])
})

t.test('a ruleset cannot be changed without a socket for it', async (t) => {
  await t.rejects(applierOf(new FakeKernel()).apply([{ kind: 'table.add', table }]), { code: 'internal' })
})

t.test('nothing to do sends nothing', async (t) => {
  const kernel = new FakeKernel()
  await applierOf(kernel).apply([])
  t.strictSame(kernel.datagrams, [])
})

t.test('a sysctl that this kernel does not have is an error that names it', async (t) => {
  const op: Op = { kind: 'sysctl.set', path: 'net/ipv4/netloom_nothing', value: '1' }
  await t.rejects(applierOf(new FakeKernel()).apply([op]), {
    code: 'io',
    operation: 'sysctl -w net.ipv4.netloom_nothing=1',
  })
})

t.test('the cost of applying follows the number of operations', async (t) => {
  const messagesFor = async (count: number): Promise<number> => {
    const kernel = new FakeKernel({ v0: 3 })
    const ops = Array.from({ length: count }, (_, i): Op => ({
      kind: 'route.replace',
      route: {
        destination: { family: IPV4, address: `10.${i >> 8}.${i & 255}.0`, prefix: 24 },
        device: 'v0',
        protocol: 110,
      },
    }))
    await applierOf(kernel).apply(ops)
    return kernel.requests.length
  }
  t.equal(await messagesFor(10), 11)
  t.equal(await messagesFor(1000), 1001)
})

t.test('an error of the conversation is an error of the plan', async (t) => {
  const kernel = new FakeKernel({ v0: 3 })
  kernel.answer = () => {
    setImmediate(() => kernel.fail(new NetloomError('kernel', 'queue was full', { errno: 105 })))
    return []
  }
  await t.rejects(applierOf(kernel).apply([up('v0')]), { code: 'kernel', errno: 105 })
})
