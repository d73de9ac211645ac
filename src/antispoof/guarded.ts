import { type Family, FAMILIES, IPV6 } from '../base/family.js'
import { familyOf } from '../base/ip.js'
import { type Element } from '../codec/nft/element.js'
import { type SetSpec } from '../codec/nft/set.js'
import { type Table } from '../codec/nft/table.js'
import { type Lease } from '../model/lease.js'
import { linkLocalOf } from '../model/linklocal.js'
import { ADVERTISED, ANTISPOOF, GUARDED, senders } from './layout.js'

/** A container's link, and who may send by it. */
export interface Guarded {
  /** The node's end. */
  readonly hostInterface: string
  /** Of the container's end, in lower case. */
  readonly mac: string
  /** Canonical. Its IPv6 link-local address goes without saying. */
  readonly addresses: readonly string[]
  /** What the node's end is: a port of a bridge, or a link of its own. */
  readonly on: 'bridge' | 'link'
}

export const guardedOf = ({ hostInterface, mac, addresses }: Lease, on: Guarded['on']): Guarded => ({
  hostInterface,
  mac: mac.toLowerCase(),
  addresses: addresses.map(({ address }) => address),
  on,
})

/** In which tables the senders of a link stand; in the others they are missing, and so it sends nothing. */
const PLACES: Readonly<Record<Guarded['on'], readonly Table['family'][]>> = {
  bridge: ['bridge'],
  link: ['inet', 'arp'],
}

/**
 * A container's kernel looks for neighbours and joins groups with its link-local address. Not with `::`, though it
 * asks whether that address is taken with this one: nobody else could answer behind an isolated port or a link of its
 * own, so it takes the address all the same when the time is over; while a question with `::` for an address that the
 * node is about to take would keep the node from it.
 */
function addressesOf({ mac, addresses }: Guarded, family: Family): readonly string[] {
  const own = addresses.filter((address) => familyOf(address) === family)
  return family === IPV6 ? [...new Set([...own, linkLocalOf(mac)])] : own
}

/** What stands in each set for a link. */
const ELEMENTS = new Map<string, (guarded: Guarded) => Element[]>([
  [GUARDED.name, ({ hostInterface }) => [{ key: [hostInterface] }]],
  ...FAMILIES.map((family) => [senders(family).name, sendersOf(family)] as const),
  [
    ADVERTISED.name,
    (guarded) => addressesOf(guarded, IPV6).map((address) => ({ key: [guarded.hostInterface, address] })),
  ],
])

function sendersOf(family: Family): (guarded: Guarded) => Element[] {
  return (guarded) =>
    addressesOf(guarded, family).map((address) => ({ key: [guarded.hostInterface, guarded.mac, address] }))
}

/** Elements of one set. */
export interface SetElements {
  readonly table: Table
  readonly set: SetSpec
  readonly elements: readonly Element[]
}

/** What stands in the sets of all tables for these links, every set told. */
export const elementsOf = (guarded: readonly Guarded[]): SetElements[] =>
  ANTISPOOF.flatMap(({ table, sets }) =>
    sets.map((set) => {
      const here = guarded.filter(({ on }) => set === GUARDED || PLACES[on].includes(table.family))
      return { table, set, elements: here.flatMap((link) => ELEMENTS.get(set.name)?.(link) ?? []) }
    }),
  )
