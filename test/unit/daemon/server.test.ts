import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { encodeFrame, FRAME_KIND, type FrameBody, FrameDecoder } from '../../../src/codec/frame.js'
import { type Handler, SocketServer } from '../../../src/daemon/server.js'

interface TestContext {
  teardown: (work: () => unknown) => void
}

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-server-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'run', 'agent.sock')
}

const echo: Handler = async (body) => ({ ok: true, result: body['n'] })

/** A server that listens, and what it logged as warnings. */
async function listening(t: TestContext, handler: Handler = echo, path = place(t)) {
  const warnings: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(line) })
  const server = new SocketServer(path, handler, log)
  await server.listen()
  t.teardown(() => server.close())
  return { server, path, warnings }
}

/** A connection, and the bodies of the replies that come by it. */
class Client {
  readonly socket: Socket
  readonly replies: FrameBody[] = []
  closed = false

  constructor(path: string) {
    const decoder = new FrameDecoder()
    this.socket = createConnection({ path, allowHalfOpen: true })
    this.socket.on('data', (chunk) => {
      for (const { body } of decoder.push(chunk)) this.replies.push(body)
    })
    this.socket.on('error', () => undefined)
    this.socket.on('close', () => (this.closed = true))
    this.socket.on('end', () => this.socket.end())
  }

  send(body: FrameBody): this {
    this.socket.write(encodeFrame(FRAME_KIND.REQUEST, body))
    return this
  }

  async until(count: number): Promise<FrameBody[]> {
    for (let i = 0; this.replies.length < count && !this.closed; i++) {
      if (i > 2000) throw new Error(`${this.replies.length} replies, not ${count}`)
      await sleep(1)
    }
    return this.replies
  }

  async ended(): Promise<void> {
    if (!this.closed) await once(this.socket, 'close')
  }
}

t.test('the socket is for root alone, in a folder for root alone', async (t) => {
  const mask = process.umask(0)
  t.teardown(() => process.umask(mask))
  const { path } = await listening(t)
  t.ok(statSync(path).isSocket())
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(statSync(join(path, '..')).mode & 0o777, 0o700)
  t.equal(process.umask(0), 0, "the process's own mask is as it was")
})

t.test(
  'each request has one reply, in order, also when many are sent at once and the first takes longest',
  async (t) => {
    const { path } = await listening(t, async (body) => {
      await sleep(20 - Number(body['n']))
      return { ok: true, result: body['n'] }
    })
    const client = new Client(path)
    for (let n = 0; n < 10; n++) client.send({ n })
    t.same(
      (await client.until(10)).map(({ result }) => result),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    )
    client.socket.destroy()
  },
)

t.test('a request that comes byte by byte is answered', async (t) => {
  const { path } = await listening(t)
  const client = new Client(path)
  for (const byte of encodeFrame(FRAME_KIND.REQUEST, { n: 7 })) {
    client.socket.write(Uint8Array.of(byte))
    await sleep(1)
  }
  t.match(await client.until(1), [{ ok: true, result: 7 }])
  client.socket.destroy()
})

t.test('a client that has said all it has to say still gets its reply', async (t) => {
  const { path } = await listening(t, async (body) => {
    await sleep(20)
    return echo(body)
  })
  const client = new Client(path)
  client.socket.end(encodeFrame(FRAME_KIND.REQUEST, { n: 1 }))
  t.match(await client.until(1), [{ result: 1 }])
  await client.ended()
})

t.test('many clients at once are all answered', async (t) => {
  const { path } = await listening(t)
  const clients = Array.from({ length: 300 }, (_, n) => new Client(path).send({ n }))
  const results = await Promise.all(clients.map((client) => client.until(1)))
  t.same(
    results.map(([reply]) => reply?.['result']),
    clients.map((_, n) => n),
  )
  for (const { socket } of clients) socket.destroy()
})

t.test('what a handler throws is a reply, with its code and field', async (t) => {
  const { path } = await listening(t, async () => {
    throw new NetloomError('exhausted', 'no more', { field: 'x', operation: 'give' })
  })
  const client = new Client(path).send({}).send({})
  const error = { code: 'exhausted', message: 'no more', field: 'x', operation: 'give' }
  t.strictSame(await client.until(2), [
    { ok: false, error },
    { ok: false, error },
  ])
  client.socket.destroy()
})

t.test('a reply that cannot be written is told as an error, and the next is answered', async (t) => {
  const { path } = await listening(t, async (body) => (body['n'] === 0 ? { at: new Date() } : echo(body)))
  const client = new Client(path).send({ n: 0 }).send({ n: 1 })
  const replies = await client.until(2)
  t.match(replies, [{ ok: false, error: { code: 'invalid' } }, { result: 1 }])
  client.socket.destroy()
})

const BAD: Readonly<Record<string, Uint8Array>> = {
  'other bytes': Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  'another version': Buffer.from([0x4e, 0x4c, 9, 1, 0, 0, 0, 1, 0xa0]),
  'a reply': encodeFrame(FRAME_KIND.REPLY, {}),
  'a length beyond what is taken': Buffer.from([0x4e, 0x4c, 1, 1, 0xff, 0xff, 0xff, 0xff]),
  'a body that is no map': Buffer.from([0x4e, 0x4c, 1, 1, 0, 0, 0, 1, 0x80]),
}

