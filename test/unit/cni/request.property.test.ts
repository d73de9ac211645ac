import fc from 'fast-check'
import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import {
  type InterfaceConfig,
  readInterface,
  readPrevious,
  readValidAttachments,
  requestedByArgs,
} from '../../../src/cni/config.js'
import { CNI_CODE, type CniFailure, cniError } from '../../../src/cni/error.js'
import { COMMANDS, type CniRequest, parseRequest, type RawRequest, versionForErrors } from '../../../src/cni/request.js'
import { CNI_VERSIONS } from '../../../src/cni/version.js'
import { readIpam } from '../../../src/ipam/config.js'

const CODES: readonly number[] = [
  CNI_CODE.INCOMPATIBLE_VERSION,
  CNI_CODE.UNSUPPORTED_FIELD,
  CNI_CODE.INVALID_ENVIRONMENT,
  CNI_CODE.DECODE,
  CNI_CODE.INVALID_CONFIG,
]

/** A call with all that the verbs read of it. */
interface Call extends CniRequest {
  readonly wanted: InterfaceConfig | undefined
}

/** What comes of a call, or undefined where it is refused as it should be; throws all else. */
function parse(raw: RawRequest): Call | undefined {
  try {
    const request = parseRequest(raw)
    const { command, config, args } = request
    if (command === 'GC') readValidAttachments(config)
    if (command === 'CHECK') readPrevious(config)
    const wanted = command === 'ADD' || command === 'STATUS' ? readInterface(config) : undefined
    if (wanted !== undefined) readIpam(wanted.ipam, wanted.ipRanges)
    if (command === 'ADD') requestedByArgs(args.ips)
    return { ...request, wanted }
  } catch (error) {
    check(error)
    return undefined
  }
}

/** A refusal has a code of the specification, and names the variable or the key unless nothing could be decoded. */
function check(error: unknown): asserts error is CniFailure {
  if (!(error instanceof NetloomError)) throw error
  const { code, details } = cniError(error, '1.1.0')
  const field = error.field ?? ''
  if (!CODES.includes(code)) throw new Error(`code ${code}: ${details}`, { cause: error })
  if (code === CNI_CODE.DECODE) return
  if (field === '' || !details.includes(field)) throw new Error(`names no field: ${details}`, { cause: error })
  if ((code === CNI_CODE.INVALID_ENVIRONMENT) !== field.startsWith('CNI_'))
    throw new Error(`code ${code} for ${field}`, { cause: error })
}

/** Characters that have a meaning somewhere: NUL, marks that turn the direction of writing, separators, many bytes. */
const ODD = [
  '\0',
  '\u202e',
  '\u200f',
  '\ufeff',
  '\u2028',
  '\n',
  '\x7f',
  '/',
  '.',
  ':',
  ';',
  '=',
  ' ',
  '%',
  '"',
  '\\',
  'é',
  '🙂',
  '\ud83d',
]
const text = fc.string({
  unit: fc.oneof(fc.constantFrom(...ODD), fc.constantFrom('a', 'Z', '0', '-', '_')),
  maxLength: 24,
})

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.5,
  1280,
  1400.5,
  1500,
  65_535,
  65_536,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 64,
  1e308,
  5e-324,
]
const TEXTS = [
  '',
  'auto',
  '10.244.0.0/16',
  'fd00::/64',
  '::ffff:1.2.3.4',
  '0a:58:00:00:00:01',
  'tcp',
  'ptp',
  'on',
  'off',
  '__proto__',
]

/** Keys of configurations, whether this release reads them or not, and those by which prototypes are reached. */
const KEYS = [
  ...['cniVersion', 'name', 'type', 'mtu', 'dns', 'ipam', 'cni.dev/valid-attachments', 'prevResult', 'args', 'mode'],
  ...['agent', 'agentSocket', 'program', 'capabilities', 'runtimeConfig', 'portMappings', 'bandwidth', 'mac', 'ips'],
  ...['hostPort', 'containerPort', 'protocol', 'hostIP', 'ingressRate', 'ingressBurst', 'egressRate', 'egressBurst'],
  ...['interfaces', 'routes', 'address', 'gateway', 'interface', 'sandbox', 'dst', 'gw', 'subnet', 'ranges', 'aliases'],
  ...['spoofCheck', 'macspoofchk', 'ipMasq', 'isGateway', 'isDefaultGateway', 'vlan', 'containerID', 'ifname'],
  ...[
    'nameservers',
    'domain',
    'search',
    'options',
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'length',
    '0',
    '',
  ],
]

/** Any JSON, made mostly of what a parser of configurations knows. */
const { json } = fc.letrec<{ json: unknown; map: unknown }>((tie) => ({
  json: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<unknown>(null, true, false),
    fc.constantFrom(...NUMBERS),
    fc.constantFrom(...TEXTS),
    text,
    fc.array(tie('json'), { maxLength: 4 }),
    tie('map'),
  ),
  map: fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), text), tie('json'), { maxKeys: 6 }),
}))

