import { type EventReport, type Occurrences, type Regarding } from './event-object.js'
import { TokenBucket, type TokenBucketOptions } from './token-bucket.js'

export interface EventTallyOptions extends TokenBucketOptions {
  /** Milliseconds without a repetition after which the same is something new. */
  readonly windowMs: number
  /** Series that are remembered, and objects. */
  readonly most: number
}

/**
 * Writes about one object are limited as those of Kubernetes' own components are (EventCorrelator of client-go): etcd
 * keeps every one of them for an hour.
 */
export const TALLY: EventTallyOptions = { windowMs: 10 * 60_000, burst: 25, refillMs: 5 * 60_000, most: 1000 }

/** The same thing, once or several times. */
export interface Series extends Occurrences {
  readonly report: EventReport
  /** It is going to be written, with whatever is counted until then. */
  readonly queued: boolean
}

/** What becomes of a report. */
export interface Fate<S extends Series> {
  /** To be written; undefined where it is counted only. */
  readonly write: S | undefined
  /** Reports about the object for which there was no write; for one that is written, those since the last that was. */
  readonly dropped: number
}

type Counted = { -readonly [Field in keyof Series]: Series[Field] }

/** Writes about an object. */
interface Allowance {
  readonly bucket: TokenBucket
  dropped: number
}

/**
 * Counts reports, and decides which of them are written. One that is not is not lost: its series says how often it was
 * the next time that it is written.
 */
export class EventTally {
  readonly #options: EventTallyOptions
  /** By what is reported; those of which something was heard last are at the end. */
  readonly #series = new Map<string, Counted>()
  /** By object, in the same order. */
  readonly #allowances = new Map<string, Allowance>()

  constructor(options: EventTallyOptions = TALLY) {
    this.#options = options
  }

  /** Series and objects that are remembered. */
  get size(): number {
    return this.#series.size + this.#allowances.size
  }

  /** Counts a report. Whoever is told to write a series says {@link taken} when it reads what to write. */
  take(report: EventReport, now: number): Fate<Series> {
    const series = this.#count(report, now)
    if (series.queued) return { write: undefined, dropped: 0 }
    const allowance = this.#allowance(report.regarding, now)
    if (!allowance.bucket.take(now)) return { write: undefined, dropped: ++allowance.dropped }
    const { dropped } = allowance
    allowance.dropped = 0
    series.queued = true
    return { write: series, dropped }
  }

  /** A series is being written as it is now: what is counted from here on needs another write. */
  taken(series: Series): void {
    ;(series as Counted).queued = false
  }

  #count(report: EventReport, now: number): Counted {
    const key = keyOf(report)
    const known = this.#series.get(key)
    const continued = known !== undefined && now - known.lastAt <= this.#options.windowMs
    const series = continued ? known : { report, count: 0, firstAt: now, lastAt: now, queued: false }
    series.count++
    series.lastAt = now
    touch(this.#series, key, series, this.#options.most)
    return series
  }

  #allowance(regarding: Regarding, now: number): Allowance {
    const key = regardingKey(regarding)
    const known = this.#allowances.get(key) ?? { bucket: new TokenBucket(this.#options, now), dropped: 0 }
    touch(this.#allowances, key, known, this.#options.most)
    return known
  }
}

const regardingKey = ({ kind, namespace = '', name }: Regarding): string => `${kind} ${namespace}/${name}`

const keyOf = ({ type, reason, message, regarding }: EventReport): string =>
  [regardingKey(regarding), regarding.uid ?? '', type, reason, message].join('\n')

/** Makes an entry the last of a map, and drops those of which nothing was heard for longest. */
function touch<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key)
  map.set(key, value)
  for (const oldest of map.keys()) {
    if (map.size <= most) return
    map.delete(oldest)
  }
}
