import { type Family } from '../base/family.js'
import { type Element } from '../codec/nft/element.js'
import { type NftOp } from '../ops/op.js'
import { type ActualRuleset, planStructure, type StructurePlan } from '../ops/ruleset.js'
import { type FrontendChange } from './catalog.js'
import { Draft, type ProxyPlan } from './draft.js'
import { elementsOps, TRANSACTION_ELEMENTS } from './elements.js'
import { type Frontend, frontendKey } from './frontend.js'
import { addressesSet, frontendsMap, hairpinSet, servicesRuleset, slotMap, SLOTS_MAP } from './layout.js'
import { picksOps } from './slots.js'
import { adopt, emptyState, type ObservedElements, type ProxyState, setOrDelete } from './state.js'

/** What a map, a chain or a rule takes of a transaction, in elements. */
const STRUCTURE_WEIGHT = 4

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
