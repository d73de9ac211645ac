import { asNetloomError, NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import { type ApiClient } from '../kube/api/client.js'
import { compileShape } from '../kube/api/prune.js'
import { Cursor } from '../model/cursor.js'
import { creation, eventName, type EventReport, objectPath, type Regarding, repetition } from './event-object.js'
import { EventTally, type EventTallyOptions, type Series } from './event-tally.js'

export type { EventReport, Regarding } from './event-object.js'

export interface EventsOptions {
  readonly client: ApiClient
  /** Name of the Node that reports. */
  readonly node: string
  readonly log: Logger
  readonly tally?: EventTallyOptions
  /** Milliseconds of the Unix epoch. */
  readonly now?: () => number
  /** From 0 to 1. */
  readonly random?: () => number
}

/** An Event that is at the server, as far as we know. */
interface Written {
  readonly name: string
  readonly report: EventReport
}

const UID = compileShape({ metadata: { uid: true } })

/**
 * Tells people through the API what they must know. Events are a courtesy: none waits for one, and one that cannot be
 * written hurts nothing; the problem that it tells of is in the agent's status and log as well.
 */
export class Events {
  readonly #options: EventsOptions
  readonly #tally: EventTally
  /** What has been written of a series. It goes with the series. */
  readonly #written = new WeakMap<Series, Written>()
  readonly #closing = new AbortController()
  /** Ends when all that is to be written is: one at a time, so that a repetition never overtakes what it repeats. */
  #last: Promise<void> = Promise.resolve()
  #dropped = 0
  /** Code of the error that the last write ended with, which is in the log. */
  #failing: NetloomError['code'] | undefined

  constructor(options: EventsOptions) {
    this.#options = options
    this.#tally = new EventTally(options.tally)
  }

  /** Reports for which no write was allowed, since the start. */
  get dropped(): number {
    return this.#dropped
  }

  /** Returns at once and never throws. */
  report(report: EventReport): void {
    if (this.#closed) return
    const { log, now = Date.now } = this.#options
    const { write, dropped } = this.#tally.take(report, now())
    const { regarding, reason } = report
    if (write !== undefined) {
      if (dropped > 0) log.info({ regarding, dropped }, 'an Event stands for others that were too many to be written')
      this.#last = this.#last.then(() => this.#write(write))
    } else if (dropped > 0) {
      this.#dropped++
      if (dropped === 1) log.warn({ regarding, reason }, 'too many Events about one object: they are only counted')
    }
  }

  /** Gives up what is not written yet. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#last
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted
  }

  async #write(series: Series): Promise<void> {
    if (this.#closed) return
    const { log } = this.#options
    try {
      await this.#tell(series)
      if (this.#failing !== undefined) log.info('Events can be written again')
      this.#failing = undefined
    } catch (thrown) {
      const error = asNetloomError(thrown)
      const { regarding, reason } = series.report
      const isNews = error.code !== this.#failing && !this.#closed
      log[isNews ? 'warn' : 'debug']({ regarding, reason, err: error }, 'an Event cannot be written')
      this.#failing = error.code
    }
  }

  async #tell(series: Series): Promise<void> {
    const written = this.#written.get(series)
    if (written === undefined) return this.#create(series, await this.#identified(series.report))
    this.#tally.taken(series)
    try {
      await this.#call(repetition(written.report.regarding, series, written.name))
    } catch (error) {
      if (!(error instanceof NetloomError) || error.code !== 'not-found') throw error
      await this.#create(series, written.report) // somebody deleted it, or the server did after an hour
    }
  }

  async #create(series: Series, report: EventReport): Promise<void> {
    const { node, now = Date.now, random = Math.random } = this.#options
    const name = eventName(report.regarding, now(), random())
    this.#tally.taken(series)
    await this.#call(creation(report, series, { name, node }))
    this.#written.set(series, { name, report })
  }

  /** With the uid of its object: `kubectl describe` finds no Event without it. */
  async #identified(report: EventReport): Promise<EventReport> {
    const uid = report.regarding.uid ?? (await this.#uidOf(report.regarding))
    return { ...report, regarding: { ...report.regarding, uid } }
  }

  async #uidOf(regarding: Regarding): Promise<string | undefined> {
    try {
      const object = await this.#call({ method: 'GET', path: objectPath(regarding), keep: UID })
      return new Cursor(object).field('metadata').field('uid').string()
    } catch (thrown) {
      const error = asNetloomError(thrown)
      if (error.code === 'unavailable') throw error
      this.#options.log.debug({ regarding, err: error }, 'the object of an Event cannot be read')
      return undefined // it may be gone, which may be what there is to tell
    }
  }

  #call(request: Parameters<ApiClient['call']>[0]): Promise<unknown> {
    return this.#options.client.call({ ...request, signal: this.#closing.signal })
  }
}
