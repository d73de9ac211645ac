import { crc32 } from 'node:zlib'
import { Encoder } from 'cbor-x'
import { invalid } from '../base/errors.js'
import { parseIp } from '../base/ip.js'
import { Cursor } from '../model/cursor.js'
import { type Attachment, type Lease, parseLease } from '../model/lease.js'

/**
 * What a journal is made of. A record is a header of three numbers (u32, big-endian): the length of its body, the
 * CRC-32 of these four bytes, and the CRC-32 of the body; then the body in CBOR. The length has a sum of its own,
 * because a wrong one would make all that follows look like one torn record; and a header that is right shows where the
 * next record begins, whatever became of the body.
 */
export type JournalRecord =
  | { readonly add: Lease }
  | { readonly remove: Attachment }
  /** Addresses in the order of their release; stands at the begin of a file that was written anew. */
  | { readonly released: readonly string[] }

const cbor = new Encoder({ useRecords: false, mapsAsObjects: true })

const HEADER_BYTES = 12
/** A lease takes some 400 bytes; more than this is no record of ours. */
const MAX_BODY_BYTES = 64 * 1024

/** @throws NetloomError `invalid` for a lease that is too large to be read again */
export function encodeRecord(record: JournalRecord): Buffer {
  const body = cbor.encode(record)
  if (body.length > MAX_BODY_BYTES)
    throw invalid('lease', `takes ${body.length} bytes, which is more than ${MAX_BODY_BYTES}`)
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32BE(body.length, 0)
  header.writeUInt32BE(crc32(header.subarray(0, 4)), 4)
  header.writeUInt32BE(crc32(body), 8)
  return Buffer.concat([header, body])
}

/** A part of a journal that could not be read. */
export interface LostPart {
  /** Position in the file. */
  readonly at: number
  readonly bytes: number
  /** How many records, and parts like this one, stand before it. */
  readonly record: number
  readonly cause?: unknown
}

export interface Contents {
  readonly records: readonly JournalRecord[]
  /** Without the torn record that may stand at the end. */
  readonly bytes: number
  readonly lost: readonly LostPart[]
}

/** Reads all that can be read. Behind a damaged part it goes on with the next record that is whole. */
export function readRecords(content: Buffer): Contents {
  const records: JournalRecord[] = []
  const lost: LostPart[] = []
  let at = 0
  while (at < content.length) {
    const found = readRecord(content, at)
    if (found.kind === 'torn') break
    const { end } = found
    if (found.kind === 'whole') records.push(found.record)
    else lost.push({ at, bytes: end - at, record: records.length + lost.length, cause: found.cause })
    at = end
  }
  return { records, bytes: at, lost }
}

type Found =
  | { readonly kind: 'whole'; readonly record: JournalRecord; readonly end: number }
  /** The last one, which a crash has cut short. */
  | { readonly kind: 'torn' }
  | { readonly kind: 'damaged'; readonly end: number; readonly cause?: unknown }

function readRecord(content: Buffer, at: number): Found {
  if (at + HEADER_BYTES > content.length || isZero(content, at)) return { kind: 'torn' }
  const length = trustedLength(content, at)
  if (length === undefined) return { kind: 'damaged', end: nextRecord(content, at + 1) }
  const end = at + HEADER_BYTES + length
  if (end > content.length) return { kind: 'torn' }
  // A power failure leaves zeros in place of the last bytes that were written; anything else there is damage.
  if (!isBodyWhole(content, at, end)) {
    if (end === content.length && content[end - 1] === 0) return { kind: 'torn' }
    return { kind: 'damaged', end: isBegin(content, end) ? end : nextRecord(content, at + 1) }
  }
  try {
    return { kind: 'whole', record: parseRecord(cbor.decode(content.subarray(at + HEADER_BYTES, end))), end }
  } catch (cause) {
    return { kind: 'damaged', end, cause }
  }
}

/** The length of the body, where the header that stands at `at` is one. */
function trustedLength(content: Buffer, at: number): number | undefined {
  const length = content.readUInt32BE(at)
  if (length === 0 || length > MAX_BODY_BYTES) return undefined
  return crc32(content.subarray(at, at + 4)) === content.readUInt32BE(at + 4) ? length : undefined
}

const isBodyWhole = (content: Buffer, at: number, end: number): boolean =>
  crc32(content.subarray(at + HEADER_BYTES, end)) === content.readUInt32BE(at + 8)

/** False where bytes are missing before it, and so the length before it says nothing about where the next one is. */
const isBegin = (content: Buffer, at: number): boolean =>
  at + HEADER_BYTES > content.length || trustedLength(content, at) !== undefined

/** Where the next whole record begins, by the three things that are right of it; the end where there is none. */
function nextRecord(content: Buffer, from: number): number {
  for (let at = from; at + HEADER_BYTES <= content.length; at++) {
    const length = trustedLength(content, at)
    if (length === undefined) continue
    const end = at + HEADER_BYTES + length
    if (end <= content.length && isBodyWhole(content, at, end)) return at
  }
  return content.length
}

/** True where nothing but zeros follows: a file system makes a file longer before it writes what belongs there. */
const isZero = (content: Buffer, from: number): boolean => content.subarray(from).every((byte) => byte === 0)

function parseRecord(value: unknown): JournalRecord {
  const record = new Cursor(value)
  const remove = record.field('remove').optional(readAttachment)
  if (remove !== undefined) return { remove }
  const released = record.field('released')
  if (!released.absent) return { released: released.list((place) => place.address(parseIp).address) }
  return { add: parseLease(record.field('add').value) }
}

const readAttachment = (place: Cursor): Attachment => ({
  network: place.field('network').string(),
  containerId: place.field('containerId').string(),
  ifname: place.field('ifname').string(),
})
