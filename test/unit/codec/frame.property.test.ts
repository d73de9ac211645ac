import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import {
  FRAME_HEADER_BYTES,
  FRAME_KIND,
  type Frame,
  type FrameBody,
  FrameDecoder,
  MAX_FRAME_BODY_BYTES,
  encodeFrame,
} from '../../../src/codec/frame.js'

const FIELDS = ['magic', 'version', 'kind', 'length', 'body']

/** What became of a stream: its frames, then how it ended. */
interface Read {
  readonly frames: readonly Frame[]
  readonly pending: number
  readonly problem: string | undefined
}

/** Reads a stream in chunks; throws what is not an error of the decoder's own kind. */
function read(chunks: readonly Uint8Array[]): Read {
  const decoder = new FrameDecoder()
  const frames: Frame[] = []
  try {
    for (const chunk of chunks) for (const frame of decoder.push(chunk)) frames.push(frame)
  } catch (error) {
    if (!(error instanceof NetloomError) || error.code !== 'invalid' || !FIELDS.includes(error.field ?? '')) throw error
    if (!error.message.startsWith(`${error.field}: `)) throw error
    return { frames, pending: 0, problem: error.message } // a broken stream has nothing that could still be completed
  }
  return { frames, pending: decoder.pending, problem: undefined }
}

/** Cuts bytes at places given as shares of their length. */
function cut(bytes: Buffer, shares: readonly number[]): Buffer[] {
  const places = [0, ...shares.map((share) => Math.floor(share * bytes.length)), bytes.length].sort((a, b) => a - b)
  return places.slice(1).map((place, i) => bytes.subarray(places[i], place))
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))
const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })

/** Keys that every object has, or that look like the index of a list, among others. */
const key = fc.oneof(
  fc.string({ unit: 'binary' }).filter((name) => name !== '__proto__'),
  fc.constantFrom('constructor', 'toString', 'hasOwnProperty', 'prototype', 'length', '0', '-1', ''),
)

/** All values of the subset. */
const { value } = fc.letrec<{ value: unknown; list: unknown[]; map: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, false),
    fc.maxSafeInteger(),
    fc.double(),
    fc.string({ unit: 'binary' }),
    bytes(40),
    tie('list'),
    tie('map'),
  ),
  list: fc.array(tie('value'), { maxLength: 8 }),
  map: fc.dictionary(key, tie('value'), { maxKeys: 8, noNullPrototype: true }),
}))
const body = fc.dictionary(key, value, { maxKeys: 8, noNullPrototype: true })
const kind = fc.constantFrom(FRAME_KIND.REQUEST, FRAME_KIND.REPLY)
const frame = fc.record({ kind, body })

const encode = (frames: readonly Frame[]): Buffer =>
  Buffer.concat(frames.map(({ kind, body }) => encodeFrame(kind, body)))

/** A frame of this body, which need not be CBOR. */
function frameOf(content: Buffer): Buffer {
  const header = Buffer.from('4e4c010200000000', 'hex')
  header.writeUInt32BE(content.length, 4)
  return Buffer.concat([header, content])
}

/** Heads of CBOR that say anything, one after the other: what is bad about them is not the first byte. */
const heads = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 255 }).map((byte) => Buffer.of(byte)) },
      {
        weight: 2,
        arbitrary: fc
          .record({ major: fc.nat(7), size: fc.nat(3), argument: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) })
          .map(({ major, size, argument }) => {
            const eight = Buffer.alloc(8)
            eight.writeBigUInt64BE(argument)
            return Buffer.concat([Buffer.of((major << 5) | (24 + size)), eight.subarray(8 - 2 ** size)])
          }),
      },
      { weight: 1, arbitrary: fc.constantFrom('a0', 'a1', '8f', '9bffffffffffffffff', 'bb8000000000000000', '5a7fffffff').map((hex) => Buffer.from(hex, 'hex')) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 3000 }).map((depth) => Buffer.alloc(depth, 0x81)) },
      { weight: 2, arbitrary: fc.constantFrom('6161', '695f5f70726f746f5f5f', '6b636f6e7374727563746f72').map((hex) => Buffer.from(hex, 'hex')) },
    ),
    { maxLength: 40 },
  )
  .map((parts) => Buffer.concat([Buffer.of(0xa0 | (parts.length % 24)), ...parts])) // prettier-ignore

/** An item of CBOR written by hand: what it means, and whether it and all in it belong to the subset. */
interface Item {
  readonly bytes: Buffer
  readonly value: unknown
  readonly good: boolean
}

const fromHex = (hex: string): Buffer => Buffer.from(hex, 'hex')

