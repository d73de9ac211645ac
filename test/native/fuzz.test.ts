import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../support/cni-exec.js'
import { parse } from './documents.js'
import { wanted } from './replies.js'
import { SEEDS, callInput, configOf, frameIn, replyInput } from './seeds.js'

/**
 * Runs the harnesses of native/fuzz: what was found once, then what a few seconds find. What they found worth keeping
 * is then put to this end's parsers, which must judge it alike. A finding ends the program, which prints the input;
 * as a file below native/fuzz/regressions it is run each time.
 */
const SECONDS = Number(process.env.NETLOOM_FUZZ_SECONDS ?? 10)

/** Longer inputs are slow to mutate, and what length alone does other tests try. Some limits are at 4 KiB. */
const LONGEST = 8192

/** Characters of a harness's output that are worth showing: the finding is at the end. */
const TAIL = 6000

interface Ended {
  readonly code: number | null
  readonly text: string
}

function buildFuzzers(): string | false {
  const args = [join(ROOT, 'scripts/build-native.mjs'), '--fuzz']
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status === 3) return stderr.trim()
  if (status !== 0) throw new Error(`build-native.mjs --fuzz: ${stderr}`)
  return false
}

function fuzz(name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = spawn(join(ROOT, 'dist/native', `fuzz-${name}`), args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, text }))
  })
}

const SAID = 'OUTCOME '

/** What the harness says of each input, in order. */
async function outcomes(name: string, folder: string, inputs: readonly Buffer[]): Promise<readonly string[]> {
  mkdirSync(folder)
  const files = inputs.map((input, i) => {
    const file = join(folder, String(i))
    writeFileSync(file, input)
    return file
  })
  const said: string[] = []
  for (let at = 0; at < files.length; at += 500) {
    const group = files.slice(at, at + 500)
    // To look for leaks, libFuzzer may run an input a second time, which would speak for the next one.
    const { code, text } = await fuzz(name, ['-detect_leaks=0', ...group], { FUZZ_PRINT: '1' })
    if (code !== 0) throw new Error(text.slice(-TAIL))
    const lines = text.split('\n').filter((line) => line.startsWith(SAID))
    if (lines.length !== group.length) throw new Error(`${lines.length} outcomes of ${group.length} inputs`)
    said.push(...lines.map((line) => line.slice(SAID.length)))
  }
  return said
}

/** As the executable decodes text: half of a surrogate pair becomes U+FFFD. */
const decoded = (text: string): string => Buffer.from(text).toString()

/** As cni-conf/README.md says of `agentWait`. */
function isDuration(text: unknown): boolean {
  const match = typeof text === 'string' && text.length <= 16 ? /^(\d+)(ms|s|m)$/.exec(text) : null
  const unit = { ms: 1, s: 1000, m: 60_000 }[match?.[2] ?? ''] ?? Number.NaN
  return Number(match?.[1]) * unit <= 3_600_000
}

/** What must come of an ADD with this configuration and without an agent, by JSON.parse. */
function judge(config: Buffer): { code: number; cniVersion?: string; details?: string } {
  const parsed = parse(config)
  if (parsed === undefined) return { code: 6 }
  const { cniVersion: version, agent, agentSocket, agentWait, program } = parsed
  const known = typeof version === 'string' && version !== '' && Buffer.byteLength(version) <= 64
  const cniVersion = known ? decoded(version) : '1.1.0'
  if (agent !== undefined && agent !== 'on' && agent !== 'off') return { code: 7, cniVersion }
  const [path, limit, code, doing] = agent === 'off' ? [program, 4095, 5, 'exec'] : [agentSocket, 107, 11, 'connect']
  const isPath = (text: unknown): text is string =>
    typeof text === 'string' && text.startsWith('/') && !text.includes('\0') && Buffer.byteLength(text) <= limit
  if (path !== undefined && !isPath(path)) return { code: 7, cniVersion }
  if (agent !== 'off' && agentWait !== undefined && !isDuration(agentWait)) return { code: 7, cniVersion }
  if (path === undefined) return { code, cniVersion }
  return { code, cniVersion, details: `${doing} ${decoded(path)}` }
}

/** Has both ends judge what the fuzzer kept; the problems, and how many inputs there were of either kind. */
interface Compared {
  readonly taken: number
  readonly refused: number
  readonly problems: readonly string[]
}

