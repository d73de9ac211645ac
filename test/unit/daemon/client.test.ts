import { mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { encodeFrame, FRAME_KIND, FrameDecoder, type FrameBody } from '../../../src/codec/frame.js'
import { callAgent } from '../../../src/daemon/client.js'

/** Something that listens in the place of an agent; gets each request's body and its connection. */
async function agent(t: Tap, answer: (connection: Socket, body: FrameBody) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-client-'))
  const connections = new Set<Socket>()
  const server = createServer((connection) => {
    connections.add(connection)
    const decoder = new FrameDecoder()
    connection.on('error', () => undefined)
    connection.on('data', (chunk) => {
      for (const { body } of decoder.push(chunk)) answer(connection, body)
    })
  })
  const path = join(folder, 'agent.sock')
  server.listen(path)
  await once(server, 'listening')
  t.teardown(() => {
    for (const connection of connections) connection.destroy()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return path
}

interface Tap {
  teardown: (work: () => unknown) => void
}

const reply = (body: FrameBody): Buffer => encodeFrame(FRAME_KIND.REPLY, body)

t.test('a call gives the method and its parameters, and answers the result', async (t) => {
  const seen: FrameBody[] = []
  const path = await agent(t, (connection, body) => {
    seen.push(body)
    connection.write(reply({ ok: true, result: { x: [1, 2] } }))
  })
  t.same(await callAgent(path, 'status', { deep: true }), { x: [1, 2] })
  t.same(seen, [{ method: 'status', deep: true }])
})

t.test('an answer that comes in pieces is put together', async (t) => {
  const path = await agent(t, (connection) => {
    const bytes = reply({ ok: true, result: 'x'.repeat(100_000) })
    connection.write(bytes.subarray(0, 3))
    setTimeout(() => connection.write(bytes.subarray(3, 5000)), 5)
    setTimeout(() => connection.write(bytes.subarray(5000)), 10)
  })
  t.equal(String(await callAgent(path, 'x')).length, 100_000)
})

t.test("the agent's error is thrown as it was, with its code and field", async (t) => {
  const path = await agent(t, (connection) => {
    connection.write(reply({ ok: false, error: { code: 'exhausted', message: 'no more', field: 'pool' } }))
  })
  await t.rejects(callAgent(path, 'x'), { code: 'exhausted', message: 'no more', field: 'pool' })
})

t.test('where nobody listens, it says so with the path', async (t) => {
  const path = join(tmpdir(), `netloom-nobody-${process.pid}`)
  await t.rejects(callAgent(path, 'x'), { code: 'unavailable', message: new RegExp(path), cause: { errno: 2 } })
})

const FAILURES: Readonly<Record<string, readonly [(connection: Socket) => void, RegExp]>> = {
  'closes the connection': [(connection) => connection.destroy(), /closed/],
  'ends in the middle of an answer': [(connection) => connection.end(reply({ ok: true }).subarray(0, 6)), /closed/],
  'answers something else': [(connection) => connection.write('HTTP/1.1 200 OK\r\n'), /4e 4c/],
  'answers with a request': [
    (connection) => connection.write(encodeFrame(FRAME_KIND.REQUEST, { ok: true, result: 1 })),
    /not a reply/,
  ],
  'does not answer': [() => undefined, /100 ms/],
}

for (const [name, [answer, message]] of Object.entries(FAILURES))
  t.test(`unavailable is who ${name}`, async (t) => {
    const path = await agent(t, answer)
    await t.rejects(callAgent(path, 'x', {}, { timeoutMs: 100 }), { code: 'unavailable', message })
  })

t.test('an agent that keeps sending bytes but no answer is waited for no longer', async (t) => {
  const bytes = reply({ ok: true, result: 'x'.repeat(5000) })
  const path = await agent(t, (connection) => {
    let at = 0
    const timer = setInterval(() => {
      if (connection.destroyed || at > 200) clearInterval(timer)
      else connection.write(bytes.subarray(at, ++at))
    }, 20)
  })
  const started = performance.now()
  await t.rejects(callAgent(path, 'x', {}, { timeoutMs: 150 }), { code: 'unavailable', message: /150 ms/ })
  t.ok(performance.now() - started < 1500)
})

t.test('an answer without a reason is an error all the same', async (t) => {
  const path = await agent(t, (connection) => connection.write(reply({})))
  await t.rejects(callAgent(path, 'x'), { code: 'internal', message: /no reason/ })
})
