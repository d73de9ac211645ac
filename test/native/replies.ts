import { Encoder } from 'cbor-x'
import { FRAME_KIND, FrameDecoder, encodeFrame } from '../../src/codec/frame.js'

const encoder = new Encoder({ useRecords: false, tagUint8Array: false })

/** A frame with a header as given and the length that its body has. */
export const frameOf = (body: Uint8Array, header = '4e4c0102'): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([Buffer.from(header, 'hex'), length, body])
}

export const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const map = (body: Record<string, unknown>): Buffer => Buffer.from(encoder.encode(body))
export const reply = (exit: number, output: string): Buffer => encodeFrame(FRAME_KIND.REPLY, { exit, output })
const good = map({ exit: 0, output: 'x' })

/** Replies that are printed, with the exit code and output that they bring. */
export const ACCEPTED: readonly (readonly [name: string, frame: Buffer, code: number, output: string])[] = [
  ['success', reply(0, '{"cniVersion":"1.1.0"}'), 0, '{"cniVersion":"1.1.0"}'],
  ['an error', reply(1, '{"code":3}'), 1, '{"code":3}'],
  ['the largest exit code', reply(255, ''), 255, ''],
  ['output that is not ASCII, and holds NULs', reply(0, 'ü\u0000🙂\n'), 0, 'ü\u0000🙂\n'],
  ['output of more than a pipe holds', reply(0, 'x'.repeat(2_000_000)), 0, 'x'.repeat(2_000_000)],
  [
    'heads longer than needed',
    frameOf(hex('b90002646578697419000766 6f75747075747b0000000000000001 78'.replaceAll(' ', ''))),
    7,
    'x',
  ],
  [
    'unknown keys of every kind',
    frameOf(
      map({
        '': 1,
        a: [[{ b: [1, -1, 0.5, null, true, undefined] }], Buffer.alloc(70000)],
        exits: 1,
        exit: 4,
        outpu: 'no',
        z: {},
        output: 'x',
        zz: 1.1,
      }),
    ),
    4,
    'x',
  ],
  ['nothing to do again', frameOf(map({ exit: 2, output: 'x', retry: false })), 2, 'x'],
  ['what could be asked again, if there were time', frameOf(map({ exit: 1, output: 'x', retry: true })), 1, 'x'],
  ['a success that also has an error of no use', frameOf(map({ exit: 0, error: {}, output: 'x' })), 0, 'x'],
  [
    'nesting just as deep as is read',
    frameOf(
      Buffer.concat([
        hex('a364657869740066 6f757470757461786161'.replaceAll(' ', '')),
        Buffer.alloc(62, 0x81),
        hex('80'),
      ]),
    ),
    0,
    'x',
  ],
]

