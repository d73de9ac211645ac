import { diff, keyBy } from '../base/diff.js'
import { type Element } from '../codec/nft/element.js'
import { intervalKey } from '../codec/nft/intervals.js'
import { type SetSpec } from '../codec/nft/set.js'
import { type Table } from '../codec/nft/table.js'
import { type NftOp } from './op.js'

/** What sets hold or are to hold, by the set's name and the element's own: addresses and intervals, no maps. */
export type HeldElements = ReadonlyMap<string, ReadonlyMap<string, Element>>

/** What was read of a table. */
export const heldElements = (found: ReadonlyMap<string, readonly Element[]> = new Map()): HeldElements =>
  new Map([...found].map(([name, elements]) => [name, keyBy(elements, intervalKey)] as const))

const NONE: ReadonlyMap<string, Element> = new Map()

/** What turns the elements that a table's sets hold into the wanted ones, set by set. */
export function planElements(
  { table, sets }: { readonly table: Table; readonly sets: readonly SetSpec[] },
  wanted: HeldElements,
  held: HeldElements,
): NftOp[] {
  return sets.flatMap((set) => {
    const { added, removed } = diff(wanted.get(set.name) ?? NONE, held.get(set.name) ?? NONE, () => true)
    // First those that go: the kernel refuses intervals that overlap.
    return [opOf('elements.delete', table, set, removed), opOf('elements.add', table, set, added)].flat()
  })
}

const opOf = (
  kind: 'elements.add' | 'elements.delete',
  table: Table,
  set: SetSpec,
  changes: readonly (readonly [string, Element])[],
): NftOp[] => (changes.length === 0 ? [] : [{ kind, table, set, elements: changes.map(([, element]) => element) }])
