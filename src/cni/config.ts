import { NetloomError } from '../base/errors.js'
import { type Bandwidth, readBandwidthKeys } from '../model/bandwidth.js'
import { Cursor } from '../model/cursor.js'
import { type IngressPolicy, type LeasedRoute, readMac } from '../model/lease.js'
import { refuseTwins } from '../model/port.js'
import { type PortMapping, readPortMapping } from '../model/portmapping.js'
import { readRequested, type RequestedAddress } from '../model/requested.js'
import { CNI_CODE, CniFailure } from './error.js'
import { type CniResult, type Dns, readDns, readResult, readRoute } from './result.js'
import { leasedRoute } from './routes.js'
import { CNI_VERSIONS, type CniVersion, isCniVersion } from './version.js'

/** The network configuration on standard input (CNI specification, "Section 1" and "Section 2"). */
export interface NetworkConfig {
  readonly cniVersion: CniVersion
  /** Of the network. */
  readonly name: string
  /** `ipam.type` where it is a plugin of somebody else's; undefined where the addresses are ours to give. */
  readonly delegate: string | undefined
  /** The whole, for what only some verbs look at. */
  readonly root: Cursor
  /** The same as it came, for a plugin that is called by ours. */
  readonly bytes: Uint8Array
}

/** What ADD is asked for, and CHECK holds against what there is. */
export interface InterfaceConfig {
  readonly mode: 'bridge' | 'ptp'
  /** Bytes; `auto` follows the node's own link. */
  readonly mtu: number | 'auto'
  /** Undefined where nobody says: on for the interfaces that we make. */
  readonly spoofCheck: boolean | undefined
  /** Undefined where all may reach the container. */
  readonly ingressPolicy: IngressPolicy | undefined
  /** What leaves for elsewhere takes the node's address, where the network is not one of the node's own. */
  readonly masquerade: boolean
  /** Everything goes by this interface. Undefined where nobody says: so for addresses of ours. */
  readonly defaultRoute: boolean | undefined
  readonly routes: readonly LeasedRoute[]
  /** Paths below /proc/sys, in the container's namespace. */
  readonly sysctls: ReadonlyMap<string, string>
  readonly mac: string | undefined
  /** Addresses that were asked for, and where. */
  readonly requested: readonly RequestedAddress[]
  readonly ports: readonly PortMapping[]
  readonly bandwidth: Bandwidth | undefined
  readonly aliases: readonly string[]
  readonly dns: Dns
  /** `ipam`, and capability `ipRanges`: read by whoever gives the addresses. */
  readonly ipam: Cursor
  readonly ipRanges: Cursor
}

/** CNI specification: "must start with an alphanumeric character, optionally followed by ...". */
export const IDENTIFIER = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/** `ipam.type` of addresses that are ours to give. */
const OWN_IPAM = 'netloom'

/**
 * Reads what every verb needs.
 * @throws CniFailure with the code of the specification, naming the key
 */
export function parseConfig(bytes: unknown): NetworkConfig {
  const root = new Cursor(parseJson(bytes))
  return named(() => {
    const cniVersion = versionOf(root.field('cniVersion'))
    const name = root.field('name')
    if (!IDENTIFIER.test(name.string()))
      throw name.error(`${name.quoted} has characters that a network's name may not have`)
    return { cniVersion, name: name.string(), delegate: delegateOf(root), root, bytes: bytes as Uint8Array }
  })
}

/**
 * Reads what an interface is to be.
 * @throws CniFailure `7`, naming the key; `2` for what is not supported
 */
export function readInterface(config: NetworkConfig): InterfaceConfig {
  return named(() => readFields(config))
}

