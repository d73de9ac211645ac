import { type Family } from '../base/family.js'
import { type Cidr, type Ip } from '../base/ip.js'
import { readFamily, readCidr, readListOrLegacy, readUnicastIp, refuseSecondOfFamily } from './address.js'
import { type Cursor } from './cursor.js'
import { type Identity, readNamespaced } from './meta.js'
import { readDnsLabel, readDnsSubdomain, readWord } from './name.js'
import { type Protocol, readPort, readPortIfSet, readPortOrName, readProtocol, refuseTwins } from './port.js'
import { readProxied } from './proxy-labels.js'
import { readMatchLabels, type Selector } from './selector.js'

const TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const
export type ServiceType = (typeof TYPES)[number]

const TRAFFIC_POLICIES = ['Cluster', 'Local'] as const
export type TrafficPolicy = (typeof TRAFFIC_POLICIES)[number]

const FAMILY_POLICIES = ['SingleStack', 'PreferDualStack', 'RequireDualStack'] as const
export type IpFamilyPolicy = (typeof FAMILY_POLICIES)[number]

const IP_MODES = ['VIP', 'Proxy'] as const
export type IpMode = (typeof IP_MODES)[number]

export interface ServicePort {
  /** Empty where it has none, which only the single port of a Service may. */
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
  /** A number, or the name of a port that each pod resolves for itself; `port` where the Service names none. */
  readonly targetPort: number | string
  readonly nodePort: number | undefined
}

/** status.loadBalancer.ingress with an address; those with a name only concern DNS. */
export interface LoadBalancerIngress {
  readonly ip: Ip
  /** `Proxy`: the balancer must see the packets, so nodes do not short-cut them (KEP-1860). */
  readonly ipMode: IpMode
}

/** core/v1 Service. */
export interface Service extends Identity {
  readonly kind: 'Service'
  readonly type: ServiceType
  /** clusterIP is `None`: DNS names the endpoints, nothing is translated. */
  readonly headless: boolean
  /** At most one per family; empty for headless ones and as long as none is allocated. */
  readonly clusterIPs: readonly Ip[]
  readonly ipFamilies: readonly Family[]
  readonly ipFamilyPolicy: IpFamilyPolicy | undefined
  /** Undefined where the Service has none: somebody else provides the endpoints. */
  readonly selector: Selector | undefined
  readonly ports: readonly ServicePort[]
  readonly externalIPs: readonly Ip[]
  readonly loadBalancerIngress: readonly LoadBalancerIngress[]
  /** Empty allows all. */
  readonly loadBalancerSourceRanges: readonly Cidr[]
  /** Seconds for which a client stays with its endpoint (sessionAffinity ClientIP); undefined for no affinity. */
  readonly affinityTimeout: number | undefined
  readonly internalTrafficPolicy: TrafficPolicy
  readonly externalTrafficPolicy: TrafficPolicy
  readonly healthCheckNodePort: number | undefined
  readonly publishNotReadyAddresses: boolean
  /** PreferSameZone, PreferClose (its older name), PreferSameNode, or what later versions add. */
  readonly trafficDistribution: string | undefined
  readonly externalName: string | undefined
  /** False where a label leaves it to another proxy or calls it headless (see proxy-labels.ts). */
  readonly proxied: boolean
}

/** Seconds, the API's default for ClientIP, and its most: one day. */
const AFFINITY_DEFAULT = 10_800
const AFFINITY_MOST = 86_400

/** @throws NetloomError `invalid`, naming the field */
export function readService(object: Cursor): Service {
  const spec = object.field('spec')
  const type = spec.field('type').oneOf(TYPES, 'ClusterIP')
  const selector = readMatchLabels(spec.field('selector'))
  const service: Service = {
    kind: 'Service',
    ...readNamespaced(object, readDnsLabel),
    type,
    ...readClusterIps(spec),
    ipFamilies: spec.field('ipFamilies').list(readFamily),
    ipFamilyPolicy: spec.field('ipFamilyPolicy').optional((place) => place.oneOf(FAMILY_POLICIES)),
    selector: selector.length === 0 ? undefined : selector,
    ports: readPorts(spec.field('ports')),
    externalIPs: spec.field('externalIPs').list(readUnicastIp),
    loadBalancerIngress: object.field('status').field('loadBalancer').field('ingress').list(readIngress).flat(),
    loadBalancerSourceRanges: spec.field('loadBalancerSourceRanges').list(readRange),
    affinityTimeout: readAffinity(spec),
    internalTrafficPolicy: spec.field('internalTrafficPolicy').oneOf(TRAFFIC_POLICIES, 'Cluster'),
    externalTrafficPolicy: spec.field('externalTrafficPolicy').oneOf(TRAFFIC_POLICIES, 'Cluster'),
    healthCheckNodePort: readPortIfSet(spec.field('healthCheckNodePort')),
    publishNotReadyAddresses: spec.field('publishNotReadyAddresses').boolean(),
    trafficDistribution: spec.field('trafficDistribution').optional(readWord),
    externalName: type === 'ExternalName' ? readExternalName(spec.field('externalName')) : undefined,
    proxied: readProxied(object),
  }
  checkWhole(spec, service)
  return service
}

