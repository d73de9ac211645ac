import { type Cidr } from '../base/ip.js'
import { DEFAULT_VXLAN } from '../base/names.js'

/**
 * How pods' packets get to other nodes.
 * - direct: by routes through the nodes' addresses, so all nodes are on one link or their routers know pod networks.
 * - vxlan: in tunnels between the nodes' addresses, whatever lies between.
 * - auto: by a route to each node that is on the same link, in a tunnel to all others.
 */
export const ROUTE_MODES = ['direct', 'vxlan', 'auto'] as const
export type RouteMode = (typeof ROUTE_MODES)[number]

/** Which addresses a node is reached by; its InternalIPs where nothing, or an empty list, is given. Where both are, both must hold. */
export interface AddressSelection {
  /** Patterns of names of links, as a shell has them (`eth*`); those of an earlier pattern are preferred. */
  readonly interfaces?: readonly string[]
  /** Networks; addresses of an earlier one are preferred. */
  readonly cidrs?: readonly Cidr[]
}

export interface Routing {
  readonly mode: RouteMode
  /** Of all nodes the same. */
  readonly vxlan: { readonly vni: number; readonly port: number }
  /** Bytes of pods' packets at most; what the node's own link and the tunnels leave unless given. */
  readonly mtu?: number | undefined
  readonly select: AddressSelection
}

export const DEFAULT_ROUTING: Routing = { mode: 'direct', vxlan: DEFAULT_VXLAN, select: {} }
