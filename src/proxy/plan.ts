import { type Family } from '../base/family.js'
import { type Element } from '../codec/nft/element.js'
import { type SetSpec } from '../codec/nft/set.js'
import { PROTOCOL } from '../codec/nft/statement.js'
import { type Scalar } from '../codec/nft/types.js'
import { type NftOp } from '../ops/op.js'
import { type ActualRuleset, asActual, planStructure, type StructurePlan } from '../ops/ruleset.js'
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
import {
  adopt,
  type Counted,
  emptyState,
  goesTo,
  type ObservedElements,
  type Placed,
  type ProxyState,
} from './state.js'

/** Elements of one transaction, more or less: its bytes have to fit into the socket's send buffer. */
const TRANSACTION_ELEMENTS = 2000

/** What a map, a chain or a rule takes of a transaction, in elements. */
const STRUCTURE_WEIGHT = 4

/** Slots that one transaction makes: each is a map, two chains, two rules and an element. */
const TRANSACTION_SLOTS = 100

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
    // A frontend that changes for the second time starts from what its first change made of it.
    if (draft.elements >= TRANSACTION_ELEMENTS || draft.has(change.key)) {
      yield* draft.plans()
      draft = new Draft(state)
    }
    draft.add(change)
  }
  yield* draft.plans()
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
  /** True once all transactions have been applied; of no use when one of them failed. */
  readonly state: ProxyState
  readonly plans: Iterable<ProxyPlan>
}

/** Plans the difference between the whole table as it is and as it should be. */
export function planSync(family: Family, desired: readonly Frontend[], observed: ObservedTable | undefined): SyncPlan {
  const slots = desired.reduce((most, { endpoints }) => Math.max(most, endpoints.length), 0)
  const structure = planStructure(servicesRuleset(family, slots), observed?.structure)
  const present = structure.rebuild ? undefined : observed
  const state = { ...emptyState(family), slots }
  return { state, plans: syncPlans(state, { slots, structure, desired, present }) }
}

interface SyncWork {
  readonly slots: number
  readonly structure: StructurePlan
  readonly desired: readonly Frontend[]
  /** Undefined where the table is made from nothing. */
  readonly present: ObservedTable | undefined
}

function* syncPlans(state: ProxyState, { slots, structure, desired, present }: SyncWork): Generator<ProxyPlan> {
  const { family } = state
  yield* inTransactions(structure.before)
  yield* inTransactions(picksOps(family, slots, present?.picks ?? []), { together: true })
  const changes = asChanges(desired)
  if (present === undefined) {
    yield* planChanges(state, changes)
    return
  }
  const gone = yield* takeOver(state, present, new Set(changes.map(({ key }) => key)))
  yield* planChanges(state, [...changes, ...gone])
  yield* releaseAdopted(state, present)
  const excess = present.picks.filter(({ key }) => Number(key[0]) >= slots)
  yield* inTransactions([...elementsOps('elements.delete', family, SLOTS_MAP, excess), ...structure.after])
}

const asChanges = (desired: readonly Frontend[]): { key: string; frontend: Frontend }[] =>
  desired.map((frontend) => ({ key: frontendKey(frontend), frontend }))

/**
 * Starts from what the table holds. Strays go before anything is added, since one may have the key of an element that
 * is wanted. Answers the changes that take away the frontends which nobody wants.
 */
