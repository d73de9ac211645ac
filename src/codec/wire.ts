import { endianness } from 'node:os'
import { NetloomError } from '../base/errors.js'
import { writeIp } from '../base/ip.js'

/**
 * Bytes of netlink messages: <linux/netlink.h>. Pure: no sockets.
 * Headers and most integers are in host order. Node runs on little-endian hosts only among those we support, and
 * the fixed-order accessors of Buffer are several times faster than choosing per call.
 */
if (endianness() !== 'LE') throw new NetloomError('unsupported', 'netloom needs a little-endian machine')

/** struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32. */
export const HEADER_BYTES = 16

/** nlmsg_flags. */
export const FLAG = {
  REQUEST: 0x1,
  MULTI: 0x2,
  ACK: 0x4,
  ECHO: 0x8,
  DUMP_INTR: 0x10,
  ROOT: 0x100,
  MATCH: 0x200,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  /** Of NLMSG_ERROR: the request that failed was cut off to its header. */
  CAPPED: 0x100,
  /** Of NLMSG_ERROR: attributes of the extended acknowledgement follow. */
  ACK_TLVS: 0x200,
} as const

/** nlmsg_type below NLMSG_MIN_TYPE (0x10). */
export const CONTROL = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4 } as const

const NESTED = 0x8000

/** Most bytes of one attribute, header included: nla_len is a u16. */
export const MAX_ATTRIBUTE_BYTES = 0xffff

/** A growing buffer that netlink messages and attributes are appended to; several messages follow one another. */
export class Writer {
  #buffer: Buffer
  #at = 0

  constructor(capacity = 1024) {
    this.#buffer = Buffer.allocUnsafe(capacity)
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#at
  }

  /** What was written. Valid until the next write: a view, not a copy. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }

  #reserve(bytes: number): number {
    const at = this.#at
    const end = at + bytes
    if (end > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(end, this.#buffer.length * 2))
      this.#buffer.copy(grown, 0, 0, at)
      this.#buffer = grown
    }
    this.#at = end
    return at
  }

  u8(value: number): this {
    const at = this.#reserve(1)
    this.#buffer[at] = value
    return this
  }

  u16(value: number): this {
    const at = this.#reserve(2)
    this.#buffer.writeUInt16LE(value, at)
    return this
  }

  u32(value: number): this {
    const at = this.#reserve(4)
    this.#buffer.writeUInt32LE(value, at)
    return this
  }

  be16(value: number): this {
    const at = this.#reserve(2)
    this.#buffer.writeUInt16BE(value, at)
    return this
  }

  be32(value: number): this {
    const at = this.#reserve(4)
    this.#buffer.writeUInt32BE(value, at)
    return this
  }

  u64(value: bigint): this {
    const at = this.#reserve(8)
    this.#buffer.writeBigUInt64LE(value, at)
    return this
  }

  be64(value: bigint): this {
    const at = this.#reserve(8)
    this.#buffer.writeBigUInt64BE(value, at)
    return this
  }

  raw(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length)
    this.#buffer.set(bytes, at)
    return this
  }

  zeros(count: number): this {
    const at = this.#reserve(count)
    this.#buffer.fill(0, at, at + count)
    return this
  }

  /** Network-order bytes of an address: 4 or 16. */
  ip(address: string): this {
    const at = this.#reserve(address.includes(':') ? 16 : 4)
    writeIp(this.#buffer, at, address)
    return this
  }

  /** Padding to the 4 bytes that messages and attributes are aligned to. */
  align(): this {
    const over = this.#at & 3
    return over === 0 ? this : this.zeros(4 - over)
  }

  /** Starts a message; give its result to {@link endMessage}. */
  message(type: number, flags: number, sequence: number): number {
    const mark = this.#at
    this.u32(0).u16(type).u16(flags).u32(sequence).u32(0)
    return mark
  }

  endMessage(mark: number): this {
    this.align()
    this.#buffer.writeUInt32LE(this.#at - mark, mark)
    return this
  }

  /** Starts an attribute; give its result to {@link end}. */
  begin(type: number): number {
    const mark = this.#at
    this.u16(0).u16(type)
    return mark
  }

  /** Starts an attribute that holds attributes. */
  nest(type: number): number {
    return this.begin(type | NESTED)
  }

  /** Closes an attribute: its length without the padding, then the padding. */
  end(mark: number): this {
    const length = this.#at - mark
    if (length > MAX_ATTRIBUTE_BYTES)
      throw new NetloomError('internal', `attribute of ${length} bytes exceeds ${MAX_ATTRIBUTE_BYTES}`)
    this.#buffer.writeUInt16LE(length, mark)
    return this.align()
  }

  attrU8(type: number, value: number): this {
    return this.u16(5).u16(type).u8(value).zeros(3)
  }

  attrU16(type: number, value: number): this {
    return this.u16(6).u16(type).u16(value).zeros(2)
  }

  attrU32(type: number, value: number): this {
    return this.u16(8).u16(type).u32(value)
  }

  attrU64(type: number, value: bigint): this {
    return this.u16(12).u16(type).u64(value)
  }

  attrBe16(type: number, value: number): this {
    return this.u16(6).u16(type).be16(value).zeros(2)
  }

  attrBe32(type: number, value: number): this {
    return this.u16(8).u16(type).be32(value)
  }

  attrBe64(type: number, value: bigint): this {
    return this.u16(12).u16(type).be64(value)
  }

  attrBytes(type: number, value: Uint8Array): this {
    return this.u16(4 + value.length)
      .u16(type)
      .raw(value)
      .align()
  }

  attrIp(type: number, address: string): this {
    return this.u16(address.includes(':') ? 20 : 8)
      .u16(type)
      .ip(address)
  }

  attrFlag(type: number): this {
    return this.u16(4).u16(type)
  }

  /** A string with its terminating NUL. */
  attrString(type: number, value: string): this {
    const mark = this.begin(type)
    const at = this.#reserve(Buffer.byteLength(value) + 1)
    this.#buffer.write(value, at)
    this.#buffer[this.#at - 1] = 0
    return this.end(mark)
  }
}

/** One message of a datagram. `payload` is a view into the datagram. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly port: number
  readonly payload: Buffer
}

/**
 * The messages of one datagram.
 * @throws NetloomError `invalid` where a length points outside of the datagram.
 */
export function* messages(datagram: Buffer): Generator<Message> {
  for (let at = 0; at + HEADER_BYTES <= datagram.length;) {
    const length = datagram.readUInt32LE(at)
    if (length < HEADER_BYTES || at + length > datagram.length)
      throw new NetloomError('invalid', `netlink message of ${length} bytes at ${at} of ${datagram.length}`)
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      port: datagram.readUInt32LE(at + 12),
      payload: datagram.subarray(at + HEADER_BYTES, at + length),
    }
    at += (length + 3) & ~3
  }
}
