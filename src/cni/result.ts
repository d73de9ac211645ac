import { IPV4 } from '../base/family.js'
import { type Cidr, familyOf, formatCidr, type IpPrefix, parseCidr, parseIp, parseIpPrefix } from '../base/ip.js'
import { Cursor } from '../model/cursor.js'
import { atLeast, type CniVersion } from './version.js'

/**
 * The result of an ADD (CNI specification, "ADD Success"), in no version's shape: what `prevResult` and other plugins
 * tell is read into it, and what netloom answers is written from it.
 */
export interface CniResult {
  readonly interfaces: readonly ResultInterface[]
  readonly ips: readonly ResultIp[]
  readonly routes: readonly ResultRoute[]
  readonly dns: Dns
}

export interface ResultInterface {
  readonly name: string
  readonly mac?: string
  readonly mtu?: number
  /** Path of the network namespace, or whatever else names the container's side; none on the node. */
  readonly sandbox?: string
  /** Of an interface that is a socket (vhost-user). */
  readonly socketPath?: string
  readonly pciID?: string
}

export interface ResultIp {
  readonly address: IpPrefix
  readonly gateway?: string
  /** Index into `interfaces`; IPAM plugins know none. */
  readonly interface?: number
}

export interface ResultRoute {
  readonly destination: Cidr
  /** Where absent, the gateway of the address of the same family. */
  readonly gateway?: string
  readonly mtu?: number
  readonly advmss?: number
  readonly priority?: number
  readonly table?: number
  readonly scope?: number
}

export interface Dns {
  readonly nameservers?: readonly string[]
  readonly domain?: string
  readonly search?: readonly string[]
  readonly options?: readonly string[]
}

/** An unsigned number of the kernel; each of the result's is one. */
const U32_MAX = 0xffff_ffff
/** RT_SCOPE_NOWHERE of <linux/rtnetlink.h>. */
const SCOPE_MAX = 255
/** Octets in hexadecimal: six for Ethernet, up to twenty for InfiniBand. */
const MAC = /^[\da-f]{2}(:[\da-f]{2}){5,19}$/i

/**
 * A result from data of unknown origin, in the shape of any version.
 * @param field where it stands, to begin the path in errors with: `prevResult`
 * @throws NetloomError `invalid`, naming the field: `prevResult.ips[0].address`
 */
export const parseResult = (value: unknown, field = ''): CniResult => readResult(new Cursor(value, undefined, field))

/** The same at a place of a larger document. Absent lists are empty ones: every version lets some be left out. */
export function readResult(place: Cursor): CniResult {
  if (place.absent) throw place.error('is missing')
  const interfaces = place.field('interfaces').list(readInterface)
  return {
    interfaces,
    ips: place.field('ips').list((item) => readResultIp(item, interfaces.length)),
    routes: place.field('routes').list(readRoute),
    dns: readDns(place.field('dns')),
  }
}

/** The `dns` of a result or of a network configuration, which have the same shape. */
export function readDns(place: Cursor): Dns {
  const words = (name: string, read: (item: Cursor) => string): readonly string[] | undefined =>
    place.field(name).optional((field) => field.list(read))
  return compact<Dns>({
    nameservers: words('nameservers', readNameserver),
    domain: text(place, 'domain'),
    search: words('search', (item) => item.string()),
    options: words('options', (item) => item.string()),
  })
}

const readInterface = (place: Cursor): ResultInterface =>
  compact<ResultInterface>({
    name: readName(place.field('name')),
    mac: readMac(place.field('mac')),
    mtu: number(place, 'mtu'),
    sandbox: text(place, 'sandbox'),
    socketPath: text(place, 'socketPath'),
    pciID: text(place, 'pciID'),
  })

function readName(place: Cursor): string {
  const name = place.string()
  if (name === '') throw place.error('is empty')
  return name
}

function readMac(place: Cursor): string | undefined {
  if (place.absent || place.value === '') return undefined
  const mac = place.string()
  if (!MAC.test(mac)) throw place.error(`${place.quoted} is not a MAC address`)
  return mac
}

function readResultIp(place: Cursor, interfaces: number): ResultIp {
  const address = place.field('address').address(parseIpPrefix)
  const version = place.field('version')
  const digit = address.family === IPV4 ? '4' : '6'
  if (!version.absent && String(version.value) !== digit)
    throw version.error(`${version.quoted} is not the version of ${formatCidr(address)}`)
  return compact<ResultIp>({
    address,
    gateway: readGateway(place.field('gateway'), address),
    interface: readIndex(place.field('interface'), interfaces),
  })
}

