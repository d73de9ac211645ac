import { type Attributes } from '../attr.js'
import { DATA_ATTR, VERDICT, VERDICT_ATTR, type VerdictName } from './constants.js'
import { bytesToIp } from '../../base/ip.js'
import { invalid, NetloomError } from '../../base/errors.js'
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
  readonly bytes: 1 | 2 | 4 | 16
  /** nft's enum byteorder, which goes into the set's user data: 1 host, 2 network. */
  readonly order: 1 | 2
  readonly write: (writer: Writer, value: Scalar) => void
  readonly read: (bytes: Buffer) => Scalar
  readonly text: (value: Scalar) => string
  /** For a type without a name of its own: the expression that nft prints behind `typeof`, and its user data. */
  readonly typeOf?: { readonly text: string; readonly userdata: Uint8Array }
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
const PROTOCOL_NAMES = new Map(Object.entries(IP_PROTOCOL).map(([name, number]) => [number as number, name]))

/** User data of `typeof numgen inc mod 2`: the expression's kind 23, then type inc 0, modulus 2, offset 0. */
const NUMGEN_USERDATA = Uint8Array.of(
  ...[0, 4, 23, 0, 0, 0],
  ...[1, 18, 0, 4, 0, 0, 0, 0, 1, 4, 2, 0, 0, 0, 2, 4, 0, 0, 0, 0],
)

export const TYPE = {
  ipv4_addr: address('ipv4_addr', 7, 4),
  ipv6_addr: address('ipv6_addr', 8, 16),
  inet_proto: {
    name: 'inet_proto',
    id: 12,
    bytes: 1,
    order: 2,
    write: (writer, value) => writer.u8(fitting('inet_proto', value, 0xff)),
    read: (bytes) => bytes.readUInt8(0),
    text: (value) => PROTOCOL_NAMES.get(value as number) ?? String(value),
  },
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
    typeOf: { text: 'numgen inc mod 2', userdata: NUMGEN_USERDATA },
  },
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