/** A head whose argument takes 1, 2, 4 or 8 bytes, which need not be the fewest. */
function headOf(major: number, argument: number, size: number): Buffer {
  const eight = Buffer.alloc(8)
  eight.writeBigUInt64BE(BigInt(argument))
  return Buffer.concat([Buffer.of((major << 5) | (24 + size)), eight.subarray(8 - 2 ** size)])
}

const size = fc.nat(3)
const content = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'binary-ascii', maxLength: 200 }),
  fc.constantFrom('a', '', 'ü', 'constructor', '__proto__'),
)
const textItem = fc.tuple(content, fc.nat(2)).map(([text, size]): Item => {
  const bytes = Buffer.from(text)
  const large = Math.max(size, bytes.length > 255 ? 1 : 0)
  return { bytes: Buffer.concat([headOf(3, bytes.length, large), bytes]), value: text, good: true }
})

const GOOD: readonly (readonly [hex: string, value: unknown])[] = [
  ['f4', false],
  ['f5', true],
  ['f6', null],
  ['f97e00', NaN],
  ['fa3fc00000', 1.5],
  ['fb7ff0000000000000', Infinity],
  ['17', 23],
  ['37', -24],
  ['1900ff', 255],
  ['3a00000000', -1],
  ['1b0000000000000001', 1],
  ['1b001fffffffffffff', Number.MAX_SAFE_INTEGER],
  ['3b001ffffffffffffe', Number.MIN_SAFE_INTEGER],
  ['40', Buffer.alloc(0)],
  ['5803ffffff', Buffer.alloc(3, 255)],
  ['5a0000000161', Buffer.from('a')],
]

/** What other readers of CBOR take: dates, sets, references, big numbers, pieces. And what none takes. */
const BAD: readonly string[] = [
  ...['c000', 'c11a00000000', 'c24101', 'd81c80', 'd81d00', 'd9010280', 'd9d9f7a0', 'd9dff880', 'd84045616263'],
  ...['f7', 'e0', 'f3', 'f818', 'f8ff', 'ff', '9fff', 'bfff', '5fff', '7fff', '1c', '3d', '5e', 'fc'],
  ...['1b0020000000000000', '1bffffffffffffffff', '3b001fffffffffffff', '3bffffffffffffffff'],
  ...['61ff', '62c0af', '63eda080', '64f4908080', '61c3', '7b000000000000000161', '5b000000000000000161'],
]

const goodLeaf = fc.constantFrom(...GOOD).map(([hex, value]): Item => ({ bytes: fromHex(hex), value, good: true }))
const badLeaf = fc.constantFrom(...BAD).map((hex): Item => ({ bytes: fromHex(hex), value: undefined, good: false }))
const badKey = fc
  .constantFrom('00', '40', 'f6', '80', 'a0')
  .map((hex): Item => ({ bytes: fromHex(hex), value: 0, good: false }))
const keyItem = fc.oneof({ weight: 30, arbitrary: textItem }, { weight: 1, arbitrary: badKey })

function listOf(items: readonly Item[], size: number): Item {
  const bytes = Buffer.concat([headOf(4, items.length, size), ...items.map(({ bytes }) => bytes)])
  return { bytes, value: items.map(({ value }) => value), good: items.every(({ good }) => good) }
}

function mapOf(pairs: readonly (readonly [key: Item, item: Item])[], size: number): Item {
  const keys = pairs.map(([key]) => key.value)
  return {
    bytes: Buffer.concat([headOf(5, pairs.length, size), ...pairs.flat().map(({ bytes }) => bytes)]),
    value: Object.fromEntries(pairs.map(([key, item]) => [key.value, item.value])),
    good: pairs.flat().every(({ good }) => good) && !keys.includes('__proto__') && new Set(keys).size === keys.length,
  }
}

const { map: mapItem } = fc.letrec<{ item: Item; list: Item; map: Item }>((tie) => ({
  item: fc.oneof(
    { depthSize: 'small' },
    { weight: 6, arbitrary: goodLeaf },
    { weight: 6, arbitrary: textItem },
    { weight: 1, arbitrary: badLeaf },
    { weight: 4, arbitrary: tie('list') },
    { weight: 4, arbitrary: tie('map') },
  ),
  list: fc.tuple(fc.array(tie('item'), { maxLength: 4 }), size).map(([items, size]) => listOf(items, size)),
  map: fc
    .tuple(fc.array(fc.tuple(keyItem, tie('item')), { maxLength: 5 }), size)
    .map(([pairs, size]) => mapOf(pairs, size)),
}))

/** For comparing: a float without a fraction is an integer, so the sign of a zero is lost. */
function plain(value: unknown): unknown {
  if (Object.is(value, -0)) return 0
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
}

const same = (a: unknown, b: unknown): boolean => isDeepStrictEqual(plain(a), plain(b))

t.test('whatever a frame may hold comes back as it went, whatever the chunks are', async () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 4 }), shares, (frames, places) => {
      const seen = read(cut(encode(frames), places))
      return same(seen, { frames, pending: 0, problem: undefined })
    }),
  )
})