function* takeOver(
  state: ProxyState,
  present: ObservedTable,
  wanted: ReadonlySet<string>,
): Generator<ProxyPlan, FrontendChange[]> {
  const { family } = state
  const adoption = adopt(present)
  for (const [key, placed] of adoption.frontends) state.frontends.set(key, placed)
  // What was there counts once as nobody's, until it is known who wants it.
  for (const { key } of present.addresses) state.addresses.set(String(key[0]), 1)
  for (const { key } of present.hairpin.filter(isPair)) state.hairpin.set(String(key[0]), 1)
  const strayPairs = present.hairpin.filter((element) => !isPair(element))
  yield* inTransactions([
    ...elementsOps('elements.delete', family, frontendsMap(family), adoption.strayFrontends),
    ...adoption.straySlots.flatMap((strays, slot) =>
      elementsOps('elements.delete', family, slotMap(family, slot), strays),
    ),
    ...elementsOps('elements.delete', family, hairpinSet(family), strayPairs),
  ])
  return [...adoption.frontends.keys()].filter((key) => !wanted.has(key)).map((key) => ({ key, frontend: undefined }))
}

const isPair = ({ key: [source, destination] }: Element): boolean => source === destination

/** Gives up the counts of {@link takeOver}: what no frontend has claimed by now is deleted. */
function* releaseAdopted(state: ProxyState, { addresses, hairpin }: ObservedTable): Generator<ProxyPlan> {
  const { family } = state
  yield* inTransactions([
    ...elementsOps('elements.delete', family, addressesSet(family), released(state.addresses, addresses)),
    ...elementsOps('elements.delete', family, hairpinSet(family), released(state.hairpin, hairpin.filter(isPair))),
  ])
}

/** Takes one count off each element; answers those for which nothing counts any more. */
const released = (counts: Map<string, number>, adopted: readonly Element[]): Element[] =>
  adopted.filter(({ key }) => {
    const address = String(key[0])
    const count = (counts.get(address) ?? 0) - 1
    setOrDelete(counts, address, count === 0 ? undefined : count)
    return count === 0
  })

/**
 * Operations as transactions of bounded size, in their order. The rules of a chain are not parted: a chain without
 * its rules is one that lets everything pass.
 */
function* inTransactions(ops: readonly NftOp[], { together = false } = {}): Generator<ProxyPlan> {
  let transaction: NftOp[] = []
  let weight = 0
  for (const op of ops) {
    const own = 'elements' in op ? op.elements.length : STRUCTURE_WEIGHT
    const full = weight + own > TRANSACTION_ELEMENTS && weight > 0
    if (full && !together && !continues(transaction.at(-1), op)) {
      yield { ops: transaction, commit: () => undefined }
      transaction = []
      weight = 0
    }
    transaction.push(op)
    weight += own
  }
  if (transaction.length > 0) yield { ops: transaction, commit: () => undefined }
}

const continues = (before: NftOp | undefined, op: NftOp): boolean =>
  op.kind === 'rule.add' && (before?.kind === 'rule.add' || before?.kind === 'rules.flush') && before.chain === op.chain

/** Makes map `slots` lead from 0 up to `slots` - 1 to the chains of these slots; what leads higher is left alone. */
function picksOps(family: Family, slots: number, present: readonly Element[]): NftOp[] {
  const leads = ({ key, data }: Element): boolean => {
    const slot = Number(key[0])
    return slot >= slots || goesTo(data) === slotName(slot)
  }
  const wrong = present.filter((element) => !leads(element))
  const right = new Set(present.filter(leads).map(({ key }) => Number(key[0])))
  const missing = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !right.has(slot))
  return [
    ...elementsOps('elements.delete', family, SLOTS_MAP, wrong),
    ...elementsOps('elements.add', family, SLOTS_MAP, missing.map(pickElement)),
  ]
}

const pickElement = (slot: number): Element => ({ key: [slot], data: { verdict: 'goto', chain: slotName(slot) } })

/** Elements of one set as operations, each of which fits into a transaction. */
function elementsOps(
  kind: 'elements.add' | 'elements.delete',
  family: Family,
  set: SetSpec,
  elements: readonly Element[],
): NftOp[] {
  const ops: NftOp[] = []
  for (let at = 0; at < elements.length; at += TRANSACTION_ELEMENTS)
    ops.push({ kind, table: servicesTable(family), set, elements: elements.slice(at, at + TRANSACTION_ELEMENTS) })
  return ops
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
