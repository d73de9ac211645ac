import { invalid } from '../../base/errors.js'
import { type Attributes } from '../attr.js'
import { type Writer } from '../wire.js'
import { bytesToMac, macToBytes } from './mac.js'

/** Attributes described as data: one table per object serves its encoder and its decoder. */

/** How a value stands in an attribute. */
export interface FieldCodec<V> {
  /** `name` is what an error calls the field. */
  write(writer: Writer, type: number, value: V, name: string): void
  read(attributes: Attributes, type: number): V | undefined
}

/** The attribute of each property; the order of the table is the order on the wire. */
export type Fields<T extends object> = {
  readonly [K in keyof T]-?: readonly [type: number, codec: FieldCodec<NonNullable<T[K]>>]
}

/** Writes the properties that are set. */
export function writeFields<T extends object>(writer: Writer, fields: Fields<T>, values: T): void {
  for (const name in fields) {
    const value = values[name]
    if (value === undefined || value === null) continue
    const [type, codec] = fields[name]
    codec.write(writer, type, value, name)
  }
}

/** Reads the properties that are there. */
export function readFields<T extends object>(attributes: Attributes, fields: Fields<T>): Partial<T> {
  const values: Partial<T> = {}
  for (const name in fields) {
    const [type, codec] = fields[name]
    const value = codec.read(attributes, type)
    if (value !== undefined) values[name] = value
  }
  return values
}

/** @throws NetloomError `invalid` where the value is no whole number from 0 to `max`. */
export function checkInteger(value: number, max: number, field: string): number {
  if (!Number.isInteger(value) || value < 0 || value > max) throw invalid(field, `${value} is not from 0 to ${max}`)
  return value
}

export const MAX_U32 = 0xffff_ffff

export const U8: FieldCodec<number> = {
  write: (writer, type, value, name) => writer.attrU8(type, checkInteger(value, 0xff, name)),
  read: (attributes, type) => attributes.u8(type),
}

export const U32: FieldCodec<number> = {
  write: (writer, type, value, name) => writer.attrU32(type, checkInteger(value, MAX_U32, name)),
  read: (attributes, type) => attributes.u32(type),
}

/** A port number: network order. */
export const BE16: FieldCodec<number> = {
  write: (writer, type, value, name) => writer.attrBe16(type, checkInteger(value, 0xffff, name)),
  read: (attributes, type) => attributes.be16(type),
}

/** A switch in one byte. */
export const BOOL8: FieldCodec<boolean> = {
  write: (writer, type, value) => writer.attrU8(type, Number(value)),
  read(attributes, type) {
    const value = attributes.u8(type)
    return value === undefined ? undefined : value !== 0
  },
}

/** A switch in four bytes. */
export const BOOL32: FieldCodec<boolean> = {
  write: (writer, type, value) => writer.attrU32(type, Number(value)),
  read(attributes, type) {
    const value = attributes.u32(type)
    return value === undefined ? undefined : value !== 0
  },
}

/** Text without a terminating NUL, where the kernel takes the attribute's length for that of the text. */
export const TEXT: FieldCodec<string> = {
  write: (writer, type, value) => writer.attrBytes(type, Buffer.from(value)),
  read: (attributes, type) => attributes.string(type),
}

/** Characters that the kernel refuses in a name. */
const NAME_REFUSED = /[\s/:\0]/

/** A link's name: dev_valid_name of the kernel, IFNAMSIZ of <linux/if.h>. */
export const LINK_NAME: FieldCodec<string> = {
  write: (writer, type, value, name) => writer.attrString(type, checkLinkName(value, name)),
  read: (attributes, type) => attributes.string(type),
}

/** @throws NetloomError `invalid` where the kernel would not take the name, or would cut it off. */
export function checkLinkName(value: string, field: string): string {
  const refused = value === '' || value === '.' || value === '..' || NAME_REFUSED.test(value)
  if (refused || Buffer.byteLength(value) > 15) throw invalid(field, `'${value}' is not a link's name`)
  return value
}

export const MAC: FieldCodec<string> = {
  write: (writer, type, value, name) => writer.attrBytes(type, macToBytes(value, name)),
  read: (attributes, type) => bytesToMac(attributes.bytes(type)),
}
