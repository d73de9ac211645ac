/** The figures of a benchmark, in the form that all benchmarks print. */

/** One figure of the JSON line. */
export interface Figure {
  /** What was measured; no two figures of a benchmark have the same. */
  readonly name: string
  readonly unit: string
  readonly value: number
  /** The same of somebody else, measured in the same run; null where there is nobody to compare with. */
  readonly peer: number | null
  readonly peerName: string | null
  /** `value` divided by `peer`. */
  readonly ratio: number | null
  /** As text: `ratio <= 0.1`, `value <= 4 ms`. */
  readonly goal: string | null
  /** Null where there is no goal, or nothing to judge it by. */
  readonly met: boolean | null
}

/** A bound on the figure, or on its ratio to the peer's. */
export interface Goal {
  readonly of: 'value' | 'ratio'
  readonly bound: 'most' | 'least'
  readonly limit: number
}

/** A figure as a benchmark gives it. */
export interface Measured {
  readonly name: string
  readonly unit: string
  readonly value: number
  /** `value` is undefined where the peer is missing on this machine. */
  readonly peer?: { readonly name: string; readonly value: number | undefined } | undefined
  readonly goal?: Goal | undefined
}

/** Digits that are told: more would be noise. */
const SIGNIFICANT = 4

/** A goal is judged by what was measured, not by the rounded figures. */
export function figure({ name, unit, value, peer, goal }: Measured): Figure {
  const ratio = peer?.value === undefined || peer.value === 0 ? null : value / peer.value
  return {
    name,
    unit,
    value: rounded(value),
    peer: peer?.value === undefined ? null : rounded(peer.value),
    peerName: peer?.name ?? null,
    ratio: ratio === null ? null : rounded(ratio),
    goal: goal === undefined ? null : goalText(goal, unit),
    met: goal === undefined ? null : isMet(goal, goal.of === 'ratio' ? ratio : value),
  }
}

const rounded = (value: number): number => Number(value.toPrecision(SIGNIFICANT))

const goalText = ({ of, bound, limit }: Goal, unit: string): string =>
  `${of} ${bound === 'most' ? '<=' : '>='} ${limit}${of === 'value' ? ` ${unit}` : ''}`

const isMet = ({ bound, limit }: Goal, judged: number | null): boolean | null =>
  judged === null ? null : bound === 'most' ? judged <= limit : judged >= limit
