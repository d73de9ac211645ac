import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetloomError } from '../../../src/base/errors.js'
import { IPV4 } from '../../../src/base/family.js'
import { parseCidr, parseIp, parseIpPrefix } from '../../../src/base/ip.js'
import { MESSAGE } from '../../../src/codec/nft/constants.js'
import { addTable, type Table } from '../../../src/codec/nft/table.js'
import { type Request } from '../../../src/codec/request.js'
import { addAddress } from '../../../src/codec/rtnl/address.js'
import { RTM } from '../../../src/codec/rtnl/constants.js'
import { addFdb, addNeighbour } from '../../../src/codec/rtnl/neighbour.js'
import { addRoute } from '../../../src/codec/rtnl/route.js'
import { type Writer } from '../../../src/codec/wire.js'
import { monitorNetwork, monitorRuleset, type NetworkEvent } from '../../../src/kernel/monitor.js'
import { reply, ScriptedTransport } from '../../support/transport.js'

/** What is asked for and what is told have the same form. */
const notice = (request: Request, type = request.type): Buffer => reply({ type, sequence: 0, body: request.body })

const generation = (number: number): Buffer =>
  reply({
    type: MESSAGE.NEWGEN,
    sequence: 0,
    body: (writer: Writer) =>
      writer
        .u8(0)
        .u8(0)
        .be16(number & 0xffff)
        .attrBe32(1, number),
  })

const OVERRUN = new NetloomError('kernel', 'the kernel dropped 3 messages', { errno: 105 })
/** Longer than the time that a generation of our own is waited for. */
const SETTLED = 60

t.test('addresses and routes are told, those that went too', async (t) => {
  const kernel = new ScriptedTransport()
  const events: NetworkEvent[] = []
  monitorNetwork((event) => events.push(event), { open: kernel.open })
  const address = addAddress({ ...parseIpPrefix('10.0.0.1/24'), index: 3 })
  const route = addRoute({ destination: parseCidr('10.1.0.0/16'), index: 3, protocol: 110 })
  kernel.deliver(notice(address), notice(route))
  kernel.deliver(notice(address, RTM.DELADDR))
  kernel.deliver(notice(route, RTM.DELROUTE))
  const told = events.map((event) => [event.kind, 'gone' in event ? event.gone : undefined])
  t.strictSame(told, [
    ['address', false],
    ['route', false],
    ['address', true],
    ['route', true],
  ])
  t.match(events[0], { address: { address: '10.0.0.1', prefix: 24, family: IPV4, index: 3 } })
  t.match(events[1], { route: { destination: { address: '10.1.0.0', prefix: 16 }, protocol: 110 } })
})

t.test('messages about other things are passed over', async (t) => {
  const kernel = new ScriptedTransport()
  monitorNetwork((event) => t.fail(event.kind), { open: kernel.open })
  kernel.deliver(reply({ type: RTM.NEWNEIGH, sequence: 0, body: (writer) => writer.zeros(12) }))
})

t.test('neighbours and forwarding entries are told of the links that somebody named', async (t) => {
  const kernel = new ScriptedTransport()
  const events: NetworkEvent[] = []
  monitorNetwork((event) => events.push(event), { open: kernel.open, neighboursOf: (index) => index === 9 })
  const mac = '02:00:00:00:00:07'
  for (const index of [8, 9]) {
    const neighbour = addNeighbour({ ...parseIp('10.0.0.1'), index, mac, protocol: 110 })
    const entry = addFdb({ index, mac, destination: '192.0.2.1' })
    kernel.deliver(notice(neighbour), notice(entry), notice(entry, RTM.DELNEIGH))
  }
  t.match(events, [
    { kind: 'neighbour', gone: false, neighbour: { index: 9, address: '10.0.0.1', mac, protocol: 110 } },
    { kind: 'fdb', gone: false, entry: { index: 9, mac, destination: '192.0.2.1' } },
    { kind: 'fdb', gone: true, entry: { index: 9, mac } },
  ])
  t.equal(events.length, 3)
})

t.test('lost notifications of the network are told as such', async (t) => {
  const kernel = new ScriptedTransport()
  const events: NetworkEvent[] = []
  monitorNetwork((event) => events.push(event), { open: kernel.open })
  kernel.fail(OVERRUN)
  t.strictSame(events, [{ kind: 'lost', error: OVERRUN }])
})

t.test('a malformed notification counts as lost, what stood before it is told', async (t) => {
  const kernel = new ScriptedTransport()
  const events: NetworkEvent[] = []
  monitorNetwork((event) => events.push(event), { open: kernel.open })
  const short = reply({ type: RTM.NEWADDR, sequence: 0, body: (writer) => writer.zeros(4) })
  kernel.deliver(notice(addAddress({ ...parseIpPrefix('10.0.0.1/24'), index: 3 })), short)
  t.strictSame(
    events.map(({ kind }) => kind),
    ['address', 'lost'],
  )
  const [, lost] = events
  t.match(lost?.kind === 'lost' ? lost.error : undefined, { code: 'invalid' })
})

