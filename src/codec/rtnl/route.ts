import { invalid } from '../../base/errors.js'
import { type Family, familyOfAf, IPV4 } from '../../base/family.js'
import { bytesToIp, type Cidr, familyOf, formatCidr, type Ip, parseIp } from '../../base/ip.js'
import { Attributes } from '../attr.js'
import { type Request } from '../request.js'
import { FLAG, type Writer } from '../wire.js'
import { RT_SCOPE, RT_TABLE, RTA, RTAX, RTM, RTM_F, RTN, RTNH_F } from './constants.js'
import { checkInteger, type Fields, MAX_U32, readFields, U32, writeFields } from './fields.js'
import { buildRequest, checkPayload } from './request.js'

/** Routes: struct rtmsg and its attributes, <linux/rtnetlink.h>. */

const RTMSG_BYTES = 12
const RTNEXTHOP_BYTES = 8

/** RTA_METRICS, as far as netloom uses them. */
export interface RouteMetrics {
  /** Largest packet, in bytes. */
  readonly mtu?: number | undefined
  /** Largest TCP segment offered to the other end, in bytes. */
  readonly advmss?: number | undefined
}

const METRICS: Fields<RouteMetrics> = { mtu: [RTAX.MTU, U32], advmss: [RTAX.ADVMSS, U32] }

/** One of several next hops of a route. */
export interface NextHop {
  /** Index of the link. */
  readonly index: number
  /** Address of the router, of either family; none where the destination is on the link. */
  readonly gateway?: string | undefined
  /** Share of the flows, from 1. */
  readonly weight: number
  /** The gateway is taken to be on the link whatever the addresses say. */
  readonly onlink: boolean
  /** The kernel does not use it: the link is down. */
  readonly dead: boolean
}

/** A route as the kernel has it. */
export interface Route extends RouteMetrics {
  readonly family: Family
  /** The default route's is `everything` of its family. */
  readonly destination: Cidr
  /** The source network that it is for; IPv6 only. */
  readonly from?: Cidr | undefined
  /** Address of the router, of either family (RTA_GATEWAY or RTA_VIA). */
  readonly gateway?: string | undefined
  /** Index of the link that packets leave by. */
  readonly index?: number | undefined
  /** Source address that the node's own packets take (RTA_PREFSRC). */
  readonly source?: string | undefined
  readonly tos: number
  readonly table: number
  /** Who made it: RTPROT_*, or a number of a daemon's own. */
  readonly protocol: number
  /** RT_SCOPE; always universe for IPv6. */
  readonly scope: number
  /** RTN. */
  readonly type: number
  /** The lower wins; `metric` of `ip route`. IPv6 gives 1024 where none was asked for. */
  readonly priority?: number | undefined
  /** The gateway is taken to be on the link whatever the addresses say. */
  readonly onlink: boolean
  /** The kernel does not use it: the link is down. */
  readonly dead: boolean
  /** It is the answer of a look-up, or an exception made by one, and nothing that anyone configured. */
  readonly cloned: boolean
  /** It has next hops of its own (`nextHops`) or a next hop object: `gateway` and `index` do not tell where it leads. */
  readonly multipath: boolean
  /** Empty unless it was given several, also where it uses a next hop object. */
  readonly nextHops: readonly NextHop[]
  /** Identifier of the next hop object that it uses. */
  readonly nextHopId?: number | undefined
  /** It encapsulates (MPLS, SEG6, ...): LWTUNNEL_ENCAP_* of <linux/lwtunnel.h>. */
  readonly encapsulation?: number | undefined
}

export interface RouteSpec extends RouteMetrics {
  readonly destination: Cidr
  /** Of either family; an IPv4 route may lead through an IPv6 router (RTA_VIA). */
  readonly gateway?: string | undefined
  readonly index?: number | undefined
  readonly source?: string | undefined
  /** The main table unless given. */
  readonly table?: number | undefined
  readonly protocol: number
  /** As `ip route` chooses unless given: link for IPv4 without a gateway, host for local ones, else universe. */
  readonly scope?: number | undefined
  /** RTN: unicast unless given. */
  readonly type?: number | undefined
  readonly priority?: number | undefined
  readonly onlink?: boolean | undefined
}

