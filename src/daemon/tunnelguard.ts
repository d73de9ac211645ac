import { type Table } from '../codec/nft/table.js'
import { observeTable } from '../kernel/observe.js'
import { planElements } from '../ops/elements.js'
import { type NftOp } from '../ops/op.js'
import { type Ruleset } from '../ops/ruleset.js'
import { TUNNEL_GUARD, tunnelGuardRuleset, type TunnelNetwork } from '../tunnelguard/layout.js'
import { type Changes, Members } from '../tunnelguard/members.js'
import { planTunnelGuard, tunnelGuardElements, type TunnelParties } from '../tunnelguard/plan.js'
import { type Kernel } from './kernel.js'

/** Keeps the table that guards tunnels: read once, and then only where somebody else may have changed it. */
export class TunnelGuard {
  readonly #kernel: Pick<Kernel, 'netfilter' | 'applier'>
  readonly #ruleset: Ruleset
  readonly #members = new Members()
  /** Whether the table is there, with all that its members needed then; undefined where nobody knows. */
  #stands: boolean | undefined
  /** Changes by others so far. */
  #drifts = 0

  constructor(kernel: Pick<Kernel, 'netfilter' | 'applier'>, network: TunnelNetwork) {
    this.#kernel = kernel
    this.#ruleset = tunnelGuardRuleset(network)
  }

  /** A table was changed by somebody else; undefined where it may be any. @returns whether it may be this one */
  drifted(table: Table | undefined): boolean {
    if (table !== undefined && (table.name !== TUNNEL_GUARD.name || table.family !== TUNNEL_GUARD.family)) return false
    this.#stands = undefined
    this.#drifts++
    return true
  }

  /** A node, also this one, is another than it was. */
  set(node: string, parties: TunnelParties): void {
    this.#members.set(node, tunnelGuardElements(parties))
  }

  /** All nodes, this one included. */
  replace(nodes: ReadonlyMap<string, TunnelParties>): void {
    this.#members.replace(new Map([...nodes].map(([name, parties]) => [name, tunnelGuardElements(parties)] as const)))
  }

  /**
   * @param wanted false where the node has no tunnels, and so no table
   * @throws NetloomError
   */
  async reconcile(wanted: boolean): Promise<void> {
    const [stands, drifts, changes] = [this.#stands, this.#drifts, this.#members.takeChanges()]
    // Until all is applied nobody knows what the table holds.
    this.#stands = undefined
    const ops = stands === wanted ? this.#planChanges(wanted, changes) : await this.#planAll(wanted)
    if (ops.length > 0) await this.#kernel.applier.apply(ops)
    // What others changed meanwhile may have been read already, or not.
    if (drifts === this.#drifts) this.#stands = wanted
  }

  #planChanges(wanted: boolean, changes: Changes): NftOp[] {
    return wanted ? planElements(this.#ruleset, changes.wanted, changes.held) : []
  }

  async #planAll(wanted: boolean): Promise<NftOp[]> {
    const elements = wanted ? this.#members.elements : undefined
    const actual = await observeTable(this.#kernel.netfilter, this.#ruleset)
    return planTunnelGuard(this.#ruleset, elements, actual)
  }
}
