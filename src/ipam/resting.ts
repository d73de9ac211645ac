/**
 * How many released addresses are remembered. What was released that many releases ago has rested long enough to count
 * as never used: without a limit a network of 2^64 addresses, of which each pod gets a fresh one, would be remembered
 * for as long as the node runs.
 */
export const REMEMBERED = 4096

/** Released addresses, which are given again as late as possible: in the order in which they were released. */
export class Resting {
  readonly #addresses = new Set<string>()
  readonly #limit: number

  constructor(limit = REMEMBERED) {
    this.#limit = limit
  }

  /** The one released first comes first. */
  [Symbol.iterator](): Iterator<string> {
    return this.#addresses.values()
  }

  has(address: string): boolean {
    return this.#addresses.has(address)
  }

  /** Answers the address that is forgotten in its favour, if one is. */
  add(address: string): string | undefined {
    this.#addresses.delete(address)
    this.#addresses.add(address)
    if (this.#addresses.size <= this.#limit) return undefined
    const [oldest] = this.#addresses
    if (oldest !== undefined) this.#addresses.delete(oldest)
    return oldest
  }

  delete(address: string): void {
    this.#addresses.delete(address)
  }
}
