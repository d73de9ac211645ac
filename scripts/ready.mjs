#!/usr/bin/env node
/**
 * Makes a clone usable and is quiet where it is so already: `node scripts/ready.mjs [--build]`. Installs the packages
 * of package-lock.json without running their install scripts; with --build also compiles what is older than its
 * sources. Tells on standard error what it does, so that a command's own output stays clean.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const OLDEST_NODE = [20, 15]
/** Packages with native code. They bring prebuilt binaries, so their install scripts need not run. */
const NATIVE = ['netlink', 'koffi']
/** Folders of TypeScript, and with the same names below dist/ what tsc makes of them. */
const COMPILED = ['src', 'test', 'scripts']

/** A reason to stop, in one line for the user. */
class NotReady extends Error {}

/**
 * Checks the machine, installs packages where they are not those of package-lock.json.
 * @throws NotReady
 */
export async function ready() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (process.platform !== 'linux') throw new NotReady(`netloom runs on Linux only, and this is ${process.platform}`)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    throw new NotReady(`netloom needs Node ${OLDEST_NODE.join('.')} or newer, and this is ${process.versions.node}`)
  if (!isInstalled()) await install()
  requireNatives()
}

/** Compares what npm has installed with what package-lock.json asks for, package by package. */
function isInstalled() {
  const hidden = join(ROOT, 'node_modules/.package-lock.json') // npm writes it last, so it proves a finished install
  if (!existsSync(hidden)) return false
  const packages = (file) => JSON.parse(readFileSync(file, 'utf8')).packages
  const { '': _root, ...wanted } = packages(join(ROOT, 'package-lock.json'))
  const installed = packages(hidden)
  const same = ([path, { integrity, version, optional }]) => {
    const there = installed[path]
    return there === undefined ? optional === true : there.version === version && there.integrity === integrity
  }
  return Object.entries(wanted).every(same) && Object.keys(installed).every((path) => path in wanted)
}

