/** Runs one compiled test file as a process of its own and reads the TAP that it prints. */
import { spawn } from 'node:child_process'
import { Parser } from 'tap-parser'

/** How long a process group may take to end after SIGTERM, in ms. */
const GRACE = 3000

/**
 * What became of a file. Counted are the leaves: assertions, and subtests without any of their own.
 * @typedef {object} Outcome
 * @property {number} passed
 * @property {{ name: string, detail: string }[]} failures
 * @property {{ name: string, reason: string }[]} skips todo included
 * @property {string} output what the file printed besides TAP, standard error included
 * @property {number} seconds
 */

/** Process groups that are running, so that an interrupt can end them. */
const running = new Set()

let stopping = false

/** Ends every running file: SIGTERM, so that tests clean up, then SIGKILL. From now on none starts and none is told of. */
export async function stopAll() {
  stopping = true
  for (const pid of running) signalGroup(pid, 'SIGTERM')
  const patience = Date.now() + GRACE
  while (running.size > 0 && Date.now() < patience) await new Promise((resolve) => setTimeout(resolve, 50))
  for (const pid of running) signalGroup(pid, 'SIGKILL')
}

/**
 * @param {string[]} command the program and its arguments
 * @param {{ cwd: string, seconds: number, env: NodeJS.ProcessEnv, grace?: number }} options `seconds`: then it has
 *   failed and is ended; `grace`: how long, in ms, it may take to end after that, and its children after itself
 * @returns {Promise<Outcome>}
 */
export async function runTestFile([program, ...args], { cwd, seconds, env, grace = GRACE }) {
  if (stopping) return forever()
  const started = performance.now()
  // tap says which test hung, if it may do so before the file as a whole is ended.
  const environment = { ...env, TAP: '1', TAP_TIMEOUT: String(seconds) }
  const child = spawn(program, args, { cwd, env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const outcome = { passed: 0, failures: [], skips: [], output: '', seconds: 0 }
  const parsed = readTap(child.stdout, outcome)
  child.stderr.setEncoding('utf8').on('data', (text) => (outcome.output += text))
  const end = await ended(child, seconds * 1000 + grace, grace)
  const results = await parsed
  if (stopping) return forever()
  const problems = problemsOf(end, results, outcome)
  if (problems.length > 0) outcome.failures.push({ name: '', detail: problems.join('\n') })
  outcome.seconds = (performance.now() - started) / 1000
  return outcome
}

const forever = () => new Promise(() => undefined)

/** Waits, for `limit` ms, for a process and all that holds its output; how it ended, in one object. */
function ended(child, limit, grace) {
  return new Promise((resolve) => {
    const end = { code: null, signal: null, timedOut: false, leftovers: false, error: undefined }
    if (child.pid !== undefined) running.add(child.pid)
    const kill = () => signalGroup(child.pid, 'SIGKILL')
    const timers = [
      setTimeout(() => {
        end.timedOut = true
        signalGroup(child.pid, 'SIGTERM')
        timers.push(setTimeout(kill, grace))
      }, limit),
    ]
    child.on('error', (error) => (end.error = error))
    child.on('exit', (code, signal) => {
      Object.assign(end, { code, signal })
      timers.push(
        setTimeout(() => {
          end.leftovers = true
          kill()
          // One that left the group cannot be ended, but need not be waited for.
          child.stdout.destroy()
          child.stderr.destroy()
        }, grace),
      )
    })
    child.on('close', () => {
      timers.forEach(clearTimeout)
      kill() // what the file started and forgot, with its output elsewhere
      running.delete(child.pid)
      resolve(end)
    })
  })
}

function signalGroup(pid, signal) {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/** What is wrong with a file as a whole, besides the failures it has told itself. */
function problemsOf(end, results, outcome) {
  const problems = []
  const counted = outcome.passed + outcome.failures.length + outcome.skips.length
  const crashed = end.signal ?? (end.code === 0 ? undefined : `exit code ${end.code}`)
  if (end.error !== undefined) problems.push(`could not be started: ${end.error.message}`)
  else if (end.timedOut) problems.push('timed out')
  else if (crashed !== undefined && outcome.failures.length === 0) problems.push(`ended by ${crashed}`)
  if (end.leftovers) problems.push('left processes behind that hold its output')
  if (results.bailout) problems.push(`bailed out${results.bailout === true ? '' : `: ${results.bailout}`}`)
  for (const failure of results.failures)
    if (failure.tapError && counted > 0) problems.push(`broken TAP: ${failure.tapError}`)
  const reason = results.plan.skipReason.trim()
  // `t.plan(0, 'reason')` sets a file aside; the other reason is what tap and its parser write when there is no test.
  if (counted === 0 && reason !== '' && reason !== 'no tests found') outcome.skips.push({ name: '', reason })
  else if (counted === 0 && problems.length === 0) problems.push('holds no test')
  if (!results.ok && problems.length === 0 && outcome.failures.length === 0) problems.push('failed without a reason')
  return problems
}

/** Feeds a stream of TAP into `outcome`; settles with tap-parser's final results. */
function readTap(stream, outcome) {
  return new Promise((resolve) => {
    const parser = new Parser()
    collect(parser, outcome)
    parser.on('complete', resolve)
    stream.setEncoding('utf8').on('data', (text) => parser.write(text))
    stream.on('close', () => parser.end())
  })
}

/** Counts the leaves of one level of TAP and, by way of its children, of those below. */
function collect(parser, outcome) {
  let before
  const counts = () => [outcome.passed, outcome.failures.length, outcome.skips.length]
  parser.on('child', (child) => {
    before = counts()
    collect(child, outcome)
  })
  if (parser.level === 0) parser.on('extra', (text) => (outcome.output += text))
  parser.on('assert', (result) => {
    const earlier = before
    before = undefined
    // The point that closes a subtest repeats it, unless the subtest counted nothing, or failed by itself.
    const inner = earlier === undefined ? undefined : counts().map((count, i) => count - earlier[i])
    if (inner !== undefined && inner.some((count) => count > 0) && (result.ok || inner[1] > 0)) return
    count(result, outcome)
  })
}

function count(result, outcome) {
  const name = result.fullname === '' ? 'unnamed' : result.fullname
  const aside = result.skip || result.todo
  const reason = aside === true ? 'no reason given' : aside
  if (aside) outcome.skips.push({ name, reason: result.todo ? `todo: ${reason}` : reason })
  else if (result.ok) outcome.passed++
  else outcome.failures.push({ name, detail: describe(result.diag ?? {}) })
}

/** tap's diagnostics for people: the place, then the difference, the source, the stack, then whatever else it says. */
function describe({ at, diff, source, stack, ...others }) {
  const place = at?.fileName === undefined ? [] : [`at ${at.fileName}:${at.lineNumber}:${at.columnNumber}`]
  const rest = Object.entries(others).map(([key, value]) =>
    typeof value === 'string' ? `${key}: ${value.trimEnd()}` : `${key}: ${JSON.stringify(value)}`,
  )
  const texts = [diff, source, stack].filter((text) => typeof text === 'string' && text.trim() !== '')
  return [...place, ...texts.map((text) => text.trimEnd()), ...rest].join('\n')
}
