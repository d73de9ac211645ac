import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { FRAME_KIND, type FrameBody, FrameDecoder, encodeFrame } from '../../src/codec/frame.js'
import { FakeAgent, type Run, builds, cniError, runCni } from '../support/cni-exec.js'
import { SHARED_FRAMES } from './frames.js'

const MIB = 1024 * 1024
const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const
const SUPPORTED = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']

const bodyOf = (frame: Buffer | undefined): FrameBody => [...new FrameDecoder().push(frame!)][0]!.body

/** A configuration of exactly `length` bytes. */
const configOf = (length: number): string => `{"x":"${'y'.repeat(length - 8)}"}`

for (const build of builds())
  t.test(build.name, { skip: build.skip }, async (t) => {
    const agent = await new FakeAgent().listen()
    t.teardown(() => agent.close())
    const run = (env: Record<string, string>, rest: Partial<Run> = {}) =>
      runCni({
        path: build.path,
        env: { NETLOOM_SOCKET: agent.socket, NETLOOM_WAIT: '0s', ...env },
        stdin: '{}',
        ...rest,
      })
    t.beforeEach(() => {
      agent.requests.length = 0
      agent.answer = (connection) => connection.end(encodeFrame(FRAME_KIND.REPLY, { exit: 0, output: '{}' }))
    })

    t.test('requests are what the protocol says, byte for byte', async (t) => {
      for (const { name, env, stdin, hex } of SHARED_FRAMES) {
        t.match(await run(env, { stdin }), { code: 0, stdout: '{}', stderr: '' }, name)
        t.equal(agent.requests.at(-1)?.toString('hex'), hex, name)
      }
    })

    t.test(
      'without an agent every command is an error to try again, STATUS one of a plugin not available',
      async (t) => {
        const stale = join(agent.folder, 'stale.sock')
        writeFileSync(stale, '')
        const sockets: [path: string, reason: RegExp][] = [
          [join(agent.folder, 'absent.sock'), /ENOENT/],
          [stale, /ECONNREFUSED/],
          [join(stale, 'agent.sock'), /ENOTDIR/],
        ]
        for (const [socket, reason] of sockets)
          for (const command of COMMANDS) {
            const env = { CNI_COMMAND: command, NETLOOM_SOCKET: socket }
            const { code, stdout, stderr } = await run(env, { stdin: '{"cniVersion":"0.4.0"}' })
            const error = cniError(stdout)
            t.match({ code, stderr }, { code: 1, stderr: '' }, command)
            t.match(error, { cniVersion: '0.4.0', code: command === 'STATUS' ? 50 : 11, details: reason }, command)
            t.ok(error.details.includes(socket), 'names the socket')
          }
      },
    )

    t.test('VERSION is answered without an agent, whatever standard input is', async (t) => {
      const rows: [stdin: string, cniVersion: string][] = [
        ['{"cniVersion":"0.3.1"}', '0.3.1'],
        ['{"cniVersion":"9.9.9"}', '9.9.9'],
        ['{"cniVersion":"0.3.1","cniVersion":"0.4.0"}', '0.4.0'],
        ['{"cniVersion":"a\\"\\u00e9\\n\\ud83d\\ude42"}', 'a"é\n🙂'],
        ['{"nested":{"cniVersion":"0.3.1"}}', '1.1.0'],
        ['{"cniVersion":1}', '1.1.0'],
        ['{"cniVersion":""}', '1.1.0'],
        [`{"cniVersion":"${'1'.repeat(65)}"}`, '1.1.0'],
        ['{"cniVersion":"0.4.0",', '0.4.0'],
        ['', '1.1.0'],
        ['nonsense', '1.1.0'],
        [configOf(2 * MIB), '1.1.0'],
      ]
      for (const [stdin, cniVersion] of rows) {
        const env = { CNI_COMMAND: 'VERSION', NETLOOM_SOCKET: '/nowhere' }
        const { code, stdout, stderr } = await run(env, { stdin })
        t.match({ code, stderr }, { code: 0, stderr: '' })
        t.strictSame(JSON.parse(stdout), { cniVersion, supportedVersions: SUPPORTED }, stdin.slice(0, 60))
      }
      t.equal(agent.requests.length, 0)
    })

    t.test('a missing or unknown CNI_COMMAND is an error that names it', async (t) => {
      const rows: [env: Record<string, string>, details: RegExp][] = [
        [{}, /^CNI_COMMAND is not set/],
        [{ CNI_COMMAND: '' }, /^CNI_COMMAND is ''/],
        [{ CNI_COMMAND: 'add' }, /^CNI_COMMAND is 'add'/],
        [{ CNI_COMMAND: 'UPDATE"\\\n' }, /^CNI_COMMAND is 'UPDATE"\\\n'/],
        [{ CNI_COMMAND: 'x'.repeat(100_000) }, /^CNI_COMMAND is 'x{64}'/],
      ]
      for (const [env, details] of rows) {
        const { code, stdout } = await run(env, { stdin: '{"cniVersion":"1.0.0"}' })
        t.equal(code, 1)
        t.match(cniError(stdout), { cniVersion: '1.0.0', code: 4, details })
      }
      t.equal(agent.requests.length, 0)
    })

    t.test('a person at a terminal is told what this is', async (t) => {
      const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
        version: string
      }
      const hint = new RegExp(`^CNI plugin netloom v${version.replaceAll('.', '\\.')}; speaks CNI .*1\\.1\\.0; .*\n$`)
      t.match(await run({}, { args: ['--version'] }), { code: 0, stdout: hint, stderr: '' })
      const terminal = openSync('/dev/ptmx', 'r+')
      t.teardown(() => closeSync(terminal))
      t.match(await run({}, { stdinFd: terminal }), { code: 0, stdout: '', stderr: hint })
    })

    t.test('variables of the environment are passed exactly as they are, those not set are left out', async (t) => {
      const env = {
        CNI_COMMAND: 'DEL',
        CNI_CONTAINERID: 'a'.repeat(255),
        CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=\u0001"\\ü🙂',
        CNI_PATH: '/opt/cni/bin:'.repeat(5000),
        CNI_IFNAME: '',
        CNI_OTHER: 'not passed',
      }
      await run(env)
      t.strictSame(bodyOf(agent.requests[0]), {
        method: 'cni',
        command: 'DEL',
        containerId: env.CNI_CONTAINERID,
        ifname: '',
        args: env.CNI_ARGS,
        path: env.CNI_PATH,
        config: Buffer.from('{}'),
      })
      for (const name of ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_ARGS', 'CNI_PATH']) {
        const { stdout } = await run({ CNI_COMMAND: 'ADD', [name]: 'x'.repeat(65537) })
        t.match(cniError(stdout), { code: 4, details: `${name} is longer than 64 KiB` })
      }
      t.equal((await run({ CNI_COMMAND: 'ADD', CNI_ARGS: 'x'.repeat(65536) })).code, 0, 'the limit itself')
    })

    t.test('standard input is passed verbatim up to 1 MiB', async (t) => {
      const rows = [2, 23, 24, 255, 256, 65535, 65536, 70_000, MIB - 1, MIB].map((length) =>
        length < 8 ? '{}' : configOf(length),
      )
      for (const stdin of [...rows, ' \n{ "a" : [ 1 , 2 ] }\t\r\n', '{"ü":"\\ud83d"}']) {
        t.equal((await run({ CNI_COMMAND: 'ADD' }, { stdin })).code, 0)
        t.ok(Buffer.from(stdin).equals(bodyOf(agent.requests.at(-1)).config as Buffer), `${stdin.length} bytes`)
      }
      agent.requests.length = 0
      const refused: [stdin: string, code: number, details: RegExp][] = [
        ['', 6, /byte 0: nothing there/],
        [' ', 6, /byte 1: nothing there/],
        ['1', 6, /byte 0: expected an object/],
        ['{', 6, /byte 1: expected a key/],
        [configOf(MIB + 1), 7, /limit of 1 MiB/],
        [configOf(3 * MIB), 7, /limit of 1 MiB/],
      ]
      for (const [stdin, code, details] of refused) {
        const { stdout, code: exit } = await run({ CNI_COMMAND: 'ADD' }, { stdin })
        t.equal(exit, 1)
        t.match(cniError(stdout), { cniVersion: '1.1.0', code, details }, `${stdin.length} bytes`)
      }
      const folder = openSync(agent.folder, 'r')
      t.teardown(() => closeSync(folder))
      const { stdout } = await run({ CNI_COMMAND: 'ADD' }, { stdinFd: folder })
      t.match(cniError(stdout), { code: 5, details: 'errno 21' }, 'a folder as standard input')
      t.equal(agent.requests.length, 0)
    })

    t.test('agentSocket of the configuration leads, then NETLOOM_SOCKET; escapes in it are decoded', async (t) => {
      const deep = join(agent.folder, 'ü"\\\n🙂')
      mkdirSync(deep)
      const server = createServer((connection) =>
        connection.once('data', () => connection.end(encodeFrame(FRAME_KIND.REPLY, { exit: 0, output: 'escaped' }))),
      )
      await new Promise<void>((resolve) => server.listen(join(deep, 's'), resolve))
      t.teardown(() => server.close())
      const escaped = JSON.stringify(`${deep}/s`).replace('🙂', '\\ud83d\\ude42').replaceAll('/', '\\/')
      const socket = join(deep, 's')
      const units = Array.from({ length: socket.length }, (_, at) =>
        socket.charCodeAt(at).toString(16).padStart(4, '0'),
      )
      const unicode = `"${units.map((unit) => `\\u${unit}`).join('')}"`
      for (const path of [JSON.stringify(socket), escaped, unicode]) {
        const stdin = `{"x":{"agentSocket":"/no"},"agentSocket":"/no","agent\\u0053ocket" :\n${path}}`
        t.equal((await run({ CNI_COMMAND: 'ADD', NETLOOM_SOCKET: '/no' }, { stdin })).stdout, 'escaped', path)
      }
    })

    t.test('a path that no socket can have is an error that names where it stands', async (t) => {
      const longest = `/${'x'.repeat(106)}`
      const rows: [env: string, config: string, code: number, details: RegExp][] = [
        ['', `"${longest}x"`, 7, /^agentSocket is longer than the 107 bytes/],
        ['', `"${longest}"`, 11, /^connect \/x{106}: .*ENOENT/],
        ['', '"agent.sock"', 7, /^agentSocket is not an absolute path/],
        ['', '""', 7, /^agentSocket is not an absolute path/],
        ['', '"/run/\\u0000x"', 7, /^agentSocket holds a NUL/],
        ['', '1', 7, /^agentSocket is not a string/],
        ['', 'null', 7, /^agentSocket is not a string/],
        ['', '["/a"]', 7, /^agentSocket is not a string/],
        ['', '{"a":"/a"}', 7, /^agentSocket is not a string/],
        [`${longest}x`, '', 4, /^NETLOOM_SOCKET is longer than the 107 bytes/],
        [longest, '', 11, /^connect \/x{106}: .*ENOENT/],
        ['agent.sock', '', 4, /^NETLOOM_SOCKET is not an absolute path/],
      ]
      for (const [socket, config, code, details] of rows) {
        const stdin = config === '' ? '{}' : `{"agentSocket":${config}}`
        const { stdout, code: exit } = await run({ CNI_COMMAND: 'ADD', NETLOOM_SOCKET: socket }, { stdin })
        t.equal(exit, 1)
        t.match(cniError(stdout), { code, details }, `${socket} ${config}`)
      }
    })

    t.test('an agent that takes the call and says nothing is given up in time', async (t) => {
      agent.answer = () => undefined
      for (const command of COMMANDS) {
        const started = performance.now()
        const { code, stdout } = await run({ CNI_COMMAND: command, NETLOOM_TIMEOUT_MS: '150' })
        const took = performance.now() - started
        t.equal(code, 1)
        t.match(cniError(stdout), { code: command === 'STATUS' ? 50 : 11, details: 'reading the reply: timed out' })
        t.ok(took >= 150 && took < 5000, `${took} ms`)
      }
    })

    t.test('an agent that drips its reply cannot hold the call beyond the time-out', async (t) => {
      agent.answer = (connection) => {
        const timer = setInterval(() => connection.write('N'), 50)
        connection.on('close', () => clearInterval(timer))
        connection.write(Buffer.from('4e4c0102001fffff', 'hex'))
      }
      const { stdout } = await run({ CNI_COMMAND: 'ADD', NETLOOM_TIMEOUT_MS: '300' })
      t.match(cniError(stdout), { code: 11, details: /timed out/ })
    })

    t.test('NETLOOM_TIMEOUT_MS is checked', async (t) => {
      for (const value of ['0', '-1', '1s', ' 5', '3600001', '99999999999999999999999'])
        t.match(cniError((await run({ CNI_COMMAND: 'ADD', NETLOOM_TIMEOUT_MS: value })).stdout), {
          code: 4,
          details: /^NETLOOM_TIMEOUT_MS is not/,
        })
      for (const value of ['', '3600000', '0005000'])
        t.equal((await run({ CNI_COMMAND: 'ADD', NETLOOM_TIMEOUT_MS: value })).code, 0, value)
    })

    t.test(
      'the memory that waits for a reply is below 2 MiB',
      { skip: build.name === 'release build' ? false : 'the sanitizers take more' },
      async (t) => {
        let peak = 0
        let pid = 0
        agent.answer = (connection) => {
          peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
          connection.end(encodeFrame(FRAME_KIND.REPLY, { exit: 0, output: '' }))
        }
        await run({ CNI_COMMAND: 'ADD' }, { stdin: configOf(2000), started: (id) => (pid = id) })
        t.ok(peak > 0 && peak < 2048, `${peak} KiB`)
      },
    )
    t.end()
  })
