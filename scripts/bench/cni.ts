import { PLUGIN } from '../../src/cli/demo/installation.js'
import { numberOption, type OptionValues, textOption } from '../../src/cli/command.js'
import { type Measured } from './figure.js'
import { type Benchmark, type Surroundings } from './benchmark.js'
import { type BurstOptions, measureBursts } from './cni/burst.js'
import { cniFigures } from './cni/figures.js'
import { measureExecutableMemory, measureFirstByte } from './cni/executable.js'
import { measureSingle, type SingleOptions } from './cni/single.js'
import { Stage } from './cni/stage.js'
import { Samples } from './samples.js'

interface CniSettings {
  readonly single: SingleOptions
  readonly burst: BurstOptions
  /** Folder of the reference plugins; undefined for the usual ones. */
  readonly plugins: string | undefined
}

const BOUNDS = {
  iterations: { fallback: 50, min: 1, max: 500 },
  'warm-up': { fallback: 5, min: 1, max: 100 },
  pods: { fallback: 100, min: 1, max: 200 },
  parallel: { fallback: 20, min: 1, max: 100 },
  rounds: { fallback: 3, min: 1, max: 50 },
} as const

const range = (name: keyof typeof BOUNDS): string => {
  const { min, max, fallback } = BOUNDS[name]
  return `${min} to ${max} (${fallback})`
}

/** `npm run bench -- cni`: CNI ADD and DEL against chains of the CNI project's plugins. */
export const cniBenchmark: Benchmark<CniSettings> = {
  name: 'cni',
  summary: 'CNI ADD and DEL, first exec to last exit, beside chains of the reference plugins',
  help: `  --iterations N    calls one at a time, ${range('iterations')}
  --warm-up N       calls before those that count, ${range('warm-up')}
  --pods N          pods of a burst, ${range('pods')}
  --parallel N      calls at a time in a burst, ${range('parallel')}
  --rounds N        bursts, ${range('rounds')}, and one more before those that count
  --plugins FOLDER  where bridge, host-local, portmap and bandwidth are
                    (/usr/lib/cni, /opt/cni/bin or /usr/libexec/cni)
`,
  options: {
    iterations: { type: 'string' },
    'warm-up': { type: 'string' },
    pods: { type: 'string' },
    parallel: { type: 'string' },
    rounds: { type: 'string' },
    plugins: { type: 'string' },
  },
  seconds: 900,
  read,
  run,
}

function read(values: OptionValues): CniSettings {
  const number = (name: keyof typeof BOUNDS): number => numberOption(values, name, BOUNDS[name])
  return {
    single: { iterations: number('iterations'), warmUp: number('warm-up') },
    burst: { pods: number('pods'), parallel: number('parallel'), rounds: number('rounds') },
    plugins: values['plugins'] === undefined ? undefined : textOption(values, 'plugins', ''),
  }
}

async function run({ single, burst, plugins }: CniSettings, surroundings: Surroundings): Promise<Measured[]> {
  const { directory, progress, signal } = surroundings
  const samples = new Samples()
  progress.say('nodes and agent')
  const stage = await Stage.raise(surroundings, plugins)
  try {
    await measureSingle(stage, single, { samples, progress, signal })
    await measureBursts(stage, burst, { samples, progress, signal })
    await measureFirstByte(stage, single, { samples, signal })
    const executableMemory = await measureExecutableMemory(PLUGIN, directory)
    return cniFigures({ samples, burst, executableMemory })
  } finally {
    await stage.close()
  }
}
