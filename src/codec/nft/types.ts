import { type Attributes } from '../attr.js'
import { DATA_ATTR, VERDICT, VERDICT_ATTR, type VerdictName } from './constants.js'
import { IPV4, IPV6 } from '../../base/family.js'
import { bytesToIp, ipToBytes } from '../../base/ip.js'
import { invalid, NetloomError } from '../../base/errors.js'
import { bytesToMac, macToBytes } from '../rtnl/mac.js'
import { Writer } from '../wire.js'

/** Data types of set keys and map values. Their numbers are nft's own (enum datatypes of its datatype.h). */

/** A number, or the canonical text of an address. */
export type Scalar = number | string

export interface Verdict {
  readonly verdict: VerdictName
  /** Where `jump` and `goto` lead. */
  readonly chain?: string
}

export interface DataType {
  readonly name: string
  /** What nft stores in NFTA_SET_KEY_TYPE so that it can print the set. */
  readonly id: number
  readonly bytes: 1 | 2 | 3 | 4 | 6 | 16
  /** nft's enum byteorder, which goes into the set's user data: 1 host, 2 network. */
  readonly order: 1 | 2
  readonly write: (writer: Writer, value: Scalar) => void
  readonly read: (bytes: Buffer) => Scalar
  readonly text: (value: Scalar) => string
  /** An expression of the type, as nft prints it behind `typeof`, and its user data. */
  readonly typeOf?: { readonly text: string; readonly userdata: Uint8Array }
  /** nft's name for the type does not tell its size: a set whose key has it is declared with `typeof`. */
  readonly unsized?: true
}

const address = (name: string, id: number, bytes: 4 | 16): DataType => ({
  name,
  id,
  bytes,
  order: 2,
  write: (writer, value) => {
    if (typeof value !== 'string' || value.includes(':') !== (bytes === 16)) throw invalid(name, `'${value}' is none`)
    writer.ip(value)
  },
  read: bytesToIp,
  text: String,
})

/** A number that fits: those of Buffer that write one byte cut it off without a word. */
function fitting(type: string, value: Scalar, maximum: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > maximum)
    throw invalid(type, `'${value}' is not from 0 to ${maximum}`)
  return value
}

/** IPPROTO_* of <netinet/in.h> that nft prints by name. */
export const IP_PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const
/** ETH_P_* of <linux/if_ether.h>, by nft's names. */
export const ETHER_TYPE = { ip: 0x0800, arp: 0x0806, '8021q': 0x8100, ip6: 0x86dd, '8021ad': 0x88a8 } as const
/** ARPHRD_* of <linux/if_arp.h>. */
export const LINK_TYPE = { ether: 1 } as const
/** Types of ICMPv6 packets that routers and neighbours send (RFC 4861), by nft's names. */
export const ICMPV6_TYPE = { 'nd-router-advert': 134, 'nd-neighbor-advert': 136, 'nd-redirect': 137 } as const

/** What a packet is to connection tracking (NF_CT_STATE_BIT of <linux/netfilter/nf_conntrack_common.h>), by nft's names. */
export const CONNECTION_STATE = { established: 1 << 1, related: 1 << 2 } as const
/** The loopback is the first link of every namespace. */
export const LOOPBACK_INDEX = 1
/** Bits of enum ip_conntrack_status of <linux/netfilter/nf_conntrack_common.h>. */
export const FLOW_STATUS = { dnat: 0x20 } as const
/** RTN_* of <linux/rtnetlink.h>. */
export const ADDRESS_KIND = { local: 2 } as const

/** User data of an expression of nft's: its kind (enum expr_types), and 32-bit numbers of its own by their places. */
const expressionUserdata = (kind: number, numbers: readonly number[]): Uint8Array => {
  const u32 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff, 0, 0]
  const own = numbers.flatMap((value, place) => [place, 4, ...u32(value)])
  return Uint8Array.of(0, 4, ...u32(kind), 1, own.length, ...own)
}

/** Names of the bits that are set, as nft lists them; a number where there are others. */
function bitsText(value: Scalar): string {
  const set = Object.entries(CONNECTION_STATE).filter(([, bit]) => (Number(value) & bit) !== 0)
  const known = set.reduce((bits, [, bit]) => bits | bit, 0)
  return known === value ? set.map(([name]) => name).join(',') : `0x${value.toString(16)}`
}

/** IFNAMSIZ of <linux/if.h>, the byte that ends it included. */
const IFNAME_BYTES = 16

function writeIfname(writer: Writer, value: Scalar): void {
  const name = Buffer.from(String(value))
  if (typeof value !== 'string' || name.length === 0 || name.length >= IFNAME_BYTES)
    throw invalid('ifname', `'${value}' is not the name of a link`)
  writer.raw(name).zeros(IFNAME_BYTES - name.length)
}

