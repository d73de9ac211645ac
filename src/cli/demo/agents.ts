import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetloomError } from '../../base/errors.js'
import { type AgentStatus, callAgent } from '../../daemon/client.js'
import { ChildEnd } from './child-end.js'
import { type Place } from './place.js'

/** One real agent for each node, as a process of its own in the node's namespace. */

export interface AgentOptions {
  readonly node: string
  readonly place: Place
  /** The program's main file. */
  readonly main: string
  /** As on its command line: `dir:PATH`, or `api` with what else that takes in `args`. */
  readonly source: string
  /** Folder for its socket and state. */
  readonly directory: string
  /** More for its command line. */
  readonly args?: readonly string[]
}

const READY_MS = 30_000
const STOP_MS = 5000
const POLL_MS = 15
/** What is kept of the last words of an agent. */
const LAST_CHARACTERS = 4000

export class Agent {
  readonly node: string
  readonly socket: string
  readonly #child: ChildProcess
  readonly #end: ChildEnd
  #words = ''

  /** It ends when its standard input does, so also when this process is killed. */
  constructor({ node, place, main, source, directory, args: more = [] }: AgentOptions) {
    this.node = node
    this.socket = join(directory, 'agent.sock')
    const options = {
      node,
      source,
      socket: this.socket,
      'state-dir': join(directory, 'state'),
      'log-level': 'warn',
    }
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
    this.#child = place.run(() =>
      spawn(process.execPath, [main, 'agent', ...args, ...more, '--stop-on-stdin-end'], {
        stdio: ['pipe', 'ignore', 'pipe'],
        // Not in the terminal's group: Ctrl-C is for the demo, which ends its agents itself.
        detached: true,
      }),
    )
    this.#child.stdin?.on('error', () => undefined) // it ended first, which `exit` tells
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#words = (this.#words + text).slice(-LAST_CHARACTERS)
    })
    this.#end = new ChildEnd(this.#child)
  }

  /** For who measures the process. */
  get pid(): number | undefined {
    return this.#child.pid
  }

  /** How it ended: `exit code 0`; undefined while it runs. */
  get end(): string | undefined {
    return this.#end.reason
  }

  async status(): Promise<AgentStatus> {
    return (await callAgent(this.socket, 'status')) as AgentStatus
  }

  /**
   * Waits until its status satisfies.
   * @param pollMs between two looks, for who is not to disturb it
   * @returns the last status, satisfying or not: the time may be over
   * @throws NetloomError `unavailable` with its last words, where it has ended or never answered
   */
  async waitFor(
    satisfied: (status: AgentStatus) => boolean,
    timeoutMs = READY_MS,
    pollMs = POLL_MS,
  ): Promise<AgentStatus> {
    const deadline = performance.now() + timeoutMs
    let status: AgentStatus | undefined
    while (performance.now() < deadline) {
      if (this.#end.reason !== undefined) throw this.#failure(`has ended (${this.#end.reason})`)
      status = await this.status().catch(ignoreUnavailable)
      if (status !== undefined && satisfied(status)) return status
      await sleep(pollMs)
    }
    if (status === undefined) throw this.#failure(`did not answer within ${timeoutMs} ms`)
    return status
  }

  async ready(): Promise<AgentStatus> {
    const status = await this.waitFor(({ ready }) => ready)
    if (!status.ready) throw this.#failure(`was not ready within ${READY_MS} ms: ${status.problems.join('; ')}`)
    return status
  }

  #failure(what: string): NetloomError {
    const words = this.#words.trim()
    return new NetloomError(
      'unavailable',
      `the agent of ${this.node} ${what}${words === '' ? '' : `; it said:\n${words}`}`,
    )
  }

  /** Ends it as a supervisor would, and by force if it takes too long. */
  async stop(): Promise<void> {
    this.#child.stdin?.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS)
    await this.#end.come
    clearTimeout(timer)
  }

  /** Ends it by force: for one whose namespace is about to go. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#end.come
  }
}

function ignoreUnavailable(error: unknown): undefined {
  if (error instanceof NetloomError && error.code === 'unavailable') return undefined
  throw error
}
