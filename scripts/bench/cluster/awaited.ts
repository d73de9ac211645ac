import { NetloomError } from '../../../src/base/errors.js'

/** For a machine that is busy with other things: what takes longer was lost. */
const PATIENCE_MS = 30_000

interface Waiting {
  readonly seen: (at: number) => void
  readonly fail: (error: Error) => void
}

/** Things that are to happen, by a text that names each: when they did. */
export class Awaited {
  readonly #waiting = new Map<string, Waiting>()

  /**
   * Call it before what makes it happen.
   * @returns when it did, by `performance.now()`
   */
  expect(text: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const settle = (work: () => void): void => {
        clearTimeout(timer)
        this.#waiting.delete(text)
        work()
      }
      const fail = (error: Error): void => settle(() => reject(error))
      const late = new NetloomError('unavailable', `'${text}' was not seen within ${PATIENCE_MS} ms`)
      const timer = setTimeout(() => fail(late), PATIENCE_MS)
      this.#waiting.set(text, { seen: (at) => settle(() => resolve(at)), fail })
    })
  }

  saw(text: string, at = performance.now()): void {
    this.#waiting.get(text)?.seen(at)
  }

  /** All that stands in a longer text happened. */
  sawIn(longer: string, at = performance.now()): void {
    for (const [text, { seen }] of this.#waiting) if (longer.includes(text)) seen(at)
  }

  fail(error: Error): void {
    for (const { fail } of this.#waiting.values()) fail(error)
  }
}
