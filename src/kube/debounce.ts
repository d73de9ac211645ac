/** How many times its quiet time a debounced call waits at most while there is no quiet. */
const PATIENCE = 4

/** Calls once when a burst of touches is over, or has lasted too long. */
export class Debounce {
  readonly #quietMs: number
  readonly #call: () => void
  #timer: NodeJS.Timeout | undefined
  #since = 0

  constructor(quietMs: number, call: () => void) {
    this.#quietMs = quietMs
    this.#call = call
  }

  touch(): void {
    const now = performance.now()
    if (this.#timer === undefined) this.#since = now
    else clearTimeout(this.#timer)
    const left = this.#since + PATIENCE * this.#quietMs - now
    this.#timer = setTimeout(() => this.#fire(), Math.max(0, Math.min(this.#quietMs, left)))
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #fire(): void {
    this.#timer = undefined
    this.#call()
  }
}
