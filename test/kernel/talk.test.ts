import t from 'tap'
import { IPV4 } from '../../src/base/family.js'
import { parseCidr } from '../../src/base/ip.js'
import { type Chain } from '../../src/codec/nft/chain.js'
import { addChain, deleteChain } from '../../src/codec/nft/chain.js'
import { addTable, beginBatch, deleteTable, endBatch, type Table } from '../../src/codec/nft/table.js'
import { addElements } from '../../src/codec/nft/element.js'
import { addSet, type SetSpec } from '../../src/codec/nft/set.js'
import { TYPE } from '../../src/codec/nft/types.js'
import { addLink, decodeLink, deleteLink, dumpLinks, getLink, setLink } from '../../src/codec/rtnl/link.js'
import { addRoute, decodeRoute, deleteRoute, dumpRoutes } from '../../src/codec/rtnl/route.js'
import { openSocket, PROTOCOL } from '../../src/kernel/socket.js'
import { type Outcome, Talk } from '../../src/kernel/talk.js'

const EINVAL = 22
const EMSGSIZE = 90
const ENOBUFS = 105
const PROTOCOL_NUMBER = 110

const route = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
const netfilter = new Talk(openSocket({ protocol: PROTOCOL.NETFILTER }))

process.on('unhandledRejection', (reason) => {
  t.fail(`nobody handled: ${String(reason)}`)
})

t.before(async () => {
  await route.ask(setLink({ name: 'lo' }, { up: true }))
  await route.ask(addLink({ kind: 'veth', name: 'v0', peer: { name: 'v1' } }))
})

t.teardown(() => {
  route.close()
  netfilter.close()
})

const codes = (outcomes: readonly Outcome[]): (string | undefined)[] => outcomes.map(({ error }) => error?.code)

t.test('one link is asked for by name, and one that is not there is not found', async (t) => {
  const [message] = await route.ask(getLink({ name: 'lo' }))
  t.match(message === undefined ? undefined : decodeLink(message.payload), { name: 'lo', index: 1, loopback: true })
  await t.rejects(route.ask(getLink({ name: 'nothing' })), { code: 'not-found', operation: 'find link nothing' })
})

t.test("a refusal carries the kernel's own words", async (t) => {
  const again = addLink({ kind: 'veth', name: 'v0', peer: { name: 'v9' } })
  await t.rejects(route.ask(again), { code: 'exists', errno: 17, operation: 'create link v0' })
  await t.rejects(route.ask(setLink({ name: 'lo' }, { master: 99 })), { message: /./ })
  const unreachable = addRoute({
    destination: parseCidr('10.9.0.0/16'),
    gateway: '192.0.2.77',
    protocol: PROTOCOL_NUMBER,
  })
  await t.rejects(route.ask(unreachable), { message: /Nexthop has invalid gateway/ })
})

t.test('hundreds of requests are answered each for itself', async (t) => {
  const count = 500
  const requests = Array.from({ length: count }, (_, i) => getLink({ name: i % 5 === 3 ? `nothing${i}` : 'v0' }))
  const outcomes = await route.pipeline(requests)
  t.strictSame(
    codes(outcomes),
    Array.from({ length: count }, (_, i) => (i % 5 === 3 ? 'not-found' : undefined)),
  )
  t.ok(outcomes.every(({ messages, error }) => messages.length === (error === undefined ? 1 : 0)))
})

t.test('a plan of more operations than fit into a datagram is done in order', async (t) => {
  const requests = Array.from({ length: 200 }, (_, i) => setLink({ name: 'v1' }, { mtu: 1000 + i }))
  t.strictSame(new Set(codes(await route.pipeline(requests))), new Set([undefined]))
  const [message] = await route.ask(getLink({ name: 'v1' }))
  t.equal(message === undefined ? undefined : decodeLink(message.payload)?.mtu, 1199, 'the last one won')
})

t.test('fifty lists among changes are complete, each of them', async (t) => {
  await route.ask(setLink({ name: 'v0' }, { up: true }))
  await route.ask(setLink({ name: 'v1' }, { up: true }))
  const [link] = await route.ask(getLink({ name: 'v0' }))
  const { index } = decodeLink(link!.payload)!
  const spec = (i: number) => ({
    destination: parseCidr(`10.${i >> 8}.${i & 255}.0/24`),
    index,
    protocol: PROTOCOL_NUMBER,
  })
  const stable = 2000
  await route.pipeline(Array.from({ length: stable }, (_, i) => addRoute(spec(i))))
  const changer = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
  let changes = 0
  const changing = new AbortController()
  const change = (async () => {
    for (; !changing.signal.aborted; changes++) {
      await changer.ask(changes % 2 === 0 ? addRoute(spec(60_000)) : deleteRoute(spec(60_000)))
      await new Promise(setImmediate)
    }
  })()
  const lists = await Promise.all(
    Array.from({ length: 50 }, () => route.dump(dumpRoutes(IPV4, { protocol: PROTOCOL_NUMBER }))),
  )
  changing.abort()
  await change
  changer.close()
  for (const list of lists) {
    const routes = list.map(({ payload }) => decodeRoute(payload)?.destination.address)
    const kept = new Set(routes.filter((address) => address !== '10.234.96.0'))
    t.ok(kept.size === stable && routes.length <= stable + 1, `${routes.length} routes`)
  }
  t.ok(changes > 10, `there were ${changes} changes meanwhile`)
})

