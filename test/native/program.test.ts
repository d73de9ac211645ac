import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { FakeAgent, type Run, builds, cniError, runCni } from '../support/cni-exec.js'

const MIB = 1024 * 1024
const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'] as const
const DEFAULTS = ['/usr/local/bin/netloom', '/usr/bin/netloom', '/opt/netloom/bin/netloom']

/** What the standalone program was given, told by {@link TELLING}. */
interface Told {
  readonly pid: number
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly length: number
  readonly start: string
}

/** A standalone program that prints what it was given, says something on standard error and ends with 7. */
const TELLING = `#!${process.execPath}
const input = require('node:fs').readFileSync(0)
const { pid, env, argv: [, , ...args] } = process
console.log(JSON.stringify({ pid, args, env, length: input.length, start: input.toString('utf8', 0, 200) }))
console.error('heard')
process.exitCode = 7
`

for (const build of builds())
  t.test(build.name, { skip: build.skip }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'netloom-program-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const agent = await new FakeAgent().listen()
    t.teardown(() => agent.close())

    const script = (name: string, text: string, mode = 0o755): string => {
      const path = join(folder, name)
      writeFileSync(path, text)
      chmodSync(path, mode)
      return path
    }
    const telling = script('telling', TELLING)
    const off = (fields: object = {}): string => JSON.stringify({ cniVersion: '1.0.0', agent: 'off', ...fields })
    const run = (command: string, stdin: string, env: Record<string, string> = {}, rest: Partial<Run> = {}) =>
      runCni({
        path: build.path,
        env: { CNI_COMMAND: command, NETLOOM_SOCKET: agent.socket, NETLOOM_WAIT: '0s', ...env },
        stdin,
        ...rest,
      })

    t.test('with "agent": "off" the standalone program takes the place of the executable for every verb', async (t) => {
      const env = { CNI_ARGS: 'K8S_POD_NAME=ü', CNI_NETNS: '', OTHER: 'a=b' }
      const stdin = ` ${off({ program: telling })}\n`
      for (const command of COMMANDS) {
        let pid = 0
        const seen = await run(command, stdin, env, { started: (id) => (pid = id) })
        t.match(seen, { code: 7, stderr: 'heard\n' }, `${command}: exit code and standard error are the program's`)
        const told = JSON.parse(seen.stdout) as Told
        t.match(told, { pid, args: ['cni'], length: Buffer.byteLength(stdin), start: stdin }, command)
        t.match(told.env, { CNI_COMMAND: command, NETLOOM_SOCKET: agent.socket, ...env }, 'the environment as it was')
      }
      t.equal(agent.requests.length, 0, 'nobody asked the agent')
    })

    t.test('"agent": "on" is the agent as if it were not said', async (t) => {
      agent.answer = (connection) => connection.end()
      const { stdout } = await run('ADD', JSON.stringify({ agent: 'on', program: telling }))
      t.match(cniError(stdout), { code: 11 })
      t.equal(agent.requests.length, 1)
    })

    t.test('any other agent is an error that names the key', async (t) => {
      for (const value of ['', 'OFF', 'offf', 'off\0', 'no', 'on ', 'x'.repeat(5000), false, null, 0, ['off'], {}]) {
        const { stdout, code } = await run('ADD', JSON.stringify({ program: telling, agent: value }))
        t.equal(code, 1)
        t.match(cniError(stdout), { code: 7, details: 'agent is neither "on" nor "off"' }, JSON.stringify(value))
      }
      const { stdout } = await run('ADD', `{"agent":"no","agent":"\\u006fff","program":${JSON.stringify(telling)}}`)
      t.match(JSON.parse(stdout), { args: ['cni'] }, 'of two the last one counts, escapes are decoded')
    })

    t.test('VERSION is answered without the program', async (t) => {
      const { code, stdout } = await run('VERSION', off({ program: telling }))
      t.match(JSON.parse(stdout), { cniVersion: '1.0.0', supportedVersions: ['0.3.0'] })
      t.equal(code, 0)
    })

    t.test('the program gets a configuration of any length at once, also one that never reads it', async (t) => {
      const deaf = script('deaf', '#!/bin/sh\necho done\n')
      for (const length of [100, 65_536, 65_537, MIB - 400, MIB]) {
        const padded = (program: string): string => {
          const text = off({ program, x: '' })
          return off({ program, x: 'y'.repeat(Math.max(0, length - text.length)) })
        }
        const told = JSON.parse((await run('ADD', padded(telling))).stdout) as Told
        t.equal(told.length, padded(telling).length)
        t.match(await run('ADD', padded(deaf)), { code: 0, stdout: 'done\n' })
      }
      t.match(cniError((await run('ADD', off({ x: 'y'.repeat(MIB) }))).stdout), { code: 7, details: /1 MiB/ })
    })

    t.test(
      'the program inherits the files and signal settings of the runtime, and none of the executable',
      async (t) => {
        const inherited = script('inherited', '#!/bin/sh\nls /proc/self/fd\ngrep ^Sig /proc/self/status\n')
        const [direct, through] = [
          await run('ADD', '', {}, { path: inherited }),
          await run('ADD', off({ program: inherited })),
        ]
        t.match(direct.stdout, /^0\n1\n2\n[^]*SigIgn:\t0+\n/)
        t.equal(through.stdout, direct.stdout)
      },
    )

    t.test('program of the configuration leads, then NETLOOM_PROGRAM', async (t) => {
      const env = { NETLOOM_PROGRAM: script('environment', '#!/bin/sh\necho environment\n') }
      t.equal((await run('ADD', off(), env)).stdout, 'environment\n')
      t.match(JSON.parse((await run('ADD', off({ program: telling }), env)).stdout), { args: ['cni'] })
      const absent = await run('ADD', off({ program: join(folder, 'absent') }), env)
      t.match(cniError(absent.stdout), { code: 5, details: /absent: errno 2/ }, 'it does not fall back')
    })

    const there = DEFAULTS.find((path) => existsSync(path))
    const skip = there !== undefined && `${there} is there, and a test does not run it`
    t.test('without either it is looked for where npm puts it', { skip }, async (t) => {
      for (const env of [{}, { NETLOOM_PROGRAM: '' }]) {
        const { code, details } = cniError((await run('ADD', off(), env)).stdout)
        t.equal(code, 5)
        for (const path of DEFAULTS) t.ok(details.includes(`exec ${path}: errno 2, ENOENT`), details)
      }
    })

    t.test('a path that no program can have is an error that names where it stands', async (t) => {
      const long = `/${'x'.repeat(4095)}`
      const rows: [env: string, program: unknown, code: number, details: RegExp][] = [
        ['', 'netloom', 7, /^program is not an absolute path$/],
        ['', './netloom', 7, /^program is not an absolute path$/],
        ['', '', 7, /^program is not an absolute path$/],
        ['', '/bin/sh\0x', 7, /^program holds a NUL$/],
        ['', long, 7, /^program is longer than the 4095 bytes/],
        ['', 1, 7, /^program is not a string$/],
        ['', null, 7, /^program is not a string$/],
        ['', ['/bin/sh'], 7, /^program is not a string$/],
        ['netloom', undefined, 4, /^NETLOOM_PROGRAM is not an absolute path$/],
        [long, undefined, 4, /^NETLOOM_PROGRAM is longer than the 4095 bytes/],
      ]
      for (const [env, program, code, details] of rows) {
        const { stdout, code: exit } = await run('ADD', off({ program }), { NETLOOM_PROGRAM: env, PATH: '/bin' })
        t.equal(exit, 1)
        t.match(cniError(stdout), { cniVersion: '1.0.0', code, details })
      }
      t.match(
        cniError((await run('ADD', '{"agent":"on","program":1}', { NETLOOM_SOCKET: '/absent' })).stdout),
        { code: 11 },
        'what is not used is not judged',
      )
    })

    t.test('a program that cannot be started is an error with path and errno', async (t) => {
      mkdirSync(join(folder, 'folder'))
      symlinkSync('loop', join(folder, 'loop'))
      const deep = `${'/x'.repeat(2046)}/xx`
      const rows: [path: string, errno: number, name: string][] = [
        [join(folder, 'absent'), 2, 'ENOENT'],
        [script('no-interpreter', '#!/absent/interpreter\n'), 2, 'ENOENT'],
        [script('empty', ''), 8, 'ENOEXEC'],
        [script('text', 'echo no shell guesses what this is\n'), 8, 'ENOEXEC'],
        [script('not-executable', '#!/bin/sh\n', 0o644), 13, 'EACCES'],
        [join(folder, 'folder'), 13, 'EACCES'],
        [join(telling, 'below'), 20, 'ENOTDIR'],
        [join(folder, 'loop'), 40, 'ELOOP'],
        [join(folder, 'x'.repeat(256)), 36, ''],
        [deep, 2, 'ENOENT'],
      ]
      for (const [program, errno, name] of rows)
        for (const command of ['ADD', 'STATUS']) {
          const { code, stdout, stderr } = await run(command, off({ program }))
          t.match({ code, stderr }, { code: 1, stderr: '' }, program.slice(0, 200))
          const error = cniError(stdout)
          t.match(error, { cniVersion: '1.0.0', code: command === 'STATUS' ? 50 : 5 })
          const start = `exec ${program}: errno ${errno}${name === '' ? '' : `, ${name}: `}`
          t.ok(error.details.startsWith(start), error.details.slice(-200))
        }
      t.equal(deep.length, 4095, 'the longest path there is')
    })

    t.test('the executable does not start itself over and over', async (t) => {
      const { stdout, code } = await run('ADD', off({ program: build.path }))
      t.equal(code, 1)
      t.match(cniError(stdout), { code: 7, details: /^program is this CNI executable/ })
      t.match(await run('VERSION', '{}', {}, { args: ['cni'] }), { code: 0 }, 'an argument alone changes nothing')
    })

    t.test('standard input that cannot be read is told before a program is started', async (t) => {
      t.match(cniError((await run('ADD', `${off({ program: telling })}}`)).stdout), { code: 6 })
      t.match(cniError((await run('ADD', '', { NETLOOM_PROGRAM: telling })).stdout), { code: 6 })
    })
    t.end()
  })
