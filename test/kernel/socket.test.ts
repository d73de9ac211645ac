import t from 'tap'
import { readdirSync, readlinkSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { type NetloomError } from '../../src/base/errors.js'
import { addLink, getLink, setLink } from '../../src/codec/rtnl/link.js'
import { RTNLGRP } from '../../src/codec/rtnl/constants.js'
import { FLAG, Writer } from '../../src/codec/wire.js'
import { createNamespace, deleteNamespace, inNamespace, namespacePath } from '../../src/kernel/netns.js'
import { openSocket, PROTOCOL, type Transport } from '../../src/kernel/socket.js'
import { Talk } from '../../src/kernel/talk.js'
import { eventually } from '../support/namespaces.js'

const ENOBUFS = 105

/** A request for the loopback link that asks for no acknowledgement. */
function getLoopback(sequence: number): Buffer {
  const writer = new Writer()
  const request = getLink({ name: 'lo' })
  const mark = writer.message(request.type, FLAG.REQUEST, sequence)
  request.body(writer)
  return writer.endMessage(mark).bytes()
}

const netlinkSockets = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
    } catch {
      return false // the descriptor of the folder itself
    }
  }).length

/** Their number, when those that are being closed are closed. */
async function settledSockets(): Promise<number> {
  for (let i = 0; i < 5; i++) await new Promise(setImmediate)
  return netlinkSockets()
}

t.test('a socket stays in the namespace that it was opened in', async (t) => {
  createNamespace('other')
  t.teardown(() => deleteNamespace('other'))
  const here = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
  const there = inNamespace(namespacePath('other'), () => new Talk(openSocket({ protocol: PROTOCOL.ROUTE })))
  await there.ask(addLink({ kind: 'veth', name: 'there0', peer: { name: 'there1' } }))
  t.equal((await there.ask(getLink({ name: 'there0' }))).length, 1)
  await t.rejects(here.ask(getLink({ name: 'there0' })), { code: 'not-found' })
  here.close()
  there.close()
})

t.test('many sockets are open at a time, and each closes its own descriptor', async (t) => {
  const before = await settledSockets()
  const talks = Array.from({ length: 20 }, () => new Talk(openSocket({ protocol: PROTOCOL.ROUTE })))
  t.equal(netlinkSockets(), before + 20)
  const answers = await Promise.all(talks.map((talk) => talk.ask(getLink({ name: 'lo' }))))
  t.ok(answers.every((messages) => messages.length === 1))
  for (const talk of talks) talk.close()
  t.equal(await settledSockets(), before, 'no descriptor is left')
})

t.test('a socket can be closed by the handler of its own datagram, with more on the way', async (t) => {
  for (let round = 0; round < 20; round++) {
    let heard = 0
    await new Promise<void>((resolve) => {
      const transport: Transport = openSocket({ protocol: PROTOCOL.ROUTE })({
        datagram: () => {
          heard++
          transport.close()
          resolve()
        },
        failed: (error) => t.fail(error.message),
      })
      for (let i = 1; i <= 5; i++) transport.send(getLoopback(i), (error) => t.fail(error.message))
    })
    await settledSockets()
    t.equal(heard, 1, 'and hears nothing more')
  }
})

t.test('nothing is told after closing', async (t) => {
  const transport = openSocket({ protocol: PROTOCOL.ROUTE, inThread: true })({
    datagram: () => t.fail('a datagram'),
    failed: () => t.fail('a failure'),
  })
  transport.send(getLoopback(1), () => t.fail('a failed send'))
  transport.close()
  await settledSockets()
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.pass('nothing was')
})

t.test('notifications that were lost are told, and those behind them are heard', async (t) => {
  const talk = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
  await talk.ask(addLink({ kind: 'veth', name: 'v0', peer: { name: 'v1' } }))
  const failures: NetloomError[] = []
  let heard = 0
  const listener = openSocket({ protocol: PROTOCOL.ROUTE, groups: [RTNLGRP.LINK], bufferBytes: 4096 })({
    datagram: () => heard++,
    failed: (error) => failures.push(error),
  })
  // The kernel tells of every one of these at once, while this thread reads nothing.
  await talk.pipeline(Array.from({ length: 32 }, (_, i) => setLink({ name: 'v0' }, { mtu: 1000 + i })))
  t.ok(await eventually(() => failures.length > 0))
  t.equal(failures[0]?.errno, ENOBUFS)
  t.match(failures[0]?.message, /dropped \d+ messages/)
  const before = heard
  t.ok(before > 0, 'what was in the queue is not lost')
  await talk.ask(setLink({ name: 'v0' }, { mtu: 1400 }))
  t.ok(await eventually(() => heard > before))
  listener.close()
  talk.close()
})