interface Enumeration {
  readonly name: string
  readonly id: number
  readonly bytes: 1 | 2 | 4
  readonly order?: 1 | 2
  /** Those numbers that nft prints by name. */
  readonly names: Readonly<Record<string, number>>
}

/** A small number that mostly has a name. */
function enumeration({ names, order = 2, ...type }: Enumeration): DataType {
  const texts = new Map(Object.entries(names).map(([name, number]) => [number, name]))
  return {
    ...type,
    order,
    write: (writer, value) => {
      const bytes = Buffer.alloc(type.bytes)
      const number = fitting(type.name, value, 2 ** (8 * type.bytes) - 1)
      if (order === 2) bytes.writeUIntBE(number, 0, type.bytes)
      else bytes.writeUIntLE(number, 0, type.bytes)
      writer.raw(bytes)
    },
    read: (bytes) => (order === 2 ? bytes.readUIntBE(0, type.bytes) : bytes.readUIntLE(0, type.bytes)),
    text: (value) => texts.get(value as number) ?? String(value),
  }
}

/** nft's kinds of expressions (enum expr_types). */
const EXPR = { payload: 7, meta: 9, numgen: 23 } as const
/** NFT_META_IIFNAME of <linux/netfilter/nf_tables.h>. */
const IIFNAME = 6
/** nft's way to tell bytes of the network header: of no protocol, no field that it knows; PROTO_BASE_NETWORK_HDR. */
const NETWORK_HEADER = [0, 0, 2] as const

/** Bits of an IPv6 packet that hold the target of a neighbour advertisement (RFC 4861, section 4.4). */
export const ND_TARGET = { offset: 384, length: 128 } as const

export const TYPE = {
  ipv4_addr: address('ipv4_addr', 7, 4),
  ipv6_addr: address('ipv6_addr', 8, 16),
  inet_proto: enumeration({ name: 'inet_proto', id: 12, bytes: 1, names: IP_PROTOCOL }),
  inet_service: {
    name: 'inet_service',
    id: 13,
    bytes: 2,
    order: 2,
    write: (writer, value) => writer.be16(fitting('inet_service', value, 0xffff)),
    read: (bytes) => bytes.readUInt16BE(0),
    text: String,
  },
  /**
   * The result of numgen: a plain integer has no size in nft's grammar, so a map with this key is declared with
   * `typeof`, and stays readable and reloadable.
   */
  numgen: {
    name: 'integer',
    id: 4,
    bytes: 4,
    order: 1,
    write: (writer, value) => writer.u32(fitting('integer', value, 0xffff_ffff)),
    read: (bytes) => bytes.readUInt32LE(0),
    text: String,
    typeOf: { text: 'numgen inc mod 2', userdata: expressionUserdata(EXPR.numgen, [0, 2, 0]) },
    unsized: true,
  },
  ether_addr: {
    name: 'ether_addr',
    id: 9,
    bytes: 6,
    order: 2,
    write: (writer, value) => writer.raw(macToBytes(String(value), 'ether_addr')),
    read: (bytes) => bytesToMac(bytes) ?? '',
    text: String,
  },
  /** The name of a link. */
  ifname: {
    name: 'ifname',
    id: 41,
    bytes: IFNAME_BYTES,
    order: 1,
    write: writeIfname,
    read: (bytes) => bytes.toString('utf8').replace(/\0.*$/s, ''),
    text: (value) => `"${value}"`,
    typeOf: { text: 'iifname', userdata: expressionUserdata(EXPR.meta, [IIFNAME]) },
  },
  /**
   * The target of a neighbour advertisement, an IPv6 address. nft 1.0.6 knows only its place in the packet, counted
   * from the IPv6 header here: counted from ICMPv6's, later ones know it as an address and have a set of another type.
   */
  nd_target: {
    ...address('ipv6_addr', 8, 16),
    name: 'integer',
    id: 4,
    text: (value) => `0x${Buffer.from(ipToBytes(String(value))).toString('hex')}`,
    typeOf: {
      text: `@nh,${ND_TARGET.offset},${ND_TARGET.length}`,
      userdata: expressionUserdata(EXPR.payload, [...NETWORK_HEADER, ND_TARGET.offset, ND_TARGET.length]),
    },
    unsized: true,
  },
  /** A network's number in a VXLAN header: a plain integer, as nft lists what no protocol that it knows has there. */
  vxlan_vni: {
    name: 'integer',
    id: 4,
    bytes: 3,
    order: 2,
    write: (writer, value) => {
      const number = fitting('vxlan_vni', value, 0xff_ffff)
      writer.raw(Buffer.of(number >> 16, (number >> 8) & 0xff, number & 0xff))
    },
    read: (bytes) => bytes.readUIntBE(0, 3),
    text: (value) => `0x${value.toString(16)}`,
    unsized: true,
  },
  ether_type: enumeration({ name: 'ether_type', id: 10, bytes: 2, names: ETHER_TYPE }),
  iface_type: enumeration({ name: 'iface_type', id: 21, bytes: 2, order: 1, names: LINK_TYPE }),
  icmpv6_type: enumeration({ name: 'icmpv6_type', id: 29, bytes: 1, names: ICMPV6_TYPE }),
  /** Bits of {@link CONNECTION_STATE}. */
  ct_state: {
    name: 'ct_state',
    id: 26,
    bytes: 4,
    order: 1,
    write: (writer, value) => writer.u32(fitting('ct_state', value, 0xffff_ffff)),
    read: (bytes) => bytes.readUInt32LE(0),
    text: bitsText,
  },
  nf_proto: enumeration({ name: 'nf_proto', id: 2, bytes: 1, names: { ipv4: IPV4.nfproto, ipv6: IPV6.nfproto } }),
  iface_index: enumeration({ name: 'iface_index', id: 20, bytes: 4, order: 1, names: { '"lo"': LOOPBACK_INDEX } }),
  ct_status: enumeration({ name: 'ct_status', id: 28, bytes: 4, order: 1, names: FLOW_STATUS }),
  fib_addrtype: enumeration({ name: 'fib_addrtype', id: 38, bytes: 4, order: 1, names: ADDRESS_KIND }),
} as const satisfies Record<string, DataType>

