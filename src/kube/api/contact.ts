import { type Flaw } from '../manifest.js'

/** Whether the API server can be reached, for all that ask it: one problem for all of them, and news of its return. */
export class Contact {
  readonly #report: (flaws: readonly Flaw[]) => void
  #lostSince: number | undefined
  #back: Deferred | undefined

  constructor(report: (flaws: readonly Flaw[]) => void) {
    this.#report = report
  }

  /** Milliseconds of the Unix epoch; undefined while the server answers. */
  get lostSince(): number | undefined {
    return this.#lostSince
  }

  /** Nobody answers, or nobody who could: since when that is so for whoever asked, and what was heard last. */
  lose(since: number, message: string): void {
    this.#lostSince = Math.min(this.#lostSince ?? since, since)
    this.#report([{ message: `cannot be reached since ${new Date(this.#lostSince).toISOString()}: ${message}` }])
  }

  /** Somebody was answered. */
  hear(): void {
    if (this.#lostSince !== undefined) {
      this.#lostSince = undefined
      this.#report([])
    }
    this.#back?.resolve()
    this.#back = undefined
  }

  /** Resolves when somebody is answered the next time. */
  whenHeard(): Promise<void> {
    this.#back ??= deferred()
    return this.#back.promise
  }
}

interface Deferred {
  readonly promise: Promise<void>
  readonly resolve: () => void
}

function deferred(): Deferred {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}
