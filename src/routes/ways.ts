import { type FamilyName, IPV4 } from '../base/family.js'
import { type Cidr, type Ip } from '../base/ip.js'
import { TUNNELS } from '../base/names.js'
import { linkLocalOf } from '../model/linklocal.js'
import { type Node } from '../model/node.js'
import { gatewayOf } from '../model/podnetwork.js'
import { type RouteMode } from './routing.js'
import { vtepMac } from './tunnel.js'
import { onLink, type Underlay } from './underlay.js'

/** A route to a pod network of another node. */
export type PeerRoute = DirectRoute | TunnelRoute

interface Way {
  readonly node: string
  readonly destination: Cidr
  readonly gateway: string
}

/** Straight to the node. */
export interface DirectRoute extends Way {
  readonly kind: 'direct'
  /** Where the gateway's family is another than the destination's: the link that it leaves by, */
  readonly device?: string
  /** and what the node's own packets come from, of which alone the other node knows the way back. */
  readonly source?: string | undefined
}

/** In a tunnel. The gateway is the node's end of it, known here as a neighbour. */
export interface TunnelRoute extends Way {
  readonly kind: 'vxlan'
  readonly device: string
  /** What the node's own packets come from, so that the answer comes back in the tunnel. */
  readonly source: string | undefined
  /** The device's MAC address at the other end, */
  readonly mac: string
  /** and the address of that end. */
  readonly remote: string
}

/** From where a node looks at the others. */
export interface Vantage {
  readonly mode: RouteMode
  /** The node's own pod networks. */
  readonly subnets: readonly Cidr[]
  readonly underlays: readonly Underlay[]
}

type FindWay = (peer: Node, destination: Cidr, vantage: Vantage) => PeerRoute | undefined

const addressOf = ({ nodeAddresses }: Node, family: FamilyName): Ip | undefined =>
  nodeAddresses.find((ip) => ip.family.name === family)

const direct = (peer: Node, destination: Cidr, gateway: string): DirectRoute => ({
  kind: 'direct',
  node: peer.name,
  destination,
  gateway,
})

/** The node's own address among its pods of a family, where it has any. */
const ownGateway = ({ subnets }: Vantage, { family }: Cidr): string | undefined => {
  const own = subnets.find((subnet) => subnet.family === family)
  return own && gatewayOf(own)
}

/** Wherever the peer's address of the family is: where routers know the pod networks they may lie between. */
const throughAddress: FindWay = (peer, destination) => {
  const gateway = addressOf(peer, destination.family.name)
  return gateway && direct(peer, destination, gateway.address)
}

const onOwnLink: FindWay = (peer, destination, { underlays }) => {
  const gateway = addressOf(peer, destination.family.name)
  return gateway && onLink(underlays, gateway) && direct(peer, destination, gateway.address)
}

/**
 * RFC 5549: where one of two nodes on a link has IPv6 addresses alone, the other's is the next hop of IPv4 packets; since
 * Linux 5.2. Where there are tunnels, one of those is better: the node's packets to Services find their way back in it.
 */
const throughIpv6: FindWay = (peer, destination, vantage) => {
  const gateway = addressOf(peer, 'ipv6')
  const both = addressOf(peer, 'ipv4') !== undefined && vantage.underlays.some(({ family }) => family === IPV4)
  if (destination.family !== IPV4 || gateway === undefined || both) return undefined
  const underlay = onLink(vantage.underlays, gateway)
  if (underlay === undefined) return undefined
  const source = ownGateway(vantage, destination)
  return { ...direct(peer, destination, gateway.address), device: underlay.link, source }
}

/**
 * What packets in a tunnel are handed to. Of IPv4 it is the other node's address among its pods. Of IPv6 that would not
 * do: the kernel refuses a gateway for which it has a route by another link (ip6_route_check_nh_onlink), and so a route
 * could not change from one link to another, nor be where a router leads to all pod networks.
 */
const GATEWAY: Readonly<Record<FamilyName, (destination: Cidr, mac: string) => string>> = {
  ipv4: gatewayOf,
  ipv6: (_destination, mac) => linkLocalOf(mac),
}

/** By the first family that both nodes have; both come to the same answer without asking. */
const inTunnel: FindWay = (peer, destination, vantage) => {
  const underlay = vantage.underlays.find(({ family }) => addressOf(peer, family.name) !== undefined)
  const remote = underlay && addressOf(peer, underlay.family.name)
  if (underlay === undefined || remote === undefined) return undefined
  const mac = vtepMac(peer.name)
  return {
    kind: 'vxlan',
    node: peer.name,
    destination,
    gateway: GATEWAY[destination.family.name](destination, mac),
    device: TUNNELS[underlay.family.name],
    source: ownGateway(vantage, destination),
    mac,
    remote: remote.address,
  }
}

/** Ways of each mode: the first that is there is taken. */
const WAYS: Readonly<Record<RouteMode, readonly FindWay[]>> = {
  direct: [throughIpv6, throughAddress],
  vxlan: [inTunnel],
  auto: [onOwnLink, inTunnel],
}

/** The way from a vantage to a pod network of another node. */
export function routeTo(peer: Node, destination: Cidr, vantage: Vantage): PeerRoute | undefined {
  for (const find of WAYS[vantage.mode]) {
    const route = find(peer, destination, vantage)
    if (route !== undefined) return route
  }
  return undefined
}

/** Why a pod network has no route, for people. */
export const WITHOUT: Readonly<Record<RouteMode, (destination: Cidr) => string>> = {
  direct: ({ family }) => `no node address of ${family.kubernetes}`,
  vxlan: () => 'no node address of a family that this node has one of as well',
  auto: () => 'no node address of a family that this node has one of as well',
}
