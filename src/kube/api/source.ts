import { NetloomError } from '../../base/errors.js'
import { type Logger } from '../../base/log.js'
import { Debounce } from '../debounce.js'
import { Feed } from '../feed.js'
import { PendingChanges } from '../pending-changes.js'
import { Problems } from '../problems.js'
import { type Listener, type Problem, type Source } from '../source.js'
import { type Change, type ReadonlyStore } from '../store.js'
import { type WatchingApiClient } from './client.js'
import { Contact } from './contact.js'
import { Gate } from './gate.js'
import { Reflector, type Timing, TIMING } from './reflector.js'
import { podsOf, type Resource, resourcesOf } from './resource.js'

export interface ApiSourceOptions {
  readonly client: WatchingApiClient
  /** The server as people know it. */
  readonly server: string
  /** Name of the Node that the agent runs on: of Pods only its own are asked for, unless policies need all. */
  readonly node: string
  /** Namespace of the Leases that claim subnets; undefined where the cluster allocates subnets. */
  readonly claimNamespace: string | undefined
  readonly log: Logger
  readonly timing?: Partial<Timing>
  /** From 0 to 1. */
  readonly random?: () => number
}

/** Pages that are asked for at a time: what one waits for, another is parsed in; more are only memory. */
const PAGES_AT_ONCE = 3

/** Quiet time after which changes are told, in milliseconds: what happens together arrives within a few. */
const GATHER_MS = 1

/**
 * A Kubernetes API server as a source of truth: a reflector for each kind.
 *
 * A server that cannot be reached is no error, not even at the start: it is a problem, and is tried again until it
 * answers. Meanwhile everything stays as it was known.
 */
export class ApiSource implements Source {
  readonly #options: ApiSourceOptions
  readonly #feed: Feed
  readonly #problems: Problems
  readonly #pending = new PendingChanges()
  readonly #debounce = new Debounce(GATHER_MS, () => this.#publish())
  readonly #reflectors: ReadonlyMap<Resource['kind'], Reflector>
  readonly #closing = new AbortController()
  #started: Promise<void> | undefined
  #complete = false

  constructor(options: ApiSourceOptions) {
    const { log, server, client, node, claimNamespace, timing, random = Math.random } = options
    this.#options = options
    this.#problems = new Problems(log)
    this.#feed = new Feed({ log, problems: this.#problems, deriveSlices: false })
    const shared = {
      client,
      timing: { ...TIMING, ...timing },
      random,
      contact: new Contact((flaws) => this.#problems.set('contact', server, flaws)),
      gate: new Gate(PAGES_AT_ONCE),
      onChanges: (changes: readonly Change[]) => this.#take(changes),
      report: (what: string, flaws: Parameters<Problems['set']>[2]) => this.#problems.set(`api ${what}`, what, flaws),
      log,
    }
    const resources = resourcesOf({ node, claimNamespace })
    this.#reflectors = new Map(resources.map((resource) => [resource.kind, new Reflector({ ...shared, resource })]))
  }

  get store(): ReadonlyStore {
    return this.#feed.store
  }

  /**
   * Resolves when every kind has been listed once and listeners have been told, however long that takes.
   * @throws NetloomError `unavailable` where the source is closed before
   */
  start(): Promise<void> {
    return (this.#started ??= this.#begin())
  }

  subscribe(listener: Listener): () => void {
    return this.#feed.subscribe(listener)
  }

  problems(): readonly Problem[] {
    return this.#problems.list()
  }

  async close(): Promise<void> {
    this.#closing.abort(new NetloomError('unavailable', 'the source was closed'))
    this.#debounce.close()
    await Promise.all([...this.#reflectors.values()].map((reflector) => reflector.close()))
  }

  async #begin(): Promise<void> {
    const begun = performance.now()
    const { signal } = this.#closing
    const closed = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
    await Promise.race([this.#listAll(), closed])
    signal.throwIfAborted()
    this.#complete = true
    this.#publish()
    const ms = Math.round(performance.now() - begun)
    const objects = [...this.#reflectors.values()].reduce((sum, { size }) => sum + size, 0)
    this.#options.log.info({ server: this.#options.server, objects, ms }, 'everything has been listed')
  }

  /** Pods come last: which of them are wanted is known when policies are. */
  async #listAll(): Promise<void> {
    const pods = this.#reflectors.get('Pod')
    const others = [...this.#reflectors.values()].filter((reflector) => reflector !== pods)
    for (const reflector of others) reflector.start()
    await this.#reflectors.get('NetworkPolicy')?.listed
    this.#choosePods()
    if (!this.#closing.signal.aborted) pods?.start()
    await Promise.all([...this.#reflectors.values()].map(({ listed }) => listed))
  }

  #take(changes: readonly Change[]): void {
    this.#pending.add(changes)
    if (changes.some(({ kind }) => kind === 'NetworkPolicy')) this.#choosePods()
    if (this.#complete && !this.#closing.signal.aborted) this.#debounce.touch()
  }

  #choosePods(): void {
    const policed = (this.#reflectors.get('NetworkPolicy')?.size ?? 0) > 0
    this.#reflectors.get('Pod')?.select(podsOf(this.#options.node, policed))
  }

  #publish(): void {
    if (!this.#closing.signal.aborted) this.#feed.publish(this.#pending.take())
  }
}
