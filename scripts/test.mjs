#!/usr/bin/env node
/**
 * Runs compiled tests: `node scripts/test.mjs SUITE... [WORD...]`, in the folder that holds dist/. A suite is a folder of test/. With words only files
 * whose path holds one of them run: `npm test -- kernel/route`. The last line is `N passed, N failed, N skipped`.
 *
 * Each file is a plain Node process that prints TAP; with --together those that only compute share processes. The `tap` command works as well and says the same, but loads its
 * plugins for each file, which takes several times as long as most files need.
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { namespaces, toolPath } from './namespaced.mjs'
import { runTestFile, stopAll } from './test-file.mjs'

const CORES = Math.max(2, availableParallelism())

/** Scripts with the names of the files that need them. */
const PREPARATIONS = {
  e2e: [
    { script: 'build-cnitool.mjs', files: /cnitool|chains/ },
    { script: 'image.mjs', files: /image/ },
  ],
  cluster: [{ script: 'build-control-plane.mjs', files: /./ }],
}

/**
 * `isolated`: each file runs in namespaces of its own; `jobs`: files at a time; `seconds`: the most that a file may
 * take. End-to-end tests run several agents and measure time, so they go one by one and may take longer.
 * `prepare`: scripts that get what some test files cannot get in namespaces without a network; where they cannot
 * either, the tests that need it skip and say why. `command`: for a suite that `npm test` leaves out, since it takes
 * longer or what it needs takes minutes to get: what runs it.
 */
const SUITES = {
  unit: { isolated: false, jobs: CORES, seconds: 120 },
  golden: { isolated: false, jobs: CORES, seconds: 120 },
  bytes: { isolated: false, jobs: CORES, seconds: 120 },
  native: { isolated: false, jobs: 2, seconds: 120 },
  kernel: { isolated: true, jobs: 2, seconds: 120 },
  e2e: { isolated: true, jobs: 1, seconds: 300, prepare: PREPARATIONS.e2e },
  cluster: {
    isolated: true,
    jobs: 1,
    seconds: 600,
    prepare: PREPARATIONS.cluster,
    command: 'npm run test:cluster',
  },
}

/** The first mention of a suite chooses it; a second one (`npm test -- kernel`) is a word as any other. */
export function parseArguments(args) {
  const suites = [...new Set(args.filter((arg) => arg in SUITES))]
  const words = args.filter((arg, i) => !(arg in SUITES) || args.indexOf(arg) !== i)
  return { suites, words: words.map((word) => word.replace(/^(\.\/)?(dist\/)?/, '').replace(/\.js$/, '.ts')) }
}

/** Compiled test files of a suite with the name of their source, sorted; all where there are no words. */
function filesOf(root, suite, words) {
  const folder = join(root, 'dist/test', suite)
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true })
    .filter((file) => file.endsWith('.test.js'))
    .sort()
    .map((file) => ({ path: join(folder, file), name: `test/${suite}/${file.replace(/\.js$/, '.ts')}` }))
    .filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))
}

const TOGETHER = fileURLToPath(new URL('together.mjs', import.meta.url))

/** What a test file has that wants a process of its own: it changes the process, waits, or has effects outside. */
const ALONE = /testdir|node:(?:child_process|net|fs|timers|worker_threads)|process\.|setTimeout|runCni/

/**
 * Starting a process takes most of the time of most files, so `npm run check` runs those that only compute in as many
 * processes as there are processors. Where one of these is not all right, its files run again, each by itself.
 */
async function runTogether(root, suite, files, env) {
  const groups = Array.from({ length: CORES }, (_, group) => files.filter((_file, i) => i % CORES === group))
  const total = { passed: 0, skips: [], again: [] }
  const { seconds } = SUITES[suite]
  const run = async (group) => {
    if (group.length === 0) return
    const command = [process.execPath, '--enable-source-maps', TOGETHER]
    const outcome = await runTestFile([...command, ...group.map(({ path }) => path)], { cwd: root, seconds, env })
    if (outcome.failures.length > 0) total.again.push(...group)
    else {
      total.passed += outcome.passed
      total.skips.push(...outcome.skips.map((skip) => ({ file: `test/${suite}`, ...skip })))
    }
  }
  await Promise.all(groups.map(run))
  return total
}

