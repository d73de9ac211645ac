import { type PhaseReport } from './report.js'
import { type Progress } from './progress.js'

/** Runs the parts of the demo one after the other and takes their times. */
export class Phases {
  readonly reports: PhaseReport[] = []
  readonly #progress: Progress
  readonly #clock: () => number

  constructor(progress: Progress, clock: () => number = () => performance.now()) {
    this.#progress = progress
    this.#clock = clock
  }

  /** @param name as a person reads it: what is being done */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.#progress.say(name)
    const started = this.#clock()
    const result = await work()
    this.reports.push({ name, ms: Math.round(this.#clock() - started) })
    return result
  }
}
