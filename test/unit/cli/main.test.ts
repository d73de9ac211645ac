import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { VERSION } from '../../../src/daemon/version.js'

const MAIN = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url))

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const netloom = (...args: readonly string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, ...args], { timeout: 20_000 }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })

/** Every file of src/cli that is a command. */
const COMMANDS = readdirSync(new URL('../../../src/cli/', import.meta.url))
  .filter((file) => file.endsWith('.js') && !['command.js', 'main.js', 'settings-text.js'].includes(file))
  .map((file) => file.replace('.js', ''))

t.test('help lists every command with what it does', async (t) => {
  const { code, stdout } = await netloom('--help')
  t.equal(code, 0)
  t.ok(COMMANDS.length >= 4)
  for (const name of COMMANDS) t.match(stdout, new RegExp(`^  ${name} +\\S.{10,}$`, 'm'), name)
  for (const args of [['help'], ['-h']]) t.equal((await netloom(...args)).stdout, stdout)
})

for (const name of COMMANDS)
  t.test(`${name} --help tells usage, every option and examples`, async (t) => {
    const { code, stdout, stderr } = await netloom(name, '--help')
    t.same([code, stderr], [0, ''])
    t.match(stdout, new RegExp(`^Usage: netloom ${name}\\b`))
    t.match(stdout, /^ +-h, --help/m)
    t.match(stdout, new RegExp(`^Examples:\n  netloom ${name}`, 'm'))
    t.ok(
      stdout.split('\n').every((line) => line.length <= 120),
      'it fits on a screen',
    )
    const { optionsOf } = await import('./options-of.js')
    for (const option of await optionsOf(name)) t.ok(stdout.includes(`--${option}`), `--${option} is explained`)
  })

t.test('without a command it explains itself on standard error, and fails', async (t) => {
  const { code, stdout, stderr } = await netloom()
  t.same([code, stdout], [2, ''])
  t.match(stderr, /^Usage: netloom COMMAND/m)
})

t.test('an unknown command is wrong usage, also one that every object has', async (t) => {
  for (const name of ['frobnicate', 'constructor', '__proto__'])
    t.match(await netloom(name), {
      code: 2,
      stdout: '',
      stderr: `netloom: '${name}' is not a command (netloom --help)\n`,
    })
})

t.test('the version is printed alone', async (t) => {
  for (const name of ['--version', 'version'])
    t.same(await netloom(name), { code: 0, stdout: `${VERSION}\n`, stderr: '' })
})

t.test('wrong options are told with the option, before anything is done', async (t) => {
  const rows: [args: string[], message: RegExp][] = [
    [['agent'], /^netloom agent: --source: is needed/],
    [['agent', '--source', 'dir:'], /--source/],
    [['agent', '--source', 'http://x'], /--source: 'http:\/\/x' is neither dir:PATH nor api/],
    [['agent', '--sorce', 'dir:/x'], /unknown option --sorce; did you mean --source\?/],
    [['agent', '--source', 'dir:/x', '--log-level', 'loud'], /--log-level: 'loud' is none of fatal/],
    [['agent', '--source', 'dir:/x', '--masquerade-except', '10.0.0.0'], /--masquerade-except: '10.0.0.0'/],
    [['agent', '--source', 'dir:/x', 'operand'], /unexpected argument 'operand'/],
    [['status', 'operand'], /unexpected argument/],
    [['uninstall', '--force'], /--force/],
    [['demo', '--nodes', '0'], /--nodes/],
  ]
  for (const [args, message] of rows) {
    const { code, stderr } = await netloom(...args)
    t.equal(code, 2, args.join(' '))
    t.match(stderr, message)
  }
})

t.test('status without an agent says where it looked, with exit code 3', async (t) => {
  const { code, stdout, stderr } = await netloom('status', '--socket', '/nowhere/agent.sock')
  t.same([code, stdout], [3, ''])
  t.match(stderr, /no agent answers at \/nowhere\/agent.sock/)
})

t.test('an agent says what it would do, for people and for programs, and does nothing', async (t) => {
  const args = ['agent', '--source', 'dir:/nowhere', '--mtu', '1400', '--print-config']
  const { code, stdout } = await netloom(...args)
  t.equal(code, 0)
  t.match(stdout, /^source: dir:\/nowhere +# --source\n[^]*^mtu: 1400 +# --mtu$/m)
  t.match(JSON.parse((await netloom(...args, '--json')).stdout), { mtu: { value: 1400, origin: 'flag' } })
})