t.test('a datagram that is too large is refused with its size', async (t) => {
  for (const inThread of [false, true]) {
    const refused = await new Promise<NetloomError>((resolve) => {
      const transport = openSocket({ protocol: PROTOCOL.ROUTE, bufferBytes: 8192, inThread })({
        datagram: () => t.fail('a datagram'),
        failed: () => t.fail('a failure of something else'),
      })
      transport.send(Buffer.alloc(1 << 20), (error) => {
        transport.close()
        resolve(error)
      })
    })
    t.match(refused, { code: 'io', operation: 'send', message: /send 1048576 bytes/ }, `inThread: ${inThread}`)
  }
})

t.test('datagrams sent by threads keep their order', async (t) => {
  const talk = new Talk(openSocket({ protocol: PROTOCOL.ROUTE, inThread: true }))
  await talk.ask(addLink({ kind: 'veth', name: 'w0', peer: { name: 'w1' } }))
  const requests = Array.from({ length: 300 }, (_, i) => setLink({ name: 'w0' }, { mtu: 1000 + i }))
  for (const { error } of await talk.pipeline(requests)) t.equal(error, undefined)
  const reader = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
  const [message] = await reader.ask(getLink({ name: 'w0' }))
  t.ok(message?.payload.includes(Buffer.from('0800040013050000', 'hex')), 'the MTU is the last one, 1299')
  talk.close()
  reader.close()
})

/** Runs code of a module in a worker thread and answers what it posted, or the error that ended it. */
const inWorker = (code: string): Promise<unknown> =>
  new Promise((resolve) => {
    const source = new URL('../../src/kernel/', import.meta.url).href
    const program = `
      import { parentPort } from 'node:worker_threads'
      const { openSocket, PROTOCOL } = await import('${source}socket.js')
      const { Talk } = await import('${source}talk.js')
      const { getLink } = await import('${source}../codec/rtnl/link.js')
      ${code}`
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`))
    worker.once('message', resolve)
    worker.once('error', resolve)
    worker.once('exit', resolve)
  })

t.test('an exception in a handler is an uncaught one with its words, not the end of the process', async (t) => {
  const error = await inWorker(`
    const transport = openSocket({ protocol: PROTOCOL.ROUTE })({
      datagram: () => { throw new Error('of the handler') },
      failed: () => {},
    })
    const talk = Buffer.from('${getLoopback(1).toString('hex')}', 'hex')
    transport.send(talk, () => {})`)
  t.match(error, { message: 'of the handler' })
})

t.test('sockets work in worker threads', async (t) => {
  const posted = await Promise.all(
    Array.from({ length: 3 }, () =>
      inWorker(`
        const talk = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
        const messages = await talk.ask(getLink({ name: 'lo' }))
        talk.close()
        parentPort.postMessage(messages.length)`),
    ),
  )
  t.strictSame(posted, [1, 1, 1])
})

t.test('a worker thread that ends with a socket open ends alone', async (t) => {
  for (const end of ['process.exit(0)', 'throw new Error("end")', '']) {
    const ended = await inWorker(`
      new Talk(openSocket({ protocol: PROTOCOL.ROUTE, keepAlive: false }))
      ${end}`)
    t.ok(ended === 0 || (ended as Error).message === 'end', end)
  }
})

t.test('a socket that keeps nothing alive lets the process end', async (t) => {
  const { spawnSync } = await import('node:child_process')
  const source = new URL('../../src/kernel/socket.js', import.meta.url).href
  const program = `
    import { openSocket } from '${source}'
    openSocket({ protocol: 0, groups: [1], keepAlive: false })({ datagram() {}, failed() {} })`
  const { status, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { timeout: 20_000 })
  t.strictSame({ status, signal }, { status: 0, signal: null })
})