/** A result without any interface may still point at one, as the specification's own examples up to 0.3.1 do. */
function readIndex(place: Cursor, interfaces: number): number | undefined {
  if (place.absent) return undefined
  const index = place.integer(0, U32_MAX)
  if (interfaces === 0) return undefined
  if (index >= interfaces) throw place.error(`${index} is no index into a list of ${interfaces} interfaces`)
  return index
}

/** A route of a result, or of a network configuration, which have the same shape. */
export function readRoute(place: Cursor): ResultRoute {
  const destination = place.field('dst').address(parseCidr)
  return compact<ResultRoute>({
    destination,
    gateway: readGateway(place.field('gw'), destination),
    mtu: number(place, 'mtu'),
    advmss: number(place, 'advmss'),
    priority: number(place, 'priority'),
    // Here 0 says something else than nothing: RT_TABLE_UNSPEC and RT_SCOPE_UNIVERSE.
    table: place.field('table').optional((field) => field.integer(0, U32_MAX)),
    scope: place.field('scope').optional((field) => field.integer(0, SCOPE_MAX)),
  })
}

function readGateway(place: Cursor, of: IpPrefix): string | undefined {
  if (place.absent || place.value === '') return undefined
  const gateway = place.address(parseIp)
  if (gateway.family !== of.family) throw place.error(`${place.quoted} is not of the family of ${formatCidr(of)}`)
  return gateway.address
}

/** With a zone, if need be: resolvers take those. */
function readNameserver(place: Cursor): string {
  const nameserver = place.string()
  if (familyOf(nameserver) === undefined) throw place.error(`${place.quoted} is not an IP address`)
  return nameserver
}

/** Plugins write what they do not know as '' or 0 as well as not at all. */
const text = (place: Cursor, name: string): string | undefined => {
  const field = place.field(name)
  return field.absent || field.value === '' ? undefined : field.string()
}

const number = (place: Cursor, name: string): number | undefined => {
  const field = place.field(name)
  return field.absent || field.value === 0 ? undefined : field.integer(0, U32_MAX)
}

/** T with undefined as another way to say that a field is not there. */
type Loose<T> = { readonly [K in keyof T]: object extends Pick<T, K> ? T[K] | undefined : T[K] }

/** Leaves out what is undefined: JSON would, and comparisons tell the two apart. */
const compact = <T extends object>(fields: Loose<T>): T =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T

/** Keys that not every version has: since when, or until before when. */
const KEYS: Readonly<Record<string, { readonly since: CniVersion } | { readonly before: CniVersion }>> = {
  'ips.version': { before: '1.0.0' },
  'interfaces.mtu': { since: '1.1.0' },
  'interfaces.socketPath': { since: '1.1.0' },
  'interfaces.pciID': { since: '1.1.0' },
  'routes.mtu': { since: '1.1.0' },
  'routes.advmss': { since: '1.1.0' },
  'routes.priority': { since: '1.1.0' },
  'routes.table': { since: '1.1.0' },
  'routes.scope': { since: '1.1.0' },
}

/**
 * The result in the shape of a version. All four keys are always there: from 1.0.0 on the specification asks for them,
 * and before it allowed them.
 */
export function writeResult({ interfaces, ips, routes, dns }: CniResult, cniVersion: CniVersion): object {
  return {
    cniVersion,
    interfaces: interfaces.map((fields) => inVersion(cniVersion, 'interfaces', fields)),
    ips: ips.map(({ address, ...fields }) =>
      inVersion(cniVersion, 'ips', {
        version: address.family === IPV4 ? '4' : '6',
        address: formatCidr(address),
        ...fields,
      }),
    ),
    routes: routes.map(({ destination, gateway, ...fields }) =>
      inVersion(cniVersion, 'routes', { dst: formatCidr(destination), gw: gateway, ...fields }),
    ),
    dns,
  }
}

/** The fields of an item of `list` that are there and that a version has. */
function inVersion(version: CniVersion, list: string, fields: object): object {
  const has = (name: string): boolean => {
    const key = KEYS[`${list}.${name}`]
    if (key === undefined) return true
    return 'since' in key ? atLeast(version, key.since) : !atLeast(version, key.before)
  }
  return Object.fromEntries(Object.entries(fields).filter(([name, value]) => value !== undefined && has(name)))
}
