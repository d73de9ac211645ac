import { matchesGlob } from './glob.js'
import { IPV6 } from '../base/family.js'
import { cidrContains, formatCidr, type Ip } from '../base/ip.js'
import { type Address } from '../codec/rtnl/address.js'
import { IFA_F, RT_SCOPE } from '../codec/rtnl/constants.js'
import { type Link } from '../codec/rtnl/link.js'
import { type Node } from '../model/node.js'
import { type AddressSelection } from './routing.js'

/** Which of its addresses a node is reached by. */

export interface Candidates {
  readonly addresses: readonly Address[]
  /** Links by their index. */
  readonly links: ReadonlyMap<number, Pick<Link, 'name' | 'loopback'>>
  /** Names of links that are the node's own making: what is on them leads to its pods. */
  readonly own: ReadonlySet<string>
}

export interface Selected {
  /** One of a family at most. */
  readonly addresses: readonly Ip[]
  readonly problem?: string
}

/**
 * The addresses that a node is reached by. A selection that nothing answers to is told of, and gives no addresses: the
 * InternalIPs would be those that somebody decided against.
 */
export function selectNodeAddresses(
  node: Node,
  { interfaces = [], cidrs = [] }: AddressSelection,
  candidates: Candidates,
): Selected {
  if (interfaces.length === 0 && cidrs.length === 0) return { addresses: onePerFamily(node.internalIPs) }
  // As the kubelet tells them first: of several that are as good, it is the one that others know as well.
  const reported = new Set(node.internalIPs.map(({ address }) => address))
  const found = candidates.addresses
    .filter((address) => isUsable(address, candidates))
    .map((address) => ({
      address,
      order: [
        interfaces.length === 0
          ? 0
          : interfaces.findIndex((pattern) => matchesGlob(pattern, candidates.links.get(address.index)?.name ?? '')),
        cidrs.length === 0 ? 0 : cidrs.findIndex((cidr) => cidrContains(cidr, address.address)),
        reported.has(address.address) ? 0 : 1,
      ] as const,
    }))
    .filter(({ order }) => order[0] >= 0 && order[1] >= 0)
    .sort((a, b) => a.order[0] - b.order[0] || a.order[1] - b.order[1] || a.order[2] - b.order[2])
    .map(({ address: { family, address } }) => ({ family, address }))
  if (found.length > 0) return { addresses: onePerFamily(found) }
  return { addresses: [], problem: `no address of this node is ${selectionText({ interfaces, cidrs })}` }
}

/** Neither on the way in nor on the way out, and none that comes and goes by itself (RFC 8981) or is another's. */
function isUsable(
  { flags, scope, tentative, dadFailed, family, address, index }: Address,
  { links, own }: Candidates,
): boolean {
  const link = links.get(index)
  if (link === undefined || link.loopback || own.has(link.name)) return false
  if (tentative || dadFailed || scope !== RT_SCOPE.UNIVERSE || (flags & IFA_F.DEPRECATED) !== 0) return false
  return family !== IPV6 || ((flags & IFA_F.SECONDARY) === 0 && !address.startsWith('fe80:'))
}

const onePerFamily = (ips: readonly Ip[]): Ip[] =>
  ips.filter(({ family }, i) => ips.findIndex((other) => other.family === family) === i)

const selectionText = ({ interfaces = [], cidrs = [] }: AddressSelection): string =>
  [
    ...(interfaces.length === 0 ? [] : [`on a link called ${interfaces.join(' or ')}`]),
    ...(cidrs.length === 0 ? [] : [`within ${cidrs.map(formatCidr).join(' or ')}`]),
  ].join(' and ')

/** What is to be published for other nodes: the selection; undefined where they find the same in the InternalIPs. */
export function publishedAddresses(node: Node, selected: readonly Ip[]): readonly string[] | undefined {
  const text = (ips: readonly Ip[]): string[] => onePerFamily(ips).map(({ address }) => address)
  const chosen = text(selected)
  if (chosen.length === 0 || [...chosen].sort().join() === text(node.internalIPs).sort().join()) return undefined
  return chosen
}
