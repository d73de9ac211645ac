import { type Interval } from './interval.js'

/**
 * Many numbers, kept as intervals: addresses are given one behind the other, so there are few, however many are in use.
 * The first number that is missing is found by bisection: neither the size of a network nor what is in use is walked
 * through.
 */
export class IntervalSet {
  /** In ascending order; between any two of them something is missing. */
  readonly #intervals: Interval[] = []

  /** For tests: the work of every call is logarithmic in this. */
  get intervals(): readonly Interval[] {
    return this.#intervals
  }

  add(value: bigint): void {
    // The first interval that holds it, ends right before it, or lies behind it.
    const at = this.#endingAtOrBehind(value - 1n)
    const [near, next] = [this.#intervals[at], this.#intervals[at + 1]]
    if (near === undefined || near.first > value + 1n) this.#intervals.splice(at, 0, { first: value, last: value })
    else if (near.first > value) this.#intervals[at] = { first: value, last: near.last }
    else if (near.last < value) {
      const joined = next?.first === value + 1n ? next : undefined
      this.#intervals.splice(at, joined === undefined ? 1 : 2, { first: near.first, last: joined?.last ?? value })
    }
  }

  delete(value: bigint): void {
    const at = this.#endingAtOrBehind(value)
    const found = this.#intervals[at]
    if (found === undefined || found.first > value) return
    const rests = [
      { first: found.first, last: value - 1n },
      { first: value + 1n, last: found.last },
    ]
    this.#intervals.splice(at, 1, ...rests.filter(({ first, last }) => first <= last))
  }

  /** The least number of an interval that is not in the set. */
  firstMissing({ first, last }: Interval): bigint | undefined {
    const found = this.#intervals[this.#endingAtOrBehind(first)]
    const missing = found === undefined || found.first > first ? first : found.last + 1n
    return missing <= last ? missing : undefined
  }

  /** The position of the first interval whose last number is not before `value`. */
  #endingAtOrBehind(value: bigint): number {
    let [low, high] = [0, this.#intervals.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const interval = this.#intervals[middle]
      if (interval !== undefined && interval.last < value) low = middle + 1
      else high = middle
    }
    return low
  }
}
