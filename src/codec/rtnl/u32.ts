import { invalid, NetloomError } from '../../base/errors.js'
import { type Family, type FamilyName } from '../../base/family.js'
import { bytesToIp, familyOf, ipToBytes } from '../../base/ip.js'
import { type Writer } from '../wire.js'
import { checkInteger } from './fields.js'
import { bytesToMac, macToBytes } from './mac.js'

/**
 * What u32 looks at: struct tc_u32_sel of <linux/pkt_cls.h>. Of the classifiers that can tell packets apart it is the
 * oldest and there everywhere; flower and matchall are not.
 */

/** Where a packet comes from; what is not given may be anything. */
export interface PacketSource {
  /** Of the Ethernet frame. */
  readonly mac?: string | undefined
  /** Of the packet. */
  readonly address?: string | undefined
  /** IPPROTO_* of what follows the header directly: IPv6 packets may have extension headers there. */
  readonly protocol?: number | undefined
}

/** The four bytes at `offset` from the network header on are `value`, as far as `mask` goes. */
interface Key {
  readonly offset: number
  readonly mask: number
  readonly value: number
}

const SELECTOR_BYTES = 16
const KEY_BYTES = 16
/** TC_U32_TERMINAL: packets that match go no further. */
const TERMINAL = 1
const ALL_BITS = 0xffff_ffff
const ANYTHING: Key = { offset: 0, mask: 0, value: 0 }

/**
 * The frame's header ends where the network's begins, with six bytes of source address and two of type before it. u32
 * looks at whole words only.
 */
const MAC_OFFSET = -8
const MAC_TAIL_MASK = 0xffff_0000

/** The words of an address or a part of one. */
const wordsAt = (offset: number, bytes: Buffer): Key[] =>
  Array.from({ length: bytes.length / 4 }, (_, i) => ({
    offset: offset + 4 * i,
    mask: ALL_BITS,
    value: bytes.readUInt32BE(4 * i),
  }))

function addressKeys(family: Family, address: string): Key[] {
  if (familyOf(address) !== family) throw invalid('source.address', `'${address}' is no ${family.name} address`)
  return wordsAt(family.sourceOffset, Buffer.from(ipToBytes(address)))
}

function macKeys(mac: string): Key[] {
  const bytes = macToBytes(mac, 'source.mac')
  return [
    ...wordsAt(MAC_OFFSET, bytes.subarray(0, 4)),
    { offset: MAC_OFFSET + 4, mask: MAC_TAIL_MASK, value: bytes.readUInt16BE(4) * 0x10000 },
  ]
}

/** Where the byte stands that says what follows: RFC 791, "Protocol"; RFC 8200, "Next Header". */
const PROTOCOL: Readonly<Record<FamilyName, { readonly offset: number; readonly shift: number }>> = {
  ipv4: { offset: 8, shift: 16 },
  ipv6: { offset: 4, shift: 8 },
}

function protocolKey({ name }: Family, protocol: number): Key {
  const { offset, shift } = PROTOCOL[name]
  return { offset, mask: 0xff << shift, value: protocol << shift }
}

/** Everything is what one key of no bits matches. */
function keysOf(family: Family, { mac, address, protocol }: PacketSource): Key[] {
  const keys = [
    ...(protocol === undefined ? [] : [protocolKey(family, checkInteger(protocol, 0xff, 'source.protocol'))]),
    ...(address === undefined ? [] : addressKeys(family, address)),
    ...(mac === undefined ? [] : macKeys(mac)),
  ]
  return keys.length === 0 ? [ANYTHING] : keys
}

/** How the packets of a hash table's filter find their bucket. */
export interface HashKey {
  /** Of the word in the packet, from the network header on. */
  readonly offset: number
  readonly mask: number
}

/** Matches what comes from a source. */
export const writeSource = (writer: Writer, attribute: number, family: Family, source: PacketSource): void =>
  writeSelector(writer, attribute, { flags: TERMINAL, keys: keysOf(family, source) })

/** Matches everything, and leads on to where its hash key says. */
export const writeHashing = (writer: Writer, attribute: number, hash: HashKey): void =>
  writeSelector(writer, attribute, { flags: 0, keys: [ANYTHING], hash })

interface Selector {
  readonly flags: number
  readonly keys: readonly Key[]
  readonly hash?: HashKey
}

/**
 * struct tc_u32_sel: flags u8, offshift u8, nkeys u8, a byte of padding, offmask be16, off u16, offoff s16, hoff s16,
 * hmask be32; and of struct tc_u32_key for each key: mask be32, val be32, off s32, offmask s32.
 */
function writeSelector(writer: Writer, attribute: number, { flags, keys, hash }: Selector): void {
  const selector = writer.begin(attribute)
  writer.u8(flags).u8(0).u8(keys.length).zeros(7)
  writer.u16(hash?.offset ?? 0).be32(hash?.mask ?? 0)
  for (const { offset, mask, value } of keys)
    writer
      .be32(mask)
      .be32(value)
      .u32(offset >>> 0)
      .zeros(4)
  writer.end(selector)
}

/**
 * The source that a selector matches; undefined where it looks at anything else.
 * @throws NetloomError `invalid` where the struct is cut off.
 */
export function readSource(family: Family, selector: Buffer): PacketSource | undefined {
  const keys = readKeys(selector)
  const words = new Map(keys.map(({ offset, value }) => [offset, value]))
  const address = readWords(words, family.sourceOffset, family.bytes)
  const mac = readWords(words, MAC_OFFSET, 6)
  const { offset, shift } = PROTOCOL[family.name]
  const protocol = words.get(offset)
  const source: PacketSource = {
    ...(protocol === undefined ? {} : { protocol: protocol >>> shift }),
    ...(address === undefined ? {} : { address: bytesToIp(address) }),
    ...(mac === undefined ? {} : { mac: bytesToMac(mac) }),
  }
  // Only what would be written the same way is understood, whatever the order.
  const own = keysOf(family, source)
  const understood = keys.length === own.length && own.every((key) => keys.some((other) => sameKey(key, other)))
  return understood ? source : undefined
}

const sameKey = (a: Key, b: Key): boolean => a.offset === b.offset && a.mask === b.mask && a.value === b.value

/** `count` bytes from `offset` on, or undefined where a word of them is not looked at. */
function readWords(words: ReadonlyMap<number, number>, offset: number, count: number): Buffer | undefined {
  const bytes = Buffer.alloc((count + 3) & ~3)
  for (let at = 0; at < count; at += 4) {
    const word = words.get(offset + at)
    if (word === undefined) return undefined
    bytes.writeUInt32BE(word, at)
  }
  return bytes.subarray(0, count)
}

function readKeys(selector: Buffer): Key[] {
  const count = selector.length < SELECTOR_BYTES ? 0 : selector.readUInt8(2)
  const needed = SELECTOR_BYTES + KEY_BYTES * count
  if (selector.length < needed)
    throw new NetloomError('invalid', `tc_u32_sel has ${selector.length} bytes, needs ${needed}`)
  return Array.from({ length: count }, (_, i) => {
    const at = SELECTOR_BYTES + KEY_BYTES * i
    return {
      mask: selector.readUInt32BE(at),
      value: selector.readUInt32BE(at + 4),
      offset: selector.readInt32LE(at + 8),
    }
  })
}

/** The last byte of an address: what tells the pods of one network apart best. */
export const lastByteOfSource = (family: Family): HashKey => ({
  offset: family.sourceOffset + family.bytes - 4,
  mask: 0xff,
})

/** How many values {@link lastByteOfSource} has. */
export const LAST_BYTES = 256