const ours: Table = { family: 'ip', name: 'netloom-services' }
const theirs: Table = { family: 'ip6', name: 'docker' }
const touches = (table: Table): Buffer => notice(addTable(table))

function rulesets(
  own: readonly number[] = [],
  generation?: () => Promise<number>,
): {
  kernel: ScriptedTransport
  changed: (Table | undefined)[]
  close: () => void
} {
  const kernel = new ScriptedTransport()
  const changed: (Table | undefined)[] = []
  const listener = {
    isOwn: (number: number) => own.includes(number),
    changed: (table: Table | undefined) => void changed.push(table),
    ...(generation === undefined ? {} : { generation }),
  }
  const monitor = monitorRuleset(listener, kernel.open)
  return { kernel, changed, close: () => monitor.close() }
}

t.test('a change by somebody else is told with its tables, each once', async (t) => {
  const { kernel, changed } = rulesets()
  kernel.deliver(touches(theirs), touches(ours), touches(ours))
  kernel.deliver(generation(7))
  await sleep(SETTLED)
  t.strictSame(changed, [theirs, ours])
})

t.test('a generation of our own is not told, also where we learn its number only afterwards', async (t) => {
  const own: number[] = []
  const { kernel, changed } = rulesets(own)
  kernel.deliver(touches(ours), generation(7), touches(theirs), generation(8))
  own.push(7)
  await sleep(SETTLED)
  t.strictSame(changed, [theirs])
})

t.test('the touches of a generation are not counted for the next', async (t) => {
  const { kernel, changed } = rulesets([7])
  kernel.deliver(touches(ours), generation(7), generation(8))
  await sleep(SETTLED)
  t.strictSame(changed, [])
})

t.test('lost notifications of rulesets may have been about any table', async (t) => {
  const { kernel, changed } = rulesets()
  kernel.deliver(touches(theirs))
  kernel.fail(OVERRUN)
  kernel.deliver(generation(8))
  await sleep(SETTLED)
  t.strictSame(changed, [undefined], 'and what was touched before the loss is among them')
})

t.test('what was lost is not told where all of it was our own', async (t) => {
  const cases = [
    { title: 'ours', own: [7, 8, 9], last: 6, now: 9, told: [] },
    { title: "somebody else's in between", own: [7, 9], last: 6, now: 9, told: [undefined] },
    { title: "somebody else's as the last", own: [7, 8], last: 6, now: 9, told: [undefined] },
    { title: 'nothing was done', own: [], last: 6, now: 6, told: [] },
    { title: 'nothing was heard before', own: [7, 8, 9], last: undefined, now: 9, told: [undefined] },
    { title: 'the count began anew', own: [7, 8, 9], last: 9, now: 3, told: [undefined] },
  ]
  for (const { title, own, last, now, told } of cases) {
    const { kernel, changed, close } = rulesets(own, async () => now)
    if (last !== undefined) kernel.deliver(generation(last))
    kernel.fail(OVERRUN)
    // What stood in the queue before the loss, or came behind it, proves nothing about what is missing.
    kernel.deliver(generation(now))
    await sleep(SETTLED)
    t.strictSame(changed, told, title)
    close()
  }
})

t.test('where the kernel does not say what was lost, it is told', async (t) => {
  const { kernel, changed } = rulesets([7], async () => Promise.reject(OVERRUN))
  kernel.deliver(generation(6))
  kernel.fail(OVERRUN)
  await sleep(SETTLED)
  t.strictSame(changed, [undefined])
})

t.test('what is lost while a loss is looked into is looked into as well', async (t) => {
  const numbers = [7, 8]
  const asked: number[] = []
  const { kernel, changed } = rulesets([7], async () => {
    asked.push(numbers.shift() ?? 0)
    return asked.at(-1) ?? 0
  })
  kernel.deliver(generation(6))
  kernel.fail(OVERRUN)
  kernel.fail(OVERRUN)
  kernel.fail(OVERRUN)
  await sleep(2 * SETTLED)
  t.strictSame(asked, [7, 8])
  t.strictSame(changed, [undefined], 'generation 8 was not ours')
})

t.test('a malformed notification of a ruleset counts as lost', async (t) => {
  const { kernel, changed } = rulesets()
  kernel.deliver(reply({ type: MESSAGE.NEWTABLE, sequence: 0, body: (writer) => writer.u32(2).u16(999).u16(1) }))
  t.strictSame(changed, [undefined])
})

t.test('nothing is told after closing', async (t) => {
  const { kernel, changed, close } = rulesets()
  kernel.deliver(touches(theirs), generation(7))
  close()
  await sleep(SETTLED)
  t.strictSame(changed, [])
  t.equal(kernel.closed, true)
})
