import { execFile } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../support/cni-exec.js'

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const run = (file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = execFile(file, args, { env }, (_, stdout, stderr) => {
      if (child.exitCode === null) reject(new Error(`${file} was ended by ${String(child.signalCode)}: ${stderr}`))
      else resolve({ code: child.exitCode, stdout, stderr })
    })
  })

/** A copy of what the build needs, so that its results do not meet those of other tests. */
function workspace(t: { teardown: (work: () => void) => void }) {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-build-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['native', 'scripts/build-native.mjs', 'package.json'])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  const targets = join(folder, 'dist/native')
  return {
    folder,
    targets,
    executable: join(targets, 'netloom'),
    build: (env: NodeJS.ProcessEnv = {}, ...args: string[]) =>
      run(process.execPath, [join(folder, 'scripts/build-native.mjs'), ...args], { ...process.env, ...env }),
    /** A compiler that is the real one with changed arguments. */
    compiler: (change: string): string => {
      const script = join(folder, 'compiler.mjs')
      const lines = [
        "import { spawnSync } from 'node:child_process'",
        'let args = process.argv.slice(2)',
        change,
        "process.exit(spawnSync('cc', args, { stdio: 'inherit' }).status)",
      ]
      writeFileSync(script, lines.join('\n'))
      return `${process.execPath} ${script}`
    },
  }
}

t.test('the executable is static, stripped, below 1 MB, and built once', async (t) => {
  const { build, executable } = workspace(t)
  t.match(await build(), { code: 0, stdout: /^built dist\/native\/netloom with .+\n$/, stderr: '' })
  const elf = readFileSync(executable)
  const headers = Array.from({ length: elf.readUInt16LE(56) }, (_, i) =>
    elf.readUInt32LE(Number(elf.readBigUInt64LE(32)) + i * elf.readUInt16LE(54)),
  )
  t.ok(headers.includes(1), 'has something to load')
  t.notOk(headers.includes(3), 'no PT_INTERP: static')
  t.ok(elf.length < 1_000_000, `${elf.length} bytes`)
  t.notOk(elf.includes('pass_to_agent'), 'stripped of the names of functions')
  const { mtimeMs } = statSync(executable)
  t.match(await build(), { code: 0, stdout: '', stderr: '' }, 'nothing to do')
  t.equal(statSync(executable).mtimeMs, mtimeMs)
})

t.test('changed sources, version or compiler, or a missing executable build it again', async (t) => {
  const { build, executable, folder, compiler } = workspace(t)
  const rebuilt = { code: 0, stdout: /^built / }
  await build()
  appendFileSync(join(folder, 'native/json.h'), '/* changed */\n')
  t.match(await build(), rebuilt, 'a header')
  rmSync(executable)
  t.match(await build(), rebuilt, 'the executable is gone')
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as object
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, version: '7.8.9' }))
  t.match(await build(), rebuilt, 'the version')
  t.match(await run(executable, ['--version']), { code: 0, stdout: /^CNI plugin netloom v7\.8\.9; / })
  t.match(await build({ CC: compiler('') }), rebuilt, 'the compiler')
})

t.test('two builds at once leave one whole executable', async (t) => {
  const { build, executable, targets } = workspace(t)
  const ended = await Promise.all([build(), build(), build()])
  for (const { code, stderr } of ended) t.match({ code, stderr }, { code: 0, stderr: '' })
  t.match(await run(executable, ['--version']), { code: 0 })
  t.same(readdirSync(targets).sort(), ['netloom', 'netloom.stamp'])
})

t.test('a missing compiler is one clear line', async (t) => {
  const { build } = workspace(t)
  const line =
    'netloom needs a C compiler to build its CNI executable: install gcc or clang (Debian: apt-get install gcc libc6-dev)\n'
  t.strictSame(await build({ PATH: '/nowhere', CC: '' }), { code: 1, stdout: '', stderr: line })
  t.strictSame(await build({ CC: '/no/cc' }), {
    code: 1,
    stdout: '',
    stderr: `CC is '/no/cc', which cannot be run; ${line}`,
  })
})

t.test('a build that fails says why and keeps what was there', async (t) => {
  const { build, executable, folder, targets, compiler } = workspace(t)
  await build()
  const before = readFileSync(executable)
  const dynamic = compiler("args = args.filter((arg) => arg !== '-static')")
  t.match(await build({ CC: dynamic }), { code: 1, stderr: /is not static: it has an interpreter\n$/ })
  appendFileSync(join(folder, 'native/netloom.c'), 'int unused_and_undeclared(void) { return 0; }\n')
  const ended = await build()
  t.match(ended, { code: 1, stdout: '' })
  t.match(ended.stderr, /unused_and_undeclared/, 'what the compiler says')
  t.match(ended.stderr, /could not build the CNI executable\n$/)
  t.ok(readFileSync(executable).equals(before))
  t.same(readdirSync(targets).sort(), ['netloom', 'netloom.stamp'])
})

t.test('a compiler without sanitizers is told from a failed build', async (t) => {
  const { build, compiler, targets } = workspace(t)
  const lacking = compiler(
    "if (args.some((arg) => arg.startsWith('-fsanitize'))) { console.error('ld: cannot find -lasan'); process.exit(1) }",
  )
  const ended = await build({ CC: lacking }, '--sanitize')
  t.match(ended, { code: 3, stdout: '', stderr: /^no address sanitizer with .*: ld: cannot find -lasan\n$/ })
  t.same(readdirSync(targets), [])
})

t.test('a compiler without libFuzzer, and none at all, are told from a failed build', async (t) => {
  const { build, compiler, targets } = workspace(t)
  const missing = await build({ PATH: '/nowhere', CC: '' }, '--fuzz')
  t.match(missing, { code: 3, stdout: '', stderr: 'no libFuzzer: clang is not installed\n' })
  const lacking = compiler("if (!args.includes('--version')) { console.error('error: unsupported'); process.exit(1) }")
  t.match(await build({ CC: lacking }, '--fuzz'), { code: 3, stderr: /^no libFuzzer with .*: error: unsupported\n$/ })
  t.same(readdirSync(targets), [])
})

t.test('an unknown argument is refused', async (t) => {
  const { build } = workspace(t)
  t.match(await build({}, '--static'), { code: 2, stderr: /^unknown argument --static; usage: / })
  t.match(await build({}, '--fuzz', '--sanitize'), { code: 2, stderr: /^unknown argument --sanitize; usage: / })
  t.match(await build({}, 'constructor'), { code: 2, stderr: /^unknown argument constructor; usage: / })
})
