import { invalid } from '../../base/errors.js'
import { Attributes } from '../attr.js'
import { type Request } from '../request.js'
import { FLAG, type Writer } from '../wire.js'
import {
  AF,
  IFF,
  IFLA,
  IFLA_INET,
  IFLA_INET6,
  IFLA_INFO,
  IPV4_DEVCONF,
  RTEXT_FILTER,
  RTM,
  VETH_INFO,
} from './constants.js'
import { checkInteger, type Fields, LINK_NAME, MAC, TEXT, U32, U8, writeFields } from './fields.js'
import {
  type BridgeOptions,
  type BridgePort,
  readBridge,
  readBridgePort,
  readVxlan,
  type VxlanOptions,
  writeBridge,
  writeBridgePort,
  writeVxlan,
} from './link-kind.js'
import { bytesToMac } from './mac.js'
import { buildRequest, checkPayload } from './request.js'

/** Links: struct ifinfomsg and its attributes, <linux/if_link.h>. */

export type { BridgeOptions, BridgePort, VxlanOptions } from './link-kind.js'

const IFINFOMSG_BYTES = 16
/** ifi_index is an i32. */
const MAX_INDEX = 0x7fff_ffff

/** A link as the kernel has it. */
export interface Link {
  readonly index: number
  readonly name: string
  /** `veth`, `bridge`, `vxlan`, ...; none for physical links and loopback. */
  readonly kind?: string | undefined
  /** Somebody wants it up. */
  readonly up: boolean
  /** It is up and has a carrier. */
  readonly running: boolean
  readonly loopback: boolean
  /** In bytes. */
  readonly mtu: number
  /** Link-layer address: `aa:bb:cc:dd:ee:ff`. */
  readonly mac?: string | undefined
  /** Index of the bridge, bond or VRF that it is a port of. */
  readonly master?: number | undefined
  /** Link group; 0 is the default one. */
  readonly group: number
  /** IFLA_LINK: index of a veth's other end, or of the link that a VLAN or macvlan is on. */
  readonly peerIndex?: number | undefined
  /** Identifier of the namespace that `peerIndex` counts in, where that is another one. */
  readonly netnsId?: number | undefined
  readonly alias?: string | undefined
  /** Of a bridge's port. */
  readonly port?: BridgePort | undefined
  /** Of a bridge. */
  readonly bridge?: BridgeOptions | undefined
  /** Of a VXLAN device. */
  readonly vxlan?: VxlanOptions | undefined
}

/** What every new link may be given. The kernel ignores an alias or an address mode then: see {@link setLink}. */
export interface NewLink {
  readonly name: string
  readonly mac?: string | undefined
  /** In bytes. */
  readonly mtu?: number | undefined
  readonly group?: number | undefined
  readonly numTxQueues?: number | undefined
  readonly numRxQueues?: number | undefined
  /** Open file descriptor of the namespace that it is made in. */
  readonly netnsFd?: number | undefined
  readonly up?: boolean | undefined
}

/** The other end of a veth. It cannot be up at once: its driver refuses with ENOTCONN before both ends exist. */
export type VethPeer = Omit<NewLink, 'up'>

/** What a link is to be, by its kind. */
export type LinkKind =
  | { readonly kind: 'dummy' }
  /** Hands what it is given back to where it came from; a place for a queue that packets pass as they come in. */
  | { readonly kind: 'ifb' }
  | { readonly kind: 'bridge'; readonly bridge?: BridgeOptions | undefined }
  | { readonly kind: 'veth'; readonly peer: VethPeer }
  | { readonly kind: 'vxlan'; readonly vxlan: VxlanOptions }

export type LinkSpec = NewLink &
  LinkKind & {
    /** Index of the bridge that it becomes a port of; flags of the port need {@link setBridgePort} afterwards. */
    readonly master?: number | undefined
  }

/** An existing link, by its index or its name. */
export type LinkTarget = { readonly index: number } | { readonly name: string }

/** What is to change; what is not given stays. */
export interface LinkChanges {
  readonly up?: boolean | undefined
  readonly mtu?: number | undefined
  readonly mac?: string | undefined
  /** Index of the bridge that it becomes a port of; 0 takes it out of the one that it is in. */
  readonly master?: number | undefined
  readonly group?: number | undefined
  /** New name; the link must be given by its index, and be down before Linux 6.2. */
  readonly name?: string | undefined
  /** Open file descriptor of the namespace that it moves to. It is down there, and its addresses are gone. */
  readonly netnsFd?: number | undefined
  /** Text for people; an empty one takes it away. */
  readonly alias?: string | undefined
  /** ADDR_GEN_MODE: how link-local IPv6 addresses are made. The kernel sets `up` first, if both are in one request. */
  readonly addrGenMode?: number | undefined
  /** It announces its IPv4 addresses when it comes up: sysctl `arp_notify`. The same goes for its order. */
  readonly arpNotify?: boolean | undefined
}

