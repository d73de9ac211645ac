import t from 'tap'
import { FakeAgent, builds, cniError, runCni, seededRandom } from '../support/cni-exec.js'
import { ACCEPTED, REFUSED, frameOf, hex, reply, wanted } from './replies.js'

for (const build of builds())
  t.test(build.name, { skip: build.skip }, async (t) => {
    const agent = await new FakeAgent().listen()
    t.teardown(() => agent.close())
    const run = (command = 'ADD') =>
      runCni({
        path: build.path,
        env: { CNI_COMMAND: command, NETLOOM_SOCKET: agent.socket, NETLOOM_WAIT: '0s' },
        stdin: '{}',
      })

    t.test('output is printed as it came and the exit code is the agent’s', async (t) => {
      for (const [name, frame, code, output] of ACCEPTED) {
        agent.answer = (connection) => connection.end(frame)
        const seen = await run()
        t.match({ code: seen.code, stderr: seen.stderr }, { code, stderr: '' }, name)
        t.ok(seen.stdout === output, `${name}: ${seen.stdout.slice(0, 200)}`)
      }
    })

    t.test('a reply that arrives byte by byte is read, and so is one whose connection stays open', async (t) => {
      agent.answer = (connection) => {
        connection.setNoDelay(true)
        const bytes = [...reply(3, 'in pieces')]
        const step = (): void => {
          const byte = bytes.shift()
          if (byte !== undefined) connection.write(Uint8Array.of(byte), () => setImmediate(step))
        }
        step()
      }
      t.match(await run(), { code: 3, stdout: 'in pieces' })
    })

    t.test('anything else is an error that says what is wrong', async (t) => {
      for (const [name, frame, code, details] of REFUSED) {
        agent.answer = (connection) => connection.end(frame)
        const seen = await run()
        t.match(
          { code: seen.code, signal: seen.signal, stderr: seen.stderr },
          { code: 1, signal: null, stderr: '' },
          name,
        )
        t.match(cniError(seen.stdout), { cniVersion: '1.1.0', code, details }, name)
      }
      agent.answer = (connection) => connection.end(frameOf(hex('a0')))
      t.match(cniError((await run('STATUS')).stdout), { code: 6 }, 'STATUS: the agent is there, but not understood')
      agent.answer = (connection) => connection.destroy()
      t.match(cniError((await run('STATUS')).stdout), { code: 50 }, 'STATUS: the agent went away')
    })

    t.test('damaged replies never crash it, and what the codec accepts it accepts', { timeout: 60_000 }, async (t) => {
      const random = seededRandom(42)
      const int = (below: number): number => Math.floor(random() * below)
      const seeds = ACCEPTED.map(([, frame]) => frame).filter((frame) => frame.length < 1000)
      const until = performance.now() + 2500
      const seen = { accepted: 0, refused: 0 }
      for (let i = 0; i < 400 && (i < 120 || performance.now() < until); i++) {
        const frame = Buffer.from(seeds[int(seeds.length)]!)
        for (let hits = 1 + int(3); hits > 0; hits--)
          frame[int(4) === 0 ? int(frame.length) : 8 + int(frame.length - 8)] = int(256)
        agent.answer = (connection) => connection.end(frame)
        const { code, stdout, signal } = await run()
        const want = wanted(frame)
        if (signal !== null) t.fail(`${frame.toString('hex')}: ended by ${signal}`)
        if (want !== undefined && (code !== want.exit || stdout !== want.output))
          t.fail(`${frame.toString('hex')}: code ${String(code)}, ${stdout}`)
        if (want !== undefined) seen.accepted++
        else if (stdout.startsWith('{"cniVersion":"1.1.0","code":')) {
          cniError(stdout)
          seen.refused++
        }
      }
      t.ok(seen.accepted > 5 && seen.refused > 30, JSON.stringify(seen))
    })
    t.end()
  })
