import { createHash } from 'node:crypto'
import { FAMILIES, type Family, IPV4, IPV6 } from '../base/family.js'
import { type Cidr, type IpPrefix } from '../base/ip.js'
import { NetloomError } from '../base/errors.js'
import { TUNNELS } from '../base/names.js'
import { type Address } from '../codec/rtnl/address.js'
import { ADDR_GEN_MODE } from '../codec/rtnl/constants.js'
import { type Link } from '../codec/rtnl/link.js'
import { gatewayOf } from '../model/podnetwork.js'
import { type Op } from '../ops/op.js'
import { planAddresses } from './addresses.js'
import { knownSysctls, planSysctls } from './sysctls.js'
import { type Routing } from './routing.js'
import { tunnelMtu, type Underlay } from './underlay.js'

/**
 * VXLAN devices (RFC 7348): one for each family of the network between the nodes. They never learn and never flood.
 * Where a MAC address is, and whose address it belongs to, is written by the agent alone.
 */
export interface TunnelDesired {
  readonly name: string
  readonly family: Family
  /** This node's address. */
  readonly local: string
  readonly mac: string
  readonly mtu: number
  readonly vni: number
  readonly port: number
  /**
   * The gateway's addresses: what the node itself sends into the tunnel, and what is masqueraded on its way there, comes
   * from them, so that the answer comes back in the tunnel.
   */
  readonly addresses: readonly IpPrefix[]
}

export interface TunnelActual {
  readonly link: Link | undefined
  /** Of all links. */
  readonly addresses: readonly Address[]
  /** Values of {@link tunnelSysctls}, as far as the kernel has them. */
  readonly sysctls: ReadonlyMap<string, string>
}

/**
 * The MAC address of a node's end of its tunnels. It follows from the node's name, so every node knows that of every
 * other without asking, also while that one's pod network changes. Of 46 free bits, 5,000 nodes use the same twice
 * with a chance of one in five million.
 */
export function vtepMac(node: string): string {
  const bytes = createHash('sha256').update(`vtep ${node}`).digest().subarray(0, 6)
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02 // locally administered, unicast
  return bytes.toString('hex').replace(/..(?=.)/g, '$&:')
}

export interface TunnelEnds {
  readonly node: string
  readonly routing: Routing
  readonly subnets: readonly Cidr[]
  readonly underlays: readonly Underlay[]
}

/** The devices that a node needs: also one that it sends nothing by, for nodes that have no other family. */
export function desiredTunnels({ node, routing, subnets, underlays }: TunnelEnds): TunnelDesired[] {
  if (routing.mode === 'direct') return []
  return underlays.map((underlay) => ({
    name: TUNNELS[underlay.family.name],
    family: underlay.family,
    local: underlay.address,
    mac: vtepMac(node),
    mtu: tunnelMtu(routing, underlays, underlay),
    ...routing.vxlan,
    addresses: subnets.map((subnet) => ({ ...subnet, address: gatewayOf(subnet), prefix: subnet.family.bits })),
  }))
}

/**
 * - rp_filter loose: the kernel goes by the stricter of this and `all`, and strict would drop the answers of nodes that
 *   take another way back: between two nodes of which only one finds the other on its link, say.
 * - send_redirects off: there is nobody else on this link to talk to.
 */
export const tunnelSysctls = (name: string): ReadonlyMap<string, string> =>
  new Map([
    [`net/ipv4/conf/${name}/rp_filter`, '2'],
    [`net/ipv4/conf/${name}/send_redirects`, '0'],
  ])

/** What makes a device as wanted; nothing where it is so. */
export function planTunnel(desired: TunnelDesired, { link, addresses, sysctls }: TunnelActual): Op[] {
  const { name } = desired
  if (link !== undefined && link.kind !== 'vxlan')
    throw new NetloomError('exists', `link ${name} is there already, and is no VXLAN device`, {
      operation: 'create VXLAN device',
    })
  const stays = link !== undefined && !isOther(desired, link) ? link : undefined
  const known = stays === undefined ? new Map<string, string>() : sysctls
  return [
    ...(link !== undefined && stays === undefined ? [{ kind: 'link.delete', name } as const] : []),
    ...(stays === undefined ? planNew(desired) : planChanges(desired, stays)),
    ...planAddresses(
      name,
      // Without a route to itself, which IPv6 would make of it.
      desired.addresses.map((address) => ({ ...address, noPrefixRoute: address.family === IPV6 })),
      addresses.filter(({ index }) => index === stays?.index),
    ),
    ...planSysctls(knownSysctls(tunnelSysctls(name), known, stays), known, FAMILIES),
  ]
}

/** It differs in what cannot be changed. */
const isOther = ({ vni, port, family }: TunnelDesired, { vxlan }: Link): boolean =>
  vxlan?.id !== vni ||
  vxlan.port !== port ||
  vxlan.group !== undefined ||
  vxlan.local === undefined ||
  vxlan.local.includes(':') !== (family === IPV6) ||
  (family === IPV4 && vxlan.udpChecksum !== true)

const planNew = ({ name, family, local, mac, mtu, vni, port }: TunnelDesired): Op[] => [
  {
    kind: 'link.add',
    link: {
      ...{ kind: 'vxlan', name, mac, mtu },
      // Over IPv6 there always is a checksum. Over IPv4 it costs nothing that the network card does not do, and without
      // it the receiving card cannot vouch for what is inside.
      vxlan: { id: vni, local, learning: false, port, ...(family === IPV4 ? { udpChecksum: true } : {}) },
    },
  },
  // Before it is up, or it has a link-local address already.
  { kind: 'link.set', name, changes: { addrGenMode: ADDR_GEN_MODE.NONE } },
  { kind: 'link.set', name, changes: { up: true } },
]

function planChanges({ name, local, mac, mtu, vni }: TunnelDesired, link: Link): Op[] {
  const changes = {
    ...(link.up ? {} : { up: true }),
    ...(link.mtu === mtu ? {} : { mtu }),
    ...(link.mac === mac ? {} : { mac }),
  }
  const right = link.vxlan?.local === local && link.vxlan.learning === false
  return [
    // In place: routes and entries stay, so a node that changes its address misses no packet of the others.
    ...(right ? [] : [{ kind: 'vxlan.set', name, vxlan: { id: vni, local, learning: false } } as const]),
    ...(Object.keys(changes).length === 0 ? [] : [{ kind: 'link.set', name, changes } as const]),
  ]
}

/** Devices of ours that are not wanted. */
export const planLeftovers = (desired: readonly TunnelDesired[], links: readonly Link[]): Op[] =>
  links
    .filter(({ name, kind }) => isTunnel(name) && kind === 'vxlan' && !desired.some((tunnel) => tunnel.name === name))
    .map(({ name }): Op => ({ kind: 'link.delete', name }))

export const isTunnel = (name: string): boolean => FAMILIES.some((family) => TUNNELS[family.name] === name)
