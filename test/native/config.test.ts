import t from 'tap'
import { FRAME_KIND, FrameDecoder, encodeFrame } from '../../src/codec/frame.js'
import { FakeAgent, builds, cniError, runCni, seededRandom } from '../support/cni-exec.js'

/** What JSON.parse makes of bytes: an object, or undefined for all else and for what is not UTF-8. */
function parse(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value = JSON.parse(text) as unknown
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

const nested = (depth: number, open = '[', close = ']'): string =>
  `{"a":${open.repeat(depth - 1)}${close === '' ? '' : close.repeat(depth - 1)}}`

/** Documents at the edges of the grammar; whether they are valid is for JSON.parse to say. */
const documents: [name: string, document: string | Buffer][] = [
  ['white space of all four kinds', '\t{\r\n "a" \t:\n1\r} \n'],
  ['a vertical tab', '{\v}'],
  ['a byte order mark', '\ufeff{}'],
  ['a NUL behind the end', '{}\0'],
  ['a NUL in front', '\0{}'],
  ['a NUL in a string', '{"a":"\0"}'],
  ['a NUL in a key', '{"a\0":1}'],
  ['an escaped NUL', '{"a":"\\u0000"}'],
  ['a second object', '{}{}'],
  ['a comma behind the end', '{},'],
  ['a closing brace too many', '{}}'],
  ['the wrong closing brace', '{"a":[}'],
  ['crossed braces', '{"a":[{]}}'],
  ['a comma alone', '{,}'],
  ['a comma behind the last pair', '{"a":1,}'],
  ['a comma behind the last item', '{"a":[1,]}'],
  ['a comma before the first item', '{"a":[,1]}'],
  ['two commas', '{"a":[1,,2]}'],
  ['no comma', '{"a":1 "b":2}'],
  ['no comma in an array', '{"a":[1 2]}'],
  ['no colon', '{"a" 1}'],
  ['two colons', '{"a"::1}'],
  ['a colon in an array', '{"a":["b":1]}'],
  ['no value', '{"a":}'],
  ['no key', '{:1}'],
  ['a key without quotes', '{a:1}'],
  ['single quotes', "{'a':1}"],
  ['a number as a key', '{1:1}'],
  ['a comment', '{/**/}'],
  ['an unterminated string', '{"a":"b'],
  ['an unterminated key', '{"a'],
  ['an escape at the end', '{"a":"\\'],
  ['an escape of \\u at the end', '{"a":"\\u'],
  ['three digits at the end', '{"a":"\\u123'],
  ['three digits', '{"a":"\\u123"}'],
  ['digits of no number', '{"a":"\\u12g4"}'],
  ['half of a pair at the end', '{"a":"\\ud83d'],
  ['half of a pair and \\u at the end', '{"a":"\\ud83d\\u'],
  ['half of a pair and bad digits', '{"a":"\\ud83d\\uzzzz"}'],
  ['a high half alone', '{"a":"\\ud83d"}'],
  ['a low half alone', '{"a":"\\ude42"}'],
  ['two high halves', '{"a":"\\ud83d\\ud83d\\ude42"}'],
  ['a high half and a letter', '{"a":"\\ud83dA"}'],
  ['a high half and \\n', '{"a":"\\ud83d\\nabcdef"}'],
  ['all escapes', '{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABCD\\uabcd"}'],
  ['an unknown escape', '{"a":"\\x41"}'],
  ['an escaped single quote', '{"a":"\\\'"}'],
  ['an escaped NUL byte', Buffer.from('{"a":"\\\0"}')],
  ['\\U', '{"a":"\\U0041"}'],
  ['a newline in a string', '{"a":"\n"}'],
  ['control character 31', '{"a":"\x1f"}'],
  ['DEL in a string', '{"a":"\x7f"}'],
  ['zero', '{"a":0}'],
  ['minus zero', '{"a":-0}'],
  ['a leading zero', '{"a":01}'],
  ['minus alone', '{"a":-}'],
  ['plus', '{"a":+1}'],
  ['a point first', '{"a":.5}'],
  ['a point last', '{"a":5.}'],
  ['a fraction', '{"a":-10.50}'],
  ['an exponent', '{"a":1e5}'],
  ['an exponent with signs', '{"a":[1E+5,1e-05,0e0]}'],
  ['an exponent without digits', '{"a":1e}'],
  ['an exponent with a sign alone', '{"a":1e+}'],
  ['hexadecimal', '{"a":0x10}'],
  ['a huge number', `{"a":${'9'.repeat(5000)}e${'9'.repeat(50)}}`],
  ['infinity', '{"a":Infinity}'],
  ['words', '{"a":[true,false,null]}'],
  ['half of a word', '{"a":tru}'],
  ['half of a word at the end', '{"a":nul'],
  ['a word too long', '{"a":truee}'],
  ['capital letters', '{"a":True}'],
  ['text', '"a"'],
  ['an array', '[]'],
  ['null', 'null'],
  ['a lone brace', '{'],
  ['a lone bracket', '['],
  ['an empty key', '{"":1}'],
  ['keys of 32, 33 and 90 bytes', `{${[32, 33, 90].map((length) => `"${'k'.repeat(length)}":1`).join()}}`],
  ['a key of 90 bytes that ends in escapes', `{"${'k'.repeat(30)}${'\\ud83d\\ude42'.repeat(15)}":1}`],
  ['UTF-8 of all lengths', '{"ü":"a é € 🙂"}'],
  ['the last code point', '{"a":"\u{10ffff}"}'],
  ['beyond the last code point', Buffer.from('7b2261223a22f490808022 7d'.replace(' ', ''), 'hex')],
  ['an overlong slash', Buffer.from('7b2261223a22c0af227d', 'hex')],
  ['an overlong form of three', Buffer.from('7b2261223a22e080af227d', 'hex')],
  ['an overlong form of four', Buffer.from('7b2261223a22f08080af227d', 'hex')],
  ['a surrogate in UTF-8', Buffer.from('7b2261223a22eda080227d', 'hex')],
  ['a continuation alone', Buffer.from('7b2261223a2280227d', 'hex')],
  ['UTF-8 cut off by the quote', Buffer.from('7b2261223a22e282227d', 'hex')],
  ['UTF-8 cut off by the end', Buffer.from('7b2261223a22e282', 'hex')],
  ['the byte ff', Buffer.from('7b2261223a22ff227d', 'hex')],
  ['Latin-1 outside of strings', Buffer.from('7be97d', 'hex')],
  ['UTF-16', Buffer.from('{}', 'utf16le')],
  ['nested 1000 deep', nested(1000)],
  ['nested 1000 deep in objects', nested(1000, '{"a":', '') + '0'],
  ['a million brackets', '['.repeat(1_000_000)],
  ['a million closing brackets', `{"a":${']'.repeat(1_000_000)}`],
  ['100,000 opening brackets', nested(100_000, '[', '')],
  ['100,000 opening objects', nested(100_000, '{"a":', '')],
  ['50,000 keys', `{${Array.from({ length: 50_000 }, (_, i) => `"k${i}":1`).join()}}`],
  ['a string of 1 MiB without an end', `{"a":"${'x'.repeat(1024 * 1024 - 6)}`],
  ['a million backslashes', `{"a":"${'\\'.repeat(1_000_000)}"}`],
]

const BASE = [
  '{"cniVersion":"1.0.0","name":"netloom","type":"netloom","agentSocket":SOCKET,"mtu":1450,"x":[1,-2.5e3,true,null,"\\u00fc\\n🙂"]}',
  '{\n  "agentSocket": SOCKET,\n  "prevResult": {"ips": [{"address": "10.0.0.2/32", "interface": 0}], "dns": {}},\n "cniVersion": "0.4.0"}',
]

const TOKENS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '\\',
  '\\u',
  '\\ud83d',
  'e',
  '-',
  '.',
  '0',
  ' ',
  'null',
  '\0',
  '/',
  '"cniVersion":',
]

