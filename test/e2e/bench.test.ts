import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { type Figure } from '../../scripts/bench/figure.js'
import { type Report } from '../../scripts/bench/report.js'

const BENCH = fileURLToPath(new URL('../../scripts/bench.js', import.meta.url))

const SMALL = [
  ['--iterations', '2'],
  ['--warm-up', '1'],
  ['--rounds', '1'],
  ['--pods', '4'],
  ['--parallel', '2'],
].flat()

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Outcome>
}

function start(args: readonly string[]): Running {
  const child = spawn(process.execPath, [BENCH, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (more: string) => (text[name] += more))
  const ended = new Promise<Outcome>((resolve) => child.on('close', (code) => resolve({ code, ...text })))
  return { child, ended }
}

/** Everything that a benchmark could leave: namespaces, links, files, and processes that name its folder. */
const traces = (): Record<string, string[]> => ({
  namespaces: existsSync('/run/netns') ? readdirSync('/run/netns').sort() : [],
  links: readdirSync('/sys/class/net').sort(),
  files: readdirSync('/run').sort(),
  processes: readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => commandLine(pid).includes('/run/netloom-bench')),
})

function commandLine(pid: string): string {
  try {
    return readFileSync(join('/proc', pid, 'cmdline'), 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}

const before = traces()

t.test('the last line is the report as JSON, and nothing is left behind', async (t) => {
  const { code, stdout, stderr } = await start(['cni', '--json', ...SMALL]).ended
  t.equal(code, 0, stderr)
  const lines = stdout.trimEnd().split('\n')
  t.equal(lines.length, 1, 'with --json there is no other line')
  const report = JSON.parse(lines.at(-1) ?? '') as Report
  t.strictSame(Object.keys(report), ['bench', 'machine', 'figures'])
  t.equal(report.bench, 'cni')
  checkFigures(t, report.figures)
  t.strictSame(traces(), before)
})

const GOALS = [
  'ADD p50',
  ...['with a port', 'with a port and bandwidth'].flatMap((work) => [
    `ADD ${work} p50`,
    `4 pods, 2 at once, ${work}: ADD total p50`,
    `4 pods, 2 at once, ${work}: DEL total p50`,
  ]),
]

function checkFigures(t: Test, figures: readonly Figure[]): void {
  for (const figure of figures) {
    t.strictSame(Object.keys(figure), 'name unit value peer peerName ratio goal met'.split(' '), figure.name)
    t.ok(figure.value > 0, `${figure.name}: ${figure.value}`)
    t.equal(figure.peer === null, figure.ratio === null, `${figure.name}: a ratio where there is a peer`)
    t.equal(figure.met === null, figure.goal === null || figure.peer === null, `${figure.name}: judged where it can be`)
  }
  const goals = figures.filter(({ goal }) => goal !== null).map(({ name }) => name)
  t.strictSame(goals, GOALS)
}

t.test('without reference plugins it says so, and judges nothing', async (t) => {
  const { code, stdout, stderr } = await start(['cni', '--plugins', '/nonexistent', ...SMALL]).ended
  t.equal(code, 0, stderr)
  t.match(stderr, /no bridge and host-local in \/nonexistent/)
  t.match(stdout, /^ADD p50 .*not judged/m, 'a table for people')
  const { figures } = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Report
  t.ok(figures.length > 0 && figures.every(({ peer, met }) => peer === null && met === null))
  t.strictSame(traces(), before)
})

t.test('a reader that has seen enough is no failure', async (t) => {
  const child = spawn(process.execPath, [BENCH, 'cni', '--plugins', '/nonexistent', ...SMALL], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (more: string) => (stderr += more))
  child.stdout.destroy()
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  t.equal(code, 0, stderr)
  t.notMatch(stderr, /EPIPE/)
  t.strictSame(traces(), before)
})

t.test('an interrupted benchmark cleans up and says so by its exit code', async (t) => {
  const { child, ended } = start(['cni', '--json', ...SMALL, '--iterations', '500'])
  await new Promise<void>((resolve) => {
    child.stderr?.on('data', (text: string) => {
      if (text.includes('one at a time')) resolve()
    })
  })
  child.kill('SIGINT')
  const { code, stdout } = await ended
  t.equal(code, 130)
  t.equal(stdout, '', 'no figures of half a run')
  t.strictSame(traces(), before)
})

t.test('a benchmark that takes too long gives up', async (t) => {
  const { code, stderr } = await start(['cni', '--json', ...SMALL, '--iterations', '500', '--time-limit', '4']).ended
  t.equal(code, 3)
  t.match(stderr, /did not end within 4 s/)
  t.strictSame(traces(), before)
})

t.test('a wrong command line is told before anything is made', async (t) => {
  const cases = [
    { args: [], says: /none of the benchmarks cni, cluster/ },
    { args: ['nothing'], says: /'nothing' is none of the benchmarks cni, cluster/ },
    { args: ['cni', '--pods', '0'], says: /--pods: '0' is not a number from 1 to 200/ },
    { args: ['cni', '--iterations', '501'], says: /--iterations/ },
    { args: ['cni', '--unknown'], says: /--unknown/ },
    { args: ['cluster', '--starts', '6'], says: /--starts: '6' is not a number from 1 to 5/ },
  ]
  for (const { args, says } of cases) {
    const { code, stdout, stderr } = await start(args).ended
    t.equal(code, 2, args.join(' '))
    t.match(stderr, says)
    t.equal(stdout, '')
  }
})
