import { type Chain } from '../codec/nft/chain.js'
import { type Rule, ruleFingerprint } from '../codec/nft/rule.js'
import { isMap, sameSet, type SetFacts, setFacts, type SetSpec } from '../codec/nft/set.js'
import { type Table } from '../codec/nft/table.js'
import { type NftOp } from './op.js'

/** The structure of a table that is wanted: everything but elements, which follow the cluster's objects. */
export interface Ruleset {
  readonly table: Table
  readonly sets: readonly SetSpec[]
  readonly chains: readonly ChainRules[]
}

export interface ChainRules {
  readonly chain: Chain
  readonly rules: readonly Rule[]
}

/** The structure of a table as the kernel has it. */
export interface ActualRuleset {
  readonly sets: ReadonlyMap<string, SetFacts>
  readonly chains: ReadonlyMap<string, ActualChain>
}

export interface ActualChain {
  readonly chain: Chain
  /** Fingerprints of the rules in their order. */
  readonly rules: readonly string[]
}

export interface StructurePlan {
  /** The table has to be made anew, because a set or a base chain changed its nature; its elements go with it. */
  readonly rebuild: boolean
  /** Makes what elements need: before them in a transaction. */
  readonly before: NftOp[]
  /** Takes away what is no longer wanted: behind the elements. */
  readonly after: NftOp[]
}

/** What turns the table's structure into the wanted one; nothing at all where it is that already. */
export function planStructure(desired: Ruleset, actual: ActualRuleset | undefined): StructurePlan {
  const rebuild = actual !== undefined && !compatible(desired, actual)
  const present = rebuild ? undefined : actual
  const { table } = desired
  return {
    rebuild,
    before: [
      ...(rebuild ? [{ kind: 'table.delete', table } as const] : []),
      ...(present === undefined ? [{ kind: 'table.add', table } as const] : []),
      ...addedSets(desired, present),
      ...addedChains(desired, present),
      ...changedRules(desired, present),
    ],
    after: present === undefined ? [] : removed(desired, present),
  }
}

/** A structure as it would be read back, for planning from one that is known to be there. */
export const asActual = ({ sets, chains }: Ruleset): ActualRuleset => ({
  sets: new Map(sets.map((spec) => [spec.name, setFacts(spec)])),
  chains: new Map(chains.map(({ chain, rules }) => [chain.name, { chain, rules: rules.map(ruleFingerprint) }])),
})

/** Sets and hooks cannot be changed in place; a policy can. */
function compatible(desired: Ruleset, actual: ActualRuleset): boolean {
  const setsFit = desired.sets.every((spec) => {
    const facts = actual.sets.get(spec.name)
    return facts === undefined || sameSet(setFacts(spec), facts)
  })
  const chainsFit = desired.chains.every(({ chain }) => {
    const there = actual.chains.get(chain.name)
    return there === undefined || sameBase(chain, there.chain)
  })
  return setsFit && chainsFit
}

const sameBase = (a: Chain, b: Chain): boolean =>
  a.base?.type === b.base?.type && a.base?.hook === b.base?.hook && a.base?.priority === b.base?.priority

const addedSets = ({ table, sets }: Ruleset, present: ActualRuleset | undefined): NftOp[] =>
  sets.filter(({ name }) => present?.sets.has(name) !== true).map((set) => ({ kind: 'set.add', table, set }))

const addedChains = ({ table, chains }: Ruleset, present: ActualRuleset | undefined): NftOp[] =>
  chains
    .filter(({ chain }) => {
      const there = present?.chains.get(chain.name)
      return there === undefined || policyOf(there.chain) !== policyOf(chain)
    })
    .map(({ chain }) => ({ kind: 'chain.add', table, chain }))

const policyOf = ({ base }: Chain): string | undefined => (base === undefined ? undefined : (base.policy ?? 'accept'))

function changedRules({ table, chains }: Ruleset, present: ActualRuleset | undefined): NftOp[] {
  return chains.flatMap(({ chain, rules }): NftOp[] => {
    const there = present?.chains.get(chain.name)
    const same =
      there?.rules.length === rules.length && rules.every((rule, i) => ruleFingerprint(rule) === there.rules[i])
    if (same || (there === undefined && rules.length === 0)) return []
    const flush: NftOp[] = there === undefined ? [] : [{ kind: 'rules.flush', table, chain: chain.name }]
    return [...flush, ...rules.map((rule): NftOp => ({ kind: 'rule.add', table, chain: chain.name, rule }))]
  })
}

/** Rules first, since they refer to chains and sets; then elements, which may refer to chains. */
function removed({ table, sets, chains }: Ruleset, present: ActualRuleset): NftOp[] {
  const goneChains = [...present.chains.keys()].filter((name) => !chains.some(({ chain }) => chain.name === name))
  const goneSets = [...present.sets].filter(([name]) => !sets.some((set) => set.name === name))
  const onSets = (kind: 'set.flush' | 'set.delete'): NftOp[] =>
    goneSets.map(([set, facts]) => ({ kind, table, set, ...(isMap(facts) ? { map: true } : {}) }))
  return [
    ...goneChains.map((chain): NftOp => ({ kind: 'rules.flush', table, chain })),
    ...onSets('set.flush'),
    ...goneChains.map((chain): NftOp => ({ kind: 'chain.delete', table, chain })),
    ...onSets('set.delete'),
  ]
}
