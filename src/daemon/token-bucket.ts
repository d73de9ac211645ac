export interface TokenBucketOptions {
  /** Tokens that it holds when it is full, as it is at first. */
  readonly burst: number
  /** Milliseconds for one more. */
  readonly refillMs: number
}

/** Lets a burst pass, and after that one at a time. */
export class TokenBucket {
  readonly #options: TokenBucketOptions
  /** Milliseconds that are worth tokens: whole numbers, where fractions of tokens would add up to a bit less than one. */
  #credit: number
  #filledAt: number

  constructor(options: TokenBucketOptions, now: number) {
    this.#options = options
    this.#credit = options.burst * options.refillMs
    this.#filledAt = now
  }

  /** True where there was one. A clock that is set back gives none and takes none. */
  take(now: number): boolean {
    const { burst, refillMs } = this.#options
    this.#credit = Math.min(burst * refillMs, this.#credit + Math.max(0, now - this.#filledAt))
    this.#filledAt = now
    if (this.#credit < refillMs) return false
    this.#credit -= refillMs
    return true
  }
}
