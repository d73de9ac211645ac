import { type Family } from '../base/family.js'
import { type Element } from '../codec/nft/element.js'
import { type SetSpec } from '../codec/nft/set.js'
import { PROTOCOL } from '../codec/nft/statement.js'
import { type Scalar } from '../codec/nft/types.js'
import { type NftOp } from '../ops/op.js'
import { type ActualRuleset, asActual, planStructure } from '../ops/ruleset.js'
import { type FrontendChange } from './catalog.js'
import { type Frontend, frontendKey, type Target, targetKey } from './frontend.js'
import {
  addressesSet,
  frontendsMap,
  hairpinSet,
  pickName,
  servicesRuleset,
  servicesTable,
  slotMap,
  slotName,
  SLOTS_MAP,
} from './layout.js'
import { adopt, type Counted, emptyState, type ObservedElements, type Placed, type ProxyState } from './state.js'

/** Elements of one transaction, more or less: its bytes have to fit into the socket's send buffer. */
const TRANSACTION_ELEMENTS = 2000

/** Operations to be applied together, and what the state is when they have been. */
export interface ProxyPlan {
  readonly ops: readonly NftOp[]
  /** Brings the state up to date; only after the kernel took the operations. */
  readonly commit: () => void
}

/**
 * Plans changed frontends as one or more transactions, to be applied in order. What one frontend needs is always in
 * one transaction, so a flow finds either its old endpoints or its new ones.
 */
export function* planChanges(state: ProxyState, changes: Iterable<FrontendChange>): Generator<ProxyPlan> {
  let draft = new Draft(state)
  for (const change of changes) {
    draft.add(change)
    if (draft.elements < TRANSACTION_ELEMENTS) continue
    yield draft.plan()
    draft = new Draft(state)
  }
  if (draft.elements > 0) yield draft.plan()
}

/** A Services table as the kernel has it. */
export interface ObservedTable extends ObservedElements {
  readonly structure: ActualRuleset
  /** Elements of map `slots`. */
  readonly picks: readonly Element[]
  readonly addresses: readonly Element[]
  readonly hairpin: readonly Element[]
}

/** The state that planning goes on from, and the transactions that make the table what is wanted. */
export interface SyncPlan {
  readonly state: ProxyState
  readonly plans: Iterable<ProxyPlan>
}

/** Plans the difference between the whole table as it is and as it should be. */
export function planSync(family: Family, desired: readonly Frontend[], observed: ObservedTable | undefined): SyncPlan {
  const slots = desired.reduce((most, { endpoints }) => Math.max(most, endpoints.length), 0)
  const structure = planStructure(servicesRuleset(family, slots), observed?.structure)
  const present = structure.rebuild ? undefined : observed
  const state = emptyState(family)
  const before = [...structure.before, ...picksOps(family, slots, present?.picks ?? [])]
  if (present === undefined) return { state, plans: fromNothing(state, { slots, before, desired }) }
  return { state, plans: fromPresent(state, { slots, before, desired, present, after: structure.after }) }
}

interface SyncWork {
  readonly slots: number
  readonly before: readonly NftOp[]
  readonly desired: readonly Frontend[]
}

function* fromNothing(state: ProxyState, { slots, before, desired }: SyncWork): Generator<ProxyPlan> {
  yield { ops: before, commit: () => void (state.slots = slots) }
  yield* planChanges(state, asChanges(desired))
}

function* fromPresent(
  state: ProxyState,
  work: SyncWork & { readonly present: ObservedTable; readonly after: readonly NftOp[] },
): Generator<ProxyPlan> {
  const { slots, before, desired, present, after } = work
  const adoption = adopt(present)
  for (const [key, placed] of adoption.frontends) state.frontends.set(key, placed)
  adoptCounts(state.addresses, present.addresses)
  adoptCounts(state.hairpin, present.hairpin)
  yield { ops: before, commit: () => void (state.slots = Math.max(slots, present.slots.length)) }
  // Deleted before anything is added: a stray element may have the key of one that is wanted.
  yield { ops: strayOps(state.family, adoption), commit: () => undefined }
  const wanted = new Set<string>()
  const changes = asChanges(desired)
  for (const { key } of changes) wanted.add(key)
  const gone = [...adoption.frontends.keys()].filter((key) => !wanted.has(key))
  yield* planChanges(state, [...changes, ...gone.map((key) => ({ key, frontend: undefined }))])
  yield* releaseAdopted(state)
  const excess = present.picks.filter(({ key }) => Number(key[0]) >= slots)
  const trimmed = [...elementsOp('elements.delete', state.family, SLOTS_MAP, excess), ...after]
  yield { ops: trimmed, commit: () => void (state.slots = slots) }
}

const asChanges = (desired: readonly Frontend[]): { key: string; frontend: Frontend }[] =>
  desired.map((frontend) => ({ key: frontendKey(frontend), frontend }))