/** What must come of a call with this configuration: it reaches the agent, or an error of one of these codes. */
function expected(config: Buffer, socket: string): 'agent' | readonly number[] {
  const parsed = parse(config)
  if (parsed === undefined) return [6]
  const path = parsed.agentSocket
  if (path === undefined || path === socket) return 'agent'
  if (typeof path !== 'string' || !path.startsWith('/') || path.includes('\0')) return [7]
  return Buffer.byteLength(path) > 107 ? [7] : [11]
}

for (const build of builds())
  t.test(build.name, { skip: build.skip }, async (t) => {
    const agent = await new FakeAgent().listen()
    t.teardown(() => agent.close())
    agent.answer = (connection) => connection.end(encodeFrame(FRAME_KIND.REPLY, { exit: 0, output: 'taken' }))
    const run = (stdin: string | Uint8Array) =>
      runCni({ path: build.path, env: { CNI_COMMAND: 'ADD', NETLOOM_SOCKET: agent.socket }, stdin })
    const passed = (): Buffer => [...new FrameDecoder().push(agent.requests.at(-1)!)][0]!.body.config as Buffer

    t.test('a configuration reaches the agent exactly where JSON.parse takes it', async (t) => {
      let taken = 0
      for (const [name, document] of documents) {
        const bytes = Buffer.from(document)
        const seen = await run(bytes)
        if (parse(bytes) !== undefined) {
          t.match(seen, { code: 0, stdout: 'taken', stderr: '' }, name)
          t.ok(passed().equals(bytes), `${name}: verbatim`)
          taken++
        } else {
          t.match({ ...seen, stdout: '' }, { code: 1, signal: null, stderr: '' }, name)
          const error = cniError(seen.stdout)
          t.match(error, { code: 6, details: /^standard input, byte \d+: / }, `${name}: ${error.details}`)
        }
      }
      t.ok(taken > 15 && taken < documents.length - 50, `${taken} of ${documents.length} are valid`)
    })

    t.test('nesting beyond 1000 levels is refused, though JSON.parse would take it', async (t) => {
      for (const depth of [1001, 1002, 100_000])
        t.match(cniError((await run(nested(depth))).stdout), { code: 6, details: /nested too deep/ })
    })

    t.test('an error names the byte and the version that stands before it', async (t) => {
      const rows: [document: string, cniVersion: string, at: number][] = [
        ['{"cniVersion":"0.4.0","a":tru}', '0.4.0', 26],
        ['{"a":tru,"cniVersion":"0.4.0"}', '1.1.0', 5],
        ['{"cniVersion":"0.4.0', '1.1.0', 20],
        ['{"cniVersion":"0.4.0","cniVersion":"0.3', '1.1.0', 39],
        ['{"a":{"cniVersion":"0.4.0"},}', '1.1.0', 28],
      ]
      for (const [document, cniVersion, at] of rows) {
        const error = cniError((await run(document)).stdout)
        t.match(error, { cniVersion, code: 6 }, document)
        t.equal(Number(/byte (\d+)/.exec(error.details)?.[1]), at, document)
      }
    })

    t.test('damaged configurations end as JSON.parse says', { timeout: 60_000 }, async (t) => {
      const random = seededRandom(7)
      const int = (below: number): number => Math.floor(random() * below)
      const mutate = (document: Buffer): Buffer => {
        const at = int(document.length)
        const token = random() < 0.5 ? Buffer.from(TOKENS[int(TOKENS.length)]!) : Buffer.of(int(256))
        return Buffer.concat([document.subarray(0, at), token, document.subarray(at + int(3))])
      }
      const until = performance.now() + 2500
      const seen = { taken: 0, refused: 0 }
      for (let i = 0; i < 500 && (i < 120 || performance.now() < until); i++) {
        let config: Buffer = Buffer.from(BASE[i % BASE.length]!.replace('SOCKET', JSON.stringify(agent.socket)))
        for (let hits = int(2) * int(3); hits >= 0; hits--) config = mutate(config)
        const want = expected(config, agent.socket)
        const { code, stdout, signal } = await run(config)
        const taken = code === 0 && stdout === 'taken' && passed().equals(config)
        if (taken) seen.taken++
        else seen.refused++
        const right = want === 'agent' ? taken : !taken && want.includes(cniError(stdout).code)
        if (signal !== null || !right) t.fail(`${JSON.stringify(config.toString('latin1'))}: ${stdout}`)
      }
      t.ok(seen.taken > 10 && seen.refused > 60, JSON.stringify(seen))
    })
    t.end()
  })
