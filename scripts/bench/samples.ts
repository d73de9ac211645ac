/** What is told of a row of measurements. All values have the unit of the measurements. */
export interface Summary {
  readonly count: number
  readonly min: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/**
 * The smallest measurement that at least the share `q` (0 to 1) of all do not exceed: nearest rank, so always one
 * that was measured. With fewer than 100 of them, the 99th percentile is the largest.
 * @param sorted in ascending order, and not empty
 */
export function quantile(sorted: readonly number[], q: number): number {
  const rank = Math.max(1, Math.ceil(sorted.length * q))
  const value = sorted[rank - 1]
  if (value === undefined) throw new RangeError(`no ${q} quantile of ${sorted.length} measurements`)
  return value
}

/** @throws RangeError where there is no measurement */
export function summarize(measurements: readonly number[]): Summary {
  const sorted = [...measurements].sort((a, b) => a - b)
  const at = (q: number): number => quantile(sorted, q)
  return { count: sorted.length, min: at(0), p50: at(0.5), p99: at(0.99), max: at(1) }
}

/**
 * Measurements by the name of what was measured. The names come in the order of their first measurement.
 */
export class Samples {
  readonly #rows = new Map<string, number[]>()

  add(name: string, value: number): void {
    const row = this.#rows.get(name)
    if (row === undefined) this.#rows.set(name, [value])
    else row.push(value)
  }

  /** Undefined for what was never measured. */
  summary(name: string): Summary | undefined {
    const row = this.#rows.get(name)
    return row === undefined ? undefined : summarize(row)
  }
}
