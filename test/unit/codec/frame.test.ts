import { isDeepStrictEqual } from 'node:util'
import { Encoder } from 'cbor-x'
import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import {
  FRAME_KIND,
  type Frame,
  FrameDecoder,
  MAX_FRAME_BODY_BYTES,
  MAX_FRAME_DEPTH,
  MAX_FRAME_ITEMS,
  encodeFrame,
} from '../../../src/codec/frame.js'
import { SHARED_FRAMES } from '../../native/frames.js'
import { seededRandom } from '../../support/cni-exec.js'

const decode = (...chunks: Uint8Array[]): Frame[] => {
  const decoder = new FrameDecoder()
  return chunks.flatMap((chunk) => [...decoder.push(chunk)])
}

/** A frame around bytes that may be no CBOR. */
const frameOf = (body: Uint8Array): Buffer => {
  const header = Buffer.from('4e4c010200000000', 'hex')
  header.writeUInt32BE(body.length, 4)
  return Buffer.concat([header, body])
}

const refusal = (work: () => unknown): { code: string; field: string | undefined; message: string } => {
  try {
    work()
  } catch (error) {
    if (!(error instanceof NetloomError)) throw error
    return { code: error.code, field: error.field, message: error.message }
  }
  throw new Error('nothing was refused')
}

t.test('frames shared with the CNI executable are read and written byte for byte', (t) => {
  for (const { name, hex, body } of SHARED_FRAMES) {
    t.same(decode(Buffer.from(hex, 'hex')), [{ kind: FRAME_KIND.REQUEST, body }], `${name}: decoded`)
    t.equal(encodeFrame(FRAME_KIND.REQUEST, body).toString('hex'), hex, `${name}: encoded`)
  }
  t.equal(
    encodeFrame(FRAME_KIND.REPLY, { exit: 1, output: 'no' }).toString('hex'),
    ['4e4c010200000011', 'a2', '6465786974', '01', '666f7574707574', '626e6f'].join(''),
    'a reply',
  )
  t.end()
})

t.test('every kind of value comes back as it went', (t) => {
  const body = {
    '': 'empty key',
    nothing: null,
    yes: true,
    no: false,
    integers: [0, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER],
    negatives: [-1, -24, -25, -256, -257, -65536, -65537, -(2 ** 31), -(2 ** 32), Number.MIN_SAFE_INTEGER],
    floats: [0.5, -1.25, 1e300, Number.MIN_VALUE, Infinity, -Infinity],
    texts: ['', 'a', 'ü', '€', '🙂', '\u0000', 'x'.repeat(300), '🙂ü'.repeat(9000)],
    bytes: [Buffer.alloc(0), Buffer.from([0, 255]), Buffer.alloc(70000, 7)],
    nested: { list: [[], {}, [{ deeper: [1] }]] },
    constructor: 'own property',
    toString: 'own property',
    many: Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`key${i}`, i])),
  }
  const [frame] = decode(encodeFrame(FRAME_KIND.REPLY, body))
  t.strictSame(frame?.body, body)
  t.ok(Buffer.isBuffer((frame?.body.bytes as unknown[])[2]), 'byte strings are Buffers')
  t.ok(Number.isNaN(decode(encodeFrame(FRAME_KIND.REPLY, { x: NaN }))[0]?.body.x), 'NaN')
  t.end()
})

t.test('integers of all encodings are numbers; a Uint8Array is a byte string', (t) => {
  const body = Buffer.from('a461610161621801616319000161641b0000000000000001', 'hex')
  t.strictSame(decode(frameOf(body))[0]?.body, { a: 1, b: 1, c: 1, d: 1 })
  const [frame] = decode(encodeFrame(FRAME_KIND.REQUEST, { bytes: Uint8Array.of(1, 2) }))
  t.same(frame?.body.bytes, Buffer.from([1, 2]))
  t.equal(decode(encodeFrame(FRAME_KIND.REQUEST, { big: 1n << 40n }))[0]?.body.big, 2 ** 40, 'a bigint that fits')
  t.end()
})

t.test('a byte string stays as it is when the chunk it came in is used again', (t) => {
  const bytes = encodeFrame(FRAME_KIND.REQUEST, { bytes: Buffer.from('abc') })
  const [frame] = decode(bytes)
  bytes.fill(0)
  t.same(frame?.body.bytes, Buffer.from('abc'))
  t.end()
})

