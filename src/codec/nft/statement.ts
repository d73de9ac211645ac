import { type Family } from '../../base/family.js'
import { type Cidr, formatCidr, ipToBytes } from '../../base/ip.js'
import { NetloomError } from '../../base/errors.js'
import { type Expression } from './expression.js'
import {
  type DataType,
  IP_PROTOCOL,
  ND_TARGET,
  type Scalar,
  TYPE,
  valueBytes,
  type Verdict,
  verdictText,
} from './types.js'

/**
 * Rules as people write them. A statement has a text (what `nft` would accept) and the kernel expressions it stands
 * for; both come from the same value, so they cannot disagree.
 */

/** Something a packet has, that can be compared, looked up or concatenated. */
export interface Field {
  readonly text: string
  readonly type: DataType
  /** The expression that loads it into a register. */
  readonly load: (register: number) => Expression
}

export type Statement =
  | { readonly kind: 'match'; readonly field: Field; readonly value: Scalar; readonly negate?: boolean }
  /** The field has one of these bits, whatever else it has. */
  | { readonly kind: 'bits'; readonly field: Field; readonly bits: number }
  /** The name of a link begins so. */
  | { readonly kind: 'begins'; readonly field: Field; readonly prefix: string }
  | { readonly kind: 'within'; readonly field: Field; readonly network: Cidr }
  | { readonly kind: 'lookup'; readonly fields: readonly Field[]; readonly set: string; readonly negate?: boolean }
  | { readonly kind: 'vmap'; readonly fields: readonly Field[]; readonly map: string }
  | { readonly kind: 'dnat'; readonly family: Family; readonly fields: readonly Field[]; readonly map: string }
  | { readonly kind: 'masquerade' }
  | { readonly kind: 'reject'; readonly family: Family; readonly with: 'tcp reset' | 'port-unreachable' }
  | { readonly kind: 'verdict'; readonly verdict: Verdict }

const META = { PROTOCOL: 1, IIF: 4, IIFNAME: 6, OIFNAME: 7, IIFTYPE: 8, NFPROTO: 15, L4PROTO: 16 } as const
const PAYLOAD_BASE = { link: 0, network: 1, transport: 2 } as const

const payload = (
  text: string,
  type: DataType,
  [base, offset]: readonly [keyof typeof PAYLOAD_BASE, number],
): Field => ({
  text,
  type,
  load: (dreg) => ({ name: 'payload', values: { dreg, base: PAYLOAD_BASE[base], offset, length: type.bytes } }),
})

const meta = (text: string, type: DataType, key: number): Field => ({
  text,
  type,
  load: (dreg) => ({ name: 'meta', values: { dreg, key } }),
})

export const sourceAddress = (family: Family): Field =>
  payload(`${family.nft} saddr`, TYPE[family.nftAddress], ['network', family.sourceOffset])
export const destinationAddress = (family: Family): Field =>
  payload(`${family.nft} daddr`, TYPE[family.nftAddress], ['network', family.destinationOffset])
/** The destination port of TCP, UDP and SCTP, which all have it at byte 2. */
export const destinationPort: Field = payload('th dport', TYPE.inet_service, ['transport', 2])
/** The network that a VXLAN packet belongs to (RFC 7348): behind the UDP header and four bytes of flags. */
export const vxlanNetwork: Field = payload('@th,96,24', TYPE.vxlan_vni, ['transport', 12])
export const transportProtocol: Field = meta('meta l4proto', TYPE.inet_proto, META.L4PROTO)
/**
 * The family of a packet, NFPROTO_*. In an inet table it has to be matched directly before the first address: else nft
 * lists bytes of a header that it does not know, which it cannot load; and where it stands elsewhere, a list that was
 * loaded again has other rules than were written.
 */
export const networkProtocol: Field = meta('meta nfproto', TYPE.nf_proto, META.NFPROTO)

/** The link that a packet or frame came in by. */
export const inputLink: Field = meta('iifname', TYPE.ifname, META.IIFNAME)
/** The link that a packet leaves by. */
export const outputLink: Field = meta('oifname', TYPE.ifname, META.OIFNAME)
/** The kind of that link: matched before fields of a frame in tables of families that have other links as well. */
export const inputLinkType: Field = meta('meta iiftype', TYPE.iface_type, META.IIFTYPE)

