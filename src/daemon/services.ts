import { FAMILIES, type Family } from '../base/family.js'
import { type Logger } from '../base/log.js'
import { SERVICES_TABLE } from '../base/names.js'
import { type Table } from '../codec/nft/table.js'
import { type SetSpec } from '../codec/nft/set.js'
import { type Element } from '../codec/nft/element.js'
import { observeElements, observeRuleset } from '../kernel/observe.js'
import { type Change, type ReadonlyStore } from '../kube/store.js'
import { FrontendCatalog, type FrontendChange } from '../proxy/catalog.js'
import { type Frontend, frontendsOf } from '../proxy/frontend.js'
import { addressesSet, frontendsMap, hairpinSet, servicesTable, slotMap, SLOTS_MAP, slotsIn } from '../proxy/layout.js'
import { type ProxyPlan } from '../proxy/draft.js'
import { type ObservedTable, planChanges, planSync } from '../proxy/plan.js'
import { emptyState, type ProxyState } from '../proxy/state.js'
import { type Kernel } from './kernel.js'
import { Reconciler } from './reconciler.js'

export interface ServicesOptions {
  readonly kernel: Kernel
  readonly store: ReadonlyStore
  readonly node: string
  readonly log: Logger
}

/** What the kernel holds of a family's Services. */
interface Side {
  readonly family: Family
  /** As it was when it was last known. */
  state: ProxyState
  /** False until the table has been read, and again when somebody else or a failure may have changed it. */
  known: boolean
  /** It was as wanted at least once. */
  stands: boolean
  /** Changes by others so far. */
  drifts: number
  /** Frontends that changed since the last run, by key. */
  pending: Map<string, FrontendChange>
}

/** Keeps the Services tables of both families as the store wants them. */
export class Services {
  readonly reconciler: Reconciler
  readonly #options: ServicesOptions
  readonly #catalog = new FrontendCatalog()
  readonly #sides: readonly Side[] = FAMILIES.map((family) => ({
    family,
    state: emptyState(family),
    known: false,
    stands: false,
    drifts: 0,
    pending: new Map(),
  }))
  #begun = false

  constructor(options: ServicesOptions) {
    this.#options = options
    this.reconciler = new Reconciler({ name: 'services', log: options.log, gatherMs: 0, run: () => this.#run() })
  }

  /** Takes over what changed; cost follows the number of Services that it concerns. */
  update(changes: readonly Change[]): void {
    const services = new Set(changes.flatMap(servicesOf))
    for (const key of services) this.#updateService(key)
    if (this.#sides.some(({ pending }) => pending.size > 0)) this.reconciler.trigger()
  }

  #updateService(key: string): void {
    const { store, node } = this.#options
    const service = store.get('Service', key)
    const frontends = service === undefined ? [] : frontendsOf(service, [...store.slicesOf(key)], node)
    for (const change of this.#catalog.set(key, frontends)) {
      // Addresses of the two families never look alike, so the key tells which side it is.
      const side = this.#sides.find(({ family }) => (family.bytes === 16) === change.key.includes(':'))
      side?.pending.set(change.key, change)
    }
  }

  /** A table was changed by somebody else: it is read and put right. Undefined where it may be any table. */
  drifted(table: Table | undefined): void {
    for (const side of this.#sides) {
      const mine = table === undefined || (table.family === side.family.nft && table.name === SERVICES_TABLE)
      if (!mine) continue
      side.drifts++
      if (side.known)
        this.#options.log.warn(
          { table: servicesTable(side.family) },
          'the Services table was changed by another program',
        )
      side.known = false
      // The first run reads everything anyway, and must not come before the source has told what is wanted.
      if (this.#begun) this.reconciler.trigger()
    }
  }

  /** All that was wanted at the start, or later, has been in the kernel. */
  get stand(): boolean {
    return this.#sides.every(({ stands }) => stands)
  }

  /** Frontends and endpoints in the kernel, and frontends that are wanted. */
  counts(): { frontends: number; endpoints: number; desired: number } {
    let frontends = 0
    let endpoints = 0
    for (const { state } of this.#sides) {
      frontends += state.counted.size
      for (const { targets } of state.frontends.values()) endpoints += targets.length
    }
    return { frontends, endpoints, desired: this.#catalog.size }
  }

  problems(): string[] {
    return this.#catalog.conflicts()
  }

  async #run(): Promise<void> {
    this.#begun = true
    for (const side of this.#sides) await this.#runSide(side)
  }

  async #runSide(side: Side): Promise<void> {
    const { state, known, drifts, pending } = side
    side.pending = new Map()
    // Until every plan is applied nobody knows what the kernel holds; a failure leaves it to be read again.
    side.known = false
    if (known) await this.#apply(planChanges(state, pending.values()))
    else side.state = await this.#sync(side.family)
    side.stands = true
    // What others changed meanwhile may have been read already, or not.
    side.known = side.drifts === drifts
  }

  async #sync(family: Family): Promise<ProxyState> {
    const { log } = this.#options
    const desired: Frontend[] = [...this.#catalog.all()].filter((frontend) => frontend.family === family)
    const { state, plans } = planSync(family, desired, await this.#observe(family))
    const operations = await this.#apply(plans)
    log.info({ family: family.name, frontends: desired.length, operations }, 'Services table is in step')
    return state
  }

  async #apply(plans: Iterable<ProxyPlan>): Promise<number> {
    let operations = 0
    for (const { ops, commit } of plans) {
      await this.#options.kernel.applier.apply(ops)
      commit()
      operations += ops.length
    }
    return operations
  }

  async #observe(family: Family): Promise<ObservedTable | undefined> {
    const { netfilter } = this.#options.kernel
    const table = servicesTable(family)
    const structure = await observeRuleset(netfilter, table)
    if (structure === undefined) return undefined
    const elements = async (set: SetSpec): Promise<Element[]> =>
      structure.sets.has(set.name) ? observeElements(netfilter, table, set) : []
    const slots: Element[][] = []
    const count = slotsIn(structure.sets.keys())
    for (let slot = 0; slot < count; slot++) slots.push(await elements(slotMap(family, slot)))
    return {
      structure,
      slots,
      picks: await elements(SLOTS_MAP),
      addresses: await elements(addressesSet(family)),
      hairpin: await elements(hairpinSet(family)),
      frontends: await elements(frontendsMap(family)),
    }
  }
}

/** Keys of the Services that a change concerns. */
function servicesOf(change: Change): string[] {
  if (change.kind === 'Service') return [change.key]
  if (change.kind !== 'EndpointSlice') return []
  return [change.before, change.after].flatMap((slice) =>
    slice?.service === undefined ? [] : [`${slice.namespace}/${slice.service}`],
  )
}
