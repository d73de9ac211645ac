import { type ChildProcess } from 'node:child_process'

/** The end of a process that was started, or could not be. */
export class ChildEnd {
  /** Resolves when it has come. */
  readonly come: Promise<void>
  #reason: string | undefined

  constructor(child: ChildProcess) {
    this.come = new Promise((resolve) => {
      const end = (reason: string): void => {
        this.#reason ??= reason
        resolve()
      }
      child.on('error', (error) => end(error.message))
      child.on('exit', (code, signal) => end(signal === null ? `exit code ${code ?? 0}` : `signal ${signal}`))
    })
  }

  /** `exit code 0`, `signal SIGKILL`; undefined while it runs. */
  get reason(): string | undefined {
    return this.#reason
  }
}