t.test('frames are found whatever the chunks are', (t) => {
  const frames = SHARED_FRAMES.map(({ body }) => ({ kind: FRAME_KIND.REQUEST, body }))
  const stream = Buffer.from(SHARED_FRAMES.map(({ hex }) => hex).join(''), 'hex')
  for (let at = 0; at <= stream.length; at++)
    t.same(decode(stream.subarray(0, at), stream.subarray(at)), frames, `split at ${at}`)
  const decoder = new FrameDecoder()
  const seen = [...stream].flatMap((byte) => [...decoder.push(Uint8Array.of(byte))])
  t.same(seen, frames, 'byte by byte')
  t.equal(decoder.pending, 0)
  t.equal(decode(Buffer.alloc(0)).length, 0, 'an empty chunk')
  t.end()
})

t.test('frames in front of a bad one are yielded, the bad one throws, and so does all that follows', (t) => {
  const good = encodeFrame(FRAME_KIND.REQUEST, { method: 'status' })
  const decoder = new FrameDecoder()
  const frames = decoder.push(Buffer.concat([good, Buffer.from('bad')]))
  t.same(frames.next().value, { kind: FRAME_KIND.REQUEST, body: { method: 'status' } })
  t.equal(refusal(() => frames.next()).field, 'magic')
  t.equal(refusal(() => [...decoder.push(good)]).field, 'magic', 'a good frame behind it')
  t.end()
})

t.test('a stream cut off within a frame has bytes pending', (t) => {
  const frame = encodeFrame(FRAME_KIND.REQUEST, { method: 'status' })
  for (const length of [1, 7, 8, 9, frame.length - 1]) {
    const decoder = new FrameDecoder()
    t.same([...decoder.push(frame.subarray(0, length))], [])
    t.equal(decoder.pending, length)
  }
  t.end()
})

t.test('a bad header is refused at its first bad byte, before anything of the body is taken', (t) => {
  const rows: [name: string, hex: string, field: string][] = [
    ['first byte of the magic', '00', 'magic'],
    ['second byte of the magic', '4e4d', 'magic'],
    ['version 0', '4e4c00', 'version'],
    ['version 2', '4e4c02', 'version'],
    ['kind 0', '4e4c0100', 'kind'],
    ['kind 3', '4e4c0103', 'kind'],
    ['a body of 2 MiB and one byte', '4e4c010100200001', 'length'],
    ['a body of 4 GiB', '4e4c0101ffffffff', 'length'],
    ['no body', '4e4c010100000000', 'length'],
  ]
  for (const [name, hex, field] of rows) {
    const problem = refusal(() => decode(Buffer.from(hex, 'hex')))
    t.match(problem, { code: 'invalid', field }, name)
    t.ok(problem.message.startsWith(`${field}: `), `${name}: ${problem.message}`)
  }
  t.end()
})

