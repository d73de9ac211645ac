import { type Goal, type Measured } from '../figure.js'
import { type Samples, type Summary } from '../samples.js'
import { PLAIN } from './plain.js'
import { NODE_START, START, VARIANTS } from './start.js'
import { ENDPOINT, ROUTE, watched } from './writes.js'

/** From measurements to figures. */

type Part = Exclude<keyof Summary, 'count'>

interface Row {
  readonly title: string
  readonly unit: string
  /** Name of the measurements. */
  readonly sample: string
  readonly peer?: { readonly name: string; readonly sample: string }
  readonly part: Part
  readonly goal?: Goal
}

const most = (limit: number): Goal => ({ of: 'value', bound: 'most', limit })

/** Of a few starts, the 99th percentile is the largest. */
const startRows = VARIANTS.flatMap(({ title }): Row[] => {
  const plain = (sample: string) => ({ name: PLAIN, sample: `${sample}${title}` })
  const of = (sample: string) => ({ sample: `${sample}${title}` })
  const time = { ...of(START.TIME), unit: 'ms', peer: plain(START.PLAIN_TIME) }
  return [
    { ...time, title: `agent start to everything programmed${title} p50`, part: 'p50', goal: most(1500) },
    { ...time, title: `agent start to everything programmed${title} max`, part: 'max' },
    { ...of(START.RSS), title: `memory (RSS)${title} max`, unit: 'MB', part: 'max', goal: most(150) },
    { ...of(START.PSS), title: `memory (PSS)${title} max`, unit: 'MB', part: 'max' },
    {
      ...of(START.BYTES),
      title: `bytes received until then${title} p50`,
      unit: 'MB',
      part: 'p50',
      peer: plain(START.PLAIN_BYTES),
    },
    {
      ...of(START.REQUESTS),
      title: `requests of lists${title} p50`,
      unit: 'requests',
      part: 'p50',
      peer: plain(START.PLAIN_REQUESTS),
    },
  ]
})

const writeRows = [ENDPOINT, ROUTE].flatMap(({ name }): Row[] => {
  const row = { unit: 'ms', sample: name, peer: { name: 'write to watch event', sample: watched(name) } }
  const title = `write to netlink, one ${name}`
  return [
    { ...row, title: `${title} p50`, part: 'p50', goal: most(10) },
    { ...row, title: `${title} p99`, part: 'p99', goal: most(50) },
  ]
})

const ROWS: readonly Row[] = [
  ...startRows,
  { title: `start of Node (${NODE_START}) p50`, unit: 'ms', sample: NODE_START, part: 'p50' },
  ...writeRows,
]

export const clusterFigures = (samples: Samples): Measured[] =>
  ROWS.flatMap(({ title, unit, sample, peer, part, goal }) => {
    const summary = samples.summary(sample)
    if (summary === undefined) return []
    const other = peer === undefined ? undefined : { name: peer.name, value: samples.summary(peer.sample)?.[part] }
    return [{ name: title, unit, value: summary[part], peer: other, goal }]
  })
