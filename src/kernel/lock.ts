import { closeSync, mkdirSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { asNetloomError, NetloomError } from '../base/errors.js'
import { lockFile } from './libc.js'

/** Milliseconds between two tries. */
const RETRY_MS = 5

/**
 * A file that one process at a time holds. The kernel gives it up when the process ends, so one that was killed leaves
 * no lock behind; the file itself stays, because whoever waits for it has it open.
 */
export class FileLock {
  readonly #fd: number
  #held = true

  private constructor(fd: number) {
    this.#fd = fd
  }

  /**
   * Takes the lock, waiting for whoever has it.
   * @param path made where it is not there, with its folder
   * @throws NetloomError `unavailable` where somebody has it all the time; `io`
   */
  static async take(path: string, { waitMs }: { readonly waitMs: number }): Promise<FileLock> {
    const fd = open(path)
    const patience = performance.now() + waitMs
    for (;;) {
      if (taken(fd, path)) return new FileLock(fd)
      if (performance.now() > patience) {
        closeSync(fd)
        throw new NetloomError('unavailable', `${path} is held by another process`, { operation: `lock ${path}` })
      }
      await sleep(RETRY_MS)
    }
  }

  /** Gives it up; once more is no mistake, since the descriptor may be another's by then. */
  release(): void {
    if (this.#held) closeSync(this.#fd)
    this.#held = false
  }
}

function open(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return openSync(path, 'a', 0o600)
  } catch (error) {
    throw asNetloomError(error, `open ${path}`)
  }
}

function taken(fd: number, path: string): boolean {
  try {
    lockFile(fd)
    return true
  } catch (error) {
    const { errno } = asNetloomError(error)
    if (errno === constants.errno.EAGAIN) return false
    closeSync(fd)
    throw asNetloomError(error, `lock ${path}`)
  }
}