/** IPv4 scopes of the types of routes; those not named have universe. */
const TYPE_SCOPE: Readonly<Record<number, number>> = {
  [RTN.LOCAL]: RT_SCOPE.HOST,
  [RTN.BROADCAST]: RT_SCOPE.LINK,
  [RTN.ANYCAST]: RT_SCOPE.LINK,
  [RTN.MULTICAST]: RT_SCOPE.LINK,
}

/** The scope that a route has where its maker names none. */
export function defaultScope({ destination, type = RTN.UNICAST, gateway }: RouteSpec): number {
  if (destination.family !== IPV4) return RT_SCOPE.UNIVERSE
  if (type === RTN.UNICAST) return gateway === undefined ? RT_SCOPE.LINK : RT_SCOPE.UNIVERSE
  return TYPE_SCOPE[type] ?? RT_SCOPE.UNIVERSE
}

interface Rtmsg {
  readonly family: Family
  readonly prefix?: number
  readonly fromPrefix?: number
  readonly table?: number
  readonly protocol?: number
  readonly scope?: number
  readonly type?: number
  readonly flags?: number
}

function writeRtmsg(writer: Writer, rtmsg: Rtmsg): void {
  const { family, prefix = 0, fromPrefix = 0, table = 0, protocol = 0, scope = 0, type = 0, flags = 0 } = rtmsg
  writer
    .u8(family.af)
    .u8(checkInteger(prefix, family.bits, 'prefix'))
    .u8(fromPrefix)
    .u8(0)
  writer.u8(table > 0xff ? RT_TABLE.UNSPEC : table) // larger numbers stand in RTA_TABLE alone
  writer.u8(checkInteger(protocol, 0xff, 'protocol'))
  writer
    .u8(checkInteger(scope, 0xff, 'scope'))
    .u8(checkInteger(type, 0xff, 'type'))
    .u32(flags)
}

function writeRoute(writer: Writer, spec: RouteSpec & { readonly scope: number; readonly type: number }): void {
  const { family, address, prefix } = spec.destination
  const { protocol, scope, type, table = RT_TABLE.MAIN, mtu, advmss } = spec
  checkInteger(table, MAX_U32, 'table')
  writeRtmsg(writer, { family, prefix, table, protocol, scope, type, flags: spec.onlink === true ? RTNH_F.ONLINK : 0 })
  if (prefix > 0) writer.attrIp(RTA.DST, address)
  if (spec.gateway !== undefined) writeGateway(writer, family, spec.gateway)
  if (table > 0xff) writer.attrU32(RTA.TABLE, table)
  if (spec.priority !== undefined) U32.write(writer, RTA.PRIORITY, spec.priority, 'priority')
  if (spec.source !== undefined) writer.attrIp(RTA.PREFSRC, ofFamily(family, spec.source, 'source'))
  if (spec.index !== undefined) U32.write(writer, RTA.OIF, spec.index, 'index')
  if (mtu === undefined && advmss === undefined) return
  const mark = writer.nest(RTA.METRICS)
  writeFields(writer, METRICS, { mtu, advmss })
  writer.end(mark)
}

function ofFamily(family: Family, address: string, field: string): string {
  if (familyOf(address) !== family) throw invalid(field, `'${address}' is no ${family.name} address`)
  return address
}

/** struct rtvia carries a gateway of another family than the route's: family u16 in host order, address. */
function writeGateway(writer: Writer, family: Family, gateway: string): void {
  const { family: gatewayFamily, address } = parseIp(gateway, 'gateway')
  if (gatewayFamily === family) {
    writer.attrIp(RTA.GATEWAY, address)
    return
  }
  const mark = writer.begin(RTA.VIA)
  writer.u16(gatewayFamily.af).ip(address).end(mark)
}

