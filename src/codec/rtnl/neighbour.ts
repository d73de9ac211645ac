import { type Family, familyOfAf } from '../../base/family.js'
import { type Ip, parseIp } from '../../base/ip.js'
import { Attributes } from '../attr.js'
import { type Request } from '../request.js'
import { FLAG, type Writer } from '../wire.js'
import { AF, NDA, NTF, NUD, RTM } from './constants.js'
import { checkInteger, MAX_U32 } from './fields.js'
import { bytesToMac, macToBytes } from './mac.js'
import { buildRequest, checkPayload } from './request.js'

/** Neighbours (ARP and neighbour discovery) and forwarding entries of bridges and VXLANs: <linux/neighbour.h>. */

const NDMSG_BYTES = 12

/** What both have in common: struct ndmsg. */
interface Ndmsg {
  /** Index of the link. */
  readonly index: number
  /** NUD: bits. */
  readonly state: number
  /** NTF: bits. */
  readonly flags: number
}

/** A neighbour as the kernel has it. */
export interface Neighbour extends Ip, Ndmsg {
  /** Unknown while the state is incomplete or failed. */
  readonly mac?: string | undefined
  /** Who made it, RTPROT_*; 0 where nobody said. */
  readonly protocol: number
}

export interface NeighbourSpec extends Ip {
  readonly index: number
  readonly mac: string
  /** NUD: permanent unless given. */
  readonly state?: number | undefined
  /** NTF: none unless given. */
  readonly flags?: number | undefined
  /** RTPROT_*: who makes it. */
  readonly protocol?: number | undefined
}

/** A forwarding entry: behind which port, or at which tunnel end, a MAC address is. */
export interface FdbEntry extends Ndmsg {
  readonly mac: string
  /** VXLAN: address of the other end. */
  readonly destination?: string | undefined
  /** VXLAN: UDP port of the other end, where it is not the device's own. */
  readonly port?: number | undefined
  /** VXLAN: network identifier, where it is not the device's own. */
  readonly vni?: number | undefined
  readonly vlan?: number | undefined
  /** Index of the bridge. */
  readonly master?: number | undefined
}

export interface FdbSpec {
  readonly index: number
  readonly mac: string
  /** VXLAN: address of the other end. */
  readonly destination?: string | undefined
  /** NUD: permanent unless given. */
  readonly state?: number | undefined
  /** NTF: self (the device's own table, not that of its bridge) unless given. */
  readonly flags?: number | undefined
}

/** What happens where an entry is there already: refuse with EEXIST, put in its place, or stand beside it. */
export type Existing = 'refuse' | 'replace' | 'append'

const EXISTING_FLAG = { refuse: FLAG.EXCL, replace: FLAG.REPLACE, append: FLAG.APPEND } as const

function writeNdmsg(writer: Writer, af: number, { index, state, flags }: Ndmsg): void {
  writer
    .u8(af)
    .zeros(3)
    .u32(checkInteger(index, MAX_U32, 'index'))
    .u16(checkInteger(state, 0xffff, 'state'))
    .u8(checkInteger(flags, 0xff, 'flags'))
    .u8(0)
}

/** Adds a neighbour. */
export const addNeighbour = (spec: NeighbourSpec, options: { existing?: Exclude<Existing, 'append'> } = {}): Request =>
  buildRequest(
    {
      type: RTM.NEWNEIGH,
      flags: FLAG.CREATE | EXISTING_FLAG[options.existing ?? 'refuse'],
      operation: `add neighbour ${spec.address} (${spec.mac}) to link ${spec.index}`,
    },
    (writer) => {
      writeNdmsg(writer, spec.family.af, {
        index: spec.index,
        state: spec.state ?? NUD.PERMANENT,
        flags: spec.flags ?? 0,
      })
      if (spec.protocol !== undefined) writer.attrU8(NDA.PROTOCOL, checkInteger(spec.protocol, 0xff, 'protocol'))
      writer.attrIp(NDA.DST, spec.address).attrBytes(NDA.LLADDR, macToBytes(spec.mac))
    },
  )

/** Removes a neighbour; ENOENT where it is not there. */
export const deleteNeighbour = (spec: Ip & { readonly index: number; readonly flags?: number | undefined }): Request =>
  buildRequest(
    { type: RTM.DELNEIGH, flags: 0, operation: `delete neighbour ${spec.address} of link ${spec.index}` },
    (writer) => {
      writeNdmsg(writer, spec.family.af, { index: spec.index, state: NUD.PERMANENT, flags: spec.flags ?? 0 })
      writer.attrIp(NDA.DST, spec.address)
    },
  )

