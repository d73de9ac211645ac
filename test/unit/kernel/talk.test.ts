import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetloomError } from '../../../src/base/errors.js'
import { type Request } from '../../../src/codec/request.js'
import { CONTROL, FLAG, type Message } from '../../../src/codec/wire.js'
import { type Outcome, Talk } from '../../../src/kernel/talk.js'
import { acknowledgement, done, part, reply, ScriptedTransport } from '../../support/transport.js'

const EPERM = 1
const ENOENT = 2
const EBUSY = 16
const EEXIST = 17
const ENOBUFS = 105

process.on('unhandledRejection', (reason) => {
  t.fail(`nobody handled: ${String(reason)}`)
})

const request = (operation: string, value = 0): Request => ({
  type: 0x10,
  flags: FLAG.CREATE,
  operation,
  body: (writer) => writer.u32(value),
})

const requests = (count: number): Request[] => Array.from({ length: count }, (_, i) => request(`request ${i}`, i))

function start(options: { timeoutMs?: number } = {}): { kernel: ScriptedTransport; talk: Talk } {
  const kernel = new ScriptedTransport()
  return { kernel, talk: new Talk(kernel.open, options) }
}

const sequences = (sent: readonly Message[]): number[] => sent.map(({ sequence }) => sequence)
const values = (messages: readonly Message[]): number[] => messages.map(({ payload }) => payload.readUInt32LE(0))
const codes = (outcomes: readonly Outcome[]): (string | undefined)[] => outcomes.map(({ error }) => error?.code)
const first = (sent: readonly Message[]): number => sent[0]?.sequence ?? -1

t.test('a request asks for its acknowledgement and gets it', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [acknowledgement(first(sent))]
  t.strictSame(await talk.ask(request('create', 7)), [])
  const [sent] = kernel.requests
  t.equal(sent?.flags, FLAG.REQUEST | FLAG.ACK | FLAG.CREATE)
  t.equal(sent?.type, 0x10)
  t.strictSame(values(kernel.requests), [7])
})

t.test('answers that come before the acknowledgement are given back', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [part(first(sent), 1), part(first(sent), 2), acknowledgement(first(sent))]
  t.strictSame(values(await talk.ask(request('get'))), [1, 2])
})

t.test("a refusal carries the operation, the errno and the kernel's own words", async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [acknowledgement(first(sent), { errno: EEXIST, text: 'Device name already in use' })]
  await t.rejects(talk.ask(request('create link veth0')), {
    code: 'exists',
    errno: EEXIST,
    operation: 'create link veth0',
    message: /create link veth0: .*EEXIST.*: Device name already in use/,
  })
})

t.test(
  'only the last request of a datagram asks for an acknowledgement: of errors the kernel tells anyway',
  async (t) => {
    const { kernel, talk } = start()
    kernel.answer = (sent) => [acknowledgement(sent.at(-1)?.sequence ?? -1)]
    t.strictSame(codes(await talk.pipeline(requests(3))), [undefined, undefined, undefined])
    t.strictSame(
      kernel.requests.map(({ flags }) => (flags & FLAG.ACK) !== 0),
      [false, false, true],
    )
  },
)

t.test('requests of a pipeline are answered each for itself', async (t) => {
  const answers = (sent: readonly Message[]): Buffer[] => [
    part(sent[0]?.sequence ?? -1, 7),
    acknowledgement(sent[1]?.sequence ?? -1, { errno: ENOENT }),
    acknowledgement(sent[2]?.sequence ?? -1),
  ]
  const ways: Record<string, (sent: readonly Message[]) => Buffer[]> = {
    'in many datagrams': answers,
    'in one datagram': (sent) => [Buffer.concat(answers(sent))],
  }
  for (const [way, answer] of Object.entries(ways)) {
    const { kernel, talk } = start()
    kernel.answer = answer
    const outcomes = await talk.pipeline(requests(3))
    t.strictSame(codes(outcomes), [undefined, 'not-found', undefined], way)
    t.equal(outcomes[1]?.error?.operation, 'request 1', way)
    t.strictSame(
      outcomes.map(({ messages }) => values(messages)),
      [[7], [], []],
      way,
    )
    t.equal(kernel.sent.length, 1, `${way}: three requests went out in one datagram`)
  }
})

