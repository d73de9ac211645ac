import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { type Figure } from '../../scripts/bench/figure.js'
import { type Report } from '../../scripts/bench/report.js'
import { withoutControlPlane } from '../support/control-plane.js'

const BENCH = fileURLToPath(new URL('../../scripts/bench.js', import.meta.url))

const SMALL = [
  ['--services', '10'],
  ['--endpoints', '2'],
  ['--pods', '10'],
  ['--nodes', '2'],
  ['--starts', '1'],
  ['--rounds', '3'],
].flat()

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const child = spawn(process.execPath, [BENCH, 'cluster', '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (more: string) => (text[name] += more))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...text })))
}

const GOALS = [
  'agent start to everything programmed p50',
  'memory (RSS) max',
  'agent start to everything programmed with a NetworkPolicy p50',
  'memory (RSS) with a NetworkPolicy max',
  'write to netlink, one endpoint p50',
  'write to netlink, one endpoint p99',
  'write to netlink, one route p50',
  'write to netlink, one route p99',
]

/** What a benchmark could leave outside of its own namespaces. */
const traces = () => [readdirSync('/sys/class/net').sort(), readdirSync('/run').sort()]

t.test('an agent of a cluster is measured', { skip: withoutControlPlane() }, async (t) => {
  const before = traces()
  const { code, stdout, stderr } = await run(SMALL)
  t.equal(code, 0, stderr)
  const { bench, figures } = JSON.parse(stdout) as Report
  t.equal(bench, 'cluster')
  for (const { name, value } of figures) t.ok(value > 0, `${name}: ${value}`)
  t.strictSame(
    figures.filter(({ met }) => met !== null).map(({ name }) => name),
    GOALS,
  )
  t.ok(readsMore(figures), 'more is read by who wants to know of all pods')
  t.strictSame(traces(), before)
})

const readsMore = (figures: readonly Figure[]): boolean => {
  const received = (title: string) =>
    figures.find(({ name }) => name === `bytes received until then${title} p50`)?.value
  return (received(' with a NetworkPolicy') ?? 0) > (received('') ?? Infinity)
}

t.test('without a control plane it says so in one line', async (t) => {
  const { code, stdout, stderr } = await run(SMALL, { KUBEBUILDER_ASSETS: '/nonexistent' })
  t.equal(code, 3)
  t.match(stderr, /^KUBEBUILDER_ASSETS has no etcd.*\n$/)
  t.equal(stdout, '')
})
