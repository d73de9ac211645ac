import { createHash } from 'node:crypto'
import { IFB_PREFIX, VETH_PREFIX } from '../base/names.js'
import { formatCidr, ipToBytes, parseCidr, parseIp } from '../base/ip.js'
import { Cursor } from './cursor.js'
import { type PortMapping, readPortMapping } from './portmapping.js'
import { type Bandwidth, readBandwidth } from './bandwidth.js'

/**
 * How an interface is attached: as an isolated port of the node's bridge; point to point, without a bridge; or made by
 * another plugin, and only looked after by us.
 */
export const MODES = ['bridge', 'ptp', 'chained'] as const
export type Mode = (typeof MODES)[number]

/**
 * Which containers of this node may open connections to one of a network: those of the same network, or none. Whoever
 * may be reached by all has no policy.
 */
export const INGRESS_POLICIES = ['same-network', 'isolated'] as const
export type IngressPolicy = (typeof INGRESS_POLICIES)[number]

export interface LeasedAddress {
  /** Canonical. */
  readonly address: string
  /** Length of the network's prefix that the address is from; the interface itself gets the address alone. */
  readonly prefix: number
  /** What the container sends everything through; none where another plugin made the interface and did not tell. */
  readonly gateway?: string
}

/** A route in the container, by its interface. */
export interface LeasedRoute {
  /** ADDRESS/PREFIX, canonical. */
  readonly destination: string
  /** Without one the destination is on the link. */
  readonly gateway?: string
  /** Bytes. */
  readonly mtu?: number
  /** Bytes. */
  readonly advmss?: number
  /** The lower wins. */
  readonly priority?: number
  /** The main one unless given. */
  readonly table?: number
  /** RT_SCOPE_* of <linux/rtnetlink.h>. */
  readonly scope?: number
}

/** What an attachment holds: its addresses and the links that lead to it; all that is needed to make it again. */
export interface Lease {
  /** Name of the CNI network. */
  readonly network: string
  readonly containerId: string
  /** The interface in the container. */
  readonly ifname: string
  /** Path of the container's network namespace, as the runtime gave it. */
  readonly netns: string
  /** The first one decides about the MAC address where nobody asked for one. */
  readonly addresses: readonly LeasedAddress[]
  readonly mode: Mode
  /** The node's end of the veth pair. */
  readonly hostInterface: string
  /** Of the interface in the container. */
  readonly mac: string
  /** Of the interface, in bytes; 0 where another plugin made it and did not tell. */
  readonly mtu: number
  /** In the order in which they are made: the gateways first, through which the others lead. */
  readonly routes: readonly LeasedRoute[]
  /** What it sends to other networks takes the node's address, whatever network its own address is from. */
  readonly masquerade: boolean
  /** The container sends with these addresses or not at all. */
  readonly spoofCheck: boolean
  readonly ingressPolicy?: IngressPolicy
  readonly ports: readonly PortMapping[]
  readonly bandwidth?: Bandwidth
  /** Other names that the container goes by in this network. */
  readonly aliases: readonly string[]
  /** The plugin that gave the addresses, where it was not us (`ipam.type`). */
  readonly ipam?: string
  /** Namespace and name of the pod, where the runtime told them. */
  readonly pod?: string
}

export type Attachment = Pick<Lease, 'network' | 'containerId' | 'ifname'>

/** What identifies an attachment (CNI specification, "Section 2": network name, container ID and interface name). */
export const leaseKey = ({ network, containerId, ifname }: Attachment): string => `${network} ${containerId} ${ifname}`

/** For people: the pod where it is known, else the container. */
export const ownerText = ({ pod, containerId }: Pick<Lease, 'pod' | 'containerId'>): string =>
  pod === undefined ? `container ${containerId}` : `pod ${pod}`

const fingerprint = (attachment: Attachment): string =>
  createHash('sha256').update(leaseKey(attachment)).digest('hex').slice(0, 11)

/** Always the same for an attachment, so that a link left by a crash is found again. */
export const hostInterfaceOf = (attachment: Attachment): string => VETH_PREFIX + fingerprint(attachment)