export interface NeighbourFilter {
  /** Index of a link. */
  readonly index?: number | undefined
}

/** Asks for all neighbours of a family, or of both. */
export const dumpNeighbours = (family?: Family, filter: NeighbourFilter = {}): Request =>
  buildRequest(
    {
      type: RTM.GETNEIGH,
      flags: 0,
      operation: family === undefined ? 'list neighbours' : `list ${family.name} neighbours`,
    },
    (writer) => {
      writeNdmsg(writer, family?.af ?? AF.UNSPEC, { index: 0, state: 0, flags: 0 })
      if (filter.index !== undefined) writer.attrU32(NDA.IFINDEX, filter.index)
    },
  )

/** Adds a forwarding entry. */
export const addFdb = (spec: FdbSpec, options: { existing?: Existing } = {}): Request =>
  buildRequest(
    {
      type: RTM.NEWNEIGH,
      flags: FLAG.CREATE | EXISTING_FLAG[options.existing ?? 'refuse'],
      operation: `add forwarding entry ${spec.mac} to link ${spec.index}`,
    },
    (writer) => writeFdb(writer, spec),
  )

/** Removes a forwarding entry; ENOENT where it is not there. */
export const deleteFdb = (spec: FdbSpec): Request =>
  buildRequest(
    { type: RTM.DELNEIGH, flags: 0, operation: `delete forwarding entry ${spec.mac} of link ${spec.index}` },
    (writer) => writeFdb(writer, spec),
  )

function writeFdb(writer: Writer, spec: FdbSpec): void {
  const state = spec.state ?? NUD.NOARP | NUD.PERMANENT
  writeNdmsg(writer, AF.BRIDGE, { index: spec.index, state, flags: spec.flags ?? NTF.SELF })
  writer.attrBytes(NDA.LLADDR, macToBytes(spec.mac))
  if (spec.destination !== undefined) writer.attrIp(NDA.DST, parseIp(spec.destination, 'destination').address)
}

/** Asks for the forwarding entries of all links, or of one on a socket with NETLINK_GET_STRICT_CHK. */
export const dumpFdb = (filter: NeighbourFilter = {}): Request =>
  buildRequest({ type: RTM.GETNEIGH, flags: 0, operation: 'list forwarding entries' }, (writer) =>
    writeNdmsg(writer, AF.BRIDGE, { index: filter.index ?? 0, state: 0, flags: 0 }),
  )

const readNdmsg = (payload: Buffer): Ndmsg => ({
  index: payload.readUInt32LE(4),
  state: payload.readUInt16LE(8),
  flags: payload.readUInt8(10),
})

/**
 * Reads the payload of RTM_NEWNEIGH or RTM_DELNEIGH; undefined for a family that is neither IPv4 nor IPv6.
 * @throws NetloomError `invalid` where it is malformed.
 */
export function decodeNeighbour(payload: Buffer): Neighbour | undefined {
  checkPayload(payload, 'ndmsg', NDMSG_BYTES)
  const family = familyOfAf(payload.readUInt8(0))
  if (family === undefined) return undefined
  const attributes = new Attributes(payload.subarray(NDMSG_BYTES))
  const address = attributes.ip(NDA.DST)
  if (address === undefined) return undefined
  return {
    ...readNdmsg(payload),
    family,
    address,
    mac: bytesToMac(attributes.bytes(NDA.LLADDR)),
    protocol: attributes.u8(NDA.PROTOCOL) ?? 0,
  }
}

/**
 * Reads the payload of RTM_NEWNEIGH or RTM_DELNEIGH of family AF_BRIDGE; undefined for other families.
 * @throws NetloomError `invalid` where it is malformed.
 */
export function decodeFdb(payload: Buffer): FdbEntry | undefined {
  checkPayload(payload, 'ndmsg', NDMSG_BYTES)
  if (payload.readUInt8(0) !== AF.BRIDGE) return undefined
  const attributes = new Attributes(payload.subarray(NDMSG_BYTES))
  const mac = bytesToMac(attributes.bytes(NDA.LLADDR))
  if (mac === undefined) return undefined
  return {
    ...readNdmsg(payload),
    mac,
    destination: attributes.ip(NDA.DST),
    port: attributes.be16(NDA.PORT),
    vni: attributes.u32(NDA.VNI),
    vlan: attributes.u16(NDA.VLAN),
    master: attributes.u32(NDA.MASTER),
  }
}