t.test('a last request that is refused acknowledges those before it', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [acknowledgement(sent[2]?.sequence ?? -1, { errno: EEXIST })]
  t.strictSame(codes(await talk.pipeline(requests(3))), [undefined, undefined, 'exists'])
})

t.test('requests of several calls are answered in any order', async (t) => {
  const { kernel, talk } = start()
  const calls = [talk.ask(request('one')), talk.pipeline(requests(2)), talk.ask(request('three'))]
  const [one = [], two = [], three = []] = kernel.sent
  kernel.deliver(acknowledgement(first(three), { errno: ENOENT }), acknowledgement(two[1]?.sequence ?? -1))
  kernel.deliver(acknowledgement(first(one)))
  const settled = await Promise.allSettled(calls)
  t.strictSame(
    settled.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected'],
  )
})

t.test('a pipeline of nothing sends nothing', async (t) => {
  const { kernel, talk } = start()
  t.strictSame(await talk.pipeline([]), [])
  t.equal(kernel.sent.length, 0)
})

t.test('a pipeline waits for room: no more in flight than the queue of the socket can answer', async (t) => {
  const { kernel, talk } = start()
  const outcomes = talk.pipeline(requests(150))
  const counts = (): number[] => kernel.sent.map(({ length }) => length)
  t.strictSame(counts(), [32, 32], 'two datagrams at first')
  for (const { sequence } of kernel.sent[0]?.slice(0, 31) ?? []) kernel.deliver(part(sequence, 0))
  t.strictSame(counts(), [32, 32], 'none while the last of the first is not answered')
  kernel.deliver(acknowledgement(kernel.sent[0]?.[31]?.sequence ?? -1))
  t.strictSame(counts(), [32, 32, 32])
  for (let at = 1; at < 5; at++)
    kernel.deliver(...(kernel.sent[at] ?? []).map(({ sequence }) => acknowledgement(sequence)))
  t.strictSame(counts(), [32, 32, 32, 32, 22])
  t.strictSame(
    values(kernel.requests),
    Array.from({ length: 150 }, (_, i) => i),
    'in the order of the call',
  )
  t.strictSame(
    codes(await outcomes),
    Array.from({ length: 150 }, () => undefined),
  )
})

t.test('a request that cannot be encoded fails alone', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => sent.map(({ sequence }) => acknowledgement(sequence))
  const broken: Request = {
    ...request('broken'),
    body: () => {
      throw new NetloomError('invalid', 'port: 70000 is not from 0 to 65535', { field: 'port' })
    },
  }
  const outcomes = await talk.pipeline([request('one', 1), broken, request('two', 2)])
  t.strictSame(codes(outcomes), [undefined, 'invalid', undefined])
  t.strictSame(values(kernel.requests), [1, 2])
  await t.rejects(talk.ask(broken), { code: 'invalid', field: 'port' })
  await t.rejects(talk.dump(broken), { code: 'invalid', field: 'port' })
  await t.rejects(talk.transaction(request('begin'), [broken], request('end')), { code: 'invalid', field: 'port' })
  t.equal(kernel.sent.length, 1, 'and nothing of it is sent')
})

t.test('a dump is all parts of all datagrams', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => {
    const sequence = first(sent)
    return [Buffer.concat([part(sequence, 1), part(sequence, 2)]), part(sequence, 3), done(sequence)]
  }
  t.strictSame(values(await talk.dump(request('list'))), [1, 2, 3])
  t.equal(kernel.requests[0]?.flags, FLAG.REQUEST | FLAG.DUMP | FLAG.CREATE)
})

