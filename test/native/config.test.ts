import t from 'tap'
import { FRAME_KIND, FrameDecoder, encodeFrame } from '../../src/codec/frame.js'
import { FakeAgent, builds, cniError, runCni, seededRandom } from '../support/cni-exec.js'
import { DOCUMENTS, nested, parse } from './documents.js'

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
      runCni({ path: build.path, env: { CNI_COMMAND: 'ADD', NETLOOM_SOCKET: agent.socket, NETLOOM_WAIT: '0s' }, stdin })
    const passed = (): Buffer => [...new FrameDecoder().push(agent.requests.at(-1)!)][0]!.body.config as Buffer

    t.test('a configuration reaches the agent exactly where JSON.parse takes it', async (t) => {
      let taken = 0
      for (const [name, document] of DOCUMENTS) {
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
      t.ok(taken > 15 && taken < DOCUMENTS.length - 50, `${taken} of ${DOCUMENTS.length} are valid`)
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