export const frameSource: Field = payload('ether saddr', TYPE.ether_addr, ['link', 6])
/** As it stands in the frame; of a frame with a VLAN tag, the tag's. */
export const frameType: Field = payload('ether type', TYPE.ether_type, ['link', 12])
/**
 * What the kernel makes of a frame, after it took a VLAN tag off. In a bridge table nft looks at this before IP
 * addresses, and leaves out what looks at it, or at {@link frameType}: a list that was loaded again has this.
 */
export const frameProtocol: Field = meta('meta protocol', TYPE.ether_type, META.PROTOCOL)

/** The sender of an ARP packet for IPv4 and Ethernet (RFC 826), its two addresses. */
export const arpSenderMac: Field = payload('arp saddr ether', TYPE.ether_addr, ['network', 8])
export const arpSenderAddress: Field = payload('arp saddr ip', TYPE.ipv4_addr, ['network', 14])

/** The protocol behind the IPv6 header itself; of a packet with extension headers it is the first of them. */
export const nextHeader: Field = payload('ip6 nexthdr', TYPE.inet_proto, ['network', 6])
export const icmpv6Type: Field = payload('icmpv6 type', TYPE.icmpv6_type, ['transport', 0])
/** Of a neighbour advertisement, in a packet without extension headers. */
export const advertisedAddress: Field = payload(TYPE.nd_target.typeOf.text, TYPE.nd_target, [
  'network',
  ND_TARGET.offset / 8,
])

/** The link that a packet came in by, by its number: faster than by its name, for one that is there always. */
export const inputLinkIndex: Field = meta('iif', TYPE.iface_index, META.IIF)

/** enum nft_ct_keys; enum nft_fib_result and its flags. */
const CT = { STATE: 0, STATUS: 2 } as const
const FIB = { ADDRTYPE: 3, DADDR: 2 } as const

/** What conntrack makes of a packet: one of the bits of CONNECTION_STATE. */
export const connectionState: Field = {
  text: 'ct state',
  type: TYPE.ct_state,
  load: (dreg) => ({ name: 'ct', values: { dreg, key: CT.STATE } }),
}

/** What conntrack has done to the packet's flow. */
export const flowStatus: Field = {
  text: 'ct status',
  type: TYPE.ct_status,
  load: (dreg) => ({ name: 'ct', values: { dreg, key: CT.STATUS } }),
}

/** What kind of address the packet is for: one of the node, of somebody else, a broadcast, ... */
export const destinationKind: Field = {
  text: 'fib daddr type',
  type: TYPE.fib_addrtype,
  load: (dreg) => ({ name: 'fib', values: { dreg, result: FIB.ADDRTYPE, flags: FIB.DADDR } }),
}

/** A random number below `modulus`, drawn anew for each packet. */
export const randomBelow = (modulus: number): Field => ({
  text: `numgen random mod ${modulus}`,
  type: TYPE.numgen,
  load: (dreg) => ({ name: 'numgen', values: { dreg, modulus, type: 1, offset: 0 } }),
})

/** Registers as the kernel numbers them: 16-byte NFT_REG_1..4 are 1..4, 4-byte NFT_REG32_00.. are 8... */
function register(word: number): number {
  return word % 4 === 0 ? 1 + word / 4 : 8 + word
}

/** Loads the fields side by side, from the first register on. */
function loadAll(fields: readonly Field[]): Expression[] {
  let word = 0
  return fields.map((field) => {
    const expression = field.load(register(word))
    word += Math.ceil(field.type.bytes / 4)
    return expression
  })
}

const REJECT = {
  'tcp reset': () => ({ type: 1, code: 0 }),
  // ICMP and ICMPv6 number "port unreachable" differently: RFC 792, RFC 4443.
  'port-unreachable': (family: Family) => ({ type: 0, code: family.bytes === 4 ? 3 : 4 }),
} as const

/**
 * NF_NAT_RANGE_PROTO_RANDOM_FULLY of <linux/netfilter/nf_nat.h>: two flows that choose a port at the same moment
 * choose the same one otherwise, and the second flow's first packet is lost.
 */
const RANDOM_FULLY = 0x10

/** enum nft_cmp_ops. */
const CMP = { EQ: 0, NEQ: 1 } as const

