/** Tells on standard error what is going on: one line that is written over on a terminal, a line a step elsewhere. */
export class Progress {
  readonly #stream: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>

  constructor(stream: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'> = process.stderr) {
    this.#stream = stream
  }

  say(text: string): void {
    if (!this.#stream.isTTY) this.#stream.write(`${text}\n`)
    else this.#stream.write(`\r\x1b[K${text.slice(0, (this.#stream.columns || 80) - 1)}`)
  }

  /** A detail of the current step, for terminals only: how far it is. */
  detail(text: string): void {
    if (this.#stream.isTTY) this.say(text)
  }

  /** Leaves a clean line for what comes next. */
  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K')
  }
}
