import { type FamilyName, IPV4 } from '../base/family.js'
import { type Cidr, familyOf, formatCidr, type Ip } from '../base/ip.js'
import { TUNNELS } from '../base/names.js'
import { type Node } from '../model/node.js'
import { linkLocalOf } from '../model/linklocal.js'
import { gatewayOf } from '../model/podnetwork.js'
import { Claims } from './claims.js'
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

function routeTo(peer: Node, destination: Cidr, vantage: Vantage): PeerRoute | undefined {
  for (const find of WAYS[vantage.mode]) {
    const route = find(peer, destination, vantage)
    if (route !== undefined) return route
  }
  return undefined
}

/** Why a pod network has no route, for people. */
const WITHOUT: Readonly<Record<RouteMode, (destination: Cidr) => string>> = {
  direct: ({ family }) => `no node address of ${family.kubernetes}`,
  vxlan: () => 'no node address of a family that this node has one of as well',
  auto: () => 'no node address of a family that this node has one of as well',
}

interface Peer {
  readonly routes: readonly PeerRoute[]
  /** Addresses that have a way back to this node's pods. */
  readonly hosts: readonly Cidr[]
  /** A line each, for people. */
  readonly problems: readonly string[]
}

const NO_PEER: Peer = { routes: [], hosts: [], problems: [] }

/**
 * All other nodes and how their pods are reached from here. A node that changes costs what it is, however many there
 * are: its own routes, and those of nodes whose networks overlap with its own.
 */
export class PeerCatalog {
  readonly #self: string
  readonly #claims: Claims
  readonly #nodes = new Map<string, Node>()
  readonly #peers = new Map<string, Peer>()
  #vantage: Vantage = { mode: 'direct', subnets: [], underlays: [] }

  /** @param self name of this node, whose networks come before those of all others */
  constructor(self: string) {
    this.#self = self
    this.#claims = new Claims(self)
  }

  /** Takes over a node as it is now. @returns names of the nodes whose routes may be others because of it */
  set(name: string, node: Node | undefined): ReadonlySet<string> {
    if (node === undefined) this.#nodes.delete(name)
    else this.#nodes.set(name, node)
    const concerned = new Set([name, ...this.#claims.set(name, node?.podCIDRs ?? [])])
    for (const each of concerned) this.#look(each)
    concerned.delete(this.#self)
    return concerned
  }

  /** Looks at all nodes from somewhere else. */
  move(vantage: Vantage): void {
    this.#vantage = vantage
    for (const name of this.#nodes.keys()) this.#look(name)
  }

  routesTo(name: string): readonly PeerRoute[] {
    return (this.#peers.get(name) ?? NO_PEER).routes
  }

  /** All routes, in the order of nodes' names. */
  routes(): PeerRoute[] {
    return this.#inOrder().flatMap(({ routes }) => routes)
  }

  problems(): string[] {
    return this.#inOrder().flatMap(({ problems }) => problems)
  }

  /**
   * Where this node's pods go with their own addresses: to all pods, and to nodes that are reached straight, which have
   * a route back to them. One in a tunnel is sent to outside of it, and its answer would come through routers that know
   * no pods; a route for its address into the tunnel that is carried to that very address would lead in a circle.
   */
  *known(): Iterable<Cidr> {
    for (const { cidr } of this.#claims.all()) yield cidr
    for (const { hosts } of this.#peers.values()) yield* hosts
  }

  #inOrder(): Peer[] {
    return [...this.#peers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, peer]) => peer)
  }

  #look(name: string): void {
    const node = this.#nodes.get(name)
    if (node === undefined) this.#peers.delete(name)
    else this.#peers.set(name, this.#peer(node))
  }

  #peer(node: Node): Peer {
    const routes: PeerRoute[] = []
    const { name, nodeAddressesProblem } = node
    const problems = nodeAddressesProblem === undefined ? [] : [`${nodeAddressesProblem}; its InternalIPs are used`]
    for (const { claim, refusedFor } of this.#claims.of(name)) {
      const network = formatCidr(claim.cidr)
      const route =
        name === this.#self || refusedFor !== undefined ? undefined : routeTo(node, claim.cidr, this.#vantage)
      if (refusedFor !== undefined)
        problems.push(`pod network ${network} overlaps ${formatCidr(refusedFor.cidr)} of node ${refusedFor.node}`)
      else if (route !== undefined) routes.push(route)
      else if (name !== this.#self)
        problems.push(`${WITHOUT[this.#vantage.mode](claim.cidr)} for pod network ${network}`)
    }
    return { routes, hosts: routes.flatMap(hostOf), problems: problems.map((problem) => `node ${name}: ${problem}`) }
  }
}

function hostOf({ kind, destination: { family }, gateway }: PeerRoute): Cidr[] {
  if (kind !== 'direct' || familyOf(gateway) !== family) return []
  return [{ family, address: gateway, prefix: family.bits }]
}