async function compareCalls(folder: string, kept: readonly Buffer[]): Promise<Compared> {
  const configs = kept.map(configOf)
  const env = { CNI_COMMAND: 'ADD', NETLOOM_TIMEOUT_MS: '1' }
  const said = await outcomes('call', folder, configs.map((config) => callInput(env, config))) // prettier-ignore
  const judged = configs.map((config, i) => {
    const error = JSON.parse(said[i] ?? '{}') as Readonly<Record<string, unknown>>
    const wanted = Object.entries(judge(config))
    // The one thing in which the executable is stricter.
    const right = /nested too deep$/.test(String(error.details)) || wanted.every(([key, value]) => error[key] === value)
    return { taken: error.code !== 6, problem: right ? '' : `${JSON.stringify(config.toString('latin1'))}: ${said[i]}` }
  })
  return count(judged)
}

/** `0 "output"`, or `refused`. */
const isSaid = ({ exit, output }: { exit: number; output: string }, said = ''): boolean =>
  said.startsWith(`${exit} `) && JSON.parse(said.slice(`${exit} `.length)) === output

async function compareReplies(folder: string, kept: readonly Buffer[]): Promise<Compared> {
  const frames = kept.map(frameIn)
  const said = await outcomes('reply', folder, frames.map((frame) => replyInput(frame))) // prettier-ignore
  const judged = frames.map((frame, i) => {
    const want = wanted(frame)
    const right = want === undefined || isSaid(want, said[i])
    return { taken: want !== undefined, problem: right ? '' : `${frame.toString('hex')}: ${said[i]}` }
  })
  return count(judged)
}

const count = (judged: readonly { taken: boolean; problem: string }[]): Compared => ({
  taken: judged.filter(({ taken }) => taken).length,
  refused: judged.filter(({ taken }) => !taken).length,
  problems: judged.map(({ problem }) => problem).filter((problem) => problem !== ''),
})

const COMPARE: Readonly<Record<string, typeof compareCalls>> = { call: compareCalls, reply: compareReplies }

const short = (input: Buffer): boolean => input.length <= LONGEST

const skip = buildFuzzers()

for (const [name, all] of Object.entries(SEEDS))
  t.test(name, { skip, timeout: 1000 * (SECONDS + 50) }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), `netloom-fuzz-${name}-`))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const seeds = all.filter(short)
    const corpus = join(folder, 'corpus')
    mkdirSync(corpus)
    seeds.forEach((seed, i) => writeFileSync(join(corpus, `seed-${i}`), seed))

    const regressions = join(ROOT, 'native/fuzz/regressions', name)
    if (existsSync(regressions))
      t.test('what was found before stays repaired', async (t) => {
        const { code, text } = await fuzz(name, ['-runs=0', `-artifact_prefix=${folder}/`, regressions])
        t.equal(code, 0, readdirSync(regressions).join(), { text: text.slice(-TAIL) })
      })

    t.test('nothing is found in the time there is', async (t) => {
      const options = {
        max_total_time: SECONDS,
        max_len: LONGEST,
        timeout: 20,
        rss_limit_mb: 1024,
        print_final_stats: 1,
      }
      const args = Object.entries(options).map(([key, value]) => `-${key}=${value}`)
      const { code, text } = await fuzz(name, [...args, `-artifact_prefix=${folder}/`, corpus])
      if (code !== 0) t.comment(text.slice(-TAIL))
      t.equal(code, 0, 'the fuzzer ends by itself')
      const runs = Number(/number_of_executed_units: (\d+)/.exec(text)?.[1])
      t.ok(runs >= seeds.length, `${runs} runs, and each of the ${seeds.length} seeds was one`)
    })

    t.test('the agent’s parsers judge alike all that the fuzzer kept', async (t) => {
      const kept = readdirSync(corpus).map((file) => readFileSync(join(corpus, file)))
      const { taken, refused, problems } = await COMPARE[name]!(join(folder, 'judged'), kept)
      t.same(problems, [])
      t.equal(taken + refused, kept.length)
      t.ok(taken >= 5 && refused >= 20, `${taken} were taken, ${refused} refused`)
    })
    t.end()
  })
