export interface TokenBucketOptions {
  /** Tokens that it holds when it is full, as it is at first. */
  readonly burst: number
  /** Milliseconds for one more. */
  readonly refillMs: number
}

/** Lets a burst pass, and after that one at a time. */
export class TokenBucket {
  readonly #options: TokenBucketOptions
  #tokens: number
  #filledAt: number

  constructor(options: TokenBucketOptions, now: number) {
    this.#options = options
    this.#tokens = options.burst
    this.#filledAt = now
  }

  /** True where there was one. A clock that is set back gives none and takes none. */
  take(now: number): boolean {
    const { burst, refillMs } = this.#options
    this.#tokens = Math.min(burst, this.#tokens + Math.max(0, now - this.#filledAt) / refillMs)
    this.#filledAt = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
