import { type Table } from '../codec/nft/table.js'
import { observeTable } from '../kernel/observe.js'
import { type HeldElements, planElements } from '../ops/elements.js'
import { type Ruleset } from '../ops/ruleset.js'
import { TUNNEL_GUARD, tunnelGuardRuleset, type TunnelNetwork } from '../tunnelguard/layout.js'
import { planTunnelGuard, tunnelGuardElements, type TunnelParties } from '../tunnelguard/plan.js'
import { type Kernel } from './kernel.js'

/** Known to be without a table. */
const ABSENT: HeldElements = new Map()

/** Keeps the table that guards tunnels: read once, and then only where somebody else may have changed it. */
export class TunnelGuard {
  readonly #kernel: Pick<Kernel, 'netfilter' | 'applier'>
  readonly #ruleset: Ruleset
  /** What the table is known to hold. */
  #held: HeldElements | undefined
  /** Changes by others so far. */
  #drifts = 0

  constructor(kernel: Pick<Kernel, 'netfilter' | 'applier'>, network: TunnelNetwork) {
    this.#kernel = kernel
    this.#ruleset = tunnelGuardRuleset(network)
  }

  /** A table was changed by somebody else; undefined where it may be any. @returns whether it may be this one */
  drifted(table: Table | undefined): boolean {
    if (table !== undefined && (table.name !== TUNNEL_GUARD.name || table.family !== TUNNEL_GUARD.family)) return false
    this.#held = undefined
    this.#drifts++
    return true
  }

  /**
   * @param parties undefined where the node has no tunnels, and so no table
   * @throws NetloomError
   */
  async reconcile(parties: TunnelParties | undefined): Promise<void> {
    const elements = parties && tunnelGuardElements(parties)
    const [held, drifts] = [this.#held, this.#drifts]
    // Until all is applied nobody knows what the table holds.
    this.#held = undefined
    const { netfilter, applier } = this.#kernel
    const known = held !== undefined && (held === ABSENT) === (elements === undefined)
    const ops = known
      ? planElements(this.#ruleset, elements ?? ABSENT, held)
      : planTunnelGuard(this.#ruleset, elements, await observeTable(netfilter, this.#ruleset))
    if (ops.length > 0) await applier.apply(ops)
    // What others changed meanwhile may have been read already, or not.
    if (drifts === this.#drifts) this.#held = elements ?? ABSENT
  }
}