const hostile: [name: string, hex: string, problem: RegExp][] = [
  ['an array', '80', /not a CBOR map/],
  ['text', '6161', /not a CBOR map/],
  ['an integer', '00', /not a CBOR map/],
  ['a tagged map', 'd9d9f7a0', /not a CBOR map/],
  ['bytes behind the map', 'a000', /behind the end/],
  ['two maps', 'a0a0', /behind the end/],
  ['a map that ends early', 'a1', /ends too early/],
  ['a value that is missing', 'a16161', /ends too early/],
  ['a head that ends early', 'a1616119ff', /ends too early/],
  ['text that ends early', 'a161616261', /ends too early/],
  ['bytes of 2^64 - 1', 'a161615bffffffffffffffff', /a length in eight bytes/],
  ['text of 2^32', 'a161617b0000000100000000', /a length in eight bytes/],
  ['text of one byte whose length takes eight', 'a2616162c3bc7b000000000000000161f4', /a length in eight bytes/],
  ['bytes of 2^32 - 1', 'a161615affffffff', /ends too early/],
  ['text of 2^32 - 1', 'a161617affffffff', /ends too early/],
  ['an array of 2^53', 'a161619b0020000000000000', /ends too early/],
  ['an array of 2^32 - 1', 'a161619affffffff', /ends too early/],
  ['a map of 2^64 - 1', 'bbffffffffffffffff', /ends too early/],
  ['an indefinite map', 'bfff', /indefinite/],
  ['an indefinite array', 'a161619fff', /indefinite/],
  ['indefinite text', 'a161617f6161ff', /indefinite/],
  ['a break of its own', 'a16161ff', /indefinite/],
  ['a reserved length', 'a161611c', /reserved/],
  ['a key of bytes', 'a1416100', /key that is not text/],
  ['a key that is a number', 'a10000', /key that is not text/],
  ['a key that is a map', 'a1a000', /key that is not text/],
  ['a prototype', 'a1695f5f70726f746f5f5fa16161f5', /__proto__/],
  ['a prototype further down', 'a16161a1695f5f70726f746f5f5f00', /__proto__/],
  ['a key twice', 'a2616101616102', /second time/],
  ['text that is not UTF-8', 'a1616161ff', /UTF-8/],
  ['a key that is not UTF-8', 'a161ff00', /UTF-8/],
  ['a surrogate in text', 'a1616163eda080', /UTF-8/],
  ['undefined', 'a16161f7', /undefined/],
  ['simple value 0', 'a16161e0', /simple value/],
  ['simple value 255', 'a16161f8ff', /simple value/],
  ['2^53', 'a161611b0020000000000000', /integer/],
  ['2^64 - 1', 'a161611bffffffffffffffff', /integer/],
  ['-2^53', 'a161613b001fffffffffffff', /integer/],
  ['a date', 'a16161c11a00000000', /tag/],
  ['a big number', 'a16161c249010000000000000000', /tag/],
  ['a shared value', 'a16161d81ca0', /tag/],
  ['a reference', 'a16161d81d00', /tag/],
  ['a record definition', 'a16161d9dfff8300816161f5', /tag/],
  ['bundled strings', 'a16161d9dff98200f5', /tag/],
  ['a set', 'a16161d9010280', /tag/],
  ['an explicit map', 'a16161d90103a0', /tag/],
  ['a typed array', 'a16161d84043000000', /tag/],
  ['a regular expression', 'a16161d81b82665265674578706161', /tag/],
  ['packed values', 'a16161d8338400808080', /tag/],
]

t.test('bodies outside of the subset are refused', (t) => {
  for (const [name, hex, problem] of hostile) {
    const seen = refusal(() => decode(frameOf(Buffer.from(hex, 'hex'))))
    t.match(seen, { code: 'invalid', field: 'body', message: problem }, name)
  }
  t.equal(({} as { a?: unknown }).a, undefined, 'no prototype was changed')
  t.end()
})

t.test('depth, items and length have limits, which are reached', (t) => {
  const nest = (depth: number): Buffer =>
    Buffer.concat([Buffer.from('a16161', 'hex'), Buffer.alloc(depth - 2, 0x81), Buffer.of(0x80)])
  t.equal(decode(frameOf(nest(MAX_FRAME_DEPTH))).length, 1)
  t.match(refusal(() => decode(frameOf(nest(MAX_FRAME_DEPTH + 1)))).message, /nested deeper than 64/)
  t.match(refusal(() => decode(frameOf(nest(1_000_000)))).message, /nested deeper than 64/)
  const flat = (count: number): Buffer => {
    const head = Buffer.from('a161619a00000000', 'hex')
    head.writeUInt32BE(count, 4)
    return Buffer.concat([head, Buffer.alloc(count, 0xf6)])
  }
  t.equal(decode(frameOf(flat(MAX_FRAME_ITEMS - 3))).length, 1)
  t.match(refusal(() => decode(frameOf(flat(MAX_FRAME_ITEMS - 2)))).message, /more than 262144 items/)
  const most = MAX_FRAME_BODY_BYTES - 8 // a map of one, a key of one letter, and the head of the bytes
  t.equal(encodeFrame(FRAME_KIND.REPLY, { b: Buffer.alloc(most) }).length, MAX_FRAME_BODY_BYTES + 8)
  t.equal(decode(encodeFrame(FRAME_KIND.REPLY, { b: Buffer.alloc(most) })).length, 1)
  t.match(
    refusal(() => encodeFrame(FRAME_KIND.REPLY, { b: Buffer.alloc(most + 1) })),
    { field: 'length' },
  )
  t.end()
})

