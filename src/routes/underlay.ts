import { type Family, IPV4, IPV6 } from '../base/family.js'
import { type Cidr, cidrContains, type Ip, networkOf } from '../base/ip.js'
import { type Address } from '../codec/rtnl/address.js'
import { type Link } from '../codec/rtnl/link.js'
import { type Routing } from './routing.js'

/** The network between the nodes in one family, as this node is on it. */
export interface Underlay {
  readonly family: Family
  /** This node's address. */
  readonly address: string
  /** Name of the link that carries it. */
  readonly link: string
  readonly index: number
  /** Of the link, in bytes. */
  readonly mtu: number
  /** Networks of the family that begin on this link. */
  readonly connected: readonly Cidr[]
}

/** The underlays by the node's own addresses, IPv4 first: tunnels over it cost less. One on no link is left out. */
export function underlaysOf(
  own: readonly Ip[],
  addresses: readonly Address[],
  links: ReadonlyMap<number, Pick<Link, 'name' | 'mtu'>>,
): Underlay[] {
  return [IPV4, IPV6].flatMap((family): Underlay[] => {
    const mine = own.find((ip) => ip.family === family)
    const index = addresses.find(({ address }) => address === mine?.address)?.index
    const link = index === undefined ? undefined : links.get(index)
    if (mine === undefined || index === undefined || link === undefined) return []
    const connected = addresses
      .filter((address) => address.index === index && address.family === family)
      // Of a link to one other end the network is the other end's.
      .map(({ address, prefix, peer }) => networkOf(family, peer ?? address, prefix))
    return [{ family, address: mine.address, link: link.name, index, mtu: link.mtu, connected }]
  })
}

/** The underlay on whose link an address can be reached without a router; undefined where there is none. */
export const onLink = (underlays: readonly Underlay[], { family, address }: Ip): Underlay | undefined =>
  underlays.find(
    (underlay) => underlay.family === family && underlay.connected.some((cidr) => cidrContains(cidr, address)),
  )

/** MTU of Ethernet, where the node's own link is not known. */
const DEFAULT_MTU = 1500

/** Bytes that a tunnel adds: the outer IP header, UDP (8), VXLAN (8) and the inner Ethernet header (14). */
const OVERHEAD = { ipv4: 20 + 30, ipv6: 40 + 30 } as const

/**
 * Bytes of pods' packets at most, so that they pass to most nodes as they are. Over IPv6 a tunnel has room for 20 bytes
 * less; where a node is reached by IPv6 though others are by IPv4, the device's MTU makes the kernel tell senders.
 */
export function podMtu({ mode, mtu }: Routing, underlays: readonly Underlay[]): number {
  if (mtu !== undefined) return mtu
  if (mode === 'direct')
    return Math.min(...underlays.map((underlay) => underlay.mtu), ...(underlays.length === 0 ? [DEFAULT_MTU] : []))
  const [preferred] = underlays
  return preferred === undefined ? DEFAULT_MTU - OVERHEAD.ipv4 : preferred.mtu - OVERHEAD[preferred.family.name]
}

/** Bytes of packets in a tunnel at most. A given MTU of pods says as well how much the path takes. */
export function tunnelMtu({ mtu }: Routing, underlays: readonly Underlay[], { family, mtu: own }: Underlay): number {
  const [preferred] = underlays
  const path = mtu === undefined || preferred === undefined ? own : Math.min(own, mtu + OVERHEAD[preferred.family.name])
  return path - OVERHEAD[family.name]
}
