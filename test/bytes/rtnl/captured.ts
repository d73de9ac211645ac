import { readFileSync } from 'node:fs'
import type t from 'tap'
import { decodeAcknowledgement, kernelError } from '../../../src/codec/error.js'
import { type Request } from '../../../src/codec/request.js'
import { FLAG, HEADER_BYTES, type Message, messages, Writer } from '../../../src/codec/wire.js'

/** One exchange of iproute2 with the kernel, as capture.mjs wrote it; datagrams in hexadecimal. */
export interface Captured {
  readonly command: string
  readonly request: string
  readonly replies: readonly string[]
  /** Instead of the two: what a listener heard while the command ran. */
  readonly heard?: readonly string[]
}

export type Noun = 'link' | 'address' | 'route' | 'neighbour' | 'traffic'

/** The captures of one noun by their names; asking for one that is not there throws. */
export function captures(noun: Noun): { names: string[]; captured: (name: string) => Captured } {
  const file = new URL(`../../../../test/bytes/rtnl/${noun}.json`, import.meta.url)
  const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Record<string, Captured> }
  const captured = (name: string): Captured => {
    const found = cases[name]
    if (found === undefined) throw new Error(`no capture named '${name}'`)
    return found
  }
  return { names: Object.keys(cases), captured }
}

/** All messages of all datagrams. */
export const repliesOf = ({ replies, heard }: Captured): Message[] =>
  (heard ?? replies).flatMap((hex) => [...messages(Buffer.from(hex, 'hex'))])

/** Bytes of the fixed struct of each group of four message types: ifinfomsg, ifaddrmsg, rtmsg, ndmsg, tcmsg. */
const STRUCT_BYTES: Readonly<Record<number, number>> = { 4: 16, 5: 8, 6: 12, 7: 12, 9: 20, 11: 20 }

/** An attribute: its type, and its bytes in hexadecimal or the attributes in it. */
export type Tree = readonly (readonly [type: number, value: string | Tree])[]

/** A request in a form that tells two apart by what they mean to the kernel. */
export interface Shape {
  readonly type: number
  readonly flags: number
  readonly struct: string
  readonly attributes: Tree
}

/** Where a difference is meant; each use says why. */
export interface ShapeOptions {
  /** The order of attributes in one nest does not matter. */
  readonly sorted?: boolean
  /** Attributes that are left out, by their path of types: `/18/1` is IFLA_INFO_KIND. */
  readonly without?: readonly string[]
  /** The address family, first byte of every struct, is not compared. */
  readonly anyFamily?: boolean
}

const NESTED = 0x8000
const GET = 2 // of the low two bits of a type: 0 new, 1 delete, 2 get, 3 set

/** The request as bytes, as the kernel would get them, but for the sequence number. */
export function encode(request: Request): Buffer {
  const writer = new Writer()
  const mark = writer.message(request.type, request.flags, 0)
  request.body(writer)
  return writer.endMessage(mark).bytes()
}

function* rawAttributes(buffer: Buffer): Generator<{ type: number; nested: boolean; value: Buffer }> {
  for (let at = 0; at < buffer.length;) {
    const length = buffer.readUInt16LE(at)
    if (length < 4) throw new Error(`attribute of ${length} bytes at ${at}`)
    const type = buffer.readUInt16LE(at + 2)
    yield { type: type & ~NESTED, nested: (type & NESTED) !== 0, value: buffer.subarray(at + 4, at + length) }
    at += (length + 3) & ~3
  }
}

/** Paths of the attributes that carry NLA_F_NESTED. */
function nestedPaths(buffer: Buffer, path = ''): string[] {
  return [...rawAttributes(buffer)].flatMap(({ type, nested, value }) =>
    nested ? [`${path}/${type}`, ...nestedPaths(value, `${path}/${type}`)] : [],
  )
}

