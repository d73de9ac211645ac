import { type Goal, type Measured } from '../figure.js'
import { type Samples, type Summary } from '../samples.js'
import { type BurstOptions } from './burst.js'
import { FLOOR, LESSER_PEER, NETLOOM, PEER } from './contenders.js'

/** From measurements to figures. */

export interface CniMeasurements {
  /** In milliseconds, by the names that the measurements give them. */
  readonly samples: Samples
  readonly burst: Pick<BurstOptions, 'pods' | 'parallel'>
  /** Most memory of the CNI executable, in bytes. */
  readonly executableMemory: number
}

const VERBS = ['ADD', 'DEL'] as const
type Verb = (typeof VERBS)[number]

/** A tenth of what the reference plugins take. */
const TENTH: Goal = { of: 'ratio', bound: 'most', limit: 0.1 }

/** The parts of a summary that are told, and the goal of each by verb. */
const SINGLE: readonly { key: Exclude<keyof Summary, 'count'>; goals: Partial<Record<Verb, Goal>> }[] = [
  { key: 'p50', goals: { ADD: TENTH } },
  { key: 'p99', goals: {} },
  { key: 'min', goals: {} },
  { key: 'max', goals: {} },
]
const BURST: readonly { key: Exclude<keyof Summary, 'count'>; goals: Partial<Record<Verb, Goal>> }[] = [
  { key: 'p50', goals: { ADD: TENTH, DEL: TENTH } },
  { key: 'min', goals: {} },
  { key: 'max', goals: {} },
]

export function cniFigures({ samples, burst, executableMemory }: CniMeasurements): Measured[] {
  const bursts = `${burst.pods} pods, ${burst.parallel} at once:`
  const ms = (name: string, sample: string): Measured[] => {
    const summary = samples.summary(sample)
    return summary === undefined ? [] : [{ name, unit: 'ms', value: summary.p50 }]
  }
  return [
    ...VERBS.flatMap((verb) => SINGLE.flatMap(({ key, goals }) => compared(samples, { name: `${verb} ${key}`, sample: verb, key, goal: goals[verb] }))),
    ...VERBS.flatMap((verb) => BURST.flatMap(...)),
  ]
}