/** The IFB device that what the container sends goes through where it is limited. */
export const ifbOf = (attachment: Attachment): string => IFB_PREFIX + fingerprint(attachment)

/**
 * The MAC address that belongs to an address: locally administered, and for IPv4 with the address in it. Whoever gets
 * an address anew has the MAC address that the neighbours remember.
 */
export function macOf(address: string): string {
  const bytes = ipToBytes(address)
  const last = bytes.length === 4 ? bytes : createHash('sha256').update(bytes).digest().subarray(0, 4)
  // 0a: locally administered, unicast; the second byte keeps the families apart.
  const hex = Buffer.of(0x0a, bytes.length === 4 ? 0x58 : 0x59, ...last).toString('hex')
  return hex.replace(/..(?=.)/g, '$&:')
}

/**
 * A lease from data of unknown origin.
 * @throws NetloomError `invalid`, naming the field.
 */
export function parseLease(value: unknown): Lease {
  const root = new Cursor({ lease: value }).field('lease')
  if (root.absent) throw root.error('is missing')
  const text = (name: string): string => root.field(name).string()
  return {
    network: text('network'),
    containerId: text('containerId'),
    ifname: text('ifname'),
    netns: text('netns'),
    addresses: readList(root.field('addresses'), readLeasedAddress),
    mode: root.field('mode').oneOf(MODES),
    hostInterface: text('hostInterface'),
    mac: readMac(root.field('mac')),
    mtu: root.field('mtu').integer(0, 0xffff),
    routes: readList(root.field('routes'), readLeasedRoute),
    masquerade: root.field('masquerade').boolean(),
    spoofCheck: root.field('spoofCheck').boolean(),
    ports: readList(root.field('ports'), readPortMapping),
    aliases: readList(root.field('aliases'), (place) => place.string()),
    ...optional(
      'ingressPolicy',
      root.field('ingressPolicy').optional((place) => place.oneOf(INGRESS_POLICIES)),
    ),
    ...optional('bandwidth', root.field('bandwidth').optional(readBandwidth)),
    ...optional(
      'ipam',
      root.field('ipam').optional((place) => place.string()),
    ),
    ...optional(
      'pod',
      root.field('pod').optional((place) => place.string()),
    ),
  }
}

function readList<T>(place: Cursor, read: (place: Cursor) => T): readonly T[] {
  if (place.absent) throw place.error('is missing')
  return place.list(read)
}

const optional = <K extends string, T>(name: K, value: T | undefined): { [P in K]?: T } =>
  value === undefined ? {} : ({ [name]: value } as { [P in K]?: T })

/** A MAC address that a link can have: neither a group's nor none at all. In small letters. */
export function readMac(place: Cursor): string {
  const text = place.string().toLowerCase().replaceAll('-', ':')
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text)) throw place.error(`${place.quoted} is not a MAC address`)
  if (Number.parseInt(text.slice(0, 2), 16) & 1) throw place.error(`${place.quoted} is the address of a group`)
  if (/^[0:]+$/.test(text)) throw place.error(`${place.quoted} is nobody's address`)
  return text
}

function readLeasedRoute(place: Cursor): LeasedRoute {
  const number = (name: string): number | undefined =>
    place.field(name).optional((field) => field.integer(0, 0xffff_ffff))
  return {
    destination: formatCidr(place.field('destination').address(parseCidr)),
    ...optional(
      'gateway',
      place.field('gateway').optional((field) => field.address(parseIp).address),
    ),
    ...optional('mtu', number('mtu')),
    ...optional('advmss', number('advmss')),
    ...optional('priority', number('priority')),
    ...optional('table', number('table')),
    ...optional('scope', number('scope')),
  }
}

function readLeasedAddress(place: Cursor): LeasedAddress {
  const address = place.field('address').address(parseIp)
  const gateway = place.field('gateway').optional((field) => field.address(parseIp).address)
  return {
    address: address.address,
    prefix: place.field('prefix').integer(0, address.family.bits),
    ...optional('gateway', gateway),
  }
}
