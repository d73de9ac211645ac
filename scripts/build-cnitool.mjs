#!/usr/bin/env node
/**
 * Builds `cnitool`, the CNI project's own client, from the Go module in test/cnitool/ into dist/tools/, for end-to-end
 * tests. Does nothing where what is there was built from the same module with the same Go. Modules come from Go's own
 * cache, and from the network only where they are not there: `npm test` runs this before it shuts tests in namespaces.
 * Exit codes: 0 built or up to date; 3 it cannot be built here, and standard error says why in one line.
 */
import { spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const MODULE = join(ROOT, 'test/cnitool')
const FOLDER = join(ROOT, 'dist/tools')
const TARGET = join(FOLDER, 'cnitool')
const PACKAGE = 'github.com/containernetworking/cni/cnitool'

/** A network that swallows packets must not hold up the tests. */
const TIMEOUT_MS = 120_000

/**
 * `local`: another Go is never downloaded. A workspace file above the clone is none of our business. Without cgo the
 * program needs no C library.
 */
const ENVIRONMENT = { ...process.env, GOTOOLCHAIN: 'local', GOWORK: 'off', CGO_ENABLED: '0' }

const go = (...args) => spawnSync('go', args, { cwd: MODULE, env: ENVIRONMENT, encoding: 'utf8', timeout: TIMEOUT_MS })

/** What the program depends on, as one line. */
function fingerprint(version) {
  const hash = createHash('sha256').update(version)
  for (const file of readdirSync(MODULE).sort()) hash.update(`\0${file}\0`).update(readFileSync(join(MODULE, file)))
  return `${hash.digest('hex')}\n`
}

/** @returns {string | undefined} why it cannot be built */
function build() {
  const { error, stdout: version } = go('version')
  if (error !== undefined)
    return `go ${error.code === 'ENOENT' ? 'is not installed' : `cannot be run: ${error.message}`}`
  const stamp = `${TARGET}.stamp`
  const wanted = fingerprint(version)
  if (existsSync(TARGET) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return undefined
  mkdirSync(FOLDER, { recursive: true })
  // Renamed when complete, so that two builds at once never show half a file.
  const temporary = `${TARGET}.${randomUUID()}.tmp`
  try {
    const built = go('build', '-trimpath', '-o', temporary, PACKAGE)
    if (built.status !== 0) return `go build of cnitool: ${reasonOf(built)}`
    rmSync(stamp, { force: true })
    renameSync(temporary, TARGET)
    writeFileSync(stamp, wanted)
    return undefined
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** Go tells first which package wanted what is missing, and last what the matter was. */
const reasonOf = ({ error, stderr }) => error?.message ?? stderr.trim().split('\n').at(-1)?.trim()

const problem = build()
if (problem !== undefined) {
  console.error(problem)
  process.exitCode = 3
}
