import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { encodeFrame, FRAME_KIND, type FrameBody, FrameDecoder } from '../../src/codec/frame.js'
import { builds, cniError, runCni } from '../support/cni-exec.js'

/** What becomes of a call while the agent is replaced by another. */

/** Answers a request, or does something else to its connection. */
type Behaviour = (connection: Socket, body: FrameBody) => void

const says = (body: FrameBody): Behaviour => {
  return (connection) => connection.end(encodeFrame(FRAME_KIND.REPLY, body))
}
const done = says({ exit: 0, output: 'done' })
const starting = says({ exit: 1, output: 'starting', retry: true })
const dies: Behaviour = (connection) => connection.destroy()
const diesMidway: Behaviour = (connection) =>
  connection.end(encodeFrame(FRAME_KIND.REPLY, { exit: 0, output: 'done' }).subarray(0, 9))

/** An agent that does to its first request the first, to the second the second, and so on; the last for all others. */
class Agent {
  readonly requests: FrameBody[] = []
  readonly #server: Server

  constructor(t: Test, socket: string, behaviours: readonly Behaviour[]) {
    this.#server = createServer((connection) => {
      const decoder = new FrameDecoder()
      connection.on('error', () => undefined)
      connection.on('data', (chunk) => {
        for (const { body } of decoder.push(chunk)) {
          const behaviour = behaviours[Math.min(this.requests.length, behaviours.length - 1)]
          this.requests.push(body)
          behaviour?.(connection, body)
        }
      })
    })
    this.#server.listen(socket)
    t.teardown(() => this.#server.close())
  }
}

for (const build of builds())
  t.test(build.name, { skip: build.skip }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'netloom-wait-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const socket = join(folder, 'agent.sock')
    const run = (wait: string | undefined, fields: object = {}, command = 'ADD') =>
      runCni({
        path: build.path,
        env: { CNI_COMMAND: command, NETLOOM_SOCKET: socket, ...(wait === undefined ? {} : { NETLOOM_WAIT: wait }) },
        stdin: JSON.stringify({ cniVersion: '1.0.0', ...fields }),
      })

    t.test('a call waits for an agent that is not there yet, as every call but STATUS does', async (t) => {
      const calls = ['ADD', 'DEL', 'CHECK', 'GC'].map((command) => run(undefined, {}, command))
      await sleep(300)
      const agent = new Agent(t, socket, [done])
      for (const call of calls) t.match(await call, { code: 0, stdout: 'done', stderr: '' })
      t.ok(
        agent.requests.every((body) => !('again' in body)),
        'no agent has seen them before',
      )
    })

    t.test('a call waits where an agent has ended and left its socket', async (t) => {
      writeFileSync(socket, '') // nobody listens: the same errno
      const call = run('20s')
      await sleep(100)
      rmSync(socket)
      new Agent(t, socket, [done])
      t.match(await call, { code: 0, stdout: 'done' })
    })

    t.test('STATUS tells what is so now', async (t) => {
      const { stdout } = await run('1m', { agentWait: '1m' }, 'STATUS')
      t.match(cniError(stdout), { code: 50, details: /ENOENT.*elsewhere$/ })
    })

    t.test('an agent that is starting is asked again, and nothing was begun', async (t) => {
      const agent = new Agent(t, socket, [starting, starting, done])
      t.match(await run('20s'), { code: 0, stdout: 'done' })
      t.same(
        agent.requests.map(({ again }) => again),
        [undefined, undefined, undefined],
      )
    })

    for (const [name, end] of Object.entries({ 'without a reply': dies, 'within its reply': diesMidway }))
      t.test(`an agent that went away ${name} may have begun, which the next one is told`, async (t) => {
        const agent = new Agent(t, socket, [end, starting, done])
        t.match(await run('20s'), { code: 0, stdout: 'done' })
        t.same(
          agent.requests.map(({ again }) => again),
          [undefined, true, true],
        )
        const [first, second] = agent.requests.map((body) => ({ ...body, again: undefined }))
        t.same(first, second, 'the rest is the same')
      })

    t.test('what is not better tomorrow is told at once', async (t) => {
      new Agent(t, socket, [says({ ok: false })])
      const started = performance.now()
      t.match(cniError((await run('1m')).stdout), { code: 6 })
      t.match(cniError((await run('1m', { agentSocket: '/dev/null/x' })).stdout), { code: 11, details: /ENOTDIR/ })
      t.ok(performance.now() - started < 30_000)
    })

    t.test('when the time is over it is an error to try again later, and says what was tried', async (t) => {
      const { stdout } = await run('200ms')
      t.match(cniError(stdout), { code: 11, details: /ENOENT.*; asked again and again for \d+ ms$/ })
      new Agent(t, socket, [starting])
      t.match(await run('200ms'), { code: 1, stdout: 'starting' }, 'or the agent’s own')
    })

    t.test('agentWait of the configuration leads, then NETLOOM_WAIT, and NETLOOM_TIMEOUT_MS bounds both', async (t) => {
      t.match(cniError((await run('1m', { agentWait: '50ms' })).stdout), { code: 11, details: /again for \d+ ms$/ })
      t.match(cniError((await run('1m', { agentWait: '0s' })).stdout), { code: 11, details: /elsewhere$/ })
      const env = { CNI_COMMAND: 'ADD', NETLOOM_SOCKET: socket, NETLOOM_WAIT: '1m', NETLOOM_TIMEOUT_MS: '100' }
      t.match(cniError((await runCni({ path: build.path, env, stdin: '{}' })).stdout), { code: 11 })
    })

    t.test('a wait that is none is an error that names where it stands', async (t) => {
      const wrong = [
        '',
        '10',
        's',
        '1h',
        '-1s',
        ' 1s',
        '1 s',
        '61m',
        '3600001ms',
        '1.5s',
        '99999999999999999999s',
        '1s\0',
      ]
      for (const agentWait of [...wrong, 10, null, ['1s']])
        t.match(cniError((await run('0s', { agentWait })).stdout), { code: 7, details: /^agentWait is not a duration/ })
      for (const wait of wrong.filter((text) => text !== '' && !text.includes('\0')))
        t.match(cniError((await run(wait)).stdout), { code: 4, details: /^NETLOOM_WAIT is not a duration/ })
      new Agent(t, socket, [done])
      for (const agentWait of ['0ms', '60m', '3600s', '3600000ms', '0010s'])
        t.match(await run('0s', { agentWait }), { code: 0 }, agentWait)
    })
    t.end()
  })