t.test('a dump that ends in an error is an error, with its text', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [part(first(sent), 1), done(first(sent), { errno: ENOENT, text: 'No such table' })]
  await t.rejects(talk.dump(request('list rules')), {
    code: 'not-found',
    errno: ENOENT,
    message: /list rules: .*No such table/,
  })
})

t.test('a dump that is refused at once is an error', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [acknowledgement(first(sent), { errno: EBUSY })]
  await t.rejects(talk.dump(request('list')), { code: 'kernel', errno: EBUSY })
})

t.test('a dump during which something changed is asked for again', async (t) => {
  const places: Record<string, (sequence: number) => Buffer[]> = {
    'in a part': (sequence) => [part(sequence, 1, FLAG.DUMP_INTR), done(sequence)],
    'at its end': (sequence) => [part(sequence, 1), done(sequence, { flags: FLAG.DUMP_INTR })],
  }
  for (const [place, interrupted] of Object.entries(places)) {
    const { kernel, talk } = start()
    kernel.answer = (sent) =>
      kernel.sent.length < 3 ? interrupted(first(sent)) : [part(first(sent), 2), done(first(sent))]
    t.strictSame(values(await talk.dump(request('list'))), [2], `${place}: only the whole answer is given`)
    t.equal(new Set(sequences(kernel.requests)).size, 3, `${place}: each attempt has its own number`)
  }
})

t.test('a dump that changes all the time is given up after ten attempts', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [part(first(sent), 1, FLAG.DUMP_INTR), done(first(sent))]
  await t.rejects(talk.dump(request('list links')), { code: 'unavailable', operation: 'list links', message: /10/ })
  t.equal(kernel.sent.length, 10)
})

t.test('one dump runs at a time, requests between them', async (t) => {
  const { kernel, talk } = start()
  const dumps = [talk.dump(request('first', 1)), talk.dump(request('second', 2))]
  const asked = talk.ask(request('between', 3))
  await sleep(0)
  t.strictSame(values(kernel.requests).toSorted(), [1, 3], 'the second dump waits, the request does not')
  const number = (value: number): number =>
    kernel.requests.find(({ payload }) => payload.readUInt32LE(0) === value)?.sequence ?? -1
  kernel.deliver(acknowledgement(number(3)))
  await asked
  kernel.deliver(acknowledgement(number(1), { errno: ENOENT }))
  await t.rejects(dumps[0]!)
  await sleep(0)
  kernel.deliver(part(number(2), 9), done(number(2)))
  t.strictSame(values(await dumps[1]!), [9], 'after one that failed, too')
})

const BEGIN = request('begin transaction')
const END = request('commit transaction')

t.test('transactions wait for a dump that they keep from its end', async (t) => {
  const { kernel, talk } = start()
  const transactions: Promise<unknown>[] = []
  const events: string[] = []
  kernel.answer = (sent) => {
    if (((sent[0]?.flags ?? 0) & FLAG.DUMP) === 0) {
      events.push('transaction')
      return [acknowledgement(sent.at(-2)?.sequence ?? -1)]
    }
    events.push('dump')
    const attempt = events.filter((event) => event === 'dump').length
    setImmediate(() => transactions.push(talk.transaction(BEGIN, requests(1), END)))
    return [part(first(sent), attempt, attempt < 5 ? FLAG.DUMP_INTR : 0), done(first(sent))]
  }
  t.strictSame(values(await talk.dump(request('list'))), [5])
  await sleep(5)
  await Promise.all(transactions)
  t.strictSame(events.join(' '), `${'dump transaction '.repeat(3)}dump dump transaction transaction`)
})

