import { isUtf8 } from 'node:buffer'
import { Decoder, Encoder } from 'cbor-x'
import { asError, invalid } from '../base/errors.js'

/**
 * Frames of the agent's unix stream socket, as spoken by the CNI executable (native/) and the command line. Pure: no
 * sockets. A connection carries requests of the client, each answered by one reply, in order.
 *
 * A frame is a header of 8 bytes (magic "NL", version u8, kind u8, length of the body u32 big-endian) and a body: one
 * CBOR map (RFC 8949). Bodies use a subset that every reader can check in one pass: definite lengths, maps with
 * distinct text keys, arrays, text (UTF-8), byte strings, integers that a double holds exactly, floats, booleans and
 * null; no tags, no `undefined`, and no length of text or bytes that is written in eight bytes.
 */
export const FRAME_HEADER_BYTES = 8
export const FRAME_VERSION = 1
export const MAX_FRAME_BODY_BYTES = 2 * 1024 * 1024

/** Deepest nesting of maps and arrays; the body itself is the first level. */
export const MAX_FRAME_DEPTH = 64

/** Most items (keys and values of all levels) of one body: what bounds the memory that decoding 2 MiB can take. */
export const MAX_FRAME_ITEMS = 262_144

export const FRAME_KIND = { REQUEST: 1, REPLY: 2 } as const
export type FrameKind = (typeof FRAME_KIND)[keyof typeof FRAME_KIND]

/** The map of a body. Byte strings are Buffers. */
export type FrameBody = Readonly<Record<string, unknown>>

export interface Frame {
  readonly kind: FrameKind
  readonly body: FrameBody
}

/** Body of the CNI executable's request: the variables CNI_*, where set, and standard input as it came. */
export interface CniRequestBody extends FrameBody {
  readonly method: 'cni'
  readonly command: 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS'
  readonly containerId?: string
  readonly netns?: string
  readonly ifname?: string
  readonly args?: string
  readonly path?: string
  /** The network configuration, JSON of at most 1 MiB. */
  readonly config: Uint8Array
  /** An agent that went away was sent the same call before, and may have begun with it. */
  readonly again?: boolean
}

/** Body of the reply to a {@link CniRequestBody}. */
export interface CniReplyBody extends FrameBody {
  /** Exit code of the executable, 0 to 255. */
  readonly exit: number
  /** What it prints on standard output. */
  readonly output: string
  /** Nothing was begun, and soon there may be another answer: the executable asks again as long as it has time. */
  readonly retry?: boolean
}

/** Body of the reply to any other method, and to a frame that could not be read. */
export type CallReplyBody =
  | (FrameBody & { readonly ok: true; readonly result: unknown })
  | (FrameBody & {
      readonly ok: false
      readonly error: FrameBody & { readonly code: string; readonly message: string }
    })

const MAGIC = 0x4e4c

const encoder = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false })
// The option for 64-bit integers is missing in the package's types; checkBody() lets through only what is exact.
const decoderOptions = { useRecords: false, mapsAsObjects: true, copyBuffers: true, int64AsNumber: true }
const decoder = new Decoder(decoderOptions)

const isKind = (kind: number): kind is FrameKind => kind === FRAME_KIND.REQUEST || kind === FRAME_KIND.REPLY

/**
 * The bytes of one frame.
 * @throws NetloomError `invalid` with the field `body` where a value is outside of the subset (undefined, a Date, a
 * bigint beyond 2^53, a cycle, ...), `length` where the body is longer than {@link MAX_FRAME_BODY_BYTES}.
 */
export function encodeFrame(kind: FrameKind, body: FrameBody): Buffer {
  const encoded = encodeBody(body)
  if (encoded.length > MAX_FRAME_BODY_BYTES) throw tooLong(encoded.length)
  checkBody(encoded)
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + encoded.length)
  frame.writeUInt16BE(MAGIC, 0)
  frame[2] = FRAME_VERSION
  frame[3] = kind
  frame.writeUInt32BE(encoded.length, 4)
  encoded.copy(frame, FRAME_HEADER_BYTES)
  return frame
}

function encodeBody(body: FrameBody): Buffer {
  try {
    return encoder.encode(body)
  } catch (thrown) {
    throw invalid('body', `cannot be encoded: ${asError(thrown).message}`, thrown)
  }
}

function decodeBody(bytes: Buffer): FrameBody {
  checkBody(bytes)
  try {
    return decoder.decode(bytes) as FrameBody
  } catch (thrown) {
    throw invalid('body', `cannot be decoded: ${asError(thrown).message}`, thrown)
  }
}

const tooLong = (length: number): Error =>
  invalid('length', `a body of ${length} bytes is longer than ${MAX_FRAME_BODY_BYTES}`)