type LinkAttributes = Omit<NewLink, 'name' | 'up'> & Pick<LinkChanges, 'name' | 'master' | 'alias'>

const LINK: Fields<LinkAttributes> = {
  mac: [IFLA.ADDRESS, MAC],
  mtu: [IFLA.MTU, U32],
  master: [IFLA.MASTER, U32],
  group: [IFLA.GROUP, U32],
  numTxQueues: [IFLA.NUM_TX_QUEUES, U32],
  numRxQueues: [IFLA.NUM_RX_QUEUES, U32],
  netnsFd: [IFLA.NET_NS_FD, U32],
  alias: [IFLA.IFALIAS, TEXT],
  name: [IFLA.IFNAME, LINK_NAME],
}

function writeIfinfomsg(writer: Writer, index: number, up?: boolean): void {
  const change = up === undefined ? 0 : IFF.UP
  writer
    .u8(AF.UNSPEC)
    .zeros(3)
    .u32(index)
    .u32(up === true ? IFF.UP : 0)
    .u32(change)
}

function nest(writer: Writer, type: number, write: (writer: Writer) => void): void {
  const mark = writer.nest(type)
  write(writer)
  writer.end(mark)
}

const writeKind = (writer: Writer, type: number, kind: string): Writer => writer.attrBytes(type, Buffer.from(kind))

/** The peer is a message within the message: an ifinfomsg of its own, then attributes. */
function writePeer(writer: Writer, peer: VethPeer): void {
  const mark = writer.begin(VETH_INFO.PEER)
  writeIfinfomsg(writer, 0)
  writeFields(writer, LINK, peer)
  writer.end(mark)
}

/** What stands in IFLA_INFO_DATA; undefined where there is nothing to say. */
function kindData(spec: LinkKind): ((writer: Writer) => void) | undefined {
  switch (spec.kind) {
    case 'dummy':
    case 'ifb':
      return undefined
    case 'bridge': {
      const { bridge } = spec
      return bridge === undefined ? undefined : (writer) => writeBridge(writer, bridge)
    }
    case 'veth':
      return (writer) => writePeer(writer, spec.peer)
    case 'vxlan':
      return (writer) => writeVxlan(writer, spec.vxlan)
  }
}

/**
 * Makes a link; EEXIST where the name is taken. One request makes both ends of a veth, each in
 * its namespace.
 * `echo` asks the kernel to answer with the new link as RTM_NEWLINK, besides its acknowledgement. The answer has the
 * index, but not the master yet: that is set afterwards. Before Linux 6.2 there is none, and the link is to be got by
 * its name.
 */
export const addLink = (spec: LinkSpec, options: { echo?: boolean } = {}): Request =>
  buildRequest(
    {
      type: RTM.NEWLINK,
      flags: FLAG.CREATE | FLAG.EXCL | (options.echo === true ? FLAG.ECHO : 0),
      operation: `create link ${spec.name}`,
    },
    (writer) => {
      writeIfinfomsg(writer, 0, spec.up)
      writeFields(writer, LINK, spec)
      nest(writer, IFLA.LINKINFO, () => {
        writeKind(writer, IFLA_INFO.KIND, spec.kind)
        const data = kindData(spec)
        if (data !== undefined) nest(writer, IFLA_INFO.DATA, data)
      })
    },
  )

const targetText = (target: LinkTarget): string => ('index' in target ? `${target.index}` : target.name)

/** @throws NetloomError `invalid`: index 0 means all links or none, depending on the message. */
function targetIndex(target: LinkTarget): number {
  if (!('index' in target)) return 0
  if (target.index === 0) throw invalid('index', '0 is no link')
  return checkInteger(target.index, MAX_INDEX, 'index')
}

function writeName(writer: Writer, target: LinkTarget): void {
  if ('name' in target) LINK_NAME.write(writer, IFLA.IFNAME, target.name, 'name')
}

function writeTarget(writer: Writer, target: LinkTarget, up?: boolean): void {
  writeIfinfomsg(writer, targetIndex(target), up)
  writeName(writer, target)
}