const routeText = ({ destination, gateway }: Pick<RouteSpec, 'destination' | 'gateway'>): string =>
  `${formatCidr(destination)}${gateway === undefined ? '' : ` via ${gateway}`}`

const newRoute = (spec: RouteSpec, flags: number, verb: string): Request =>
  buildRequest(
    { type: RTM.NEWROUTE, flags: FLAG.CREATE | flags, operation: `${verb} route ${routeText(spec)}` },
    (writer) =>
      writeRoute(writer, { ...spec, scope: spec.scope ?? defaultScope(spec), type: spec.type ?? RTN.UNICAST }),
  )

/** Makes a route; EEXIST where there is one to the destination with the same table and priority. */
export const addRoute = (spec: RouteSpec): Request => newRoute(spec, FLAG.EXCL, 'create')

/** Makes a route in the place of one to the destination with the same table and priority, whoever made that. */
export const replaceRoute = (spec: RouteSpec): Request => newRoute(spec, FLAG.REPLACE, 'replace')

/**
 * Deletes the route that has all that is given here; ESRCH where there is none. The protocol is compared as well, so
 * that another maker's route to the same destination stays.
 */
export const deleteRoute = (spec: RouteSpec): Request =>
  buildRequest({ type: RTM.DELROUTE, flags: 0, operation: `delete route ${routeText(spec)}` }, (writer) =>
    // Scope NOWHERE and type UNSPEC match any (fib_table_delete); IPv6 compares neither.
    writeRoute(writer, {
      ...spec,
      scope: spec.scope ?? (spec.destination.family === IPV4 ? RT_SCOPE.NOWHERE : RT_SCOPE.UNIVERSE),
      type: spec.type ?? RTN.UNSPEC,
    }),
  )

/** The kernel heeds these only on a socket with NETLINK_GET_STRICT_CHK; a table that is not there is ENOENT then. */
export interface RouteFilter {
  readonly table?: number | undefined
  readonly protocol?: number | undefined
}

/** Asks for all routes of a family. */
export const dumpRoutes = (family: Family, filter: RouteFilter = {}): Request =>
  buildRequest({ type: RTM.GETROUTE, flags: 0, operation: `list ${family.name} routes` }, (writer) => {
    const { table = RT_TABLE.UNSPEC, protocol = 0 } = filter
    writeRtmsg(writer, { family, table, protocol })
    if (table > 0xff) writer.attrU32(RTA.TABLE, table)
  })

/** A packet to find the way of. */
export interface RouteQuery {
  readonly destination: Ip
  /** Source address of the packet. */
  readonly source?: string | undefined
  /** Index of the link that it must leave by. */
  readonly index?: number | undefined
  /** Index of the link that it came in by; it is forwarded then, and `source` is needed. */
  readonly inputIndex?: number | undefined
  readonly mark?: number | undefined
  /** Answer with the route as configured instead of the destination's own (RTM_F_FIB_MATCH, since Linux 4.13). */
  readonly match?: boolean | undefined
}

const QUERY_NUMBERS: Fields<Pick<RouteQuery, 'inputIndex' | 'index' | 'mark'>> = {
  inputIndex: [RTA.IIF, U32],
  index: [RTA.OIF, U32],
  mark: [RTA.MARK, U32],
}

/** Asks which way a packet takes; the answer is one RTM_NEWROUTE. ENETUNREACH where there is none. */
export const getRoute = (query: RouteQuery): Request =>
  buildRequest({ type: RTM.GETROUTE, flags: 0, operation: `find route to ${query.destination.address}` }, (writer) => {
    const { family, address } = query.destination
    const { source, inputIndex, index, mark } = query
    // IPv6 answers the table anyway, and refuses the flag on a socket with NETLINK_GET_STRICT_CHK.
    const flags = (family === IPV4 ? RTM_F.LOOKUP_TABLE : 0) | (query.match === true ? RTM_F.FIB_MATCH : 0)
    const fromPrefix = source === undefined ? 0 : family.bits
    writeRtmsg(writer, { family, prefix: family.bits, fromPrefix, flags })
    writer.attrIp(RTA.DST, address)
    if (source !== undefined) writer.attrIp(RTA.SRC, ofFamily(family, source, 'source'))
    writeFields(writer, QUERY_NUMBERS, { inputIndex, index, mark })
  })