for (const [name, bytes] of Object.entries(BAD))
  t.test(`refused, without harm to others: ${name}`, async (t) => {
    const { path, warnings } = await listening(t, async (body) => {
      await sleep(30)
      return echo(body)
    })
    const other = new Client(path).send({ n: 'other' })
    const client = new Client(path).send({ n: 'before' })
    client.socket.write(bytes)
    await client.ended()
    t.match(client.replies, [{ result: 'before' }, { ok: false, error: { code: 'invalid' } }], 'in order')
    t.match(await other.until(1), [{ result: 'other' }])
    t.match(await other.send({ n: 'again' }).until(2), [{}, { result: 'again' }])
    t.equal(warnings.length, 1)
    other.socket.destroy()
  })

t.test('a client that goes on after a bad frame is not listened to, and fills no log', async (t) => {
  const { path, warnings } = await listening(t)
  const socket = createConnection({ path, allowHalfOpen: true })
  socket.on('error', () => undefined)
  for (let i = 0; i < 50 && !socket.destroyed; i++) {
    socket.write(Buffer.alloc(1000, 0x41))
    await sleep(1)
  }
  t.ok(warnings.length <= 1, `${warnings.length} warnings`)
  await Promise.race([once(socket, 'close'), sleep(2000)])
  t.ok(socket.destroyed, 'it is cut off')
  socket.destroy()
})

t.test('a client that leaves before its reply hurts nobody', async (t) => {
  let handled = 0
  const { path } = await listening(t, async (body) => {
    await sleep(20)
    handled++
    return echo(body)
  })
  const early = new Client(path).send({ n: 1 })
  await sleep(5)
  early.socket.destroy()
  const half = createConnection(path)
  half.end(encodeFrame(FRAME_KIND.REQUEST, { n: 2 }).subarray(0, 5))
  half.on('error', () => undefined)
  const client = new Client(path).send({ n: 3 })
  t.match(await client.until(1), [{ result: 3 }])
  t.equal(handled, 2, 'its call was carried out')
  client.socket.destroy()
})

t.test('where another agent listens, this one does not, and the other stays reachable', async (t) => {
  const { path } = await listening(t)
  const second = new SocketServer(path, echo, pino({ level: 'silent' }))
  await t.rejects(second.listen(), { code: 'exists', message: /another agent/ })
  await second.close()
  const client = new Client(path).send({ n: 1 })
  t.match(await client.until(1), [{ result: 1 }])
  client.socket.destroy()
})

t.test('a socket that a dead agent left is replaced', async (t) => {
  const path = place(t)
  mkdirSync(join(path, '..'))
  const left = createServer()
  left.listen(path)
  await once(left, 'listening')
  // A killed process closes its descriptor and leaves the file.
  const bound = `${path}.bound`
  renameSync(path, bound)
  await new Promise((resolve) => left.close(resolve))
  if (existsSync(bound)) renameSync(bound, path)
  t.ok(statSync(path).isSocket())
  await listening(t, echo, path)
  const client = new Client(path).send({ n: 1 })
  t.match(await client.until(1), [{ result: 1 }])
  client.socket.destroy()
})

t.test('a file that is no socket is not deleted', async (t) => {
  const path = place(t)
  mkdirSync(join(path, '..'))
  writeFileSync(path, 'precious')
  const server = new SocketServer(path, echo, pino({ level: 'silent' }))
  await t.rejects(server.listen(), { code: 'exists', message: /no socket/ })
  t.equal(readFileSync(path, 'utf8'), 'precious')
  rmSync(path)
  mkdirSync(path)
  await t.rejects(server.listen(), { code: 'exists', message: /no socket/ })
})

t.test('a path that cannot be listened on is an error with its reason', async (t) => {
  const path = place(t)
  const long = join(path, '..', 'x'.repeat(200))
  await t.rejects(new SocketServer(long, echo, pino({ level: 'silent' })).listen(), {
    code: 'invalid',
    field: 'socket',
    message: /longer than 107/,
  })
  if (process.getuid?.() === 0) return
  mkdirSync(join(path, '..'))
  chmodSync(join(path, '..'), 0o500)
  await t.rejects(new SocketServer(path, echo, pino({ level: 'silent' })).listen(), { code: 'io', errno: 13 })
})

t.test('closing lets the calls under way end, takes no new ones, and removes the file', async (t) => {
  let ended = false
  const { server, path } = await listening(t, async (body) => {
    await sleep(50)
    ended = true
    return echo(body)
  })
  const busy = new Client(path).send({ n: 1 })
  const idle = new Client(path)
  await sleep(10)
  await server.close()
  t.ok(ended)
  t.match(await busy.until(1), [{ result: 1 }])
  await Promise.all([busy.ended(), idle.ended()])
  t.notOk(existsSync(path))
  await server.close()
})

t.test('the next server has its socket while this one still ends its last calls', async (t) => {
  let finish = (): void => undefined
  const slow: Handler = async () => {
    await new Promise<void>((resolve) => (finish = resolve))
    return { ok: true, result: 'slow' }
  }
  const { server, path } = await listening(t, slow)
  const client = new Client(path)
  client.socket.write(encodeFrame(FRAME_KIND.REQUEST, { n: 1 }))
  await once(client.socket, 'connect')
  await sleep(100)
  const closing = server.close()
  t.notOk(existsSync(path), 'the name is free at once')
  await listening(t, echo, path)
  finish()
  await closing
  t.ok(existsSync(path), "the next one's stays")
  const next = new Client(path)
  next.socket.write(encodeFrame(FRAME_KIND.REQUEST, { n: 7 }))
  await once(next.socket, 'data')
  t.match([...client.replies, ...next.replies], [{ result: 'slow' }, { result: 7 }])
  next.socket.destroy()
})
