import { table } from '../../src/cli/demo/table.js'
import { type Figure } from './figure.js'
import { type Machine } from './machine.js'

/** What a benchmark prints: its last line is this as JSON. */
export interface Report {
  readonly bench: string
  readonly machine: Machine
  readonly figures: readonly Figure[]
}

/** The line for programs. */
export const jsonLine = ({ bench, machine, figures }: Report): string =>
  `${JSON.stringify({ bench, machine, figures })}\n`

const HEADING = ['figure', 'value', 'peer', 'ratio', 'goal', 'peer is']
const GIB = 2 ** 30

/** The same for people. */
export function readable({ bench, machine, figures }: Report): string {
  const { cpu, cores, arch, memory, kernel, node, load } = machine
  const lines = [
    `${bench}: ${cores} x ${cpu} (${arch}), ${(memory / GIB).toFixed(1)} GiB, Linux ${kernel}, Node ${node}, load ${load}`,
    '',
    ...table(HEADING, figures.map(row)),
    '',
  ]
  return `${lines.join('\n')}\n`
}

const row = ({ name, unit, value, peer, peerName, ratio, goal, met }: Figure): string[] => [
  name,
  `${value} ${unit}`,
  peer === null ? '' : `${peer} ${unit}`,
  ratio === null ? '' : String(ratio),
  goal === null ? '' : `${goal}: ${met === null ? 'not judged' : met ? 'met' : 'MISSED'}`,
  peerName === null ? '' : peer === null ? `${peerName} (missing)` : peerName,
]
