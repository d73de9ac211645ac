import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { NetloomError } from '../../src/base/errors.js'
import { EXIT, type ExitCode, numberOption, type OptionValues } from '../../src/cli/command.js'
import { ROOT } from '../../test/support/cni-exec.js'
import { type Benchmark, type Surroundings } from './benchmark.js'
import { clusterFigures } from './cluster/figures.js'
import { Stage, type StageOptions } from './cluster/stage.js'
import { measureStarts } from './cluster/start.js'
import { measureWrites } from './cluster/writes.js'
import { type Measured } from './figure.js'
import { Samples } from './samples.js'

interface ClusterSettings extends StageOptions {
  /** Changes of each sort that are measured. */
  readonly rounds: number
}

/** Of the load's addresses there are as many: see test/support/cluster-load.ts. */
const BOUNDS = {
  services: { fallback: 10_000, min: 1, max: 50_000 },
  endpoints: { fallback: 10, min: 1, max: 100 },
  pods: { fallback: 10_000, min: 1, max: 100_000 },
  nodes: { fallback: 100, min: 1, max: 1000 },
  starts: { fallback: 3, min: 1, max: 5 },
  rounds: { fallback: 100, min: 1, max: 1000 },
} as const

const range = (name: keyof typeof BOUNDS): string => {
  const { min, max, fallback } = BOUNDS[name]
  return `${min} to ${max} (${fallback})`
}

/** `npm run bench -- cluster`: an agent of a large cluster, from its API server to the kernel. */
export const clusterBenchmark: Benchmark<ClusterSettings> = {
  name: 'cluster',
  summary: 'an agent of a large cluster: start, memory, bytes, and from a write to the API to netlink',
  help: `  --services N      Services, ${range('services')}
  --endpoints N     endpoints of each, ${range('endpoints')}
  --pods N          Pods, ${range('pods')}
  --nodes N         Nodes, ${range('nodes')}
  --starts N        starts of an agent, ${range('starts')}, each with policies and without
  --rounds N        changes of an endpoint and of a route, ${range('rounds')}, one at a time
`,
  options: {
    services: { type: 'string' },
    endpoints: { type: 'string' },
    pods: { type: 'string' },
    nodes: { type: 'string' },
    starts: { type: 'string' },
    rounds: { type: 'string' },
  },
  seconds: 900,
  read,
  prepare,
  run,
}

function read(values: OptionValues): ClusterSettings {
  const number = (name: keyof typeof BOUNDS): number => numberOption(values, name, BOUNDS[name])
  return {
    load: {
      services: number('services'),
      endpointsPerService: number('endpoints'),
      pods: number('pods'),
      nodes: number('nodes'),
    },
    starts: number('starts'),
    rounds: number('rounds'),
  }
}

/** The control plane, which is built once; what the script says on its way is not for standard output. */
function prepare(): ExitCode {
  const script = join(ROOT, 'scripts/build-control-plane.mjs')
  const { status } = spawnSync(process.execPath, [script], { stdio: ['ignore', process.stderr.fd, 'inherit'] })
  if (status === EXIT.OK || status === EXIT.UNAVAILABLE) return status
  throw new NetloomError('internal', `${script} failed`)
}

async function run({ rounds, ...options }: ClusterSettings, surroundings: Surroundings): Promise<Measured[]> {
  const { progress, signal } = surroundings
  const samples = new Samples()
  const stage = await Stage.raise(options, surroundings)
  try {
    await measureStarts(stage, { samples, progress, signal })
    await measureWrites(stage, rounds, { samples, progress, signal })
    return clusterFigures(samples)
  } finally {
    await stage.close()
  }
}
