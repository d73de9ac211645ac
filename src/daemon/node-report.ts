import { isDeepStrictEqual } from 'node:util'
import { asNetloomError, type NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import { ApiError } from '../kube/api/answer.js'
import { Backoff } from '../kube/api/backoff.js'
import { type ApiClient } from '../kube/api/client.js'
import { compileShape } from '../kube/api/prune.js'
import { NODE_SHAPE, nodePath, type NodeWish, planNodeReport } from './node-report-plan.js'

/** How long things take, in milliseconds. */
export interface NodeReportTiming {
  /** Between two looks at the Node, give or take a quarter. */
  readonly lookMs: number
  readonly firstBackoffMs: number
  readonly mostBackoffMs: number
}

const TIMING: NodeReportTiming = { lookMs: 5 * 60_000, firstBackoffMs: 500, mostBackoffMs: 60_000 }

export interface NodeReportOptions {
  readonly client: ApiClient
  /** Name of the Node. */
  readonly node: string
  readonly log: Logger
  readonly timing?: Partial<NodeReportTiming>
  /** Milliseconds of the Unix epoch. */
  readonly now?: () => number
  /** From 0 to 1. */
  readonly random?: () => number
}

const KEEP = compileShape(NODE_SHAPE)

/**
 * Keeps what the API knows of this node as it is wished: looks at the Node, and writes what is different. It looks again
 * when told that the Node has changed, and now and then by itself, since a Node that kubelet makes anew has nothing of
 * what was written to the former one, and nobody watches its conditions.
 */
export class NodeReport {
  readonly #options: NodeReportOptions
  readonly #timing: NodeReportTiming
  readonly #backoff: Backoff
  readonly #closing = new AbortController()
  #wish: NodeWish | undefined
  #problem: string | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  /** Asked for while a look was under way. */
  #again = false

  constructor(options: NodeReportOptions) {
    const { timing, random = Math.random } = options
    this.#options = options
    this.#timing = { ...TIMING, ...timing }
    const { firstBackoffMs, mostBackoffMs } = this.#timing
    this.#backoff = new Backoff({ firstMs: firstBackoffMs, mostMs: mostBackoffMs, random })
  }

  /** Says how it is to be from now on; nothing is read or written before the first time. */
  update(wish: NodeWish): void {
    if (isDeepStrictEqual(wish, this.#wish)) return
    this.#wish = wish
    this.#soon()
  }

  /** The Node may have changed. While writing fails, the next attempt is soon enough. */
  look(): void {
    const isComing = this.#running === undefined && this.#backoff.failures > 0
    if (this.#wish !== undefined && !isComing) this.#soon()
  }

  /** Why the Node is not as wished; undefined where it is, or nobody has tried yet. */
  problem(): string | undefined {
    return this.#problem
  }

  /** Nothing is written after it has resolved; what has been written stays. */
  async close(): Promise<void> {
    this.#closing.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  #soon(): void {
    if (this.#running === undefined) this.#schedule(0)
    else this.#again = true
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#closing.signal.aborted) return
    this.#timer = setTimeout(() => {
      this.#running = this.#run()
    }, ms)
  }

  async #run(): Promise<void> {
    const waitMs = await this.#write().then(
      () => this.#succeeded(),
      (error: unknown) => this.#failed(asNetloomError(error)),
    )
    this.#running = undefined
    this.#schedule(this.#again && this.#backoff.failures === 0 ? 0 : waitMs)
    this.#again = false
  }

  /** Stops at the first that fails: what lets pods come is the last. */
  async #write(): Promise<void> {
    const wish = this.#wish
    if (wish === undefined) return
    const { client, node, log, now = Date.now } = this.#options
    const { signal } = this.#closing
    const current = await client.call({ method: 'GET', path: nodePath(node), keep: KEEP, signal })
    for (const request of planNodeReport(wish, current, now())) {
      await client.call({ ...request, keep: KEEP, signal })
      log.info({ path: request.path, body: request.body }, 'told the API about this node')
    }
  }

  #succeeded(): number {
    const { log, random = Math.random } = this.#options
    if (this.#problem !== undefined) log.info('the API knows about this node again')
    this.#problem = undefined
    this.#backoff.reset()
    return this.#timing.lookMs * (0.75 + random() / 2)
  }

  /** Whatever it was, the next attempt begins with reading: after a conflict that is all there is to do. */
  #failed(error: NetloomError): number {
    if (this.#closing.signal.aborted) return 0
    const { log } = this.#options
    const waitMs = this.#backoff.fail(error instanceof ApiError ? error.retryAfterMs : 0)
    const { failures } = this.#backoff
    if (failures > 1 || !isRace(error)) {
      const problem = `the API cannot be told about this node: ${error.message}`
      if (problem !== this.#problem) log.warn({ err: error }, problem)
      this.#problem = problem
    }
    log.debug({ failures, waitMs, err: error }, 'telling the API about this node failed')
    return waitMs
  }
}

/** Somebody else was faster (409), or a JSON patch found something else than it was made for (422). */
const isRace = ({ code }: NetloomError): boolean => code === 'conflict' || code === 'invalid'