const align = (bytes: number): number => (bytes + 3) & ~3

/** Bytes of a key or value: parts of a concatenation fill whole 32-bit registers, a single part stands as it is. */
export const typeBytes = (types: readonly DataType[]): number =>
  types.length === 1 && types[0] !== undefined
    ? types[0].bytes
    : types.reduce((sum, { bytes }) => sum + align(bytes), 0)

/** The type number of a concatenation: six bits for each part (nft's TYPE_BITS). */
export const typeId = (types: readonly DataType[]): number => types.reduce((id, type) => (id << 6) | type.id, 0)

/** Appends NFTA_DATA_VALUE with the parts of a key or value. */
export function writeValue(writer: Writer, types: readonly DataType[], values: readonly Scalar[]): void {
  const mark = writer.begin(DATA_ATTR.VALUE)
  for (let i = 0; i < types.length; i++) {
    const type = types[i]
    const value = values[i]
    if (type === undefined || value === undefined)
      throw new NetloomError('internal', `key of ${values.length} parts for ${types.length} types`)
    type.write(writer, value)
    if (types.length > 1) writer.align()
  }
  writer.end(mark)
}

/** The bytes of a single value, as `cmp` compares them. */
export function valueBytes(type: DataType, value: Scalar): Uint8Array {
  const writer = new Writer(type.bytes)
  type.write(writer, value)
  return writer.bytes()
}

/**
 * The parts of a key or value as the kernel answers them.
 * @throws NetloomError `invalid` where there are fewer bytes than the types have.
 */
export function readValue(types: readonly DataType[], bytes: Buffer): Scalar[] {
  const expected = typeBytes(types)
  if (bytes.length < expected)
    throw new NetloomError('invalid', `nftables value has ${bytes.length} bytes, needs ${expected}`)
  let at = 0
  return types.map((type) => {
    const value = type.read(bytes.subarray(at, at + type.bytes))
    at += align(type.bytes)
    return value
  })
}

export const valueText = (types: readonly DataType[], values: readonly Scalar[]): string =>
  values.map((value, i) => types[i]?.text(value) ?? String(value)).join(' . ')

/** Appends NFTA_DATA_VERDICT. */
export function writeVerdict(writer: Writer, { verdict, chain }: Verdict): void {
  const mark = writer.nest(DATA_ATTR.VERDICT)
  writer.attrBe32(VERDICT_ATTR.CODE, VERDICT[verdict] >>> 0)
  if (chain !== undefined) writer.attrString(VERDICT_ATTR.CHAIN, chain)
  writer.end(mark)
}

const VERDICT_NAMES = new Map(Object.entries(VERDICT).map(([name, code]) => [code as number, name as VerdictName]))

/** Reads the attributes inside NFTA_DATA_VERDICT; undefined for a verdict that we never write (queue). */
export function readVerdict(data: Attributes): Verdict | undefined {
  const verdict = VERDICT_NAMES.get((data.be32(VERDICT_ATTR.CODE) ?? 0) | 0)
  const chain = data.string(VERDICT_ATTR.CHAIN)
  return verdict === undefined ? undefined : { verdict, ...(chain === undefined ? {} : { chain }) }
}

export const verdictText = ({ verdict, chain }: Verdict): string =>
  chain === undefined ? verdict : `${verdict} ${chain}`
