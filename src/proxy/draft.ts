import { type Element } from '../codec/nft/element.js'
import { type SetSpec } from '../codec/nft/set.js'
import { PROTOCOL } from '../codec/nft/statement.js'
import { type Scalar } from '../codec/nft/types.js'
import { type NftOp } from '../ops/op.js'
import { type FrontendChange } from './catalog.js'
import { elementsOps } from './elements.js'
import { type Frontend, targetKey } from './frontend.js'
import { addressesSet, frontendsMap, hairpinSet, pickName, slotMap } from './layout.js'
import { place } from './place.js'
import { growth } from './slots.js'
import { type Counted, type Placed, type ProxyState, setOrDelete } from './state.js'

/** Slots that one transaction makes: each is a map, two chains, two rules and an element. */
const TRANSACTION_SLOTS = 100

/** Operations to be applied together, and what the state is when they have been. */
export interface ProxyPlan {
  readonly ops: readonly NftOp[]
  /** Brings the state up to date; only after the kernel took the operations. */
  readonly commit: () => void
}

/** Elements of one set to be deleted and added. */
interface Bucket {
  readonly deleted: Element[]
  readonly added: Element[]
}

/** Collects what changed frontends need, as one transaction. */
export class Draft {
  /** Elements so far. */
  elements = 0
  readonly #state: ProxyState
  readonly #frontends: Bucket = { deleted: [], added: [] }
  readonly #slots = new Map<number, Bucket>()
  readonly #addresses = new Map<string, number>()
  readonly #hairpin = new Map<string, number>()
  readonly #placed = new Map<string, Placed | undefined>()
  readonly #counted = new Map<string, Counted | undefined>()
  #mostSlots = 0

  constructor(state: ProxyState) {
    this.#state = state
  }

  has(key: string): boolean {
    return this.#counted.has(key)
  }

  add({ key, frontend }: FrontendChange): void {
    const before = this.#state.frontends.get(key)
    const targets = place(before?.targets ?? [], frontend?.endpoints ?? [])
    this.#mostSlots = Math.max(this.#mostSlots, targets.length)
    const elementKey = before?.key ?? (frontend === undefined ? [] : scalarsOf(frontend))
    this.#placeTargets(elementKey, before?.targets ?? [], targets)
    this.#setVerdict(elementKey, before?.targets.length ?? 0, targets.length)
    this.#placed.set(key, targets.length === 0 ? undefined : { key: elementKey, targets })
    this.#count(key, frontend)
  }

  #placeTargets(key: readonly Scalar[], before: Placed['targets'], after: Placed['targets']): void {
    for (let slot = 0; slot < Math.max(before.length, after.length); slot++) {
      const old = before[slot]
      const next = after[slot]
      if (old !== undefined && next !== undefined && targetKey(old) === targetKey(next)) continue
      const bucket = this.#slots.get(slot) ?? { deleted: [], added: [] }
      this.#slots.set(slot, bucket)
      if (old !== undefined) this.#push(bucket.deleted, { key })
      if (next !== undefined) this.#push(bucket.added, { key, data: [next.address, next.port] })
    }
  }

  #setVerdict(key: readonly Scalar[], before: number, after: number): void {
    if (before === after) return
    if (before > 0) this.#push(this.#frontends.deleted, { key })
    if (after > 0) this.#push(this.#frontends.added, { key, data: { verdict: 'goto', chain: pickName(after) } })
  }

  #count(key: string, frontend: Frontend | undefined): void {
    const before = this.#state.counted.get(key)
    const after = frontend === undefined ? undefined : countedOf(frontend)
    this.#counted.set(key, after)
    for (const [counted, step] of [
      [before, -1],
      [after, 1],
    ] as const) {
      if (counted === undefined) continue
      bump(this.#addresses, counted.address, step)
      for (const address of counted.local) bump(this.#hairpin, address, step)
    }
    this.elements++
  }

  #push(elements: Element[], element: Element): void {
    elements.push(element)
    this.elements++
  }

  /** Room for the endpoints first, then all elements at once; nothing where nothing changed. */
  *plans(): Generator<ProxyPlan> {
    if (this.elements === 0) return
    const { family } = this.#state
    const last = this.#mostSlots - TRANSACTION_SLOTS
    for (let reached = this.#state.slots; reached < last;) {
      reached += TRANSACTION_SLOTS
      yield { ops: growth(this.#state, reached), commit: () => void (this.#state.slots = reached) }
    }
    const buckets: [SetSpec, Bucket][] = [
      [addressesSet(family), countedBucket(this.#state.addresses, this.#addresses, (address) => [address])],
      [hairpinSet(family), countedBucket(this.#state.hairpin, this.#hairpin, (address) => [address, address])],
      ...[...this.#slots].map(([slot, bucket]): [SetSpec, Bucket] => [slotMap(family, slot), bucket]),
      [frontendsMap(family), this.#frontends],
    ]
    const ops = [
      ...growth(this.#state, this.#mostSlots),
      ...buckets.flatMap(([set, { deleted }]) => elementsOps('elements.delete', family, set, deleted)),
      ...buckets.flatMap(([set, { added }]) => elementsOps('elements.add', family, set, added)),
    ]
    yield { ops, commit: () => this.#commit() }
  }

  #commit(): void {
    const state = this.#state
    state.slots = Math.max(state.slots, this.#mostSlots)
    for (const [key, placed] of this.#placed) setOrDelete(state.frontends, key, placed)
    for (const [key, counted] of this.#counted) setOrDelete(state.counted, key, counted)
    for (const [counts, steps] of [
      [state.addresses, this.#addresses],
      [state.hairpin, this.#hairpin],
    ] as const)
      for (const [address, step] of steps) {
        const count = (counts.get(address) ?? 0) + step
        setOrDelete(counts, address, count === 0 ? undefined : count)
      }
  }
}

const scalarsOf = ({ address, protocol, port }: Frontend): Scalar[] => [address, PROTOCOL[protocol], port]

const countedOf = ({ address, endpoints }: Frontend): Counted => ({
  address,
  local: [...new Set(endpoints.filter(({ local }) => local).map((target) => target.address))],
})

function bump(counts: Map<string, number>, key: string, step: number): void {
  counts.set(key, (counts.get(key) ?? 0) + step)
}

/** An element comes with the first that counts for it and goes with the last. */
function countedBucket(
  counts: ReadonlyMap<string, number>,
  steps: ReadonlyMap<string, number>,
  key: (address: string) => Scalar[],
): Bucket {
  const bucket: Bucket = { deleted: [], added: [] }
  for (const [address, step] of steps) {
    const before = counts.get(address) ?? 0
    if (before === 0 && step > 0) bucket.added.push({ key: key(address) })
    if (before > 0 && before + step === 0) bucket.deleted.push({ key: key(address) })
  }
  return bucket
}
