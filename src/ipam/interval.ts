/** Addresses of one family as numbers, from the first to the last; nothing where `last` is before `first`. */
export interface Interval {
  readonly first: bigint
  readonly last: bigint
}

export const point = (value: bigint): Interval => ({ first: value, last: value })

export const holds = ({ first, last }: Interval, value: bigint): boolean => first <= value && value <= last

export const overlaps = (a: Interval, b: Interval): boolean => a.first <= b.last && b.first <= a.last

const size = ({ first, last }: Interval): bigint => (last < first ? 0n : last - first + 1n)

/** How many values intervals that do not overlap hold together. */
export const sizeOf = (intervals: readonly Interval[]): bigint =>
  intervals.reduce((sum, interval) => sum + size(interval), 0n)

const byFirst = (a: Interval, b: Interval): number => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0)

/** What is left of an interval without some others, in ascending order. */
export function without(whole: Interval, holes: readonly Interval[]): Interval[] {
  const left: Interval[] = []
  let { first } = whole
  for (const hole of holes.filter((hole) => overlaps(whole, hole)).sort(byFirst)) {
    if (hole.first > first) left.push({ first, last: hole.first - 1n })
    if (hole.last >= first) first = hole.last + 1n
  }
  if (first <= whole.last) left.push({ first, last: whole.last })
  return left
}