t.test('a large body that is announced takes no memory before it arrives', (t) => {
  const announcement = Buffer.from('4e4c010100200000a1', 'hex')
  const before = process.memoryUsage().arrayBuffers
  const decoders = Array.from({ length: 200 }, () => new FrameDecoder())
  for (const decoder of decoders) t.same([...decoder.push(announcement)], [])
  t.ok(process.memoryUsage().arrayBuffers - before < 20 * 1024 * 1024, 'of 400 MiB announced')
  t.end()
})

t.test('what a frame cannot carry is refused before it is sent', (t) => {
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  const rows: [name: string, body: Record<string, unknown>][] = [
    ['undefined', { x: undefined }],
    ['a date', { x: new Date(0) }],
    ['a Map', { x: new Map() }],
    ['a Set', { x: new Set() }],
    ['a regular expression', { x: /x/ }],
    ['a bigint beyond 64 bits', { x: 1n << 70n }],
    ['a bigint beyond 53 bits', { x: 1n << 60n }],
    ['a typed array', { x: Uint16Array.of(1) }],
    ['an iterable', { x: new URLSearchParams('a=1') }],
    ['a function', { x: () => 1 }],
    ['a symbol', { x: Symbol('x') }],
    ['half of a surrogate pair', { x: '\ud800' }],
    ['an own key __proto__', JSON.parse('{"x":{"__proto__":1}}') as Record<string, unknown>],
    ['a cycle', cycle],
  ]
  for (const [name, body] of rows)
    t.match(
      refusal(() => encodeFrame(FRAME_KIND.REPLY, body)),
      { code: 'invalid', field: 'body' },
      name,
    )
  t.strictSame(decode(encodeFrame(FRAME_KIND.REPLY, { x: 1 }))[0]?.body, { x: 1 }, 'the next frame is not harmed')
  t.end()
})

t.test('random bytes and damaged frames throw nothing but NetloomError, and what is accepted is encoded again', (t) => {
  const random = seededRandom(20261123)
  const int = (below: number): number => Math.floor(random() * below)
  const encoder = new Encoder({ useRecords: true, structuredClone: true, bundleStrings: true })
  const seeds = [
    ...SHARED_FRAMES.map(({ hex }) => Buffer.from(hex, 'hex').subarray(8)),
    Buffer.from(encoder.encode({ list: [{ a: 1, b: 'x' }, new Date(1), new Set([1]), 1n << 80n, 'a long string'] })),
    Buffer.from(encodeFrame(FRAME_KIND.REPLY, { a: [1, -1, 0.5, null, true, { b: 'ü', c: [] }] }).subarray(8)),
  ]
  const counts = { accepted: 0, refused: 0 }
  for (let i = 0; i < 30_000; i++) {
    const body = i % 3 === 0 ? Buffer.alloc(1 + int(40)) : Buffer.from(seeds[int(seeds.length)]!)
    if (i % 3 === 0) body.forEach((_, at) => (body[at] = int(256)))
    if (i % 3 === 0 && i % 2 === 0) body[0] = 0xa0 | int(4)
    for (let hits = int(4); hits > 0; hits--) body[int(body.length)] = int(256)
    try {
      const [frame] = decode(frameOf(body))
      const again = decode(encodeFrame(FRAME_KIND.REPLY, frame!.body))[0]
      if (!isDeepStrictEqual(again, frame)) t.fail(`${body.toString('hex')} is another body when encoded again`)
      counts.accepted++
    } catch (error) {
      if (!(error instanceof NetloomError)) t.fail(`${body.toString('hex')}: ${String(error)}`)
      counts.refused++
    }
  }
  t.ok(counts.accepted > 1000 && counts.refused > 10_000, JSON.stringify(counts))
  for (let i = 0; i < 20_000; i++) {
    const bytes = Buffer.alloc(1 + int(24))
    bytes.forEach((_, at) => (bytes[at] = int(256)))
    if (i % 2 === 0) bytes.write('4e4c01', 'hex')
    try {
      decode(bytes)
    } catch (error) {
      if (!(error instanceof NetloomError)) t.fail(`${bytes.toString('hex')}: ${String(error)}`)
    }
  }
  t.end()
})
