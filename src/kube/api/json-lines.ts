import { NetloomError } from '../../base/errors.js'

/**
 * Longest line of a watch, in bytes. An object takes at most 1.5 MB in etcd; as JSON, with all that the API adds, it
 * stays far below this.
 */
export const MOST_LINE_BYTES = 16 * 1024 * 1024

const NEWLINE = 0x0a

/**
 * Values of a text of JSON lines that arrives in pieces. Lines are cut as bytes, so a piece may end anywhere, also
 * within a character.
 */
export class JsonLines {
  readonly #mostBytes: number
  /** Pieces of the line that has not ended yet. */
  #pieces: Uint8Array[] = []
  #bytes = 0

  constructor(mostBytes = MOST_LINE_BYTES) {
    this.#mostBytes = mostBytes
  }

  /** Bytes of the line that has not ended yet. */
  get pending(): number {
    return this.#bytes
  }

  /**
   * Takes a piece and answers the values of the lines that end in it.
   * @throws NetloomError `invalid` for a line that is no JSON or too long
   */
  push(piece: Uint8Array): unknown[] {
    const values: unknown[] = []
    let start = 0
    for (let end = piece.indexOf(NEWLINE); end !== -1; end = piece.indexOf(NEWLINE, start)) {
      this.#keep(piece.subarray(start, end))
      const text = this.#take()
      if (text.trim() !== '') values.push(parse(text))
      start = end + 1
    }
    this.#keep(piece.subarray(start))
    return values
  }

  #keep(piece: Uint8Array): void {
    if (piece.length === 0) return
    this.#bytes += piece.length
    if (this.#bytes > this.#mostBytes)
      throw new NetloomError('invalid', `the API server sent a line of more than ${this.#mostBytes} bytes`)
    this.#pieces.push(piece)
  }

  #take(): string {
    const [first, second] = this.#pieces
    const line = first !== undefined && second === undefined ? first : Buffer.concat(this.#pieces, this.#bytes)
    this.#pieces = []
    this.#bytes = 0
    return Buffer.from(line.buffer, line.byteOffset, line.length).toString('utf8')
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new NetloomError('invalid', 'the API server sent a line that is no JSON', { cause })
  }
}
