import { asError } from '../base/errors.js'
import { type Logger } from '../base/log.js'

export interface ReconcilerOptions {
  /** What it keeps right, for logs: `services`. */
  readonly name: string
  readonly log: Logger
  /** Brings actual state to the desired one; called again when it throws. */
  readonly run: () => Promise<void>
  /** Milliseconds to wait for more before a run, so that a burst is one run. */
  readonly gatherMs: number
}

/** Milliseconds before a failed run is tried again: doubled with each failure up to the last. */
const RETRY = { first: 100, last: 10_000 }

/** A loop that runs when something may have changed, never twice at a time, and again after a failure. */
export class Reconciler {
  readonly #options: ReconcilerOptions
  #timer: NodeJS.Timeout | undefined
  /** When the timer fires, by the monotonic clock. */
  #due = Infinity
  #running: Promise<void> | undefined
  /** The run behind the one under way, which is asked for. */
  #next: Promise<void> | undefined
  /** Milliseconds to wait for more once the run under way has ended; undefined where nothing has changed meanwhile. */
  #again: number | undefined
  #failures = 0
  #error: { readonly message: string; readonly since: number } | undefined
  #closed = false

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** Why the last run failed, and since when runs fail in milliseconds of the epoch; undefined while all is well. */
  get error(): { readonly message: string; readonly since: number } | undefined {
    return this.#error
  }

  /**
   * Something may have changed: run soon.
   * @param gatherMs instead of the usual time, for what has been gathered already
   */
  trigger(gatherMs = this.#options.gatherMs): void {
    if (this.#closed) return
    if (this.#running !== undefined) this.#again = Math.min(gatherMs, this.#again ?? Infinity)
    else this.#schedule(gatherMs)
  }

  /**
   * Runs now, or waits for the run that is under way and runs once more, which is one time for all that ask meanwhile;
   * answers when that has ended well or not.
   */
  async now(): Promise<void> {
    if (this.#running === undefined) return this.#begin()
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      return this.#begin()
    })
    await this.#next
  }

  async #begin(): Promise<void> {
    if (this.#closed) return
    this.#unschedule()
    await this.#start()
  }

  /** Runs after some time, or when it was to run anyway, if that is earlier: what never ceases must not put it off. */
  #schedule(ms: number): void {
    const due = performance.now() + ms
    if (due >= this.#due) return
    this.#unschedule()
    this.#due = due
    this.#timer = setTimeout(() => {
      this.#unschedule()
      void this.#start()
    }, ms)
  }

  #unschedule(): void {
    clearTimeout(this.#timer)
    this.#due = Infinity
  }

  #start(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (this.#closed) return
      if (this.#failures > 0) this.#schedule(Math.min(RETRY.first * 2 ** (this.#failures - 1), RETRY.last))
      else if (this.#again !== undefined) this.#schedule(this.#again)
      this.#again = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    const { name, log, run } = this.#options
    try {
      await run()
      if (this.#failures > 0) log.info({ part: name, failures: this.#failures }, 'works again')
      this.#failures = 0
      this.#error = undefined
    } catch (error) {
      this.#failures++
      this.#error = { message: asError(error).message, since: this.#error?.since ?? Date.now() }
      log.error({ part: name, failures: this.#failures, err: error }, 'failed, will be tried again')
    }
  }

  /** No run starts any more; answers when the last has ended. */
  async close(): Promise<void> {
    this.#closed = true
    this.#unschedule()
    await this.#running
  }
}