/** Elements that were there count once as nobody's, until {@link releaseAdopted}. */
function adoptCounts(counts: Map<string, number>, elements: readonly Element[]): void {
  for (const { key } of elements) counts.set(String(key[0]), 1)
}

/** Gives up the counts of {@link adoptCounts}: what no frontend has claimed by now is deleted. */
function* releaseAdopted(state: ProxyState): Generator<ProxyPlan> {
  const draft = new Draft(state)
  draft.release()
  yield draft.plan()
}

const strayOps = (family: Family, { strayFrontends, straySlots }: ReturnType<typeof adopt>): NftOp[] => [
  ...elementsOp('elements.delete', family, frontendsMap(family), strayFrontends),
  ...straySlots.flatMap((elements, slot) => elementsOp('elements.delete', family, slotMap(family, slot), elements)),
]

/** Makes map `slots` lead from 0 up to `slots` - 1 to the chains of these slots; what leads higher is left alone. */
function picksOps(family: Family, slots: number, present: readonly Element[]): NftOp[] {
  const leads = (element: Element): boolean => {
    const slot = Number(element.key[0])
    const data = element.data
    return slot >= slots || (data !== undefined && 'verdict' in data && data.chain === slotName(slot))
  }
  const wrong = present.filter((element) => !leads(element))
  const right = new Set(present.filter(leads).map(({ key }) => Number(key[0])))
  const missing = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !right.has(slot))
  return [
    ...elementsOp('elements.delete', family, SLOTS_MAP, wrong),
    ...elementsOp('elements.add', family, SLOTS_MAP, missing.map(pickElement)),
  ]
}

const pickElement = (slot: number): Element => ({ key: [slot], data: { verdict: 'goto', chain: slotName(slot) } })

function elementsOp(
  kind: 'elements.add' | 'elements.delete',
  family: Family,
  set: SetSpec,
  elements: readonly Element[],
): NftOp[] {
  return elements.length === 0 ? [] : [{ kind, table: servicesTable(family), set, elements }]
}

/** Elements of one set to be deleted and added. */
interface Bucket {
  readonly deleted: Element[]
  readonly added: Element[]
}

/** Collects what changed frontends need, as one transaction. */
class Draft {
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

  /** Takes one count off every address that was adopted from the kernel. */
  release(): void {
    for (const address of this.#state.addresses.keys()) bump(this.#addresses, address, -1)
    for (const address of this.#state.hairpin.keys()) bump(this.#hairpin, address, -1)
  }

  #push(elements: Element[], element: Element): void {
    elements.push(element)
    this.elements++
  }

  plan(): ProxyPlan {
    const { family } = this.#state
    const buckets: [SetSpec, Bucket][] = [
      [addressesSet(family), countedBucket(this.#state.addresses, this.#addresses, (address) => [address])],
      [hairpinSet(family), countedBucket(this.#state.hairpin, this.#hairpin, (address) => [address, address])],
      ...[...this.#slots].map(([slot, bucket]): [SetSpec, Bucket] => [slotMap(family, slot), bucket]),
      [frontendsMap(family), this.#frontends],
    ]
    const ops = [
      ...growth(this.#state, this.#mostSlots),
      ...buckets.flatMap(([set, { deleted }]) => elementsOp('elements.delete', family, set, deleted)),
      ...buckets.flatMap(([set, { added }]) => elementsOp('elements.add', family, set, added)),
    ]
    return { ops, commit: () => this.#commit() }
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

/**
 * Puts endpoints into slots so that as few as possible move: those that stay keep theirs, new ones fill the gaps,
 * and what gaps are left are filled from the end.
 */
export function place(before: Placed['targets'], wanted: readonly Target[]): Placed['targets'] {
  const left = new Map(wanted.map((target) => [targetKey(target), target]))
  const slots: (Placed['targets'][number] | undefined)[] = before.map((target) => {
    const key = targetKey(target)
    return left.delete(key) ? target : undefined
  })
  const added = [...left.values()].map(({ address, port }) => ({ address, port }))
  for (let slot = 0; slot < slots.length && added.length > 0; slot++) slots[slot] ??= added.shift()
  slots.push(...added)
  for (let slot = 0; slot < slots.length; slot++) {
    while (slots.length > slot && slots.at(-1) === undefined) slots.pop()
    if (slot < slots.length) slots[slot] ??= slots.pop()
  }
  return slots.filter((target) => target !== undefined)
}

/** Maps, chains and rules for more slots than there are. */
function growth({ family, slots }: ProxyState, wanted: number): NftOp[] {
  if (wanted <= slots) return []
  const { before } = planStructure(servicesRuleset(family, wanted), asActual(servicesRuleset(family, slots)))
  const present = Array.from({ length: slots }, (_, slot) => pickElement(slot))
  return [...before, ...picksOps(family, wanted, present)]
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

function setOrDelete<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key)
  else map.set(key, value)
}