t.test('a transaction is one datagram, answered by the acknowledgement of its last request', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [acknowledgement(sent[2]?.sequence ?? -1)]
  t.strictSame(await talk.transaction(BEGIN, requests(2), END), { refusals: [], messages: [] })
  t.equal(kernel.sent.length, 1)
  t.strictSame(
    kernel.requests.map(({ flags }) => (flags & FLAG.ACK) !== 0),
    [false, false, true, false],
  )
  const [begin = -1] = sequences(kernel.requests)
  t.strictSame(sequences(kernel.requests), [begin, begin + 1, begin + 2, begin + 3])
})

t.test('a transaction of nothing sends nothing', async (t) => {
  const { kernel, talk } = start()
  t.strictSame(await talk.transaction(BEGIN, [], END), { refusals: [], messages: [] })
  t.equal(kernel.sent.length, 0)
})

t.test('a refused transaction names each request that was refused', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = ([begin]) => {
    const at = (i: number): number => (begin?.sequence ?? 0) + i
    return [
      Buffer.concat([
        acknowledgement(at(1), { errno: EEXIST }),
        acknowledgement(at(3), { errno: ENOENT, text: 'no such set' }),
      ]),
    ]
  }
  const all = requests(3)
  const { refusals } = await talk.transaction(BEGIN, all, END)
  t.strictSame(
    refusals.map(({ request: refused, error }) => [all.indexOf(refused), error.code, error.operation]),
    [
      [0, 'exists', 'request 0'],
      [2, 'not-found', 'request 2'],
    ],
  )
  t.match(refusals[1]?.error.message, /no such set/)
})

t.test('a transaction that may not be made is refused at its beginning', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [acknowledgement(first(sent), { errno: EPERM })]
  const { refusals } = await talk.transaction(BEGIN, requests(2), END)
  t.strictSame(
    refusals.map(({ error }) => [error.operation, error.errno]),
    [['begin transaction', EPERM]],
  )
})

t.test('a transaction that cannot be committed is told by its first request', async (t) => {
  const { kernel, talk } = start()
  // The kernel acknowledges the last request all the same: it had been fine by itself.
  kernel.answer = (sent) => [
    acknowledgement(sent[1]?.sequence ?? -1, { errno: EBUSY }),
    acknowledgement(sent[3]?.sequence ?? -1),
  ]
  const { refusals } = await talk.transaction(BEGIN, requests(3), END)
  t.strictSame(
    refusals.map(({ error }) => error.errno),
    [EBUSY],
  )
})

t.test('what the kernel echoes belongs to the transaction', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [
    reply({ type: 0xa0f, sequence: sent[1]?.sequence ?? -1, body: (writer) => writer.u32(42) }),
    acknowledgement(sent[1]?.sequence ?? -1),
  ]
  const { messages } = await talk.transaction(BEGIN, requests(1), END)
  t.strictSame(values(messages), [42])
})

t.test('transactions and requests are in flight together', async (t) => {
  const { kernel, talk } = start()
  const one = talk.transaction(BEGIN, requests(2), END)
  const two = talk.transaction(BEGIN, requests(1), END)
  const asked = talk.ask(request('get'))
  const [a = [], b = [], c = []] = kernel.sent
  kernel.deliver(
    acknowledgement(c[0]?.sequence ?? -1),
    acknowledgement(b[1]?.sequence ?? -1, { errno: EEXIST }),
    acknowledgement(a[2]?.sequence ?? -1),
  )
  t.strictSame(await asked, [])
  t.equal((await one).refusals.length, 0)
  t.equal((await two).refusals.length, 1)
})