/**
 * Reads the payload of RTM_NEWROUTE or RTM_DELROUTE; undefined for a family that is neither IPv4 nor IPv6.
 * @throws NetloomError `invalid` where it is malformed.
 */
export function decodeRoute(payload: Buffer): Route | undefined {
  checkPayload(payload, 'rtmsg', RTMSG_BYTES)
  const family = familyOfAf(payload.readUInt8(0))
  if (family === undefined) return undefined
  const attributes = new Attributes(payload.subarray(RTMSG_BYTES))
  const flags = payload.readUInt32LE(8)
  const hops = attributes.bytes(RTA.MULTIPATH)
  const nextHops = hops === undefined ? [] : [...decodeNextHops(hops)]
  const nextHopId = attributes.u32(RTA.NH_ID)
  const metrics = attributes.nested(RTA.METRICS)
  return {
    family,
    destination: network(family, attributes.ip(RTA.DST), payload.readUInt8(1)),
    from: payload.readUInt8(2) === 0 ? undefined : network(family, attributes.ip(RTA.SRC), payload.readUInt8(2)),
    gateway: decodeGateway(attributes),
    index: attributes.u32(RTA.OIF),
    source: attributes.ip(RTA.PREFSRC),
    tos: payload.readUInt8(3),
    table: attributes.u32(RTA.TABLE) ?? payload.readUInt8(4),
    protocol: payload.readUInt8(5),
    scope: payload.readUInt8(6),
    type: payload.readUInt8(7),
    priority: attributes.u32(RTA.PRIORITY),
    onlink: (flags & RTNH_F.ONLINK) !== 0,
    dead: (flags & RTNH_F.DEAD) !== 0,
    cloned: (flags & RTM_F.CLONED) !== 0,
    multipath: nextHops.length > 0 || nextHopId !== undefined,
    nextHops,
    nextHopId,
    encapsulation: attributes.u16(RTA.ENCAP_TYPE),
    ...(metrics === undefined ? {} : readFields(metrics, METRICS)),
  }
}

const network = (family: Family, address: string | undefined, prefix: number): Cidr => ({
  family,
  address: address ?? bytesToIp(new Uint8Array(family.bytes)),
  prefix,
})

function decodeGateway(attributes: Attributes): string | undefined {
  return attributes.ip(RTA.GATEWAY) ?? decodeVia(attributes.bytes(RTA.VIA))
}

/** Families other than IPv4 and IPv6 give undefined: 18 or 6 bytes tell which it is. */
function decodeVia(via: Buffer | undefined): string | undefined {
  const family = via === undefined || via.length < 2 ? undefined : familyOfAf(via.readUInt16LE(0))
  if (via === undefined || family === undefined || via.length < 2 + family.bytes) return undefined
  return bytesToIp(via.subarray(2, 2 + family.bytes))
}

/** RTA_MULTIPATH: structs rtnexthop (length u16, flags u8, hops u8, index i32), each with attributes of its own. */
function* decodeNextHops(buffer: Buffer): Generator<NextHop> {
  for (let at = 0; at + RTNEXTHOP_BYTES <= buffer.length;) {
    const length = buffer.readUInt16LE(at)
    if (length < RTNEXTHOP_BYTES || at + length > buffer.length)
      throw invalid('', `rtnexthop of ${length} bytes at ${at} of ${buffer.length}`)
    const flags = buffer.readUInt8(at + 2)
    yield {
      index: buffer.readUInt32LE(at + 4),
      gateway: decodeGateway(new Attributes(buffer.subarray(at + RTNEXTHOP_BYTES, at + length))),
      weight: buffer.readUInt8(at + 3) + 1,
      onlink: (flags & RTNH_F.ONLINK) !== 0,
      dead: (flags & RTNH_F.DEAD) !== 0,
    }
    at += (length + 3) & ~3
  }
}
