import { type Element } from '../codec/nft/element.js'
import { type SetSpec } from '../codec/nft/set.js'
import { familyOf } from '../base/ip.js'
import { type Lease } from '../model/lease.js'
import { containers, members, policies, themselves, VERDICTS } from './layout.js'

/** What is to be known of an attachment, of whatever mode. */
export type Attached = Pick<Lease, 'network' | 'addresses' | 'ingressPolicy'>

/** Elements of one set. */
export interface SetElements {
  readonly set: SetSpec
  readonly elements: readonly Element[]
}

/** Networks of which somebody admits their own; all of their containers count, also those that admit everybody. */
export const networksOf = (leases: readonly Attached[]): ReadonlySet<string> =>
  new Set(leases.filter(({ ingressPolicy }) => ingressPolicy === 'same-network').map(({ network }) => network))

/**
 * What stands in the sets for these attachments; sets without any are left out.
 * @param networks those that have a chain: nothing leads to that of another, which went with the last who admitted its own
 */
export function elementsOf(attached: readonly Attached[], networks: ReadonlySet<string>): SetElements[] {
  const sets = new Map<string, { set: SetSpec; elements: Element[] }>()
  for (const one of attached)
    for (const [set, element] of entriesOf(one, networks)) {
      const there = sets.get(set.name)
      if (there === undefined) sets.set(set.name, { set, elements: [element] })
      else there.elements.push(element)
    }
  return [...sets.values()]
}

function* entriesOf(
  { network, addresses, ingressPolicy }: Attached,
  networks: ReadonlySet<string>,
): Generator<[set: SetSpec, element: Element]> {
  for (const { address } of addresses) {
    const family = familyOf(address)
    if (family === undefined) continue
    const key = [address]
    yield [containers(family), { key }]
    if (networks.has(network)) yield [members(family, network), { key }]
    else if (ingressPolicy === 'same-network') continue
    if (ingressPolicy === 'isolated') yield [themselves(family), { key: [address, address] }]
    if (ingressPolicy !== undefined) yield [policies(family), { key, data: VERDICTS[ingressPolicy](network) }]
  }
}
