import { type Table } from '../codec/nft/table.js'
import { observeTable } from '../kernel/observe.js'
import {
  MASQUERADE,
  MASQUERADE_RULESET,
  type MasqueradeDesired,
  type MasqueradeElements,
  masqueradeElements,
  planElements,
  planMasquerade,
} from '../masquerade/plan.js'
import { type Kernel } from './kernel.js'

/** Keeps the masquerade table: read once, and then only where somebody else may have changed it. */
export class Masquerade {
  readonly #kernel: Kernel
  /** What the table is known to hold. */
  #held: MasqueradeElements | undefined
  /** Changes by others so far. */
  #drifts = 0

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  /** A table was changed by somebody else; undefined where it may be any. @returns whether it was this one */
  drifted(table: Table | undefined): boolean {
    if (table !== undefined && (table.name !== MASQUERADE.name || table.family !== MASQUERADE.family)) return false
    this.#held = undefined
    this.#drifts++
    return true
  }

  /** @throws NetloomError */
  async reconcile(desired: MasqueradeDesired): Promise<void> {
    const elements = masqueradeElements(desired)
    const [held, drifts] = [this.#held, this.#drifts]
    // Until all is applied nobody knows what the table holds.
    this.#held = undefined
    const ops =
      held === undefined
        ? planMasquerade(elements, await observeTable(this.#kernel.netfilter, MASQUERADE_RULESET))
        : planElements(elements, held)
    await this.#kernel.applier.apply(ops)
    // What others changed meanwhile may have been read already, or not.
    if (drifts === this.#drifts) this.#held = elements
  }
}
