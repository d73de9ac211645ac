import { FAMILIES, IPV6 } from '../base/family.js'
import { familyOf } from '../base/ip.js'
import { POD_ROUTE_PROTOCOL, VETH_PREFIX } from '../base/names.js'
import { ANTISPOOF } from '../antispoof/layout.js'
import { type Element } from '../codec/nft/element.js'
import { type Link } from '../codec/rtnl/link.js'
import { foundling } from '../ipam/foundling.js'
import { observeLinks, observeRoutes, observeTable } from '../kernel/observe.js'
import { type Lease } from '../model/lease.js'
import { type Kernel } from './kernel.js'

/**
 * Leases for links of ours that none is known of, as a damaged journal leaves them: what their containers' addresses
 * are is told by the rules about who may send as whom, and by the node's routes. A link of which neither knows anything
 * is not among them: its container cannot be left its addresses, because others would get them.
 */
export async function findFoundlings(
  { route, netfilter }: Kernel,
  known: Iterable<Lease>,
): Promise<{ readonly found: readonly Lease[]; readonly unknown: readonly string[] }> {
  const names = new Set([...known].map(({ hostInterface }) => hostInterface))
  const links = [...(await observeLinks(route)).values()].filter(
    ({ name }) => name.startsWith(VETH_PREFIX) && !names.has(name),
  )
  const senders = links.length === 0 ? [] : await sendersOf(netfilter)
  const routes = await Promise.all(
    FAMILIES.map((family) => observeRoutes(route, family, { protocol: POD_ROUTE_PROTOCOL })),
  )
  const addressesOf = ({ name, index }: Link): Set<string> =>
    new Set([
      ...senders.filter(({ key: [link] }) => link === name).map(({ key }) => String(key[2])),
      ...routes
        .flat()
        .filter((one) => one.index === index)
        .map(({ destination }) => destination.address),
    ])
  const leases = links.map((link) => leaseOf(link, addressesOf(link), senders))
  return {
    found: leases.filter(({ addresses }) => addresses.length > 0),
    unknown: leases.filter(({ addresses }) => addresses.length === 0).map(({ hostInterface }) => hostInterface),
  }
}

function leaseOf(link: Link, addresses: ReadonlySet<string>, senders: readonly Element[]): Lease {
  const mac = senders.find(({ key: [name] }) => name === link.name)?.key[1]
  return foundling({
    hostInterface: link.name,
    mode: link.master === undefined ? 'ptp' : 'bridge',
    addresses: [...addresses].map((address) => ({ address, prefix: familyOf(address) === IPV6 ? 128 : 32 })),
    ...(mac === undefined ? {} : { mac: String(mac) }),
  })
}

/** Elements LINK . MAC . ADDRESS of all tables; link-local addresses follow from the MAC address and are not leased. */
async function sendersOf(netfilter: Kernel['netfilter']): Promise<Element[]> {
  const elements: Element[] = []
  for (const ruleset of ANTISPOOF) {
    const table = await observeTable(netfilter, ruleset)
    for (const [, list] of table?.elements ?? []) elements.push(...list.filter(({ key }) => key.length === 3))
  }
  return elements.filter(({ key }) => !String(key[2]).startsWith('fe80:'))
}
