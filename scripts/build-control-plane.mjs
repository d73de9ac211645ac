#!/usr/bin/env node
/**
 * Builds the control plane of the cluster tests, etcd, kube-apiserver and kube-controller-manager, from the Go module in
 * test/control-plane/, and links dist/tools/control-plane to the folder that holds them. That folder is outside of the
 * clone, in the user's cache, since linking takes minutes: another clone with the same module and Go finds it there.
 * Does nothing where KUBEBUILDER_ASSETS names such a folder. With --check builds nothing and says why it is not there.
 * Exit codes: 0 it is there; 3 it cannot be built here, and standard error says why in one line.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const MODULE = join(ROOT, 'test/control-plane')
const LINK = join(ROOT, 'dist/tools/control-plane')
/** Why the last try failed, for --check: trying again in a namespace without a network would say something else. */
const PROBLEM = `${LINK}.problem`
const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager']
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'netloom')
const PREFIX = 'control-plane-'

/** From nothing, two slow cores take ten minutes; a network that swallows packets must not hold up the tests for ever. */
const TIMEOUT_MS = 40 * 60_000
/** What no clone has asked for in such a time goes. */
const UNUSED_MS = 30 * 24 * 3600_000

/**
 * `local`: another Go is never downloaded. A workspace file above the clone is none of our business. Without cgo the
 * programs need no C library.
 */
const ENVIRONMENT = { ...process.env, GOTOOLCHAIN: 'local', GOWORK: 'off', GOFLAGS: '', CGO_ENABLED: '0' }

const sourceOf = (file) => fs.readFileSync(join(MODULE, file), 'utf8')

/** Kubernetes' own build stamps its version; clients and controllers look at it. */
function flags() {
  const [, version] = /k8s\.io\/kubernetes (v\S+)/.exec(sourceOf('go.mod'))
  return ['-trimpath', '-buildvcs=false', '-ldflags', `-s -w -X k8s.io/component-base/version.gitVersion=${version}`]
}

/** The folder in the cache for this module, this Go and these flags. */
function folderFor(go) {
  const hash = createHash('sha256').update(`${go}\0${flags().join('\0')}`)
  for (const file of fs.readdirSync(MODULE).sort()) hash.update(`\0${file}\0${sourceOf(file)}`)
  return join(CACHE, PREFIX + hash.digest('hex').slice(0, 16))
}

/** @returns {Promise<string | undefined>} why it cannot be there */
async function provide({ build: may }) {
  const assets = process.env.KUBEBUILDER_ASSETS
  if (assets !== undefined) return missingFrom(assets)
  const { error, stdout: version } = spawnSync('go', ['version'], { env: ENVIRONMENT, encoding: 'utf8' })
  if (error !== undefined)
    return `go ${error.code === 'ENOENT' ? 'is not installed' : `cannot be run: ${error.message}`}, and there is no KUBEBUILDER_ASSETS`
  const folder = folderFor(version)
  if (!may) return isLinked(folder) ? undefined : whyNot()
  const problem = fs.existsSync(folder) ? undefined : await build(folder)
  if (problem === undefined) link(folder)
  return problem
}

const isLinked = (folder) => fs.existsSync(LINK) && fs.realpathSync(LINK) === fs.realpathSync(folder)

const whyNot = () =>
  fs.existsSync(PROBLEM) ? fs.readFileSync(PROBLEM, 'utf8') : 'not built yet: node scripts/build-control-plane.mjs'

function missingFrom(folder) {
  const missing = PROGRAMS.filter((name) => !fs.existsSync(join(folder, name)))
  return missing.length === 0 ? undefined : `KUBEBUILDER_ASSETS has no ${missing.join(', no ')}`
}

/** Renamed when complete, so that two builds at once never show half a folder. */
async function build(folder) {
  const temporary = `${folder}.${randomUUID()}.tmp`
  fs.mkdirSync(temporary, { recursive: true })
  const done = announce('building kube-apiserver, kube-controller-manager and etcd (once; minutes)')
  try {
    const problem = await go('build', ...flags(), '-o', join(temporary, 'control-plane'), '.')
    done(problem === undefined)
    if (problem !== undefined) return `go build of the control plane: ${problem}`
    for (const name of PROGRAMS) fs.symlinkSync('control-plane', join(temporary, name))
    if (!fs.existsSync(folder)) fs.renameSync(temporary, folder)
    return undefined
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true })
  }
}

/** Runs go in the module, behind whatever else the machine does; answers what the matter was, in one line. */
function go(...args) {
  return new Promise((resolve) => {
    const options = { cwd: MODULE, env: ENVIRONMENT, stdio: ['ignore', 'ignore', 'pipe'], timeout: TIMEOUT_MS }
    const child = spawn('nice', ['go', ...args], options)
    let words = ''
    child.stderr.setEncoding('utf8').on('data', (text) => (words += text))
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => {
      // Go tells first which package wanted what is missing, and last what the matter was.
      if (code === 0) resolve(undefined)
      else resolve(signal === null ? words.trim().split('\n').at(-1)?.trim() : `did not end within ${TIMEOUT_MS} ms`)
    })
  })
}

/** Says what is being done, on a terminal for how long already, and by calling what it returns how it went. */
function announce(what) {
  const started = performance.now()
  const line = () => `${what} ... ${Math.round((performance.now() - started) / 1000)} s`
  const { isTTY } = process.stdout
  process.stdout.write(isTTY ? line() : `${what} ...\n`)
  const timer = setInterval(() => isTTY && process.stdout.write(`\r${line()}`), 1000)
  return (ok) => {
    clearInterval(timer)
    process.stdout.write(`${isTTY ? '\r' : ''}${line()}, ${ok ? 'done' : 'failed'}\n`)
  }
}

/** Links the folder to where tests look for it, marks it as used, and removes what nobody uses. */
function link(folder) {
  const now = new Date()
  fs.utimesSync(folder, now, now)
  fs.mkdirSync(dirname(LINK), { recursive: true })
  const temporary = `${LINK}.${randomUUID()}.tmp`
  fs.symlinkSync(folder, temporary)
  fs.renameSync(temporary, LINK)
  for (const name of fs.readdirSync(CACHE).filter((name) => name.startsWith(PREFIX))) {
    const path = join(CACHE, name)
    if (now - (fs.statSync(path, { throwIfNoEntry: false })?.mtime ?? now) > UNUSED_MS)
      fs.rmSync(path, { recursive: true, force: true })
  }
}

const check = process.argv.includes('--check')
const problem = await provide({ build: !check })
if (!check) {
  fs.rmSync(PROBLEM, { force: true })
  if (problem !== undefined) {
    fs.mkdirSync(dirname(PROBLEM), { recursive: true })
    fs.writeFileSync(PROBLEM, problem)
  }
}
if (problem !== undefined) {
  console.error(problem)
  process.exitCode = 3
}