/** Some keys are read by every release, so they come more often. */
const key = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...KEYS) },
  { weight: 1, arbitrary: fc.constantFrom('mtu', 'dns') },
)
const pairs = fc.array(fc.tuple(key, json), { maxLength: 4 })

/** Duplicates stay, and `__proto__` is a key like any other, which an object literal would not have. */
const objectText = (entries: readonly (readonly [string, unknown])[]): string =>
  `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join()}}`

/** Configurations that are right but for what is put in front of, or over, the right keys. */
const nearlyRight = fc
  .record({
    before: pairs,
    version: fc.constantFrom(...CNI_VERSIONS),
    name: fc.constantFrom(...Array.from({ length: 9 }, () => [['name', 'pods']] as const), []),
    attachments: fc.boolean(),
    after: pairs,
  })
  .map(({ before, version, name, attachments, after }) =>
    objectText([
      ...before,
      ['cniVersion', version],
      ...name,
      ...(attachments ? [['cni.dev/valid-attachments', []] as const] : []),
      ...after,
    ]),
  )

const config: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 8, arbitrary: nearlyRight.map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: json.map((value) => Buffer.from(JSON.stringify(value))) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
  {
    weight: 1,
    arbitrary: fc.tuple(nearlyRight, fc.nat(), fc.nat(255)).map(([text, at, byte]) => {
      const bytes = Buffer.from(text)
      bytes[at % bytes.length] = byte
      return bytes
    }),
  },
  { weight: 1, arbitrary: fc.anything() },
)

const variable = (...right: readonly string[]): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...right) },
    { weight: 1, arbitrary: text },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...right), text).map((parts) => parts.join('')) },
    { weight: 1, arbitrary: fc.anything() },
  )

const raw: fc.Arbitrary<RawRequest> = fc.record(
  {
    command: variable(...COMMANDS),
    containerId: variable('c-1', 'a'.repeat(64)),
    netns: variable('/run/netns/a', '/proc/7/ns/net', ''),
    ifname: variable('eth0', 'net1', 'e'.repeat(15)),
    args: variable('K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web', '', 'IgnoreUnknown=1', ';;=;=', 'MAC=', 'IP=10.0.0.1'),
    path: variable('/opt/cni/bin'),
    config,
  },
  { requiredKeys: ['command', 'config'] },
)

t.test('a call is read, or refused with a code of the specification that names the variable or key', async (t) => {
  const seen = { read: 0, refused: 0 }
  fc.assert(
    fc.property(raw, (call) => {
      const request = parse(call)
      seen[request === undefined ? 'refused' : 'read']++
      return request === undefined || isRight(request)
    }),
    { numRuns: 2000 },
  )
  t.ok(seen.read > 20 && seen.refused > 200, JSON.stringify(seen))
})

/** What the rest of the agent relies on. */
function isRight({ command, containerId, ifname, netns, config, wanted }: Call): boolean {
  const mtu = wanted?.mtu ?? 'auto'
  const isIdentifier = (value: unknown): boolean =>
    typeof value === 'string' && /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(value)
  return (
    COMMANDS.includes(command) &&
    isIdentifier(config.name) &&
    (CNI_VERSIONS as readonly string[]).includes(config.cniVersion) &&
    (containerId === '' || isIdentifier(containerId)) &&
    Buffer.byteLength(ifname) <= 15 &&
    !/[\s/:\0]/.test(ifname) &&
    (netns === '' || (netns.startsWith('/') && !netns.includes('\0'))) &&
    (mtu === 'auto' || (Number.isInteger(mtu) && mtu >= 1280 && mtu <= 65_535))
  )
}

t.test('a call is read the same each time, and leaves no trace in a prototype', async (t) => {
  const names = [Object.prototype, Array.prototype, Function.prototype, String.prototype].map(
    (prototype) => Reflect.ownKeys(prototype).length,
  )
  fc.assert(
    fc.property(raw, (call) => {
      const [first, second] = [parse(call), parse(call)]
      return JSON.stringify(first) === JSON.stringify(second)
    }),
    { numRuns: 300 },
  )
  t.same(
    [Object.prototype, Array.prototype, Function.prototype, String.prototype].map(
      (prototype) => Reflect.ownKeys(prototype).length,
    ),
    names,
  )
})

/** As deep as the executable lets through (native/README.md). */
const DEEPEST = 1000

t.test('whatever key holds it, a value nested as deep as the executable lets through is read or refused', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...KEYS),
      fc.constantFrom('[', '{"a":'),
      fc.integer({ min: 1, max: DEEPEST - 2 }),
      (key, open, depth) => {
        const nested = open.repeat(depth) + '0' + (open === '[' ? ']' : '}').repeat(depth)
        const bytes = Buffer.from(`{"cniVersion":"1.1.0","name":"pods",${JSON.stringify(key)}:${nested}}`)
        for (const command of COMMANDS) parse({ command, containerId: 'c', netns: '/n', ifname: 'eth0', config: bytes })
      },
    ),
  )
})

t.test('the version for errors is always one that can be spoken', async () => {
  fc.assert(fc.property(raw, (call) => (CNI_VERSIONS as readonly string[]).includes(versionForErrors(call))))
})