t.test('lists and requests do not get into each other', async (t) => {
  const [links, outcomes, again] = await Promise.all([
    route.dump(dumpLinks()),
    route.pipeline(Array.from({ length: 100 }, () => getLink({ name: 'lo' }))),
    route.dump(dumpLinks()),
  ])
  t.equal(links.length, again.length)
  t.ok(links.length >= 3)
  t.ok(outcomes.every(({ messages }) => messages.length === 1))
})

const table: Table = { family: 'inet', name: 't' }
const chain = (name: string): Chain => ({ name })
const commit = (...requests: Parameters<Talk['transaction']>[1]) =>
  netfilter.transaction(beginBatch(), requests, endBatch())

t.test('a transaction is done, and tells the number of its generation', async (t) => {
  const { refusals, messages } = await commit(addTable(table), addChain(table, chain('c')))
  t.strictSame(refusals, [])
  t.ok(messages.length > 0)
  t.strictSame((await commit(deleteTable(table))).refusals, [])
})

t.test('a refused transaction names all requests that were refused, and does nothing', async (t) => {
  const { refusals } = await commit(
    addTable(table),
    deleteChain(table, 'a'),
    addChain(table, chain('c')),
    deleteChain(table, 'b'),
  )
  t.strictSame(
    refusals.map(({ error }) => [error.operation, error.code]),
    [
      ['delete chain inet t a', 'not-found'],
      ['delete chain inet t b', 'not-found'],
    ],
  )
  const { refusals: after } = await commit(deleteTable(table))
  t.strictSame(
    after.map(({ error }) => error.code),
    ['not-found'],
    'the table was not made',
  )
})

t.test('many transactions are in flight at a time', async (t) => {
  await commit(addTable(table))
  const all = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      i % 10 === 9 ? commit(deleteChain(table, 'nothing')) : commit(addChain(table, chain(`c${i}`))),
    ),
  )
  t.strictSame(
    all.map(({ refusals }) => refusals.length),
    Array.from({ length: 100 }, (_, i) => (i % 10 === 9 ? 1 : 0)),
  )
  await commit(deleteTable(table))
})

t.test('a transaction larger than the buffer of the socket fails as such, and no other does', async (t) => {
  const small = new Talk(openSocket({ protocol: PROTOCOL.NETFILTER, bufferBytes: 16 << 10 }))
  t.teardown(() => small.close())
  const set: SetSpec = { name: 's', key: [TYPE.ipv4_addr] }
  const elements = Array.from({ length: 5000 }, (_, i) => ({ key: [`10.0.${i >> 8}.${i & 255}`] }))
  const requests = [addTable(table), addSet(table, set), ...addElements(table, set, elements)]
  const [large, fine] = await Promise.allSettled([
    small.transaction(beginBatch(), requests, endBatch()),
    small.transaction(beginBatch(), [addTable(table)], endBatch()),
  ])
  t.match(large, { status: 'rejected', reason: { errno: EMSGSIZE, message: /commit transaction: send \d+ bytes/ } })
  t.match(fine, { status: 'fulfilled', value: { refusals: [] } })
  await commit(deleteTable(table))
})

t.test('answers that were lost fail who waits for them, and the conversation goes on', async (t) => {
  const narrow = new Talk(openSocket({ protocol: PROTOCOL.ROUTE, bufferBytes: 2048 }))
  t.teardown(() => narrow.close())
  const outcomes = await narrow.pipeline(Array.from({ length: 30 }, () => getLink({ name: 'v0' })))
  t.ok(
    outcomes.every(({ error, messages }) => (error === undefined ? messages.length === 1 : error.errno === ENOBUFS)),
    'each is answered or known to be lost',
  )
  t.ok(outcomes.some(({ error }) => error?.errno === ENOBUFS))
  t.equal((await narrow.ask(getLink({ name: 'lo' }))).length, 1)
})

t.test('the request at fault is the one that is named', async (t) => {
  const outcomes = await route.pipeline([
    setLink({ name: 'v0' }, { mtu: 1400 }),
    setLink({ name: 'v0' }, { mtu: 1 }),
    deleteLink({ name: 'nothing' }),
    getLink({ name: 'v0' }),
  ])
  t.strictSame(codes(outcomes), [undefined, 'kernel', 'not-found', undefined])
  t.equal(outcomes[1]?.error?.errno, EINVAL)
  t.match(outcomes[1]?.error?.message, /mtu less than device minimum/)
})

t.test('what is in flight when it is closed fails, and nothing is left running', async (t) => {
  const talk = new Talk(openSocket({ protocol: PROTOCOL.ROUTE, inThread: true }))
  const asked = talk.ask(getLink({ name: 'lo' }))
  const listed = talk.dump(dumpLinks())
  talk.close()
  await t.rejects(asked, { code: 'unavailable' })
  await t.rejects(listed, { code: 'unavailable' })
})
