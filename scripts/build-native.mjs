#!/usr/bin/env node
/**
 * Builds the CNI executable from native/ into dist/native/: `netloom`, static and stripped, or with --sanitize
 * `netloom-sanitized` with the address and undefined-behaviour sanitizers, for tests. Does nothing where what is there
 * was built from the same sources with the same compiler and flags.
 * Exit codes: 0 built or up to date; 1 no compiler, or the build failed; 2 wrong arguments; 3 the compiler has no
 * sanitizers.
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

const VARIANTS = {
  release: {
    file: 'netloom',
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
  sanitize: {
    file: 'netloom-sanitized',
    flags: ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  },
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

function findCompiler() {
  const asked = process.env.CC
  for (const command of asked ? [asked] : ['cc', 'gcc', 'clang']) {
    const compiler = probeCompiler(command)
    if (compiler !== undefined) return compiler
  }
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

/** A sanitizer is there if a program built with it runs: its library may be missing, or refuse the kernel's settings. */
function checkSanitizers(compiler, flags) {
  const program = join(TARGETS, `probe.${randomUUID()}`)
  const source = `${program}.c`
  try {
    writeFileSync(source, 'int main(void)\n{\n  return 0;\n}\n')
    const built = compile(compiler, [...flags, source, '-o', program])
    if (built.status === 0 && spawnSync(program).status === 0) return
    const reason = built.status === 0 ? 'a program built with it does not run' : firstError(built.stderr)
    throw new BuildError(`no address sanitizer with ${compiler.version}: ${reason}`, 3)
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
    if (variant === VARIANTS.release) checkStatic(temporary)
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
  const compiler = findCompiler()
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const flags = [...COMMON, `-DNETLOOM_VERSION="${version}"`, ...variant.flags]
  const files = readdirSync(SOURCES)
    .filter((file) => /\.[ch]$/.test(file))
    .sort()
  const target = join(TARGETS, variant.file)
  const stamp = `${target}.stamp`
  const wanted = fingerprint(compiler, flags, files)
  if (readOr(stamp, '') === wanted && statSync(target, { throwIfNoEntry: false })?.isFile()) return
  mkdirSync(TARGETS, { recursive: true })
  if (variant === VARIANTS.sanitize) checkSanitizers(compiler, variant.flags)
  const sources = files.filter((file) => file.endsWith('.c')).map((file) => join(SOURCES, file))
  link(compiler, variant, flags, sources)
  atomically(stamp, (temporary) => writeFileSync(temporary, wanted))
  console.log(`built ${relative(ROOT, target)} with ${compiler.version}`)
}

function main(args) {
  const unknown = args.find((arg) => arg !== '--sanitize')
  if (unknown !== undefined)
    throw new BuildError(`unknown argument ${unknown}; usage: build-native.mjs [--sanitize]`, 2)
  build(args.length > 0 ? VARIANTS.sanitize : VARIANTS.release)
}

try {
  main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof BuildError)) throw error
  console.error(error.message)
  process.exitCode = error.exitCode
}
