import { type Goal, type Measured } from '../figure.js'
import { type Samples, type Summary } from '../samples.js'
import { cpuOf, FLOOR, LESSER_PEER, NETLOOM, type Peer, PEER } from './contenders.js'

/** From measurements to figures. */

export interface CniMeasurements {
  /** In milliseconds, by the names that the measurements give them. */
  readonly samples: Samples
  readonly burst: { readonly pods: number; readonly parallel: number }
  /** Most memory of the CNI executable, in bytes. */
  readonly executableMemory: number
}

type Part = Exclude<keyof Summary, 'count'>

interface Row {
  readonly title: string
  /** Name of the measurements, less the contender's in front of the verb. */
  readonly sample: (contender: string) => string
  readonly parts: readonly Part[]
  /** Of the median, against the peer that does the same work. */
  readonly goal?: Goal
}

/** A tenth of what the reference plugins take. */
const TENTH: Goal = { of: 'ratio', bound: 'most', limit: 0.1 }

const ALL: readonly Part[] = ['p50', 'p99', 'min', 'max']
/** Of a few rounds, the 99th percentile is the largest. */
const FEW: readonly Part[] = ['p50', 'min', 'max']

const rows = (burst: string): Row[] => [
  { title: 'ADD', sample: (contender) => `${contender} ADD`, parts: ALL, goal: TENTH },
  { title: 'DEL', sample: (contender) => `${contender} DEL`, parts: ALL },
  { title: `${burst}: ADD total`, sample: (contender) => `burst ${contender} ADD`, parts: FEW, goal: TENTH },
  { title: `${burst}: DEL total`, sample: (contender) => `burst ${contender} DEL`, parts: FEW, goal: TENTH },
]

const floors = (burst: string): { title: string; sample: string }[] => [
  { title: 'STATUS', sample: FLOOR.TRANSPORT },
  { title: 'executable alone (VERSION)', sample: FLOOR.EXECUTABLE },
  { title: `start of a process (${FLOOR.START})`, sample: FLOOR.START },
  { title: `${burst}: start of as many processes`, sample: `burst ${FLOOR.START}` },
]

/**
 * What the processes of a call themselves take. No ratio, because it would mislead: netloom's agent does the work, and
 * its CPU time is not in this.
 */
const cpuTimes = [
  { title: 'ADD, CPU of the executable (without the agent)', sample: cpuOf(`${NETLOOM} ADD`) },
  ...[PEER, LESSER_PEER].map(({ name }) => ({ title: `ADD, CPU of ${name}`, sample: cpuOf(`${name} ADD`) })),
]

/** What was not measured is left out; a peer that was not is missing, and its goals are not judged. */
export function cniFigures({ samples, burst, executableMemory }: CniMeasurements): Measured[] {
  const title = `${burst.pods} pods, ${burst.parallel} at once`
  return [
    ...rows(title).flatMap((row) => [
      ...row.parts.flatMap((part) => compared(samples, row, { part, peer: PEER, suffix: '' })),
      ...compared(
        samples,
        { ...row, goal: undefined },
        { part: 'p50', peer: LESSER_PEER, suffix: ', against no ipMasq' },
      ),
    ]),
    ...[...floors(title), ...cpuTimes].flatMap(({ title, sample }) => {
      const summary = samples.summary(sample)
      return summary === undefined ? [] : [{ name: `${title} p50`, unit: 'ms', value: summary.p50 }]
    }),
    { name: 'memory of the executable, peak', unit: 'bytes', value: executableMemory },
  ]
}

function compared(
  samples: Samples,
  { title, sample, goal }: Omit<Row, 'goal'> & { goal?: Goal | undefined },
  { part, peer, suffix }: { part: Part; peer: Peer; suffix: string },
): Measured[] {
  const own = samples.summary(sample(NETLOOM))
  if (own === undefined) return []
  const other = samples.summary(sample(peer.name))?.[part]
  return [
    {
      name: `${title} ${part}${suffix}`,
      unit: 'ms',
      value: own[part],
      peer: { name: peer.name, value: other },
      goal: part === 'p50' ? goal : undefined,
    },
  ]
}