/** Changes a link; ENODEV where it is not there. */
export function setLink(target: LinkTarget, changes: LinkChanges): Request {
  if ('name' in target && changes.name !== undefined)
    throw invalid('name', 'a link that is to be renamed must be given by its index')
  return buildRequest({ type: RTM.NEWLINK, flags: 0, operation: `change link ${targetText(target)}` }, (writer) => {
    writeTarget(writer, target, changes.up)
    writeFields(writer, LINK, changes)
    if (changes.addrGenMode !== undefined || changes.arpNotify !== undefined) writeFamilies(writer, changes)
  })
}

/** IFLA_AF_SPEC holds one nest per address family, and that the settings of the family. */
function writeFamilies(writer: Writer, { addrGenMode, arpNotify }: LinkChanges): void {
  nest(writer, IFLA.AF_SPEC, () => {
    if (arpNotify !== undefined)
      nest(writer, AF.INET, () =>
        nest(writer, IFLA_INET.CONF, () => U32.write(writer, IPV4_DEVCONF.ARP_NOTIFY, Number(arpNotify), 'arpNotify')),
      )
    if (addrGenMode !== undefined)
      nest(writer, AF.INET6, () => U8.write(writer, IFLA_INET6.ADDR_GEN_MODE, addrGenMode, 'addrGenMode'))
  })
}

/**
 * Changes flags of a link that is a bridge's port already. iproute2 says `bridge_slave` in IFLA_INFO_KIND; the kernel
 * goes by the link's master alone, and for a kind that it does not know it would look for a module to load.
 */
export const setBridgePort = (target: LinkTarget, port: BridgePort): Request =>
  buildRequest({ type: RTM.NEWLINK, flags: 0, operation: `change bridge port ${targetText(target)}` }, (writer) => {
    writeTarget(writer, target)
    nest(writer, IFLA.LINKINFO, () => {
      writeKind(writer, IFLA_INFO.SLAVE_KIND, 'bridge')
      nest(writer, IFLA_INFO.SLAVE_DATA, () => writeBridgePort(writer, port))
    })
  })

/** Changes settings of a bridge. */
export const setBridge = (target: LinkTarget, bridge: BridgeOptions): Request =>
  buildRequest({ type: RTM.NEWLINK, flags: 0, operation: `change bridge ${targetText(target)}` }, (writer) => {
    writeTarget(writer, target)
    nest(writer, IFLA.LINKINFO, () => {
      writeKind(writer, IFLA_INFO.KIND, 'bridge')
      nest(writer, IFLA_INFO.DATA, () => writeBridge(writer, bridge))
    })
  })

/** What of a VXLAN device can change while it stands (vxlan_changelink): EOPNOTSUPP for all else. */
export type VxlanChanges = Pick<VxlanOptions, 'id' | 'local' | 'learning'>

/** Changes settings of a VXLAN device; `id` says which network it is and cannot change. */
export const setVxlan = (target: LinkTarget, vxlan: VxlanChanges): Request =>
  buildRequest({ type: RTM.NEWLINK, flags: 0, operation: `change vxlan ${targetText(target)}` }, (writer) => {
    writeTarget(writer, target)
    nest(writer, IFLA.LINKINFO, () => {
      writeKind(writer, IFLA_INFO.KIND, 'vxlan')
      nest(writer, IFLA_INFO.DATA, () => writeVxlan(writer, vxlan))
    })
  })

/** Deletes a link, a veth with its other end; ENODEV where it is not there. */
export const deleteLink = (target: LinkTarget): Request =>
  buildRequest({ type: RTM.DELLINK, flags: 0, operation: `delete link ${targetText(target)}` }, (writer) =>
    writeTarget(writer, target),
  )

/** Deletes all links of a group at once, which spares the kernel waiting for each; ENODEV where there are none. */
export const deleteLinkGroup = (group: number): Request =>
  buildRequest({ type: RTM.DELLINK, flags: 0, operation: `delete links of group ${group}` }, (writer) => {
    if (group === 0) throw invalid('group', '0 is the group of all other links')
    writeIfinfomsg(writer, 0)
    U32.write(writer, IFLA.GROUP, group, 'group')
  })

/** Statistics are most of what the kernel says about a link, and nothing here reads them. */
const writeExtMask = (writer: Writer): Writer => writer.attrU32(IFLA.EXT_MASK, RTEXT_FILTER.SKIP_STATS)

