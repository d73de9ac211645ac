import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetloomError } from '../../src/base/errors.js'
import { ChildEnd } from '../../src/cli/demo/child-end.js'
import { type Place } from '../../src/cli/demo/place.js'

export interface ComponentOptions {
  readonly name: string
  /** Its program. */
  readonly path: string
  readonly flags: Flags
  /** Where it runs and logs. */
  readonly directory: string
  /** The network namespace it runs in, where it is not this process's own. */
  readonly place?: Place | undefined
}

/** Flags by name; those that are undefined are left out. */
export type Flags = Readonly<Record<string, string | number | boolean | undefined>>

const START_MS = 120_000
const STOP_MS = 10_000
const PROBE_MS = 50
/** What is told of its log when it does not start. */
const LAST_LINES = 30

/** A server that runs until it is ended, its log in a file. It never outlives this process. */
export class Component {
  readonly name: string
  readonly #log: string
  readonly #child: ChildProcess
  readonly #end: ChildEnd

  constructor({ name, path, flags, directory, place }: ComponentOptions) {
    this.name = name
    this.#log = join(directory, `${name}.log`)
    const log = openSync(this.#log, 'a')
    // The kernel kills it when this process ends, however that happens; setpriv becomes the program.
    const args = ['--pdeathsig', 'KILL', path, ...written(flags)]
    const start = (): ChildProcess => spawn('setpriv', args, { cwd: directory, stdio: ['ignore', log, log] })
    this.#child = place === undefined ? start() : place.run(start)
    closeSync(log)
    this.#end = new ChildEnd(this.#child)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Waits until it answers a probe. @throws NetloomError `unavailable` with the end of its log */
  async ready(probe: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + START_MS
    while (!(await probe().catch(ignoreUnavailable))) {
      if (this.#end.reason !== undefined) throw this.#failure(`has ended (${this.#end.reason})`)
      if (performance.now() > deadline) throw this.#failure(`was not ready within ${START_MS} ms`)
      await sleep(PROBE_MS)
    }
  }

  #failure(what: string): NetloomError {
    const log = existsSync(this.#log) ? readFileSync(this.#log, 'utf8').trim() : ''
    return new NetloomError('unavailable', `${this.name} ${what}; ${log.split('\n').slice(-LAST_LINES).join('\n')}`)
  }

  /** Suspends it, as a machine that hangs: connections stay and nothing answers. */
  suspend(): void {
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  /** Ends it as a supervisor would, and by force if that takes too long. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS)
    await this.#end.come
    clearTimeout(timer)
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#end.come
  }
}

const written = (flags: Flags): string[] =>
  Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]))

/** Not there yet is what is waited for to pass. */
function ignoreUnavailable(error: unknown): boolean {
  if (error instanceof NetloomError && error.code === 'unavailable') return false
  throw error
}
