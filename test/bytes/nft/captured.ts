import { readFileSync } from 'node:fs'
import type t from 'tap'
import { type Request } from '../../../src/codec/request.js'
import { FLAG, HEADER_BYTES, type Message, messages, Writer } from '../../../src/codec/wire.js'

/** One transaction of nft with the kernel, as capture.mjs wrote it; messages in hexadecimal. */
export interface Captured {
  readonly text: string
  readonly messages: readonly string[]
}

export type Noun = 'table' | 'chain' | 'set' | 'element' | 'rule' | 'listing'

/** The captures of one noun by their names; asking for one that is not there throws. */
export function captures(noun: Noun): { names: string[]; captured: (name: string) => Captured } {
  const file = new URL(`../../../../test/bytes/nft/${noun}.json`, import.meta.url)
  const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Record<string, Captured> }
  const captured = (name: string): Captured => {
    const found = cases[name]
    if (found === undefined) throw new Error(`no capture named '${name}'`)
    return found
  }
  return { names: Object.keys(cases), captured }
}

/** The kernel's answers of a listing, as a dump has them. */
export const answers = (name: string): Message[] =>
  captures('listing')
    .captured(name)
    .messages.flatMap((hex) => [...messages(Buffer.from(hex, 'hex'))])

/** An attribute: its type, and its bytes in hexadecimal or the attributes in it. */
export type Tree = readonly (readonly [type: number, value: string | Tree])[]

/** A message in a form that tells two apart by what they mean to the kernel. */
export interface Shape {
  readonly type: number
  readonly flags: number
  /** struct nfgenmsg. */
  readonly struct: string
  readonly attributes: Tree
}

const NFGENMSG_BYTES = 4
const NESTED = 0x8000

function tree(buffer: Buffer): Tree {
  const attributes: [number, string | Tree][] = []
  for (let at = 0; at < buffer.length;) {
    const length = buffer.readUInt16LE(at)
    if (length < 4) throw new Error(`attribute of ${length} bytes at ${at}`)
    const flagged = buffer.readUInt16LE(at + 2)
    const type = flagged & ~NESTED
    const value = buffer.subarray(at + 4, at + length)
    attributes.push([type, (flagged & NESTED) === 0 ? value.toString('hex') : tree(value)])
    at += (length + 3) & ~3
  }
  return attributes
}

export const shape = (bytes: Buffer, normal: Normal): Shape => ({
  type: bytes.readUInt16LE(4),
  flags: bytes.readUInt16LE(6) & ~(FLAG.REQUEST | FLAG.ACK),
  struct: bytes.toString('hex', HEADER_BYTES, HEADER_BYTES + NFGENMSG_BYTES),
  attributes: normal(tree(bytes.subarray(HEADER_BYTES + NFGENMSG_BYTES))),
})

/** The request as bytes, as the kernel would get them, but for the sequence number. */
export function encode(request: Request): Buffer {
  const writer = new Writer()
  const mark = writer.message(request.type, request.flags, 0)
  request.body(writer)
  return writer.endMessage(mark).bytes()
}

/** Takes away where a difference is meant, from both; each says why. */
export type Normal = (attributes: Tree) => Tree

/** Our requests for one capture. */
export interface Row {
  readonly requests: readonly Request[]
  readonly normal?: Normal
}

const same: Normal = (attributes) => attributes

/** The requests of this table are what nft sent for the captures of the same names, and none is forgotten. */
export function checkRequests(test: Pick<typeof t, 'strictSame'>, noun: Noun, table: Record<string, Row>): void {
  const { captured, names } = captures(noun)
  for (const [name, { requests, normal = same }] of Object.entries(table)) {
    const { text, messages: theirs } = captured(name)
    test.strictSame(
      requests.map((request) => shape(encode(request), normal)),
      theirs.map((hex) => shape(Buffer.from(hex, 'hex'), normal)),
      `${name}: ${text}`,
    )
  }
  test.strictSame(Object.keys(table).sort(), names.toSorted(), 'every capture has its row')
}