t.test('a value that no frame can hold is refused, naming the body; any other can be read again', async (t) => {
  const anything = fc.anything({
    key: fc.oneof(key, fc.constant('__proto__')),
    maxDepth: 4,
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
  })
  let refused = 0
  fc.assert(
    fc.property(fc.dictionary(key, anything, { maxKeys: 3 }), (body) => {
      let encoded: Buffer
      try {
        encoded = encodeFrame(FRAME_KIND.REPLY, body)
      } catch (error) {
        refused++
        return error instanceof NetloomError && error.code === 'invalid' && error.field === 'body'
      }
      const { frames, pending, problem } = read([encoded])
      return frames.length === 1 && pending === 0 && problem === undefined
    }),
    { numRuns: 500 },
  )
  t.ok(refused > 0, `${refused} were refused`)
})

t.test('any bytes in any chunks are frames or an error that names the bad part, never anything else', async () => {
  const start = fc.constantFrom('', '4e', '4e4c', '4e4c01', '4e4c0101', '4e4c010100', '4e4c010200000008')
  fc.assert(
    fc.property(start, bytes(200), shares, (hex, rest, places) => {
      const stream = Buffer.concat([Buffer.from(hex, 'hex'), rest])
      return same(read(cut(stream, places)), read([stream]))
    }),
    { numRuns: 500 },
  )
})

t.test('a body is read as what it says, and exactly where all in it belongs to the subset', async (t) => {
  const seen = { read: 0, refused: 0 }
  fc.assert(
    fc.property(mapItem, ({ bytes, value, good }) => {
      const { frames, problem } = read([frameOf(bytes)])
      seen[good ? 'read' : 'refused']++
      return good ? same(frames, [{ kind: FRAME_KIND.REPLY, body: value }]) : problem?.startsWith('body: ') === true
    }),
    { numRuns: 1000 },
  )
  t.ok(seen.read > 100 && seen.refused > 100, JSON.stringify(seen))
})

t.test('bodies of any CBOR are read or refused, and never reach a prototype', async (t) => {
  let refused = 0
  fc.assert(
    fc.property(heads, shares, (content, places) => {
      const { frames, problem } = read(cut(frameOf(content), places))
      if (problem !== undefined) refused++
      return (frames.length === 1) !== (problem !== undefined)
    }),
    { numRuns: 1000 },
  )
  t.ok(refused > 0, `${refused} were refused`)
  t.same(Object.keys(Object.prototype), [])
})

t.test('a damaged stream yields the frames in front of the damage, whatever the chunks are', async () => {
  const damage = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.nat(255)), {
    minLength: 1,
    maxLength: 4,
  })
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 3 }), damage, shares, (frames, hits, places) => {
      const stream = encode(frames)
      const first = Math.min(...hits.map(([share]) => Math.floor(share * stream.length)))
      for (const [share, byte] of hits) stream[Math.floor(share * stream.length)] = byte
      const seen = read(cut(stream, places))
      const ends = frames.map((_, i) => encode(frames.slice(0, i + 1)).length)
      const whole = ends.filter((end) => end <= first).length
      return same(seen.frames.slice(0, whole), frames.slice(0, whole)) && same(seen, read([stream]))
    }),
    { numRuns: 300 },
  )
})

t.test('no more room is made than for twice what has arrived, whatever the header announces', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: MAX_FRAME_BODY_BYTES }), bytes(100), (announced, start) => {
      const header = Buffer.from('4e4c010100000000', 'hex')
      header.writeUInt32BE(announced, 4)
      const arrived = start.subarray(0, announced - 1)
      const decoders = Array.from({ length: 20 }, () => new FrameDecoder())
      const before = process.memoryUsage().arrayBuffers
      for (const decoder of decoders) for (const _ of decoder.push(Buffer.concat([header, arrived]))) return false
      // Garbage that is collected meanwhile makes it less.
      const grown = process.memoryUsage().arrayBuffers - before
      return grown < 20 * 4096 && decoders.every(({ pending }) => pending === FRAME_HEADER_BYTES + arrived.length)
    }),
    { numRuns: 50 },
  )
})

t.test('a body beyond the limit is refused by both ends', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: MAX_FRAME_BODY_BYTES + 1, max: 2 ** 32 - 1 }), (announced) => {
      const header = Buffer.from('4e4c010100000000', 'hex')
      header.writeUInt32BE(announced, 4)
      return read([header]).problem?.startsWith('length: ') === true
    }),
  )
  const tooLong: FrameBody = { x: Buffer.alloc(MAX_FRAME_BODY_BYTES) }
  t.throws(() => encodeFrame(FRAME_KIND.REQUEST, tooLong), { code: 'invalid', field: 'length' })
})