t.test('lost replies fail everybody who waits, and only them', async (t) => {
  const { kernel, talk } = start()
  const waiting: Promise<unknown>[] = [
    talk.ask(request('ask')),
    talk.dump(request('dump')),
    talk.transaction(BEGIN, requests(1), END),
  ]
  const pipelined = talk.pipeline(requests(100))
  await sleep(0)
  kernel.fail(new NetloomError('kernel', 'queue was full', { errno: ENOBUFS }))
  for (const promise of waiting) await t.rejects(promise, { errno: ENOBUFS, message: /queue was full/ })
  t.ok(
    (await pipelined).every(({ error }) => error?.errno === ENOBUFS),
    'also what was not sent yet',
  )
  kernel.answer = (sent) => sent.map(({ sequence }) => acknowledgement(sequence))
  t.strictSame(await talk.ask(request('later')), [])
  t.strictSame(codes(await talk.pipeline(requests(3))), [undefined, undefined, undefined])
})

t.test('a datagram that could not be sent fails what is in it, and nothing else', async (t) => {
  const { kernel, talk } = start()
  const before = talk.ask(request('before'))
  kernel.sendError = new NetloomError('io', 'send 5000000 bytes: message too long', { errno: 90 })
  await t.rejects(talk.transaction(BEGIN, requests(1), END), { code: 'kernel', errno: 90, message: /too long/ })
  await t.rejects(talk.ask(request('ask')), { code: 'kernel', operation: 'ask', errno: 90 })
  await t.rejects(talk.dump(request('dump')), { code: 'kernel', operation: 'dump', errno: 90 })
  kernel.deliver(acknowledgement(first(kernel.requests)))
  t.strictSame(await before, [])
})

t.test('a kernel that does not answer is waited for no longer than the timeout', async (t) => {
  const { talk } = start({ timeoutMs: 20 })
  const waiting: Promise<unknown>[] = [
    talk.ask(request('ask')),
    talk.dump(request('dump')),
    talk.transaction(BEGIN, requests(1), END),
  ]
  for (const promise of waiting) await t.rejects(promise, { code: 'unavailable', message: /20 ms/ })
})

t.test('closing fails what is in flight, and what is asked for later', async (t) => {
  const { kernel, talk } = start()
  const inFlight: Promise<unknown>[] = [talk.ask(request('ask')), talk.dump(request('one')), talk.dump(request('two'))]
  const transaction = talk.transaction(BEGIN, requests(1), END)
  await sleep(0)
  talk.close()
  talk.close()
  t.equal(kernel.closed, true)
  const later: Promise<unknown>[] = [
    talk.ask(request('later')),
    talk.dump(request('later')),
    talk.transaction(BEGIN, requests(1), END),
  ]
  for (const promise of [...inFlight, transaction, ...later]) await t.rejects(promise, { code: 'unavailable' })
  t.equal((await talk.pipeline(requests(40))).length, 40)
  t.notOk(kernel.requests.some(({ payload }) => payload.length === 0))
})

t.test('answers to nobody are ignored', async (t) => {
  const { kernel, talk } = start()
  kernel.deliver(acknowledgement(4711), part(4712, 1), done(4713), acknowledgement(0, { errno: EPERM }))
  kernel.answer = (sent) => [acknowledgement(first(sent) + 1000), acknowledgement(first(sent))]
  t.strictSame(await talk.ask(request('ask')), [])
})

t.test('a malformed datagram fails who waits instead of the process', async (t) => {
  const cutOff = (sequence: number): Buffer => reply({ type: CONTROL.ERROR, sequence })
  const overlong = Buffer.from(acknowledgement(1))
  overlong.writeUInt32LE(9999, 0)
  const table: Record<string, (sequence: number) => Buffer> = {
    'an acknowledgement without its number': cutOff,
    'a message longer than its datagram': () => overlong,
  }
  for (const [name, datagram] of Object.entries(table)) {
    const { kernel, talk } = start()
    kernel.answer = (sent) => [datagram(first(sent))]
    await t.rejects(talk.ask(request('ask')), { code: 'invalid' }, name)
  }
})

t.test('an idle conversation keeps no timer', async (t) => {
  const { kernel, talk } = start()
  kernel.answer = (sent) => [acknowledgement(first(sent))]
  await talk.ask(request('ask'))
  t.notOk(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length > 1, 'but that of tap')
})
