import { type Family } from '../base/family.js'
import { type Element } from '../codec/nft/element.js'
import { type Scalar } from '../codec/nft/types.js'
import { frontendKey, type Target } from './frontend.js'
import { type Protocol } from '../model/port.js'
import { PROTOCOL } from '../codec/nft/statement.js'
import { pickName } from './layout.js'

/** What the kernel holds of one frontend: its endpoints, each at the index of its slot. */
export interface Placed {
  readonly key: readonly Scalar[]
  readonly targets: readonly Pick<Target, 'address' | 'port'>[]
}

/** What the Services table of a family holds, as far as the next plan needs to know it. */
export interface ProxyState {
  readonly family: Family
  /** Slots for which maps and chains exist. */
  slots: number
  readonly frontends: Map<string, Placed>
  /** Frontends of each Service address, so that an address goes with its last frontend. */
  readonly addresses: Map<string, number>
  /** Frontends for which each local endpoint's address is needed in the hairpin set. */
  readonly hairpin: Map<string, number>
  /** Addresses for which a frontend counts in `addresses` and `hairpin`. */
  readonly counted: Map<string, Counted>
}

/** What a frontend, with or without endpoints, takes part in. */
export interface Counted {
  readonly address: string
  readonly local: readonly string[]
}

export const emptyState = (family: Family): ProxyState => ({
  family,
  slots: 0,
  frontends: new Map(),
  addresses: new Map(),
  hairpin: new Map(),
  counted: new Map(),
})

/** The elements of a Services table, as read from the kernel. */
export interface ObservedElements {
  readonly frontends: readonly Element[]
  /** By slot. */
  readonly slots: readonly (readonly Element[])[]
}

const PROTOCOL_NAMES = new Map(Object.entries(PROTOCOL).map(([name, number]) => [number as number, name as Protocol]))

const elementKey = (key: readonly Scalar[]): string | undefined => {
  const [address, protocol, port] = key
  const name = PROTOCOL_NAMES.get(Number(protocol))
  return name === undefined ? undefined : frontendKey({ address: String(address), protocol: name, port: Number(port) })
}

/** What was read, sorted into what is whole and what is not. */
export interface Adoption {
  /** Frontends of which every slot is there. */
  readonly frontends: Map<string, Placed>
  /** Elements that belong to no whole frontend: of map `frontends`, and of each slot. */
  readonly strayFrontends: Element[]
  readonly straySlots: Element[][]
}

/**
 * Takes over what a Services table holds, so that a restarted agent writes only the difference. A frontend whose
 * slots are not all there is not taken over: its elements are strays, to be deleted and written anew.
 */
export function adopt(observed: ObservedElements): Adoption {
  const bySlot = observed.slots.map(elementsByKey)
  const adoption: Adoption = { frontends: new Map(), strayFrontends: [], straySlots: [] }
  for (const element of observed.frontends) {
    const key = elementKey(element.key)
    const targets = key === undefined ? undefined : targetsOf(element, key, bySlot)
    if (key === undefined || targets === undefined) adoption.strayFrontends.push(element)
    else adoption.frontends.set(key, { key: element.key, targets })
  }
  for (const [slot, elements] of observed.slots.entries())
    adoption.straySlots.push(elements.filter((element) => !holds(adoption, slot, element)))
  return adoption
}

/** Those that can be a frontend's at all. */
function elementsByKey(elements: readonly Element[]): Map<string, Element> {
  const byKey = new Map<string, Element>()
  for (const element of elements) {
    const key = elementKey(element.key)
    if (key !== undefined) byKey.set(key, element)
  }
  return byKey
}

/** True where an element of a slot belongs to a frontend that was taken over. */
function holds({ frontends }: Adoption, slot: number, element: Element): boolean {
  const key = elementKey(element.key)
  const placed = key === undefined ? undefined : frontends.get(key)
  return placed !== undefined && slot < placed.targets.length
}

/** The chain that a verdict goes to; nothing that netloom writes comes back from there, as with a jump. */
export const goesTo = (data: Element['data']): string | undefined =>
  data !== undefined && 'verdict' in data && data.verdict === 'goto' ? data.chain : undefined

function targetsOf(
  { data }: Element,
  key: string,
  bySlot: readonly ReadonlyMap<string, Element>[],
): Placed['targets'] | undefined {
  const chain = goesTo(data)
  const count = Number(/^pick_(\d+)$/.exec(chain ?? '')?.[1] ?? 0)
  if (count === 0 || pickName(count) !== chain || count > bySlot.length) return undefined
  const targets = bySlot.slice(0, count).map((elements) => targetOf(elements.get(key)))
  return targets.every((target) => target !== undefined) ? targets : undefined
}

function targetOf(element: Element | undefined): Placed['targets'][number] | undefined {
  if (element?.data === undefined || 'verdict' in element.data) return undefined
  const [address, port] = element.data
  return { address: String(address), port: Number(port) }
}

/** Sets a key, or deletes it where there is no value. */
export function setOrDelete<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key)
  else map.set(key, value)
}