async function install() {
  const done = announce('installing packages (npm ci)')
  const { code, output } = await capture('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
  done(code === 0)
  // Below its reason npm prints a page on how it is used.
  if (code !== 0) throw new NotReady(`npm ci failed:\n${output.trim().split('\n').slice(0, 20).join('\n')}`)
}

/** Tries the native packages once per installation and Node; npm removes the note along with the packages. */
function requireNatives() {
  const note = join(ROOT, 'node_modules/.netloom-natives-load')
  const here = `${process.version} ${process.arch}`
  if (existsSync(note) && readFileSync(note, 'utf8') === here) return
  for (const name of NATIVE) requireNative(name)
  writeFileSync(note, here)
}

/** Loads a native package in a process of its own, since a failed load could not be repeated in this one. */
function requireNative(name) {
  const load = () => spawnSync(process.execPath, ['-e', `require('${name}')`], { cwd: ROOT, encoding: 'utf8' })
  if (load().status === 0) return
  const here = `${process.platform}-${process.arch}`
  console.error(`${name} ${versionOf(name)} has no prebuilt binary that loads on ${here}; compiling it`)
  spawnSync('npm', ['rebuild', name, '--foreground-scripts'], { cwd: ROOT, stdio: ['ignore', 2, 2] })
  const { status, stderr } = load()
  if (status === 0) return
  const reason = stderr.split('\n').find((line) => /^\w*Error\b/.test(line)) ?? stderr.trim()
  throw new NotReady(
    `${name} does not load on ${here} (${reason}). Compile it: npm rebuild ${name} --ignore-scripts=false ` +
      '(needs python3, make, cmake and a C++ compiler)',
  )
}

const versionOf = (name) => JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')).version

/**
 * Compiles the TypeScript that has changed since the last success, and removes compiled files without a source.
 * @param {(what: string) => (ok: boolean) => void} tell is called when tsc starts, its result when tsc ends
 * @returns {Promise<{ ok: boolean, output: string }>} what tsc said; nothing where it had not to run
 */
export async function compile(tell = () => () => undefined) {
  const sources = COMPILED.flatMap((folder) => filesBelow(folder, /\.ts$/))
  const missing = removeOrphans(sources)
  const stamp = stampFor('.compiled', [...sources, 'tsconfig.json', 'package.json', 'package-lock.json'])
  if (stamp.fits && !missing) return { ok: true, output: '' }
  // tsc trusts its own notes on what it has written; where a file has been removed since, they are wrong.
  if (missing) rmSync(join(ROOT, 'dist/.tsbuildinfo'), { force: true })
  const done = tell('compiling')
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const { code, output } = await capture(process.execPath, [tsc, '-p', '.', '--pretty', 'false'])
  if (code === 0) stamp.write()
  else stamp.remove()
  done(code === 0)
  return { ok: code === 0, output: output.trim() }
}

/** Removes compiled files whose source is gone, so that no stale test runs. True where a source was never compiled. */
function removeOrphans(sources) {
  const expected = new Set(
    sources.filter((file) => !file.endsWith('.d.ts')).map((file) => join('dist', file.replace(/\.ts$/, '.js'))),
  )
  const compiled = COMPILED.flatMap((folder) => filesBelow(join('dist', folder), /\.js$/))
  for (const file of compiled.filter((file) => !expected.has(file)))
    for (const suffix of ['', '.map']) rmSync(join(ROOT, file + suffix), { force: true })
  const present = new Set(compiled)
  return [...expected].some((file) => !present.has(file))
}

/** Builds the CNI executable when its sources, its build script or the compiler's name have changed. */
async function buildNative() {
  const stamp = stampFor('.native-built', [...filesBelow('native', /./), 'scripts/build-native.mjs', 'package.json'])
  if (stamp.fits && existsSync(join(ROOT, 'dist/native/netloom'))) return
  const done = announce('building the CNI executable')
  const { code, output } = await capture(process.execPath, ['scripts/build-native.mjs'])
  done(code === 0)
  if (code !== 0) throw new NotReady(output.trim())
  stamp.write()
}

/**
 * A file in dist/ that says from what something was made. Names, times and sizes, and not just "newer than", because
 * a file that was removed or brought back from elsewhere has changed as well. Taken before the work starts: what is
 * saved meanwhile counts as a change.
 */
function stampFor(name, inputs) {
  const path = join(ROOT, 'dist', name)
  const hash = createHash('sha256').update(`${process.env.CC ?? ''}\n`)
  for (const file of [...inputs].sort()) {
    const { mtimeMs, size } = statSync(join(ROOT, file))
    hash.update(`${file} ${mtimeMs} ${size}\n`)
  }
  const now = hash.digest('hex')
  return {
    fits: existsSync(path) && readFileSync(path, 'utf8') === now,
    write: () => {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, now)
    },
    remove: () => rmSync(path, { force: true }),
  }
}

/** Files below a folder, relative to the repository; none where there is no such folder. */
function filesBelow(folder, pattern) {
  if (!existsSync(join(ROOT, folder))) return []
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length + 1))
}

/**
 * Runs a program in the repository, its standard output and error as one text.
 * @returns {Promise<{ code: number, output: string }>}
 */
export function capture(program, args) {
  return new Promise((resolve) => {
    const { FORCE_COLOR: _, ...env } = { ...process.env, NO_COLOR: '1' }
    const child = spawn(program, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.on('error', (error) => resolve({ code: 1, output: error.message }))
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

/** Says what is being done and, by calling what it returns, how long it took; all in one line. */
function announce(what) {
  const started = performance.now()
  const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`
  const tty = process.stderr.isTTY
  process.stderr.write(`${what} ...`)
  const timer = setInterval(() => tty && process.stderr.write(`\r${what} ... ${seconds()}`), 1000)
  return (ok) => {
    clearInterval(timer)
    process.stderr.write(`${tty ? `\r${what} ...` : ''} ${ok ? 'done' : 'failed'} in ${seconds()}\n`)
  }
}

async function build() {
  const { ok, output } = await compile(announce)
  if (!ok) throw new NotReady(output)
  await buildNative()
}

/** Runs a script's work; a reason to stop becomes its text and exit code 1, without a stack. */
export async function orExplain(work) {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof NotReady)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await orExplain(async () => {
    await ready()
    if (process.argv.includes('--build')) await build()
  })