function tree(buffer: Buffer, nests: ReadonlySet<string>, options: ShapeOptions, path = ''): Tree {
  const attributes = [...rawAttributes(buffer)].flatMap(({ type, value }) => {
    const here = `${path}/${type}`
    if (options.without?.includes(here) === true) return []
    return [[type, nests.has(here) ? tree(value, nests, options, here) : value.toString('hex')] as const]
  })
  return options.sorted === true ? attributes.toSorted(([a], [b]) => a - b) : attributes
}

function shape(bytes: Buffer, nests: ReadonlySet<string>, options: ShapeOptions): Shape {
  const type = bytes.readUInt16LE(4)
  const end = HEADER_BYTES + (STRUCT_BYTES[type >> 2] ?? 0)
  const added = FLAG.REQUEST | FLAG.ACK | ((type & 3) === GET ? FLAG.DUMP : 0)
  return {
    type,
    flags: bytes.readUInt16LE(6) & ~added,
    struct: bytes.toString('hex', HEADER_BYTES + Number(options.anyFamily ?? false), end),
    attributes: tree(bytes.subarray(end), nests, options),
  }
}

/**
 * Our request and the captured one in comparable form. Left out is what the codec does not say (sequence number, the
 * flags REQUEST, ACK and DUMP), and NLA_F_NESTED, which iproute2 leaves away in older nests and we always set, as
 * <linux/netlink.h> asks of new code: an attribute that is a nest in ours is read as one in theirs.
 */
export function compare(ours: Request, theirs: Captured, options: ShapeOptions = {}): { ours: Shape; theirs: Shape } {
  const bytes = encode(ours)
  const struct = STRUCT_BYTES[ours.type >> 2] ?? 0
  const nests = new Set(nestedPaths(bytes.subarray(HEADER_BYTES + struct)))
  const captured = Buffer.from(theirs.request, 'hex')
  return { ours: shape(bytes, nests, options), theirs: shape(captured, nests, options) }
}

export type RequestTable = Readonly<Record<string, readonly [Request, ShapeOptions?]>>

/** Tests that the requests of the table are what iproute2 sent for the captures of the same names, all of them. */
export function checkRequests(tap: typeof t, noun: Noun, table: RequestTable): void {
  tap.test(`${noun} requests are what iproute2 sends`, async (t) => {
    const { captured, names } = captures(noun)
    for (const [name, [request, options]] of Object.entries(table)) {
      const { ours, theirs } = compare(request, captured(name), options)
      t.strictSame(ours, theirs, `${name}: ${captured(name).command}`)
    }
    const sent = names.filter((name) => captured(name).heard === undefined)
    t.strictSame(Object.keys(table).sort(), sent.sort(), 'every capture has its row')
  })
}

/** What the error of a refusal is to be. */
export type Refusal = readonly [code: string, message: RegExp]

/** Tests that the kernel's refusals become errors that say what was refused, and why. */
export function checkRefusals(
  tap: typeof t,
  noun: Noun,
  requests: RequestTable,
  refusals: Readonly<Record<string, Refusal>>,
): void {
  tap.test(`${noun} refusals become errors with the kernel's words`, async (t) => {
    for (const [name, [code, text]] of Object.entries(refusals)) {
      const [message] = repliesOf(captures(noun).captured(name))
      const [request] = requests[name] ?? []
      if (message === undefined || request === undefined) throw new Error(`no refusal of '${name}'`)
      const acknowledgement = decodeAcknowledgement(message)
      const error = kernelError(request.operation, acknowledgement)
      t.equal(error.code, code, name)
      t.match(error.message, text, name)
      t.equal(error.errno, acknowledgement.errno, name)
    }
  })
}

/** An object without the properties that are undefined, at all depths, for comparison with what is expected. */
export function known<T>(value: T): T {
  if (Array.isArray(value)) return value.map((item: unknown) => known(item)) as T
  if (typeof value !== 'object' || value === null) return value
  const set = Object.entries(value).filter(([, property]) => property !== undefined)
  return Object.fromEntries(set.map(([name, property]) => [name, known(property as unknown)])) as T
}