/** Runs one suite and prints its failures and one line; returns its totals. */
async function runSuite(root, suite, files, together) {
  const { isolated, jobs, seconds, prepare = [] } = SUITES[suite]
  for (const { script, files: needing } of prepare)
    if (files.some(({ name }) => needing.test(name))) await runScript(script)
  const started = performance.now()
  const total = { passed: 0, failed: 0, skips: [] }
  const { prefix, problem } = isolated && files.length > 0 ? namespaces() : { prefix: [] }
  if (problem !== undefined) {
    console.log(`FAIL ${suite}: ${problem}; none of its ${files.length} files was run\n`)
    return { ...total, failed: 1 }
  }
  const env = { ...process.env, PATH: toolPath() }
  const sociable = together ? files.filter(({ path }) => !ALONE.test(readFileSync(path, 'utf8'))) : []
  const { passed, skips, again } = await runTogether(root, suite, sociable, env)
  total.passed += passed
  total.skips.push(...skips)
  const queue = [...files.filter((file) => !sociable.includes(file)), ...again]
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      progress(`${suite} ${files.length - queue.length}/${files.length} ${file.name}`)
      const command = [...prefix, process.execPath, '--enable-source-maps', file.path]
      const outcome = await runTestFile(command, { cwd: root, seconds, env })
      report(file.name, outcome)
      total.passed += outcome.passed
      total.failed += outcome.failures.length
      total.skips.push(...outcome.skips.map((skip) => ({ file: file.name, ...skip })))
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  progress('')
  const took = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${suite.padEnd(6)} ${String(files.length).padStart(4)} files ${took.padStart(6)} s  ${counts(total)}`)
  return total
}

/** What it has to say while it works may be read; why it cannot is told by the tests that skip. */
const runScript = (name) =>
  new Promise((resolve) => {
    const path = fileURLToPath(new URL(name, import.meta.url))
    spawn(process.execPath, [path], { stdio: ['ignore', 'inherit', 'ignore'] })
      .on('error', resolve)
      .on('exit', resolve)
  })

/** On a terminal, one line that is written over; elsewhere nothing. */
function progress(text) {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text.slice(0, (process.stdout.columns ?? 80) - 1)}`)
}

function report(name, { failures, output }) {
  if (failures.length === 0) return
  progress('')
  for (const failure of failures)
    console.log(`FAIL ${failure.name === '' ? name : `${name} > ${failure.name}`}\n${indent(failure.detail)}`)
  if (output.trim() !== '') console.log(`     what ${name} printed:\n${indent(output.trimEnd())}`)
}

const indent = (text) => text.replace(/^(?=.)/gm, '     ') + '\n'

const counts = ({ passed, failed, skips }) => `${passed} passed, ${failed} failed, ${skips.length} skipped`

/**
 * Runs suites and prints all about them.
 * @returns {Promise<{ passed: number, failed: number, skips: { file: string, name: string, reason: string }[] }>}
 */
export async function runSuites(root, suites, words, together = false) {
  const total = { passed: 0, failed: 0, skips: [] }
  for (const suite of suites) {
    const files = filesOf(root, suite, words)
    if (files.length === 0 && words.length > 0) continue
    const { passed, failed, skips } = await runSuite(root, suite, files, together)
    total.passed += passed
    total.failed += failed
    total.skips.push(...skips)
  }
  return total
}

/** After everything that `npm test` runs, what else there is. */
function others(suites) {
  const rows = Object.entries(SUITES)
  if (!rows.every(([name, { command }]) => suites.includes(name) || command !== undefined)) return
  for (const [name, { command }] of rows)
    if (!suites.includes(name)) console.log(`not among these: test/${name} (${command})`)
}

function summarize(total, words) {
  if (total.skips.length > 0) console.log('\nskipped:')
  for (const { file, name, reason } of total.skips)
    console.log(`  ${name === '' ? file : `${file} > ${name}`}: ${reason.trim()}`)
  const none = total.passed + total.failed + total.skips.length === 0
  if (none) console.log(words.length > 0 ? `no test file has ${words.join(' or ')} in its path` : 'there is no test')
  console.log(counts(total))
  return none || total.failed > 0 ? 1 : 0
}

async function main(args) {
  const together = args.includes('--together')
  const { suites, words } = parseArguments(args.filter((arg) => arg !== '--together'))
  if (suites.length === 0) {
    console.error(`usage: test.mjs SUITE... [WORD...]; suites: ${Object.keys(SUITES).join(' ')}`)
    process.exitCode = 2
    return
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.once(signal, () => void stopAll().then(() => process.exit(128 + constants.signals[signal])))
  const total = await runSuites(process.cwd(), suites, words, together)
  if (words.length === 0) others(suites)
  process.exitCode = summarize(total, words)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
