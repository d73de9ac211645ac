import { readFileSync } from 'node:fs'
import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { FLOW_ATTR } from '../../../src/codec/ct/constants.js'
import { decodeFlow, deleteFlow, dumpFlows, type Flow } from '../../../src/codec/ct/flow.js'
import { type Request } from '../../../src/codec/request.js'
import { messages } from '../../../src/codec/wire.js'
import { encode, type Normal, type Shape, shape } from '../nft/captured.js'

interface Captured {
  readonly command: string
  readonly requests: readonly string[]
  readonly replies: readonly string[]
}

const file = new URL('../../../../test/bytes/ct/flow.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Record<string, Captured> }

function captured(name: string): Captured {
  const found = cases[name]
  if (found === undefined) throw new Error(`no capture named '${name}'`)
  return found
}

const flowsOf = (name: string): Flow[] =>
  captured(name)
    .replies.flatMap((hex) => [...messages(Buffer.from(hex, 'hex'))])
    .flatMap((message) => decodeFlow(message) ?? [])

const UDP = 17
const V4 = { source: '192.0.2.9', destination: '192.0.2.1', protocol: UDP, destinationPort: 53 }
const V6 = { source: 'fd00:2::9', destination: 'fd00:2::1', protocol: UDP, destinationPort: 53 }

/** The answers to a flow that nobody translated. */
const answering = ({ source, sourcePort, destination, destinationPort, protocol }: Flow['original']): Flow['original'] => ({
  source: destination,
  sourcePort: destinationPort,
  destination: source,
  destinationPort: sourcePort,
  protocol,
}) // prettier-ignore

const untranslated = { ...V4, sourcePort: 4000 }
const translated = { ...V4, sourcePort: 4001 }
const tcp = { ...V4, sourcePort: 4002, protocol: 6, destinationPort: 80 }
const inZone = { ...V4, sourcePort: 4003 }
const translatedV6 = { ...V6, sourcePort: 4000 }
const sctp = { ...V6, sourcePort: 4004, protocol: 132, destinationPort: 3868 }

const EXPECTED = [
  { family: IPV4, original: untranslated, reply: answering(untranslated), zone: 0 },
  {
    family: IPV4,
    original: translated,
    reply: { ...answering(translated), source: '10.1.0.5', sourcePort: 5353 },
    zone: 0,
  },
  { family: IPV4, original: tcp, reply: answering(tcp), zone: 0 },
  { family: IPV4, original: inZone, reply: answering(inZone), zone: 7 },
  {
    family: IPV6,
    original: translatedV6,
    reply: { ...answering(translatedV6), source: 'fd00:1::5', sourcePort: 5353 },
    zone: 0,
  },
  { family: IPV6, original: sctp, reply: answering(sctp), zone: 0 },
]

const order = (flows: readonly { readonly original: unknown }[]): string[] =>
  flows.map((flow) => JSON.stringify(flow)).sort()

t.test('flows of both families are read, and those without ports are not', async (t) => {
  const without = (flows: readonly Flow[]) =>
    flows.map(({ family, original, reply, zone }) => ({ family, original, reply, zone }))
  const keys = (flows: readonly { family: object; original: object; reply: object; zone: number }[]) =>
    order(flows.map(({ original, reply, zone, family }) => ({ family, zone, original: sorted(original), reply: sorted(reply) })))
  const sorted = (tuple: object) => Object.fromEntries(Object.entries(tuple).sort())
  t.strictSame(keys(without(flowsOf('list all'))), keys(EXPECTED))
  t.strictSame(keys(without(flowsOf('list IPv6'))), keys(EXPECTED.filter(({ family }) => family === IPV6)))
}) // prettier-ignore

t.test('a flow that was translated says so', async (t) => {
  const DST_NAT = 0x20
  for (const { original, status } of flowsOf('list all'))
    t.equal((status & DST_NAT) !== 0, original.sourcePort === 4001 || (original.destination === V6.destination && original.destinationPort === 53)) // prettier-ignore
})

/** What the kernel finds a flow by. */
const found: Normal = (attributes) =>
  attributes.filter(([type]) => type === FLOW_ATTR.ORIGINAL || type === FLOW_ATTR.ID || type === FLOW_ATTR.ZONE)
const whole: Normal = (attributes) => attributes
const ours = (request: Request, normal: Normal): Shape => shape(encode(request), normal)
const theirs = (hex: string | undefined, normal: Normal): Shape => shape(Buffer.from(hex ?? '', 'hex'), normal)
/** struct nlmsghdr and nfgenmsg are compared as well; a dump's flags are added by whoever talks. */
const DUMP = 0x300
const asDump = ({ flags, ...rest }: Shape): Shape => ({ ...rest, flags: flags & ~DUMP })

t.test('flows are asked for as conntrack does', async (t) => {
  const ROWS = { 'list IPv4': dumpFlows(IPV4), 'list IPv6': dumpFlows(IPV6) }
  for (const [name, request] of Object.entries(ROWS)) {
    const { command, requests } = captured(name)
    t.strictSame(ours(request, whole), asDump(theirs(requests[0], whole)), command)
  }
})

t.test('a flow is deleted as conntrack does, by what the kernel looks for it by', async (t) => {
  const ROWS = { 'delete a translated flow': 4001, 'delete a flow in a zone': 4003, 'delete an IPv6 flow': 4000 }
  for (const [name, sourcePort] of Object.entries(ROWS)) {
    const { command, requests } = captured(name)
    const flow = flowsOf(name).find(({ original }) => original.sourcePort === sourcePort && original.protocol === UDP)
    if (flow === undefined) throw new Error(`no flow for '${name}'`)
    const [id, rest] = [ours(deleteFlow(flow), found), theirs(requests.at(-1), found)]
    // conntrack leaves the ID out, and would delete a new flow in the place of one that has just ended.
    t.strictSame({ ...id, attributes: id.attributes.filter(([type]) => type !== FLOW_ATTR.ID) }, rest, command)
  }
})