/**
 * Reads frames from a stream in chunks of any size. Holds at most one frame that is not complete yet, and never room
 * for much more of it than has arrived. A stream that had a bad frame is of no more use: there is no telling where the
 * next one starts, so every later {@link push} throws the same error again.
 */
export class FrameDecoder {
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES)
  #headerLength = 0
  #body = Buffer.alloc(0)
  #bodyLength = 0
  #error: Error | undefined

  /** Bytes of a frame that is not complete yet; at the end of a stream, more than 0 means it was cut off. */
  get pending(): number {
    return this.#headerLength + this.#bodyLength
  }

  /**
   * Takes the next bytes of the stream and yields the frames that they complete. Iterate to the end: what has not been
   * yielded yet is lost with the chunk.
   * @throws NetloomError `invalid`; its field is what is bad: `magic`, `version`, `kind`, `length` or `body`.
   */
  *push(chunk: Uint8Array): Generator<Frame, void, undefined> {
    if (this.#error !== undefined) throw this.#error
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    try {
      for (let at = 0; at < bytes.length;) {
        at += this.#headerLength < FRAME_HEADER_BYTES ? this.#takeHeader(bytes, at) : this.#takeBody(bytes, at)
        if (this.#headerLength === FRAME_HEADER_BYTES && this.#bodyLength === this.#announced()) yield this.#finish()
      }
    } catch (thrown) {
      this.#error = asError(thrown)
      this.#body = Buffer.alloc(0)
      throw thrown
    }
  }

  #announced(): number {
    return this.#header.readUInt32BE(4)
  }

  #takeHeader(bytes: Buffer, at: number): number {
    const taken = bytes.copy(this.#header, this.#headerLength, at)
    this.#headerLength += taken
    checkHeader(this.#header, this.#headerLength)
    return taken
  }

  #takeBody(bytes: Buffer, at: number): number {
    const taken = Math.min(bytes.length - at, this.#announced() - this.#bodyLength)
    this.#reserve(this.#bodyLength + taken)
    bytes.copy(this.#body, this.#bodyLength, at, at + taken)
    this.#bodyLength += taken
    return taken
  }

  /** Room for `length` bytes, grown by doubling and never beyond what the header announced. */
  #reserve(length: number): void {
    if (length <= this.#body.length) return
    const grown = Buffer.allocUnsafeSlow(Math.min(this.#announced(), Math.max(length, 2 * this.#body.length)))
    this.#body.copy(grown, 0, 0, this.#bodyLength)
    this.#body = grown
  }

  #finish(): Frame {
    const [kind, body] = [this.#header[3] as FrameKind, this.#body.subarray(0, this.#bodyLength)]
    this.#headerLength = 0
    this.#bodyLength = 0
    this.#body = Buffer.alloc(0)
    return { kind, body: decodeBody(body) }
  }
}

/** Checks the part of a header that has arrived, so that what cannot become a frame is refused at its first bad byte. */
function checkHeader(header: Buffer, length: number): void {
  const [first, second, version, kind] = header
  if ((length > 0 && first !== MAGIC >> 8) || (length > 1 && second !== (MAGIC & 0xff)))
    throw invalid('magic', 'a frame starts with the bytes 4e 4c')
  if (length > 2 && version !== FRAME_VERSION)
    throw invalid('version', `a frame of version ${String(version)}; this end speaks ${FRAME_VERSION}`)
  if (length > 3 && !isKind(kind ?? 0))
    throw invalid('kind', `${String(kind)} is neither a request (1) nor a reply (2)`)
  if (length < FRAME_HEADER_BYTES) return
  const announced = header.readUInt32BE(4)
  if (announced > MAX_FRAME_BODY_BYTES) throw tooLong(announced)
  if (announced === 0) throw invalid('length', 'a body of 0 bytes; the smallest is an empty map of 1 byte')
}

/** Major types of RFC 8949 section 3.1. */
const MAJOR = { UNSIGNED: 0, NEGATIVE: 1, BYTES: 2, TEXT: 3, ARRAY: 4, MAP: 5, TAG: 6, SIMPLE: 7 } as const

interface Head {
  readonly major: number
  /** Low five bits of the first byte: the argument, or how many bytes of it follow. */
  readonly info: number
  /** Number, length or count. */
  readonly argument: number
  /** Position behind the head. */
  readonly end: number
}

/** A map or array that is open, while its items are checked. */
interface Container {
  /** Items still to come; a map counts keys and values. */
  left: number
  /** Keys so far, of a map. */
  readonly keys: Set<string> | undefined
}

const ARGUMENT_BYTES: readonly number[] = [1, 2, 4, 8]

/** Of {@link Head.info}: an argument of eight bytes follows. */
const EIGHT_BYTES = 27

const malformed = (at: number, problem: string): Error => invalid('body', `${problem} at byte ${at}`)

/**
 * Checks that bytes are exactly one map of the subset, before the CBOR library sees them: it would follow tags (shared
 * references, records, dates, typed arrays, sets), recurse as deep as the input says, and change some keys silently.
 */
function checkBody(bytes: Buffer): void {
  const open: Container[] = []
  let at = 0
  let items = 0
  do {
    const container = open.at(-1)
    const head = readHead(bytes, at)
    if (container === undefined && head.major !== MAJOR.MAP) throw invalid('body', 'is not a CBOR map')
    if (++items > MAX_FRAME_ITEMS) throw malformed(at, `more than ${MAX_FRAME_ITEMS} items`)
    const end = checkItem(bytes, at, head)
    if (container !== undefined) countItem(container, head, { bytes, at, end })
    if (head.major === MAJOR.ARRAY || head.major === MAJOR.MAP) open.push(openContainer(head, bytes, at))
    if (open.length > MAX_FRAME_DEPTH) throw malformed(at, `nested deeper than ${MAX_FRAME_DEPTH} levels`)
    while (open.at(-1)?.left === 0) open.pop()
    at = end
  } while (open.length > 0)
  if (at !== bytes.length) throw malformed(at, 'something behind the end of the map')
}

function readHead(bytes: Buffer, at: number): Head {
  const first = bytes[at]
  if (first === undefined) throw malformed(at, 'the body ends too early')
  const [major, info] = [first >> 5, first & 31]
  if (info < 24) return { major, info, argument: info, end: at + 1 }
  const size = ARGUMENT_BYTES[info - 24]
  if (size === undefined) throw malformed(at, info === 31 ? 'an indefinite length' : 'a reserved length')
  const end = at + 1 + size
  if (end > bytes.length) throw malformed(at, 'the body ends too early')
  if (major === MAJOR.SIMPLE) return { major, info, argument: size === 1 ? (bytes[at + 1] ?? 0) : 0, end }
  const high = size === 8 ? bytes.readUInt32BE(at + 1) : 0
  const low = size === 8 ? bytes.readUInt32BE(at + 5) : bytes.readUIntBE(at + 1, size)
  return { major, info, argument: high * 2 ** 32 + low, end }
}

/** Checks one item without what it holds; returns the position behind it. */
function checkItem(bytes: Buffer, at: number, { major, info, argument, end }: Head): number {
  switch (major) {
    case MAJOR.UNSIGNED:
      if (!Number.isSafeInteger(argument)) throw malformed(at, 'an integer that a double cannot hold')
      return end
    case MAJOR.NEGATIVE: // its value is -1 - argument
      if (!Number.isSafeInteger(argument + 1)) throw malformed(at, 'an integer that a double cannot hold')
      return end
    case MAJOR.BYTES:
    case MAJOR.TEXT:
      // No body needs that, and the native part of cbor-x loses count of strings at it, behind text that is not ASCII.
      if (info === EIGHT_BYTES) throw malformed(at, 'a length in eight bytes')
      if (argument > bytes.length - end) throw malformed(at, 'the body ends too early')
      if (major === MAJOR.TEXT && !isUtf8(bytes.subarray(end, end + argument)))
        throw malformed(at, 'text that is not UTF-8')
      return end + argument
    case MAJOR.SIMPLE:
      checkSimple(at, info)
      return end
    case MAJOR.TAG:
      throw malformed(at, 'a tag (of a date, big number, set or other object)')
    default:
      return end
  }
}

/** false 20, true 21, null 22, and floats of two, four and eight bytes, 25 to 27. */
function checkSimple(at: number, info: number): void {
  if (info === 23) throw malformed(at, 'undefined')
  if (info < 20 || info === 24) throw malformed(at, 'a simple value without a meaning')
}

function openContainer({ major, argument, end }: Head, bytes: Buffer, at: number): Container {
  const left = major === MAJOR.MAP ? argument * 2 : argument
  // Every item has a byte at least: a count that cannot be true is refused before room is made for it.
  if (left > bytes.length - end) throw malformed(at, 'the body ends too early')
  return { left, keys: major === MAJOR.MAP ? new Set() : undefined }
}

/** Counts an item of a container; a map's keys are text, each stands there once, and none reaches a prototype. */
function countItem(container: Container, head: Head, item: { bytes: Buffer; at: number; end: number }): void {
  const key = container.keys !== undefined && container.left % 2 === 0
  container.left--
  if (container.keys === undefined || !key) return
  if (head.major !== MAJOR.TEXT) throw malformed(item.at, 'a key that is not text')
  const name = item.bytes.toString('utf8', head.end, item.end)
  if (name === '__proto__') throw malformed(item.at, "the key '__proto__'")
  if (container.keys.has(name)) throw malformed(item.at, `the key '${name.slice(0, 64)}' for the second time`)
  container.keys.add(name)
}
