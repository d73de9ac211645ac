export interface BackoffOptions {
  /** Most that the first wait may take; doubled with each failure. */
  readonly firstMs: number
  /** Most that any wait may take. */
  readonly mostMs: number
  /** From 0 to 1. */
  readonly random: () => number
}

/**
 * How long to wait before asking again: anything up to a bound that doubles ("full jitter"), so that agents which lost
 * their server at the same moment do not come back at the same moment.
 */
export class Backoff {
  readonly #options: BackoffOptions
  #failures = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures
  }

  /**
   * Counts a failure and answers the milliseconds to wait.
   * @param leastMs what the server wants (Retry-After): the jitter comes on top, or all would come back at its end
   */
  fail(leastMs = 0): number {
    const { firstMs, mostMs, random } = this.#options
    const bound = Math.min(firstMs * 2 ** Math.min(this.#failures++, 30), mostMs)
    return leastMs + random() * bound
  }

  reset(): void {
    this.#failures = 0
  }
}
