import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { asError, NetloomError } from '../../src/base/errors.js'
import { type ProcessEnd, type ProcessStart, reapProcess, startProcess } from '../../src/kernel/libc.js'

/** An execution that takes longer is a failure. */
const TIMEOUT_MS = 60_000

/** How often it is looked whether the last is gone. */
const POLL_MS = 5

interface Waiting {
  readonly resolve: (end: ProcessEnd) => void
  readonly reject: (error: Error) => void
}

/**
 * The processes that are measured. They are started by posix_spawn, as container runtimes start theirs (Go uses clone
 * with CLONE_VM and CLONE_VFORK too), and not by Node's child_process, which forks all of Node. One /bin/true, p50 on
 * two cores that had other work, and 100 of them 20 at once:
 *
 *   spawnSync / spawn of child_process              6.3 ms    427 ms
 *   posix_spawn, this thread waits in wait4         1.17 ms    83 ms
 *   posix_spawn, a thread of libuv's pool waits     1.20 ms    63 ms
 *   posix_spawn, SIGCHLD tells (this)               1.06 ms    58 ms
 *
 * SIGCHLD costs the least, keeps the event loop free for time limits and Ctrl-C, and leaves the size of the pool as it
 * is for the agents. libuv listens to the signal as well and looks only at processes of its own, as this does.
 */
export class Children {
  readonly #running = new Map<number, Waiting>()
  readonly #signal: AbortSignal
  readonly #timeoutMs: number
  readonly #sweep = (): void => this.#reapAll()
  readonly #kill = (): void => {
    for (const pid of this.#running.keys()) kill(pid)
  }

  /** @param signal when it is aborted those that run are killed, and none is started any more */
  constructor(signal: AbortSignal, timeoutMs = TIMEOUT_MS) {
    this.#signal = signal
    this.#timeoutMs = timeoutMs
    process.on('SIGCHLD', this.#sweep)
    signal.addEventListener('abort', this.#kill)
  }

  /**
   * Starts a process in the namespaces that the calling thread is in now; where the thread goes before the end does not
   * matter.
   * @returns its end; rejects where it took too long, and was killed, or where somebody else has taken its end
   * @throws NetloomError `kernel` where it cannot be started; what the signal was aborted for
   */
  start(program: ProcessStart): Promise<ProcessEnd> {
    this.#signal.throwIfAborted()
    const pid = startProcess(program)
    const end = new Promise<ProcessEnd>((resolve, reject) => this.#running.set(pid, { resolve, reject }))
    return this.#limit(program, pid, end)
  }

  async #limit({ executable }: ProcessStart, pid: number, end: Promise<ProcessEnd>): Promise<ProcessEnd> {
    let kills = 0
    // The timer also keeps the event loop alive until the end is noticed, which listening to a signal does not.
    const timer = setInterval(() => {
      kills++
      kill(pid)
    }, this.#timeoutMs)
    try {
      const ended = await end
      if (kills === 0 || ended.signal === null) return ended
    } finally {
      clearInterval(timer)
    }
    const what = `${executable} was killed, because it did not end within ${this.#timeoutMs} ms`
    throw new NetloomError('unavailable', what, { operation: executable })
  }

  /** One signal may stand for several ends. */
  #reapAll(): void {
    for (const [pid, { resolve, reject }] of this.#running) {
      try {
        const end = reapProcess(pid)
        if (end === undefined) continue
        resolve(end)
      } catch (error) {
        reject(asError(error))
      }
      this.#running.delete(pid)
    }
  }

  /** Kills those that run, and waits until the last is gone. */
  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#kill)
    this.#kill()
    while (this.#running.size > 0) await sleep(POLL_MS)
    process.removeListener('SIGCHLD', this.#sweep)
  }
}

/** With its children, the iptables of a plugin: it leads a process group. Its ID is its own until it is reaped. */
function kill(pid: number): void {
  process.kill(-pid, 'SIGKILL')
}

const NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** The name of a signal; its number where it has none. */
export const signalName = (signal: number): string => NAMES.get(signal) ?? String(signal)