/** The kernel expressions of a statement. */
export function lower(statement: Statement): Expression[] {
  switch (statement.kind) {
    case 'match':
      return lowerMatch(statement)
    case 'bits':
      return lowerBits(statement)
    case 'begins':
      return [
        statement.field.load(1),
        { name: 'cmp', values: { sreg: 1, op: CMP.EQ, data: Buffer.from(statement.prefix) } },
      ]
    case 'within':
      return lowerWithin(statement)
    case 'lookup': {
      const flags = statement.negate === true ? { flags: 1 } : {}
      return [...loadAll(statement.fields), { name: 'lookup', values: { set: statement.set, sreg: 1, ...flags } }]
    }
    case 'vmap':
      return [...loadAll(statement.fields), { name: 'lookup', values: { set: statement.map, sreg: 1, dreg: 0 } }]
    case 'dnat':
      return lowerDnat(statement)
    case 'masquerade':
      return [{ name: 'masq', values: { flags: RANDOM_FULLY } }]
    case 'reject':
      return [{ name: 'reject', values: REJECT[statement.with](statement.family) }]
    case 'verdict':
      return [{ name: 'immediate', values: { dreg: 0, data: statement.verdict } }]
  }
}

const lowerMatch = ({ field, value, negate }: Extract<Statement, { kind: 'match' }>): Expression[] => [
  field.load(1),
  { name: 'cmp', values: { sreg: 1, op: negate === true ? CMP.NEQ : CMP.EQ, data: valueBytes(field.type, value) } },
]

function lowerBits({ field, bits }: Extract<Statement, { kind: 'bits' }>): Expression[] {
  const { bytes } = field.type
  const zeros = new Uint8Array(bytes)
  const mask = valueBytes(field.type, bits)
  return [
    field.load(1),
    { name: 'bitwise', values: { sreg: 1, dreg: 1, length: bytes, mask, xor: zeros } },
    { name: 'cmp', values: { sreg: 1, op: CMP.NEQ, data: zeros } },
  ]
}

/** As nft does where a prefix ends with a byte: no more is loaded than is compared. */
function lowerWithin({ field, network }: Extract<Statement, { kind: 'within' }>): Expression[] {
  const { name, values } = field.load(1)
  if (network.prefix % 8 !== 0) throw new NetloomError('internal', `${formatCidr(network)} does not end with a byte`)
  const length = network.prefix / 8
  return [
    { name, values: { ...values, length } },
    { name: 'cmp', values: { sreg: 1, op: CMP.EQ, data: ipToBytes(network.address).subarray(0, length) } },
  ]
}

/** The map answers address and port side by side: the address from word 0, the port in the word behind it. */
function lowerDnat({ fields, map, family }: Extract<Statement, { kind: 'dnat' }>): Expression[] {
  const portRegister = register(family.bytes / 4)
  return [
    ...loadAll(fields),
    { name: 'lookup', values: { set: map, sreg: 1, dreg: 1 } },
    { name: 'nat', values: { type: 1, family: family.nfproto, addressMin: 1, portMin: portRegister } },
  ]
}

const fieldsText = (fields: readonly Field[]): string => fields.map(({ text }) => text).join(' . ')

const notText = ({ negate }: { readonly negate?: boolean }): string => (negate === true ? '!= ' : '')

/** The statement in nft's grammar. */
export function statementText(statement: Statement): string {
  switch (statement.kind) {
    case 'match':
      return `${statement.field.text} ${notText(statement)}${statement.field.type.text(statement.value)}`
    case 'bits':
      return `${statement.field.text} ${statement.field.type.text(statement.bits)}`
    case 'begins':
      return `${statement.field.text} "${statement.prefix}*"`
    case 'within':
      return `${statement.field.text} ${formatCidr(statement.network)}`
    case 'lookup':
      return `${fieldsText(statement.fields)} ${notText(statement)}@${statement.set}`
    case 'vmap':
      return `${fieldsText(statement.fields)} vmap @${statement.map}`
    case 'dnat':
      return `dnat ${statement.family.nft} to ${fieldsText(statement.fields)} map @${statement.map}`
    case 'masquerade':
      return 'masquerade fully-random'
    case 'reject':
      return `reject with ${statement.with === 'tcp reset' ? 'tcp reset' : `${icmpName(statement.family)} port-unreachable`}`
    case 'verdict':
      return verdictText(statement.verdict)
  }
}

const icmpName = (family: Family): string => (family.bytes === 4 ? 'icmp' : 'icmpv6')

/** Shorthand for the protocols that netloom translates. */
export const PROTOCOL = { TCP: IP_PROTOCOL.tcp, UDP: IP_PROTOCOL.udp, SCTP: IP_PROTOCOL.sctp } as const
