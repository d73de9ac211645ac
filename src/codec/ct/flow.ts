import { type Family, familyOfAf } from '../../base/family.js'
import { type Attributes } from '../attr.js'
import { readAttributes, writeGenericHeader } from '../nft/table.js'
import { type Request } from '../request.js'
import { type Message, type Writer } from '../wire.js'
import { FILTER_ATTR, FILTER_PART, FLOW_ATTR, IP_ATTR, MESSAGE, PROTOCOL_ATTR, TUPLE_ATTR } from './constants.js'

/** Flows that conntrack follows. */

/** The packets of one direction. */
export interface Tuple {
  readonly source: string
  readonly destination: string
  /** IPPROTO_* of <netinet/in.h>. */
  readonly protocol: number
  readonly sourcePort: number
  readonly destinationPort: number
}

export interface Flow {
  readonly family: Family
  /** As its first packet was, before any translation. */
  readonly original: Tuple
  /** As the answers are: from where the flow was translated to. */
  readonly reply: Tuple
  /** Bits of enum ip_conntrack_status of <linux/netfilter/nf_conntrack_common.h>. */
  readonly status: number
  /** Tells it from a later flow with the same addresses and ports. */
  readonly id: number
  /** Flows of different zones may be alike; 0 unless somebody made zones. */
  readonly zone: number
}

export interface FlowFilter {
  readonly protocol: number
  /** Of the first packet. */
  readonly destinationPort?: number | undefined
}

/**
 * Asks for the flows of a family. The kernel itself leaves out those of others; by protocol and port it does so since
 * 5.8 (and for one family only), and before it answers with all: who asks has to look again.
 */
export const dumpFlows = (family: Family, filter?: FlowFilter): Request => ({
  type: MESSAGE.GET,
  flags: 0,
  operation: `list ${family.name} flows`,
  body: (writer) => {
    writeGenericHeader(writer, family.af)
    if (filter !== undefined) writeFilter(writer, filter)
  },
})

function writeFilter(writer: Writer, { protocol, destinationPort }: FlowFilter): void {
  const tuple = writer.nest(FLOW_ATTR.ORIGINAL)
  const part = writer.nest(TUPLE_ATTR.PROTOCOL)
  writer.attrU8(PROTOCOL_ATTR.NUMBER, protocol)
  if (destinationPort !== undefined) writer.attrBe16(PROTOCOL_ATTR.DESTINATION_PORT, destinationPort)
  writer.end(part).end(tuple)
  const filter = writer.nest(FLOW_ATTR.FILTER)
  // In host order, unlike everything else here.
  writer
    .attrU32(
      FILTER_ATTR.ORIGINAL,
      FILTER_PART.PROTOCOL | (destinationPort === undefined ? 0 : FILTER_PART.DESTINATION_PORT),
    )
    .attrU32(FILTER_ATTR.REPLY, 0)
    .end(filter)
}

/** Deletes this flow and no other; an error where it is gone. */
export const deleteFlow = ({ family, original, id, zone }: Flow): Request => ({
  type: MESSAGE.DELETE,
  flags: 0,
  operation: `delete ${family.name} flow ${tupleText(original)}`,
  body: (writer) => {
    writeGenericHeader(writer, family.af)
    writeTuple(writer, family, original)
    writer.attrBe32(FLOW_ATTR.ID, id)
    if (zone !== 0) writer.attrBe16(FLOW_ATTR.ZONE, zone)
  },
})

const tupleText = ({ source, sourcePort, destination, destinationPort, protocol }: Tuple): string =>
  `${source} ${sourcePort} to ${destination} ${destinationPort} of protocol ${protocol}`

function writeTuple(writer: Writer, family: Family, tuple: Tuple): void {
  const mark = writer.nest(FLOW_ATTR.ORIGINAL)
  const addresses = writer.nest(TUPLE_ATTR.IP)
  writer
    .attrIp(IP_ATTR[family.name].source, tuple.source)
    .attrIp(IP_ATTR[family.name].destination, tuple.destination)
    .end(addresses)
  const protocol = writer.nest(TUPLE_ATTR.PROTOCOL)
  writer
    .attrU8(PROTOCOL_ATTR.NUMBER, tuple.protocol)
    .attrBe16(PROTOCOL_ATTR.SOURCE_PORT, tuple.sourcePort)
    .attrBe16(PROTOCOL_ATTR.DESTINATION_PORT, tuple.destinationPort)
    .end(protocol)
    .end(mark)
}

/** The flow of a message; undefined for one without ports, as of ICMP, or of a family that is not IP. */
export function decodeFlow(message: Message): Flow | undefined {
  const family = familyOfAf(message.payload[0] ?? 0)
  if (message.type !== MESSAGE.NEW || family === undefined) return undefined
  const attributes = readAttributes(message)
  const original = readTuple(family, attributes.nested(FLOW_ATTR.ORIGINAL))
  const reply = readTuple(family, attributes.nested(FLOW_ATTR.REPLY))
  if (original === undefined || reply === undefined) return undefined
  return {
    family,
    original,
    reply,
    status: attributes.be32(FLOW_ATTR.STATUS) ?? 0,
    id: attributes.be32(FLOW_ATTR.ID) ?? 0,
    zone: attributes.be16(FLOW_ATTR.ZONE) ?? 0,
  }
}

function readTuple(family: Family, tuple: Attributes | undefined): Tuple | undefined {
  const addresses = tuple?.nested(TUPLE_ATTR.IP)
  const parts = tuple?.nested(TUPLE_ATTR.PROTOCOL)
  const source = addresses?.ip(IP_ATTR[family.name].source)
  const destination = addresses?.ip(IP_ATTR[family.name].destination)
  const protocol = parts?.u8(PROTOCOL_ATTR.NUMBER)
  const sourcePort = parts?.be16(PROTOCOL_ATTR.SOURCE_PORT)
  const destinationPort = parts?.be16(PROTOCOL_ATTR.DESTINATION_PORT)
  if (source === undefined || destination === undefined || protocol === undefined) return undefined
  if (sourcePort === undefined || destinationPort === undefined) return undefined
  return { source, destination, protocol, sourcePort, destinationPort }
}
