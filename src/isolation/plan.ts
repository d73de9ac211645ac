import { diff, keyBy } from '../base/diff.js'
import { type Element, elementText } from '../codec/nft/element.js'
import { tableText } from '../codec/nft/table.js'
import { type NftOp } from '../ops/op.js'
import { type ActualRuleset, planStructure, type Ruleset } from '../ops/ruleset.js'
import { type Attached, elementsOf, networksOf, type SetElements } from './elements.js'
import { ISOLATION, isolationRuleset } from './layout.js'

/** The table as the kernel has it. */
export interface IsolationActual {
  readonly structure: ActualRuleset
  /** Elements by the name of their set. */
  readonly elements: ReadonlyMap<string, readonly Element[]>
}

/** Without a policy there is nothing to keep, not even a table: nobody pays for what nobody asked for. */
export const isPoliced = (attached: readonly Attached[]): boolean =>
  attached.some(({ ingressPolicy }) => ingressPolicy !== undefined)

const rulesetOf = (attached: readonly Attached[]): Ruleset | undefined =>
  isPoliced(attached) ? isolationRuleset(networksOf(attached)) : undefined

/** Whether the table has what these need but elements; where they need none, whether there is none. */
export function hasStructure(attached: readonly Attached[], structure: ActualRuleset | undefined): boolean {
  const ruleset = rulesetOf(attached)
  if (ruleset === undefined || structure === undefined) return ruleset === undefined && structure === undefined
  const { rebuild, before, after } = planStructure(ruleset, structure)
  return !rebuild && before.length + after.length === 0
}

const elementOps = (kind: 'elements.add' | 'elements.delete', sets: readonly SetElements[]): NftOp[] =>
  sets.filter(({ elements }) => elements.length > 0).map((of) => ({ kind, table: ISOLATION, ...of }))

/** Takes one in, which is among `all`; where the table has what they need. No error where some is there already. */
export const planJoin = (joining: Attached, all: readonly Attached[]): NftOp[] =>
  isPoliced(all) ? elementOps('elements.add', elementsOf([joining], networksOf(all))) : []

/**
 * Takes one out, where the table has what the rest needs. The kernel refuses to delete an element that is not there, and
 * all else with it; so each is added before, which changes nothing where it is there.
 */
export function planLeave(leaving: Attached, rest: readonly Attached[]): NftOp[] {
  if (!isPoliced(rest)) return []
  const elements = elementsOf([leaving], networksOf(rest))
  return [...elementOps('elements.add', elements), ...elementOps('elements.delete', elements)]
}

/** One transaction that makes the table as these need it; nothing where it is so, and no table where none does. */
export function planIsolation(attached: readonly Attached[], actual: IsolationActual | undefined): NftOp[] {
  const ruleset = rulesetOf(attached)
  if (ruleset === undefined) return actual === undefined ? [] : [{ kind: 'table.delete', table: ISOLATION }]
  const { rebuild, before, after } = planStructure(ruleset, actual?.structure)
  const changes = changesOf(ruleset, attached, rebuild ? undefined : actual?.elements)
  return [
    ...before,
    ...elementOps(
      'elements.delete',
      changes.map(({ set, removed }) => ({ set, elements: removed })),
    ),
    ...elementOps(
      'elements.add',
      changes.map(({ set, added }) => ({ set, elements: added })),
    ),
    ...after,
  ]
}

const keyText = ({ key }: Element): string => key.join(' ')

/** What each set lacks and has too much; where the verdict for a key is another, both. */
function changesOf(
  { sets }: Ruleset,
  attached: readonly Attached[],
  actual: ReadonlyMap<string, readonly Element[]> | undefined,
) {
  const wanted = keyBy(elementsOf(attached, networksOf(attached)), ({ set }) => set.name)
  return sets.map((set) => {
    const same = (a: Element, b: Element): boolean => elementText(set, a) === elementText(set, b)
    const difference = diff(
      keyBy(wanted.get(set.name)?.elements ?? [], keyText),
      keyBy(actual?.get(set.name) ?? [], keyText),
      same,
    )
    return {
      set,
      removed: [...difference.removed, ...difference.changed.map(([key, , there]) => [key, there] as const)].map(
        ([, element]) => element,
      ),
      added: [...difference.added, ...difference.changed].map(([, element]) => element),
    }
  })
}

/** Says what of the isolation of one of `all` is not as it should be. */
export function* isolationDifferences(
  one: Attached,
  all: readonly Attached[],
  actual: IsolationActual | undefined,
): Generator<string> {
  const name = `table ${tableText(ISOLATION)}`
  const ruleset = rulesetOf(all)
  if (ruleset === undefined) return
  if (actual === undefined) {
    yield `${name} is missing`
    return
  }
  if (!hasStructure(all, actual.structure)) yield `${name} has other sets, chains or rules`
  const wanted = keyBy(elementsOf([one], networksOf(all)), ({ set }) => set.name)
  const own = new Set(one.addresses.map(({ address }) => address))
  for (const set of ruleset.sets) {
    const text = (element: Element): string => elementText(set, element)
    const there = (actual.elements.get(set.name) ?? []).filter(({ key: [address] }) => own.has(String(address)))
    const { added, removed } = diff(keyBy(wanted.get(set.name)?.elements ?? [], text), keyBy(there, text), () => true)
    for (const [lacking] of added) yield `set ${set.name} of ${name} lacks ${lacking}`
    for (const [stray] of removed) yield `set ${set.name} of ${name} has ${stray}`
  }
}
