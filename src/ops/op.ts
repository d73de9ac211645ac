import { type Family } from '../base/family.js'
import { type Chain } from '../codec/nft/chain.js'
import { type Element } from '../codec/nft/element.js'
import { type Rule } from '../codec/nft/rule.js'
import { type SetSpec } from '../codec/nft/set.js'
import { type Table } from '../codec/nft/table.js'
import { type AddressSpec } from '../codec/rtnl/address.js'
import { type BridgePort, type LinkChanges, type LinkSpec, type VxlanChanges } from '../codec/rtnl/link.js'
import { type FilterLink, type FilterPriority, type FilterSpec, type FilterTable } from '../codec/rtnl/filter.js'
import { type NeighbourSpec } from '../codec/rtnl/neighbour.js'
import { type RootQdisc } from '../codec/rtnl/qdisc.js'
import { type RouteSpec } from '../codec/rtnl/route.js'
import { type TokenBucket } from '../codec/rtnl/tbf.js'
import { type PacketSource } from '../codec/rtnl/u32.js'

/**
 * Effects as data. A planner answers a list of these, in the order in which they are to be done; one place applies
 * them. Links are named, because a link that an earlier operation creates has no index yet.
 */
export type Op = LinkOp | AddressOp | RouteOp | NeighbourOp | BridgeOp | VtepOp | TrafficOp | SysctlOp | NftOp | FlowsOp

/** An object of rtnetlink without its link's index, and with the link's name. */
export type OnDevice<T> = Omit<T, 'index'> & { readonly device: string }

export type LinkOp =
  | { readonly kind: 'link.add'; readonly link: LinkSpec }
  | { readonly kind: 'link.set'; readonly name: string; readonly changes: LinkChanges }
  | { readonly kind: 'link.delete'; readonly name: string }
  | { readonly kind: 'port.set'; readonly name: string; readonly port: BridgePort }
  | { readonly kind: 'vxlan.set'; readonly name: string; readonly vxlan: VxlanChanges }

export type AddressOp =
  | { readonly kind: 'address.add'; readonly address: OnDevice<AddressSpec> }
  | { readonly kind: 'address.delete'; readonly address: OnDevice<AddressSpec> }

export type RouteOp =
  | { readonly kind: 'route.replace'; readonly route: RouteSpec & { readonly device?: string } }
  | { readonly kind: 'route.delete'; readonly route: RouteSpec & { readonly device?: string } }

export type NeighbourOp =
  | { readonly kind: 'neighbour.replace'; readonly neighbour: OnDevice<NeighbourSpec> }
  | { readonly kind: 'neighbour.delete'; readonly neighbour: OnDevice<NeighbourSpec> }

export type BridgeOp = {
  /** Frames to a MAC address leave by this port, learned or not. */
  readonly kind: 'fdb.replace'
  readonly device: string
  readonly mac: string
}

/** Behind which tunnel end (VTEP of RFC 7348) a MAC address is, as a VXLAN device knows it. */
export type VtepOp = {
  readonly kind: 'vtep.replace' | 'vtep.delete'
  readonly device: string
  readonly mac: string
  /** Address of the other end; a deletion without one takes all that there are. */
  readonly remote?: string | undefined
}

export type TrafficOp =
  | { readonly kind: 'clsact.add' | 'clsact.delete'; readonly device: string }
  /** What a link receives of a family, from one source where it is given, arrives on another link. */
  | {
      readonly kind: 'ingress.redirect'
      readonly device: string
      readonly family: Family
      readonly target: string
      readonly source?: PacketSource
    }
  /** Limits what a link sends; the deletion leaves one of another handle alone. */
  | ({ readonly kind: 'limit.replace' } & OnDevice<RootQdisc & TokenBucket>)
  | ({ readonly kind: 'limit.delete' } & OnDevice<RootQdisc>)
  /** Sends what a link receives to another link, whose name is `target`. */
  | ({ readonly kind: 'filter.add'; readonly target: string } & OnDevice<Omit<FilterSpec, 'target'>>)
  /** One filter, or without a handle all of the priority. */
  | ({ readonly kind: 'filter.delete' } & OnDevice<FilterPriority & Pick<FilterSpec, 'handle'>>)
  | ({ readonly kind: 'filter.table' } & OnDevice<FilterTable>)
  | ({ readonly kind: 'filter.link' } & OnDevice<FilterLink>)

/** `path` as below /proc/sys, with slashes: `net/ipv4/ip_forward`. */
export interface SysctlOp {
  readonly kind: 'sysctl.set'
  readonly path: string
  readonly value: string
}

export type NftOp =
  | { readonly kind: 'table.add' | 'table.delete'; readonly table: Table }
  | { readonly kind: 'chain.add'; readonly table: Table; readonly chain: Chain }
  | { readonly kind: 'chain.delete' | 'rules.flush'; readonly table: Table; readonly chain: string }
  | { readonly kind: 'rule.add'; readonly table: Table; readonly chain: string; readonly rule: Rule }
  | { readonly kind: 'set.add'; readonly table: Table; readonly set: SetSpec }
  /** `map`: the set has data; nft wants to be told, the kernel does not. */
  | { readonly kind: 'set.delete' | 'set.flush'; readonly table: Table; readonly set: string; readonly map?: boolean }
  | {
      readonly kind: 'elements.add' | 'elements.delete'
      readonly table: Table
      readonly set: SetSpec
      readonly elements: readonly Element[]
    }

/**
 * Makes conntrack forget flows to a port, so that their next packets are translated as the rules say now. Flows of one
 * client go on as they began for as long as it sends from the same port.
 */
export interface FlowsOp {
  readonly kind: 'flows.delete'
  readonly family: Family
  /** IPPROTO_* of <netinet/in.h>. */
  readonly protocol: number
  /** What the client sends to. */
  readonly port: number
  /** Where the client sends to; any address of the node unless given. */
  readonly address?: string
  /** Flows that were translated to here; those that nobody translated unless given. */
  readonly target?: { readonly address: string; readonly port: number }
}

/** What an operation of `kind` holds. */
export type OpOf<K extends Op['kind']> = K extends unknown ? Holding<Op, K> : never
type Holding<O, K> = O extends { readonly kind: infer Kinds } ? (K extends Kinds ? O : never) : never