function readFields({ root, delegate, name }: NetworkConfig): InterfaceConfig {
  const runtime = root.field('runtimeConfig')
  refuseInfiniband(runtime)
  return {
    mode: root.field('mode').oneOf(['bridge', 'ptp'], 'bridge'),
    mtu: mtuOf(root.field('mtu')),
    spoofCheck: root.field('spoofCheck').optional((place) => place.boolean()),
    ingressPolicy: ingressPolicyOf(root.field('ingressPolicy')),
    masquerade: root.field('ipMasq').optional((place) => place.boolean()) ?? true,
    defaultRoute: root.field('isDefaultGateway').optional((place) => place.boolean()),
    routes: [
      ...root.field('routes').list(readRoute),
      ...(delegate === undefined ? root.field('ipam').field('routes').list(readRoute) : []),
    ].map(leasedRoute),
    sysctls: sysctlsOf(root.field('sysctl')),
    mac: macOf(root),
    requested: [...requestedIn(runtime.field('ips')), ...requestedIn(root.field('args').field('cni').field('ips'))],
    ports: portsOf(runtime.field('portMappings')),
    bandwidth: readBandwidthKeys(runtime.field('bandwidth')) ?? readBandwidthKeys(root.field('bandwidth')),
    aliases: aliasesOf(runtime.field('aliases'), name),
    dns: { ...readDns(root.field('dns')), ...runtimeDns(runtime.field('dns')) },
    ipam: root.field('ipam'),
    ipRanges: runtime.field('ipRanges'),
  }
}

/**
 * What the plugins before us answered, or at CHECK all of them.
 * @throws CniFailure `7`, naming the key
 */
export const readPrevious = ({ root }: NetworkConfig): CniResult | undefined =>
  named(() => root.field('prevResult').optional(readResult))

export interface ValidAttachment {
  readonly containerId: string
  readonly ifname: string
}

/**
 * What the runtime still has (CNI specification 1.1.0, "GC"). Undefined where it does not say, as CNI's own library does
 * not when it is called without a list: then nothing is known to be garbage, while by an empty list everything is.
 * @throws CniFailure naming the key
 */
export function readValidAttachments({ root }: NetworkConfig): readonly ValidAttachment[] | undefined {
  return named(() =>
    root.field('cni.dev/valid-attachments').optional((list) =>
      list.list((entry) => ({
        containerId: entry.field('containerID').string(),
        ifname: entry.field('ifname').string(),
      })),
    ),
  )
}

/** Errors about a field are errors about the configuration. */
export function named<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof CniFailure || !(error instanceof NetloomError) || error.code !== 'invalid') throw error
    throw new CniFailure(CNI_CODE.INVALID_CONFIG, error.message, error.field)
  }
}

function parseJson(bytes: unknown): unknown {
  const problem = (message: string): CniFailure => new CniFailure(CNI_CODE.DECODE, `network configuration: ${message}`)
  if (!(bytes instanceof Uint8Array) || bytes.length === 0) throw problem('nothing on standard input')
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw problem(error instanceof Error ? error.message : String(error))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw problem('is not a JSON object')
  return value
}

function versionOf(place: Cursor): CniVersion {
  if (place.absent) throw place.error('is missing')
  const version = place.value
  if (typeof version === 'string' && isCniVersion(version)) return version
  const message = `cniVersion: ${place.quoted} is none of ${CNI_VERSIONS.join(', ')}`
  throw new CniFailure(CNI_CODE.INCOMPATIBLE_VERSION, message, 'cniVersion')
}

/** Found in a folder of CNI_PATH by its name, so it must be one. */
function delegateOf(root: Cursor): string | undefined {
  const type = root.field('ipam').field('type')
  if (type.absent || type.value === OWN_IPAM) return undefined
  if (!IDENTIFIER.test(type.string())) throw type.error(`${type.quoted} is not the name of a plugin`)
  return type.string()
}

/** The smallest MTU is that of IPv6 (RFC 8200, section 5), the largest what an IP packet's length field can say. */
const MTU = { min: 1280, max: 65_535 }

function mtuOf(place: Cursor): number | 'auto' {
  if (place.absent || place.value === 'auto' || place.value === 0) return 'auto'
  if (typeof place.value !== 'number') throw place.error(`${place.quoted} is neither "auto" nor a number`)
  return place.integer(MTU.min, MTU.max)
}

