import { diff, keyBy } from '../base/diff.js'
import { type Element, elementText } from '../codec/nft/element.js'
import { type Table, tableText } from '../codec/nft/table.js'
import { type NftOp } from '../ops/op.js'
import { type ActualRuleset, planStructure } from '../ops/ruleset.js'
import { elementsOf, type Guarded, type SetElements } from './guarded.js'
import { ANTISPOOF } from './layout.js'

/** The tables as the kernel has them, by their family; one that is not there has no entry. */
export type AntispoofActual = ReadonlyMap<Table['family'], ActualTable>

export interface ActualTable {
  readonly structure: ActualRuleset
  /** Elements by the name of their set. */
  readonly elements: ReadonlyMap<string, readonly Element[]>
}

const elementOps = (kind: 'elements.add' | 'elements.delete', sets: readonly SetElements[]): NftOp[] =>
  sets.filter(({ elements }) => elements.length > 0).map((of) => ({ kind, ...of }))

/** Guards links, where the tables stand: a few elements, and no error where some or all are there already. */
export const planGuard = (...guarded: readonly Guarded[]): NftOp[] => elementOps('elements.add', elementsOf(guarded))

/**
 * Ends the guard of links. The kernel refuses to delete an element that is not there, and all else with it; so each is
 * added before, which changes nothing where it is there. What remains is refused where a whole table is missing.
 */
export function planUnguard(...guarded: readonly Guarded[]): NftOp[] {
  const elements = elementsOf(guarded)
  return [...elementOps('elements.add', elements), ...elementOps('elements.delete', elements)]
}

/** One transaction that makes all tables as wanted; nothing where they are so. */
export function planAntispoof(desired: readonly Guarded[], actual: AntispoofActual): NftOp[] {
  const wanted = elementsOf(desired)
  return ANTISPOOF.flatMap((ruleset) => {
    const there = actual.get(ruleset.table.family)
    const { rebuild, before, after } = planStructure(ruleset, there?.structure)
    const present = rebuild ? undefined : there?.elements
    const sets = wanted.filter(({ table }) => table === ruleset.table)
    return [...before, ...sets.flatMap((of) => planElements(of, present?.get(of.set.name))), ...after]
  })
}

const elementKey = ({ key }: Element): string => key.join(' ')

function planElements({ table, set, elements }: SetElements, actual: readonly Element[] = []): NftOp[] {
  const { added, removed } = diff(keyBy(elements, elementKey), keyBy(actual, elementKey), () => true)
  return [
    ...elementOps('elements.delete', [{ table, set, elements: removed.map(([, element]) => element) }]),
    ...elementOps('elements.add', [{ table, set, elements: added.map(([, element]) => element) }]),
  ]
}

/** Says what of the guard of a link is not as it should be. */
export function* antispoofDifferences(guarded: Guarded, actual: AntispoofActual): Generator<string> {
  const wanted = elementsOf([guarded])
  for (const ruleset of ANTISPOOF) {
    const name = `table ${tableText(ruleset.table)}`
    const there = actual.get(ruleset.table.family)
    if (there === undefined) {
      yield `${name} is missing`
      continue
    }
    const { rebuild, before, after } = planStructure(ruleset, there.structure)
    if (rebuild || before.length + after.length > 0) yield `${name} has other sets, chains or rules`
    for (const of of wanted.filter(({ table }) => table === ruleset.table))
      for (const difference of elementDifferences(of, there.elements.get(of.set.name), guarded))
        yield `set ${of.set.name} of ${name} ${difference}`
  }
}

/** What one set lacks of a link, and what it has too much. */
function* elementDifferences(
  { set, elements }: SetElements,
  actual: readonly Element[] = [],
  { hostInterface }: Guarded,
): Generator<string> {
  const own = actual.filter(({ key: [link] }) => link === hostInterface)
  const { added, removed } = diff(keyBy(elements, elementKey), keyBy(own, elementKey), () => true)
  for (const [, element] of added) yield `lacks ${elementText(set, element)}`
  for (const [, element] of removed) yield `has ${elementText(set, element)}`
}