function readClusterIps(spec: Cursor): Pick<Service, 'headless' | 'clusterIPs'> {
  const list = spec.field('clusterIPs')
  const read = (place: Cursor): Ip | 'None' => (place.value === 'None' ? 'None' : readUnicastIp(place))
  const text = (ip: Ip | 'None'): string => (ip === 'None' ? ip : ip.address)
  const all = readListOrLegacy(list, spec.field('clusterIP'), read, text)
  const clusterIPs = all.flatMap((ip) => (ip === 'None' ? [] : [ip]))
  if (all.length > 1 && clusterIPs.length < all.length) throw list.error('has None beside other entries')
  refuseSecondOfFamily(
    list,
    clusterIPs.map(({ family }) => family),
  )
  return { headless: all[0] === 'None', clusterIPs }
}

function readPorts(place: Cursor): readonly ServicePort[] {
  const ports = place.list(readServicePort)
  const unnamed = ports.findIndex(({ name }) => name === '')
  if (ports.length > 1 && unnamed !== -1) throw place.item(unnamed).error('needs a name, the Service has several ports')
  refuseTwins(place, ports, ({ name }) => (name === '' ? undefined : `name ${name}`))
  refuseTwins(place, ports, ({ protocol, port }) => `port ${protocol} ${port}`)
  refuseTwins(place, ports, ({ protocol, nodePort }) =>
    nodePort === undefined ? undefined : `nodePort ${protocol} ${nodePort}`,
  )
  return ports
}

function readServicePort(place: Cursor): ServicePort {
  const name = place.field('name')
  const port = readPort(place.field('port'))
  const target = place.field('targetPort')
  return {
    name: name.value === '' ? '' : (name.optional(readDnsLabel) ?? ''),
    protocol: readProtocol(place.field('protocol')),
    port,
    targetPort: target.value === 0 || target.value === '' ? port : (target.optional(readPortOrName) ?? port),
    nodePort: readPortIfSet(place.field('nodePort')),
  }
}

function readAffinity(spec: Cursor): number | undefined {
  if (spec.field('sessionAffinity').oneOf(['None', 'ClientIP'], 'None') === 'None') return undefined
  const timeout = spec.field('sessionAffinityConfig').field('clientIP').field('timeoutSeconds')
  return timeout.optional((place) => place.integer(1, AFFINITY_MOST)) ?? AFFINITY_DEFAULT
}

function readIngress(place: Cursor): LoadBalancerIngress[] {
  if (place.field('ip').absent || place.field('ip').value === '') return []
  return [{ ip: readUnicastIp(place.field('ip')), ipMode: place.field('ipMode').oneOf(IP_MODES, 'VIP') }]
}

/** The API server allows spaces around a range. */
const readRange = (place: Cursor): Cidr => readCidr(place.with(place.string().trim()))

/** A trailing dot makes the name absolute and is allowed. */
function readExternalName(place: Cursor): string {
  const name = place.string()
  return readDnsSubdomain(name.endsWith('.') ? place.with(name.slice(0, -1)) : place)
}

/** What only the fields together can break. */
function checkWhole(spec: Cursor, { type, headless, ports, clusterIPs, ipFamilies }: Service): void {
  const translated = type !== 'ExternalName' && !headless
  if (translated && ports.length === 0) throw spec.field('ports').error('is missing')
  if (headless && (type === 'NodePort' || type === 'LoadBalancer'))
    throw spec.field('clusterIP').error(`"None" does not go with type ${type}`)
  refuseSecondOfFamily(spec.field('ipFamilies'), ipFamilies)
  for (const [i, { family }] of clusterIPs.entries()) {
    const wanted = ipFamilies[i]
    if (wanted !== undefined && wanted !== family)
      throw spec.field('clusterIPs').item(i).error(`is not of ${wanted.kubernetes}, as ipFamilies says`)
  }
}