/** Asks for one link; the answer is RTM_NEWLINK, or ENODEV. */
export const getLink = (target: LinkTarget): Request =>
  buildRequest({ type: RTM.GETLINK, flags: 0, operation: `find link ${targetText(target)}` }, (writer) => {
    writeIfinfomsg(writer, targetIndex(target))
    writeExtMask(writer)
    writeName(writer, target)
  })

export interface LinkFilter {
  /** Index of a bridge: only its ports. */
  readonly master?: number | undefined
  /** Only links of this kind. */
  readonly kind?: string | undefined
}

/** Asks for all links, or those that pass the filter. */
export const dumpLinks = ({ master, kind }: LinkFilter = {}): Request =>
  buildRequest({ type: RTM.GETLINK, flags: 0, operation: 'list links' }, (writer) => {
    writeIfinfomsg(writer, 0)
    writeExtMask(writer)
    if (master !== undefined) U32.write(writer, IFLA.MASTER, master, 'master')
    if (kind !== undefined) nest(writer, IFLA.LINKINFO, () => writeKind(writer, IFLA_INFO.KIND, kind))
  })

/**
 * Reads the payload of RTM_NEWLINK or RTM_DELLINK. Undefined for a message that is about one family's view of the
 * link only: RTM_DELLINK of AF_BRIDGE says that it left a bridge, not that it is gone ({@link decodePortChange}).
 * @throws NetloomError `invalid` where it is malformed.
 */
export function decodeLink(payload: Buffer): Link | undefined {
  checkPayload(payload, 'ifinfomsg', IFINFOMSG_BYTES)
  if (payload.readUInt8(0) !== AF.UNSPEC) return undefined
  const attributes = new Attributes(payload.subarray(IFINFOMSG_BYTES))
  const flags = payload.readUInt32LE(8)
  return {
    index: payload.readUInt32LE(4),
    name: attributes.string(IFLA.IFNAME) ?? '',
    up: (flags & IFF.UP) !== 0,
    running: (flags & IFF.RUNNING) !== 0,
    loopback: (flags & IFF.LOOPBACK) !== 0,
    mtu: attributes.u32(IFLA.MTU) ?? 0,
    mac: bytesToMac(attributes.bytes(IFLA.ADDRESS)),
    master: attributes.u32(IFLA.MASTER),
    group: attributes.u32(IFLA.GROUP) ?? 0,
    peerIndex: attributes.u32(IFLA.LINK),
    netnsId: attributes.u32(IFLA.LINK_NETNSID),
    alias: attributes.string(IFLA.IFALIAS),
    ...readLinkInfo(attributes.nested(IFLA.LINKINFO)),
  }
}

function readLinkInfo(info: Attributes | undefined): Pick<Link, 'kind' | 'port' | 'bridge' | 'vxlan'> {
  const kind = info?.string(IFLA_INFO.KIND)
  const data = info?.nested(IFLA_INFO.DATA)
  const slaveData = info?.string(IFLA_INFO.SLAVE_KIND) === 'bridge' ? info.nested(IFLA_INFO.SLAVE_DATA) : undefined
  return {
    kind,
    port: slaveData === undefined ? undefined : readBridgePort(slaveData),
    bridge: data !== undefined && kind === 'bridge' ? readBridge(data) : undefined,
    vxlan: data !== undefined && kind === 'vxlan' ? readVxlan(data) : undefined,
  }
}

/** A link's membership in a bridge. */
export interface PortChange {
  readonly index: number
  /** Index of the bridge. */
  readonly master: number
  /** Not told of a link that left. */
  readonly port?: BridgePort | undefined
}

/**
 * Reads the payload of RTM_NEWLINK or RTM_DELLINK of family AF_BRIDGE, which RTNLGRP_LINK carries too: the link became
 * a port of the bridge or its flags changed; or, for RTM_DELLINK, it left the bridge. Undefined for other messages.
 * @throws NetloomError `invalid` where it is malformed.
 */
export function decodePortChange(payload: Buffer): PortChange | undefined {
  checkPayload(payload, 'ifinfomsg', IFINFOMSG_BYTES)
  if (payload.readUInt8(0) !== AF.BRIDGE) return undefined
  const attributes = new Attributes(payload.subarray(IFINFOMSG_BYTES))
  const master = attributes.u32(IFLA.MASTER)
  const port = attributes.nested(IFLA.PROTINFO)
  if (master === undefined) return undefined
  return { index: payload.readUInt32LE(4), master, port: port === undefined ? undefined : readBridgePort(port) }
}