/**
 * The values of the reference plugin `firewall`, and `same-network`, which says what `same-bridge` means: containers of
 * all networks share our bridge, or have none.
 */
const INGRESS_POLICIES = {
  open: undefined,
  'same-bridge': 'same-network',
  'same-network': 'same-network',
  isolated: 'isolated',
} as const satisfies Readonly<Record<string, IngressPolicy | undefined>>

const INGRESS_POLICY_NAMES = Object.keys(INGRESS_POLICIES) as (keyof typeof INGRESS_POLICIES)[]

const ingressPolicyOf = (place: Cursor): IngressPolicy | undefined =>
  INGRESS_POLICIES[place.oneOf(INGRESS_POLICY_NAMES, 'open')]

/** A later one of a runtime goes before one of the network's author. */
function macOf(root: Cursor): string | undefined {
  const places = [root.field('runtimeConfig'), root.field('args').field('cni'), root]
  const asked = places.map((place) => place.field('mac')).find((place) => !place.absent && place.value !== '')
  return asked === undefined ? undefined : readMac(asked)
}

const requestedIn = (list: Cursor): readonly RequestedAddress[] => list.list(readRequested)

function portsOf(list: Cursor): readonly PortMapping[] {
  const ports = list.list(readPortMapping)
  refuseTwins(list, ports, ({ hostPort, protocol, hostIP }) => `${hostIP ?? '*'} ${protocol} ${hostPort}`)
  return ports
}

/** A list, or a list by the name of the network, as Podman gives them. */
function aliasesOf(aliases: Cursor, network: string): readonly string[] {
  const list = Array.isArray(aliases.value) || aliases.absent ? aliases : aliases.field(network)
  return list.list((place) => {
    if (!/^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$/.test(place.string()))
      throw place.error(`${place.quoted} is not a name of a host`)
    return place.string()
  })
}

/** The capability of that name calls two of the keys otherwise than the specification does (CNI conventions, "dns"). */
const runtimeDns = (place: Cursor): Dns =>
  readDns(
    place.with({
      nameservers: place.field('servers').value,
      search: place.field('searches').value,
      options: place.field('options').value,
    }),
  )

/** Where a key names the interface: `net.ipv4.conf.IFNAME.arp_filter`. */
export const IFNAME_TOKEN = 'IFNAME'

/**
 * `sysctl` as with the reference plugin `tuning`: names with dots, or with slashes where a name has dots of its own. Only
 * what belongs to the network namespace can be set.
 */
function sysctlsOf(place: Cursor): ReadonlyMap<string, string> {
  const sysctls = new Map<string, string>()
  for (const field of place.fields()) {
    const key = String(field.key)
    const path = key.includes('/') ? key : key.replaceAll('.', '/')
    if (!/^net\/[\w./:-]+$/.test(path) || path.split('/').some((part) => part === '' || part === '..' || part === '.'))
      throw field.error('is not a setting of the network')
    const value = typeof field.value === 'number' ? String(field.value) : field.string()
    if (value === '' || /[\0\n]/.test(value)) throw field.error(`${field.quoted} is not a value`)
    sysctls.set(path, value)
  }
  return sysctls
}

/** CNI specification, "Error" 2: the details name the key and its value. */
function refuseInfiniband(runtime: Cursor): void {
  const place = runtime.field('infinibandGUID')
  if (place.absent) return
  const message = `${place.path}: ${place.quoted} is not supported, a veth has no InfiniBand GUID`
  throw new CniFailure(CNI_CODE.UNSUPPORTED_FIELD, message, place.path)
}

/** Addresses of CNI_ARGS. @throws CniFailure */
export function requestedByArgs(ips: readonly string[]): readonly RequestedAddress[] {
  const list = new Cursor({ CNI_ARGS: ips }).field('CNI_ARGS')
  try {
    return list.list(readRequested).map((address) => ({ ...address, field: 'CNI_ARGS' }))
  } catch (error) {
    if (!(error instanceof NetloomError)) throw error
    throw new CniFailure(CNI_CODE.INVALID_ENVIRONMENT, error.message, 'CNI_ARGS')
  }
}
