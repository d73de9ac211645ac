/** Bytes of a new buffer: most pages of a list fit into twice as much. */
const FIRST_BYTES = 1024 * 1024

/** Larger ones are not kept. */
const MOST_BYTES = 8 * 1024 * 1024

/** Milliseconds for which buffers are kept that nobody uses. */
const KEPT_MS = 10_000

/**
 * Buffers for answers while they arrive. Lists come as dozens of answers of a megabyte or two; each in a buffer of its
 * own leaves holes in the process's memory that are never given back: 18 MB after 60 pages.
 */
export class Scratch {
  #free: Buffer[] = []
  #timer: NodeJS.Timeout | undefined

  /** Buffers that wait for use. */
  get size(): number {
    return this.#free.length
  }

  /**
   * Gathers pieces and answers what `use` makes of all of them; the bytes are only good until it returns.
   * @param mostBytes throws what `tooMany` answers where there are more
   */
  async gather<T>(pieces: AsyncIterable<Uint8Array>, { mostBytes, tooMany, use }: Gathering<T>): Promise<T> {
    let buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(FIRST_BYTES)
    let bytes = 0
    try {
      for await (const piece of pieces) {
        const end = bytes + piece.length
        if (end > mostBytes) throw tooMany()
        if (end > buffer.length) buffer = larger(buffer, bytes, end)
        buffer.set(piece, bytes)
        bytes = end
      }
      return use(buffer.subarray(0, bytes))
    } finally {
      this.#give(buffer)
    }
  }

  #give(buffer: Buffer): void {
    if (buffer.length <= MOST_BYTES) this.#free.push(buffer)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => (this.#free = []), KEPT_MS).unref()
  }
}

export interface Gathering<T> {
  readonly mostBytes: number
  readonly tooMany: () => Error
  readonly use: (bytes: Buffer) => T
}

function larger(buffer: Buffer, bytes: number, least: number): Buffer {
  let length = buffer.length
  while (length < least) length *= 2
  const copy = Buffer.allocUnsafeSlow(length)
  copy.set(buffer.subarray(0, bytes))
  return copy
}
