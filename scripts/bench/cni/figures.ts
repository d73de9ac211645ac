import { type Goal, type Measured } from '../figure.js'
import { type Samples, type Summary } from '../samples.js'
import { cpuOf, FLOOR, STANDALONE, type Work, WORKS } from './contenders.js'

/** From measurements to figures. */

export interface CniMeasurements {
  /** In milliseconds, by the names that the measurements give them. */
  readonly samples: Samples
  readonly burst: { readonly pods: number; readonly parallel: number }
  /** Most memory of the CNI executable, in bytes. */
  readonly executableMemory: number
}

type Part = Exclude<keyof Summary, 'count'>

/** What two contenders did, and how the figures say it. */
interface Row {
  readonly title: string
  /** Names of the measurements. */
  readonly own: string
  readonly peer: { readonly name: string; readonly sample: string }
  readonly parts: readonly Part[]
  /** Of the median. */
  readonly goal?: Goal
}

/** A tenth of what the reference plugins take. */
const TENTH: Goal = { of: 'ratio', bound: 'most', limit: 0.1 }

const MANY: readonly Part[] = ['p50', 'p99']
/** Of a few rounds, the 99th percentile is the largest. */
const FEW: readonly Part[] = ['p50', 'max']

/** A pair of names for what both of a pair did. */
const pair = ({ own, peer }: Pick<Work, 'own' | 'peer'>, sample: (contender: string) => string) => ({
  own: sample(own),
  peer: { name: peer, sample: sample(peer) },
})

const rowsOf = (work: Work, burst: string): Row[] => [
  { title: `ADD${work.title}`, ...pair(work, (name) => `${name} ADD`), parts: MANY, goal: TENTH },
  { title: `DEL${work.title}`, ...pair(work, (name) => `${name} DEL`), parts: MANY },
  ...(['ADD', 'DEL'] as const).map((verb) => ({
    title: `${burst}${work.title === '' ? '' : `,${work.title}`}: ${verb} total`,
    ...pair(work, (name) => `burst ${name} ${verb}`),
    parts: FEW,
    goal: TENTH,
  })),
]

const standalone = ({ peer }: Work): Row[] =>
  (['ADD', 'DEL'] as const).map((verb) => ({
    title: `${verb} without an agent`,
    ...pair({ own: STANDALONE, peer }, (name) => `${name} ${verb}`),
    parts: MANY,
  }))

const floors = (burst: string): { title: string; sample: string }[] => [
  { title: 'executable, start to first byte on the socket', sample: FLOOR.FIRST_BYTE },
  { title: 'STATUS', sample: FLOOR.TRANSPORT },
  { title: 'executable alone (VERSION)', sample: FLOOR.EXECUTABLE },
  { title: `start of a process (${FLOOR.START})`, sample: FLOOR.START },
  { title: `${burst}: start of as many processes`, sample: `burst ${FLOOR.START}` },
]

/**
 * What the processes of a call themselves take. No ratio, because it would mislead: netloom's agent does the work, and
 * its CPU time is not in this.
 */
const cpuTimes = WORKS.flatMap(({ title, own, peer }) => [
  { title: `ADD${title}, CPU of the executable (without the agent)`, sample: cpuOf(`${own} ADD`) },
  { title: `ADD, CPU of ${peer}`, sample: cpuOf(`${peer} ADD`) },
])

/** What was not measured is left out; a peer that was not is missing, and its goals are not judged. */
export function cniFigures({ samples, burst, executableMemory }: CniMeasurements): Measured[] {
  const title = `${burst.pods} pods, ${burst.parallel} at once`
  const rows = [...WORKS.flatMap((work) => rowsOf(work, title)), ...standalone(WORKS[0])]
  return [
    ...rows.flatMap((row) => compared(samples, row)),
    ...[...floors(title), ...cpuTimes].flatMap(({ title, sample }) => {
      const summary = samples.summary(sample)
      return summary === undefined ? [] : [{ name: `${title} p50`, unit: 'ms', value: summary.p50 }]
    }),
    { name: 'memory of the executable, peak', unit: 'bytes', value: executableMemory },
  ]
}

function compared(samples: Samples, { title, own, peer, parts, goal }: Row): Measured[] {
  const [mine, theirs] = [samples.summary(own), samples.summary(peer.sample)]
  if (mine === undefined) return []
  return parts.map((part) => ({
    name: `${title} ${part}`,
    unit: 'ms',
    value: mine[part],
    peer: { name: peer.name, value: theirs?.[part] },
    goal: part === 'p50' ? goal : undefined,
  }))
}
