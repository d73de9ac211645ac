#!/usr/bin/env node
/**
 * Builds the CNI executable from native/ into dist/native/: `netloom`, static and stripped. For tests, with --sanitize
 * `netloom-sanitized`, which has the address and undefined-behaviour sanitizers, and with --fuzz the programs
 * `fuzz-call` and `fuzz-reply` of native/fuzz, which need clang. Does nothing where what is there was built from the
 * same sources with the same compiler and flags.
 * Exit codes: 0 built or up to date; 1 no compiler, or the build failed; 2 wrong arguments; 3 the compiler cannot build
 * what is asked for tests.
 */
import { spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const SOURCES = join(ROOT, 'native')
const TARGETS = join(ROOT, 'dist', 'native')
const MAX_BYTES = 1_000_000

const COMMON = [
  '-std=c11',
  '-D_POSIX_C_SOURCE=200809L',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wshadow',
  '-Wvla',
  '-Wconversion',
  '-Wstrict-prototypes',
  '-Wmissing-prototypes',
]

const SANITIZE = ['-O1', '-g', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all']
const ANY_COMPILER = ['cc', 'gcc', 'clang']

/** A program that only compiles and runs where a sanitizer is whole: its library may be missing, or refuse the kernel. */
const PROBES = {
  sanitizer: { source: 'int main(void)\n{\n  return 0;\n}\n', args: [] },
  fuzzer: {
    source:
      'int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size)\n' +
      '{\n  (void)data;\n  (void)size;\n  return 0;\n}\n',
    args: ['-runs=0'],
  },
}

const isPlain = (file) => !file.startsWith('fuzz/')

/**
 * A harness of native/fuzz in the place of some sources, which it makes up for; `wraps` are the functions of the C
 * library whose calls it takes.
 */
const harness = (name, without, wraps) => ({
  file: `fuzz-${name}`,
  compilers: ['clang'],
  lacks: 'libFuzzer',
  probe: PROBES.fuzzer,
  isPart: (file) => (isPlain(file) && !without.includes(file)) || [`fuzz/${name}.c`, 'fuzz/check.h'].includes(file),
  flags: [...SANITIZE, '-fsanitize=fuzzer,address,undefined', ...wraps.map((name) => `-Wl,--wrap=${name}`)],
})

/** What each argument builds. */
const VARIANTS = {
  '': [
    {
      file: 'netloom',
      compilers: ANY_COMPILER,
      isPart: isPlain,
      isStatic: true,
      flags: [
        '-O2',
        '-fstack-protector-strong',
        // Some distributions predefine it, and defining it twice is a warning.
        '-U_FORTIFY_SOURCE',
        '-D_FORTIFY_SOURCE=2',
        '-ffunction-sections',
        '-fdata-sections',
        '-static',
        '-s',
        '-Wl,--gc-sections',
      ],
    },
  ],
  '--sanitize': [
    {
      file: 'netloom-sanitized',
      compilers: ANY_COMPILER,
      lacks: 'address sanitizer',
      probe: PROBES.sanitizer,
      isPart: isPlain,
      flags: [...SANITIZE, '-fsanitize=address,undefined'],
    },
  ],
  '--fuzz': [
    harness('call', ['netloom.c', 'agent.c', 'program.c', 'io.c'], ['getenv']),
    harness(
      'reply',
      ['netloom.c', 'call.c', 'program.c', 'io.c', 'json.c'],
      ['socket', 'connect', 'setsockopt', 'sendmsg', 'recv', 'close', 'clock_gettime', 'nanosleep'],
    ),
  ],
}

/** An end of the build that is explained by one line. */
class BuildError extends Error {
  constructor(message, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Command and leading arguments of the compiler with the first line of its version, or undefined where it is none. */
function probeCompiler(command) {
  const [file, ...leading] = command.trim().split(/\s+/)
  const { status, stdout } = spawnSync(file, [...leading, '--version'], { encoding: 'utf8' })
  return status === 0 ? { file, leading, version: stdout.split('\n', 1)[0] } : undefined
}

function findCompiler({ compilers, lacks }) {
  const asked = process.env.CC
  for (const command of asked ? [asked] : compilers) {
    const compiler = probeCompiler(command)
    if (compiler !== undefined) return compiler
  }
  if (!asked && compilers !== ANY_COMPILER) throw new BuildError(`no ${lacks}: ${compilers.join()} is not installed`, 3)
  const which = asked ? `CC is '${asked}', which cannot be run; ` : ''
  throw new BuildError(
    `${which}netloom needs a C compiler to build its CNI executable: install gcc or clang ` +
      '(Debian: apt-get install gcc libc6-dev)',
  )
}

const compile = ({ file, leading }, args) => spawnSync(file, [...leading, ...args], { encoding: 'utf8' })

/** Makes a file by `build(temporary path)` and renames it, so that two builds at once never show half a file. */
function atomically(target, build) {
  const temporary = `${target}.${randomUUID()}.tmp`
  try {
    build(temporary)
    renameSync(temporary, target)
  } finally {
    rmSync(temporary, { force: true })
  }
}

function checkProbe(compiler, { flags, lacks, probe }) {
  const program = join(TARGETS, `probe.${randomUUID()}`)
  const source = `${program}.c`
  try {
    writeFileSync(source, probe.source)
    // Functions that a harness takes over are none of this program's.
    const built = compile(compiler, [...flags.filter((flag) => !flag.startsWith('-Wl,')), source, '-o', program])
    if (built.status === 0 && spawnSync(program, probe.args).status === 0) return
    const reason = built.status === 0 ? 'a program built with it does not run' : firstError(built.stderr)
    throw new BuildError(`no ${lacks} with ${compiler.version}: ${reason}`, 3)
  } finally {
    rmSync(source, { force: true })
    rmSync(program, { force: true })
  }
}

const firstError = (stderr) => {
  const lines = stderr.trim().split('\n')
  return lines.find((line) => /error|cannot find/.test(line)) ?? lines[0]
}

/** Program headers of an ELF file name its interpreter (PT_INTERP, 3) exactly where it is linked dynamically. */
function checkStatic(file) {
  const elf = readFileSync(file)
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46) throw new BuildError(`${file} is not an ELF file`)
  if (elf[4] !== 2 || elf[5] !== 1) throw new BuildError('netloom runs on 64-bit little-endian machines only')
  const table = Number(elf.readBigUInt64LE(32))
  const [entry, count] = [elf.readUInt16LE(54), elf.readUInt16LE(56)]
  for (let i = 0; i < count; i++)
    if (elf.readUInt32LE(table + i * entry) === 3) throw new BuildError(`${file} is not static: it has an interpreter`)
  if (elf.length >= MAX_BYTES) throw new BuildError(`${file} has ${elf.length} bytes, more than ${MAX_BYTES}`)
}

function link(compiler, variant, flags, sources) {
  atomically(join(TARGETS, variant.file), (temporary) => {
    const { status, stderr } = compile(compiler, [...flags, ...sources, '-o', temporary])
    if (status !== 0) {
      process.stderr.write(stderr)
      const hint = /cannot find -lc|unable to find library -lc/.test(stderr)
        ? ': install the static C library (Debian: libc6-dev, Fedora: glibc-static)'
        : ''
      throw new BuildError(`${compiler.file} could not build the CNI executable${hint}`)
    }
    if (variant.isStatic) checkStatic(temporary)
  })
}

const readOr = (file, otherwise) => {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return otherwise
    throw error
  }
}

/** What the result depends on, as one line. Contents, not times: a checkout or a copy gives files any time. */
function fingerprint(compiler, flags, files) {
  const hash = createHash('sha256').update(JSON.stringify([compiler, flags]))
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(SOURCES, file)))
  return `${hash.digest('hex')}\n`
}

