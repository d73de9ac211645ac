import { type Table } from '../codec/nft/table.js'
import { Applier } from '../kernel/apply.js'
import { monitorNetwork, monitorRuleset, type NeighboursWanted, type NetworkListener } from '../kernel/monitor.js'
import { observeGeneration } from '../kernel/observe.js'
import { openSocket, PROTOCOL, type Transport } from '../kernel/socket.js'
import { Talk } from '../kernel/talk.js'

/** Bytes of one transaction at most, where the machine's limits allow so much. */
const NETFILTER_BUFFER_BYTES = 16 << 20

/** Generations of our own that are remembered: notifications lag by a few at most. */
const REMEMBERED_GENERATIONS = 1000

export interface KernelListeners {
  readonly network: NetworkListener
  readonly neighboursOf: NeighboursWanted
  readonly ruleset: (table: Table | undefined) => void
}

/** The agent's connections to the kernel of its node. */
export class Kernel {
  readonly route: Talk
  readonly netfilter: Talk
  /** For deletions of links, which take the kernel some 20 ms each: meanwhile the agent goes on. */
  readonly deletions: Talk
  readonly applier: Applier
  readonly #generations = new Set<number>()
  readonly #monitors: Transport[] = []

  constructor() {
    this.route = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
    this.deletions = new Talk(openSocket({ protocol: PROTOCOL.ROUTE, inThread: true }))
    this.netfilter = new Talk(openSocket({ protocol: PROTOCOL.NETFILTER, bufferBytes: NETFILTER_BUFFER_BYTES }))
    this.applier = new Applier({
      route: this.route,
      netfilter: this.netfilter,
      onGeneration: (generation) => this.#remember(generation),
    })
  }

  #remember(generation: number): void {
    this.#generations.add(generation)
    if (this.#generations.size <= REMEMBERED_GENERATIONS) return
    const [oldest] = this.#generations
    if (oldest !== undefined) this.#generations.delete(oldest)
  }

  /**
   * Tells of changes to addresses, routes and the neighbours of some links by anybody, and of changes to rulesets by
   * others.
   */
  watch(listeners: KernelListeners): void {
    const { network, neighboursOf, ruleset } = listeners
    const isOwn = (generation: number): boolean => this.#generations.has(generation)
    const generation = (): Promise<number> => observeGeneration(this.netfilter)
    this.#monitors.push(
      monitorNetwork(network, { neighboursOf }),
      monitorRuleset({ isOwn, changed: ruleset, generation }),
    )
  }

  close(): void {
    for (const monitor of this.#monitors) monitor.close()
    this.route.close()
    this.deletions.close()
    this.netfilter.close()
  }
}