/** What an agent may say that is no reply, with the code and details of the error that comes of it. */
export const REFUSED: readonly (readonly [name: string, frame: Buffer, code: 6 | 11, details: RegExp])[] = [
  ['nothing', Buffer.alloc(0), 11, /closed the connection after 0 bytes/],
  ['half a header', reply(0, 'x').subarray(0, 5), 11, /after 5 bytes/],
  ['a header alone', reply(0, 'x').subarray(0, 8), 11, /after 8 bytes/],
  ['half a body', reply(0, 'x').subarray(0, -1), 11, /closed the connection/],
  ['another magic', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 6, /magic .* not a netloom agent/],
  ['another version', frameOf(good, '4e4c0202'), 6, /another version of the protocol/],
  ['a request', frameOf(good, '4e4c0101'), 6, /another kind/],
  ['an unknown kind', frameOf(good, '4e4c0109'), 6, /another kind/],
  ['2 MiB and one byte announced', hex('4e4c010200200001'), 6, /longer than 2 MiB/],
  ['4 GiB announced', hex('4e4c0102ffffffff'), 6, /longer than 2 MiB/],
  ['bytes behind the frame', Buffer.concat([reply(0, 'x'), hex('00')]), 6, /bytes behind its end/],
  ['two frames', Buffer.concat([reply(0, 'x'), reply(0, 'x')]), 6, /bytes behind its end/],
  ['no body', frameOf(Buffer.alloc(0)), 6, /not a CBOR map/],
  ['no map', frameOf(hex('8100')), 6, /not a CBOR map/],
  ['an empty map', frameOf(hex('a0')), 6, /exit is missing/],
  ['no exit code', frameOf(map({ output: 'x' })), 6, /exit is missing/],
  ['no output', frameOf(map({ exit: 0 })), 6, /output is missing/],
  ['an exit code of 256', frameOf(map({ exit: 256, output: '' })), 6, /exit is no exit code/],
  [
    'an exit code of 2^64 - 1',
    frameOf(hex('a264657869741bffffffffffffffff666f757470757460')),
    6,
    /exit is no exit code/,
  ],
  ['a negative exit code', frameOf(map({ exit: -1, output: '' })), 6, /exit has the wrong type/],
  ['an exit code of text', frameOf(map({ exit: '0', output: '' })), 6, /exit has the wrong type/],
  ['an exit code that is a float', frameOf(map({ exit: 0.5, output: '' })), 6, /exit has the wrong type/],
  ['output of bytes', frameOf(map({ exit: 0, output: Buffer.from('x') })), 6, /output has the wrong type/],
  ['output that is an object', frameOf(map({ exit: 0, output: { a: 1 } })), 6, /output has the wrong type/],
  [
    'output that is not UTF-8',
    frameOf(hex('a264657869740066 6f7574707574 61ff'.replaceAll(' ', ''))),
    6,
    /output not well-formed/,
  ],
  [
    'the exit code twice',
    frameOf(hex('a364657869740064657869740166 6f757470757460'.replaceAll(' ', ''))),
    6,
    /exit stands there twice/,
  ],
  [
    'a wish to be asked again that is a word',
    frameOf(map({ exit: 0, output: '', retry: 'x' })),
    6,
    /retry has the wrong/,
  ],
  ['bytes behind the map', frameOf(Buffer.concat([good, hex('00')])), 6, /bytes behind its map/],
  ['an indefinite map', frameOf(hex('bf6465786974 00666f757470757460ff'.replaceAll(' ', ''))), 6, /not a CBOR map/],
  ['an indefinite array', frameOf(hex('a161619fff')), 6, /not well-formed/],
  ['a key that is no text', frameOf(hex('a10000')), 6, /a key that is not text/],
  ['a key that ends early', frameOf(hex('a1656578')), 6, /not well-formed/],
  ['a value that is missing', frameOf(hex('a16465786974')), 6, /not well-formed/],
  ['a map of 2^64 - 1', frameOf(hex('bbffffffffffffffff')), 6, /a key that is not text/],
  ['an array of 2^64 - 1', frameOf(hex('a161619bffffffffffffffff')), 6, /not well-formed/],
  ['a map of 2^63 in it', frameOf(hex('a16161bb8000000000000000')), 6, /not well-formed/],
  ['text of 2^64 - 1', frameOf(hex('a161617bffffffffffffffff')), 6, /not well-formed/],
  ['a tag', frameOf(hex('a16161c000')), 6, /not well-formed/],
  [
    'nesting too deep',
    frameOf(Buffer.concat([hex('a16161'), Buffer.alloc(64, 0x81), hex('80')])),
    6,
    /not well-formed/,
  ],
  [
    'nesting of 2 million',
    frameOf(Buffer.concat([hex('a16161'), Buffer.alloc(2_000_000, 0x81)])),
    6,
    /not well-formed/,
  ],
  [
    'a refusal with its reason',
    frameOf(map({ ok: false, error: { code: 'invalid', message: 'version: "2"' } })),
    6,
    /exit is missing; the agent says: version: "2"$/,
  ],
  [
    'a refusal with a long reason',
    frameOf(map({ ok: false, error: { message: 'ü'.repeat(5000) } })),
    6,
    /the agent says: ü{256}$/,
  ],
  ['a refusal with a reason that is none', frameOf(map({ ok: false, error: { message: 1 } })), 6, /exit is missing$/],
]

/**
 * The reply that src/codec/frame.ts reads from a stream of just one frame, if any. What it refuses the executable may take, which does not
 * look into values that it skips.
 */
export function wanted(frame: Buffer): { exit: number; output: string } | undefined {
  // A float without a fraction is an integer to JavaScript, not to CBOR.
  if (['f9', 'fa', 'fb'].some((float) => frame.includes(hex(`6465786974${float}`)))) return undefined
  try {
    const decoder = new FrameDecoder()
    const [first, ...more] = [...decoder.push(frame)]
    if (first?.kind !== FRAME_KIND.REPLY || more.length > 0 || decoder.pending > 0) return undefined
    const { exit, output, retry = false } = first.body
    if (typeof exit !== 'number' || typeof output !== 'string' || exit < 0 || exit > 255) return undefined
    if (typeof retry !== 'boolean') return undefined
    return { exit, output }
  } catch {
    return undefined
  }
}
