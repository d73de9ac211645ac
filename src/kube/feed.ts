import { type Logger } from '../base/log.js'
import { NodeSubnets } from './node-subnets.js'
import { type Problems } from './problems.js'
import { ServiceSlices } from './service-slices.js'
import { type Listener } from './source.js'
import { type Change, type ReadonlyStore, Store } from './store.js'

export interface FeedOptions {
  readonly log: Logger
  readonly problems: Problems
  /** Gives Services without slices their slices, where no controllers of a cluster do it. */
  readonly deriveSlices: boolean
}

/** The half of a source that faces consumers: a store, what is derived from its objects, and the listeners. */
export class Feed {
  readonly #store = new Store()
  readonly #subnets: NodeSubnets
  readonly #slices: ServiceSlices | undefined
  readonly #listeners = new Set<Listener>()
  readonly #log: Logger

  constructor({ log, problems, deriveSlices }: FeedOptions) {
    this.#log = log
    this.#subnets = new NodeSubnets(this.#store, (node, flaws) => problems.set(`claims ${node}`, `Node ${node}`, flaws))
    this.#slices = deriveSlices ? new ServiceSlices(this.#store) : undefined
  }

  get store(): ReadonlyStore {
    return this.#store
  }

  subscribe(listener: Listener): () => void {
    const own: Listener = (changes) => listener(changes)
    this.#listeners.add(own)
    return () => {
      this.#listeners.delete(own)
    }
  }

  /** Puts changes and what follows from them into the store, then tells all listeners in one batch. */
  publish(read: readonly Change[]): void {
    const changes = this.#subnets.update(read)
    if (changes.length === 0) return
    this.#store.apply(changes)
    const derived = this.#slices?.update(changes) ?? []
    this.#store.apply(derived)
    const batch = derived.length === 0 ? changes : [...changes, ...derived]
    for (const listener of [...this.#listeners]) this.#tell(listener, batch)
  }

  #tell(listener: Listener, batch: readonly Change[]): void {
    try {
      listener(batch)
    } catch (error) {
      this.#log.error({ err: error, changes: batch.length }, 'a listener failed on a batch of changes')
    }
  }
}