function build(variant) {
  const compiler = findCompiler(variant)
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const flags = [...COMMON, `-DNETLOOM_VERSION="${version}"`, ...variant.flags]
  const files = readdirSync(SOURCES, { recursive: true })
    .filter((file) => /\.[ch]$/.test(file) && variant.isPart(file))
    .sort()
  const target = join(TARGETS, variant.file)
  const stamp = `${target}.stamp`
  const wanted = fingerprint(compiler, flags, files)
  if (readOr(stamp, '') === wanted && statSync(target, { throwIfNoEntry: false })?.isFile()) return
  mkdirSync(TARGETS, { recursive: true })
  if (variant.probe !== undefined) checkProbe(compiler, variant)
  const sources = files.filter((file) => file.endsWith('.c')).map((file) => join(SOURCES, file))
  link(compiler, variant, flags, sources)
  atomically(stamp, (temporary) => writeFileSync(temporary, wanted))
  console.log(`built ${relative(ROOT, target)} with ${compiler.version}`)
}

function main([asked = '', ...more]) {
  const unknown = more[0] ?? (Object.hasOwn(VARIANTS, asked) ? undefined : asked)
  if (unknown !== undefined)
    throw new BuildError(`unknown argument ${unknown}; usage: build-native.mjs [--sanitize | --fuzz]`, 2)
  for (const variant of VARIANTS[asked]) build(variant)
}

try {
  main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof BuildError)) throw error
  console.error(error.message)
  process.exitCode = error.exitCode
}
