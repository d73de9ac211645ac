import { readFile } from 'node:fs/promises'
import { asNetloomError, invalid } from '../../base/errors.js'

/** A text that may change while the agent runs: a token, a certificate, a key. */
export interface Text {
  /** @throws NetloomError naming the field that says where it is */
  read(): Promise<string>
  /** Makes the next read look again. */
  expire(): void
}

/** A text that stands in the configuration itself. */
export const fixedText = (text: string): Text => ({ read: async () => text, expire: () => undefined })

/** Milliseconds for which a file is believed. The kubelet renews a pod's token when a fifth of its life is left. */
const FRESH_MS = 60_000

export interface FileTextOptions {
  /** The setting that names the file, for errors. */
  readonly field: string
  readonly freshMs?: number
  readonly now?: () => number
}

/**
 * The text of a file that somebody else replaces now and then. Where it cannot be read for a moment, as in the middle
 * of being replaced, the last text is used on; the server has the last word on whether that still counts.
 */
export class FileText implements Text {
  readonly #path: string
  readonly #field: string
  readonly #freshMs: number
  readonly #now: () => number
  #text: string | undefined
  #readAt = -Infinity

  constructor(path: string, { field, freshMs = FRESH_MS, now = () => performance.now() }: FileTextOptions) {
    this.#path = path
    this.#field = field
    this.#freshMs = freshMs
    this.#now = now
  }

  async read(): Promise<string> {
    const now = this.#now()
    if (this.#text !== undefined && now - this.#readAt < this.#freshMs) return this.#text
    try {
      const text = (await readFile(this.#path, 'utf8')).trim()
      if (text === '') throw invalid(this.#field, `${this.#path} is empty`)
      this.#text = text
    } catch (error) {
      if (this.#text === undefined) throw this.#unreadable(error)
    }
    this.#readAt = now
    return this.#text
  }

  expire(): void {
    this.#readAt = -Infinity
  }

  #unreadable(error: unknown): Error {
    const { code, message } = asNetloomError(error)
    return code === 'invalid' ? asNetloomError(error) : invalid(this.#field, `cannot be read: ${message}`, error)
  }
}
