import { invalid } from '../../base/errors.js'
import { familyOf, parseIp } from '../../base/ip.js'
import { type Attributes } from '../attr.js'
import { type Writer } from '../wire.js'
import { IFLA_BR, IFLA_BRPORT, IFLA_VXLAN } from './constants.js'
import { BE16, BOOL32, BOOL8, type FieldCodec, type Fields, readFields, U32, writeFields } from './fields.js'

/** What a link has because of its kind, inside IFLA_LINKINFO: <linux/if_link.h>. */

export interface BridgeOptions {
  /** How long a port waits before it forwards, in hundredths of a second; without spanning tree it may be 0. */
  readonly forwardDelay?: number | undefined
  /** How long a MAC address that was learned is kept, in hundredths of a second. */
  readonly ageingTime?: number | undefined
  /** Spanning tree protocol. */
  readonly stp?: boolean | undefined
  /** EOPNOTSUPP, even for false, where the kernel was built without VLAN filtering. */
  readonly vlanFiltering?: boolean | undefined
  /** Multicast goes only to the ports that asked for it. */
  readonly mcastSnooping?: boolean | undefined
  /** Bridged IPv4 packets pass iptables (br_netfilter). */
  readonly nfCallIptables?: boolean | undefined
  readonly nfCallIp6tables?: boolean | undefined
  readonly nfCallArptables?: boolean | undefined
}

const BRIDGE: Fields<BridgeOptions> = {
  forwardDelay: [IFLA_BR.FORWARD_DELAY, U32],
  ageingTime: [IFLA_BR.AGEING_TIME, U32],
  stp: [IFLA_BR.STP_STATE, BOOL32],
  vlanFiltering: [IFLA_BR.VLAN_FILTERING, BOOL8],
  mcastSnooping: [IFLA_BR.MCAST_SNOOPING, BOOL8],
  nfCallIptables: [IFLA_BR.NF_CALL_IPTABLES, BOOL8],
  nfCallIp6tables: [IFLA_BR.NF_CALL_IP6TABLES, BOOL8],
  nfCallArptables: [IFLA_BR.NF_CALL_ARPTABLES, BOOL8],
}

/** Flags of a bridge port. */
export interface BridgePort {
  /** Packets may leave by the port that they came in by. */
  readonly hairpin?: boolean | undefined
  /** Spanning tree packets that come in shut it down. */
  readonly bpduGuard?: boolean | undefined
  /** Source addresses become forwarding entries. */
  readonly learning?: boolean | undefined
  /** It gets unicast packets to addresses without a forwarding entry. */
  readonly unicastFlood?: boolean | undefined
  readonly mcastFlood?: boolean | undefined
  readonly bcastFlood?: boolean | undefined
  /** The bridge answers ARP and neighbour discovery in the place of the port's hosts. */
  readonly neighSuppress?: boolean | undefined
  /** It exchanges no packets with other isolated ports. */
  readonly isolated?: boolean | undefined
}

const PORT: Fields<BridgePort> = {
  hairpin: [IFLA_BRPORT.MODE, BOOL8],
  bpduGuard: [IFLA_BRPORT.GUARD, BOOL8],
  learning: [IFLA_BRPORT.LEARNING, BOOL8],
  unicastFlood: [IFLA_BRPORT.UNICAST_FLOOD, BOOL8],
  mcastFlood: [IFLA_BRPORT.MCAST_FLOOD, BOOL8],
  bcastFlood: [IFLA_BRPORT.BCAST_FLOOD, BOOL8],
  neighSuppress: [IFLA_BRPORT.NEIGH_SUPPRESS, BOOL8],
  isolated: [IFLA_BRPORT.ISOLATED, BOOL8],
}

export interface VxlanOptions {
  /** Network identifier, 24 bits. */
  readonly id: number
  /** Outer destination for MAC addresses without a forwarding entry: a multicast group or one remote. */
  readonly group?: string | undefined
  /** Outer source address. */
  readonly local?: string | undefined
  /** Index of the link that tunnelled packets leave by. */
  readonly link?: number | undefined
  /** MAC addresses are learned from tunnelled packets. */
  readonly learning?: boolean | undefined
  /** UDP port of this and the other ends; 8472 is the kernel's default, 4789 the registered one (RFC 7348). */
  readonly port?: number | undefined
  /** Outer UDP checksum over IPv4. */
  readonly udpChecksum?: boolean | undefined
}

/** VXLAN has one attribute for an address of IPv4 and another for one of IPv6. */
const addressOfEither = (ipv6Type: number): FieldCodec<string> => ({
  write(writer, type, value, name) {
    const { family, address } = parseIp(value, name)
    writer.attrIp(family.name === 'ipv6' ? ipv6Type : type, address)
  },
  read: (attributes, type) => attributes.ip(type) ?? attributes.ip(ipv6Type),
})

const VXLAN: Fields<VxlanOptions> = {
  link: [IFLA_VXLAN.LINK, U32],
  udpChecksum: [IFLA_VXLAN.UDP_CSUM, BOOL8],
  id: [IFLA_VXLAN.ID, U32],
  group: [IFLA_VXLAN.GROUP, addressOfEither(IFLA_VXLAN.GROUP6)],
  local: [IFLA_VXLAN.LOCAL, addressOfEither(IFLA_VXLAN.LOCAL6)],
  learning: [IFLA_VXLAN.LEARNING, BOOL8],
  port: [IFLA_VXLAN.PORT, BE16],
}

const MAX_VXLAN_ID = 0xff_ffff

export const writeBridge = (writer: Writer, options: BridgeOptions): void => writeFields(writer, BRIDGE, options)

export const readBridge = (attributes: Attributes): BridgeOptions => readFields(attributes, BRIDGE)

export const writeBridgePort = (writer: Writer, port: BridgePort): void => writeFields(writer, PORT, port)

export const readBridgePort = (attributes: Attributes): BridgePort => readFields(attributes, PORT)

/** @throws NetloomError `invalid`, naming the option: an identifier of more than 24 bits, addresses of two families. */
export function writeVxlan(writer: Writer, options: VxlanOptions): void {
  const { id, group, local } = options
  if (id > MAX_VXLAN_ID) throw invalid('id', `${id} is not from 0 to ${MAX_VXLAN_ID}`)
  if (group !== undefined && local !== undefined && familyOf(group) !== familyOf(local))
    throw invalid('group', `'${group}' and the local address '${local}' are of two families`)
  writeFields(writer, VXLAN, options)
}

export function readVxlan(attributes: Attributes): VxlanOptions | undefined {
  const { id, ...options } = readFields(attributes, VXLAN)
  return id === undefined ? undefined : { id, ...options }
}
