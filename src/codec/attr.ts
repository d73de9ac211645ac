import { NetloomError } from '../base/errors.js'
import { bytesToIp } from '../base/ip.js'

/** Reading of netlink attributes (struct nlattr: length u16, type u16, payload padded to 4 bytes). */

const TYPE_MASK = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER

/** One attribute; `value` is a view into the message. */
export interface Attribute {
  readonly type: number
  readonly value: Buffer
}

/**
 * The attributes of a buffer in order; unknown ones included, so that a caller can keep what it does not understand.
 * @throws NetloomError `invalid` where a length points outside of the buffer.
 */
export function* attributes(buffer: Buffer): Generator<Attribute> {
  for (let at = 0; at + 4 <= buffer.length;) {
    const length = buffer.readUInt16LE(at)
    if (length < 4 || at + length > buffer.length)
      throw new NetloomError('invalid', `netlink attribute of ${length} bytes at ${at} of ${buffer.length}`)
    yield { type: buffer.readUInt16LE(at + 2) & TYPE_MASK, value: buffer.subarray(at + 4, at + length) }
    at += (length + 3) & ~3
  }
}

/** Attributes by type, with typed getters; the last of several with one type wins, as in the kernel's own parser. */
export class Attributes {
  readonly #values = new Map<number, Buffer>()

  constructor(buffer: Buffer) {
    for (const { type, value } of attributes(buffer)) this.#values.set(type, value)
  }

  has(type: number): boolean {
    return this.#values.has(type)
  }

  bytes(type: number): Buffer | undefined {
    return this.#values.get(type)
  }

  u8(type: number): number | undefined {
    return this.#sized(type, 1)?.readUInt8(0)
  }

  u16(type: number): number | undefined {
    return this.#sized(type, 2)?.readUInt16LE(0)
  }

  u32(type: number): number | undefined {
    return this.#sized(type, 4)?.readUInt32LE(0)
  }

  u64(type: number): bigint | undefined {
    return this.#sized(type, 8)?.readBigUInt64LE(0)
  }

  be16(type: number): number | undefined {
    return this.#sized(type, 2)?.readUInt16BE(0)
  }

  be32(type: number): number | undefined {
    return this.#sized(type, 4)?.readUInt32BE(0)
  }

  be64(type: number): bigint | undefined {
    return this.#sized(type, 8)?.readBigUInt64BE(0)
  }

  /** Text up to its terminating NUL. */
  string(type: number): string | undefined {
    const value = this.#values.get(type)
    if (value === undefined) return undefined
    const end = value.indexOf(0)
    return value.toString('utf8', 0, end === -1 ? value.length : end)
  }

  ip(type: number): string | undefined {
    const value = this.#values.get(type)
    return value === undefined ? undefined : bytesToIp(value)
  }

  nested(type: number): Attributes | undefined {
    const value = this.#values.get(type)
    return value === undefined ? undefined : new Attributes(value)
  }

  #sized(type: number, bytes: number): Buffer | undefined {
    const value = this.#values.get(type)
    if (value !== undefined && value.length < bytes)
      throw new NetloomError('invalid', `netlink attribute ${type} has ${value.length} bytes, needs ${bytes}`)
    return value
  }
}
