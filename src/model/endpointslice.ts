import { type Family } from '../base/family.js'
import { readFamily, readUnicastIp } from './address.js'
import { type Cursor } from './cursor.js'
import { type Identity, readNamespaced } from './meta.js'
import { readDnsLabel, readDnsSubdomain, readLabelValue, readNodeName } from './name.js'
import { readProxied } from './proxy-labels.js'
import { type Protocol, readPort, readProtocol, refuseTwins } from './port.js'

export interface EndpointPort {
  /** Which port of the Service it serves; empty for one without a name. */
  readonly name: string
  readonly protocol: Protocol
  /** Undefined: not restricted to one. */
  readonly port: number | undefined
}

/**
 * One endpoint. There are 100,000 of these in a large cluster: one address, no nesting, shared texts. Where the API
 * leaves a condition out it says how to take that: ready counts as true, serving as ready is, terminating as false.
 */
export interface Endpoint {
  /** Canonical. The first of `addresses`: all of them are the same endpoint, and consumers use the first. */
  readonly address: string
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
  readonly nodeName: string | undefined
  readonly zone: string | undefined
  /** hints.forZones; empty without a hint. */
  readonly forZones: readonly string[]
  /** hints.forNodes; empty without a hint. */
  readonly forNodes: readonly string[]
  /** Name of the Pod of the slice's namespace it stands for (targetRef), if it stands for one. */
  readonly pod: string | undefined
}

/** discovery.k8s.io/v1 EndpointSlice of an IP family. */
export interface EndpointSlice extends Identity {
  readonly kind: 'EndpointSlice'
  /** Name of the Service in the same namespace (label kubernetes.io/service-name); undefined belongs to none. */
  readonly service: string | undefined
  readonly family: Family
  readonly ports: readonly EndpointPort[]
  readonly endpoints: readonly Endpoint[]
  /** False where a label leaves it to another proxy, or says that its Service is headless (see proxy-labels.ts). */
  readonly proxied: boolean
}

const SERVICE_LABEL = 'kubernetes.io/service-name'

/** Most endpoints of one slice, of the API. */
export const SLICE_ENDPOINTS = 1000

/**
 * @returns undefined for a slice of DNS names (addressType FQDN), which nothing can be translated to
 * @throws NetloomError `invalid`, naming the field
 */
export function readEndpointSlice(object: Cursor): EndpointSlice | undefined {
  if (object.field('addressType').value === 'FQDN') return undefined
  const family = readFamily(object.field('addressType'))
  const service = object.field('metadata').field('labels').field(SERVICE_LABEL)
  const endpoints = object.field('endpoints').list((place) => readEndpoint(place, family))
  if (endpoints.length > SLICE_ENDPOINTS) throw object.field('endpoints').error(`has more than ${SLICE_ENDPOINTS}`)
  return {
    kind: 'EndpointSlice',
    ...readNamespaced(object),
    service: service.value === '' ? undefined : service.optional(readDnsLabel),
    family,
    ports: readPorts(object.field('ports')),
    endpoints,
    proxied: readProxied(object),
  }
}

function readPorts(place: Cursor): readonly EndpointPort[] {
  const ports = place.list(readEndpointPort)
  refuseTwins(place, ports, ({ name }) => `name "${name}"`)
  return ports
}

/** A port of a slice or of a subset of Endpoints. */
export function readEndpointPort(place: Cursor): EndpointPort {
  const name = place.field('name')
  return {
    name: name.value === '' ? '' : (name.optional(readDnsLabel) ?? ''),
    protocol: readProtocol(place.field('protocol')),
    port: place.field('port').optional(readPort),
  }
}

function readEndpoint(place: Cursor, family: Family): Endpoint {
  const conditions = place.field('conditions')
  const ready = conditions.optionalField('ready', readBoolean) ?? true
  const hints = place.optionalField('hints', readHints)
  return {
    address: readAddresses(place.field('addresses'), family),
    ready,
    serving: conditions.optionalField('serving', readBoolean) ?? ready,
    terminating: conditions.optionalField('terminating', readBoolean) ?? false,
    nodeName: place.optionalField('nodeName', readNodeName),
    zone: place.optionalField('zone', readLabelValue),
    forZones: hints?.zones ?? NO_HINTS,
    forNodes: hints?.nodes ?? NO_HINTS,
    pod: place.optionalField('targetRef', readPodReference),
  }
}

const readBoolean = (place: Cursor): boolean => place.boolean()

function readAddresses(place: Cursor, family: Family): string {
  const [first] = place.list((item) => {
    const ip = readUnicastIp(item)
    if (ip.family !== family) throw item.error(`${item.quoted} is not of ${family.kubernetes}`)
    return ip.address
  })
  if (first === undefined) throw place.error('is empty')
  return first
}

/** Name of a pod that `targetRef` points to. */
export const readPodReference = (place: Cursor): string | undefined =>
  place.field('kind').value === 'Pod' ? place.field('name').optional(readDnsSubdomain) : undefined

const NO_HINTS: readonly string[] = Object.freeze([])

const readHints = (place: Cursor): { zones: readonly string[]; nodes: readonly string[] } => ({
  zones: sharedList(place.field('forZones').list((zone) => readLabelValue(zone.field('name')))),
  nodes: sharedList(place.field('forNodes').list((node) => readNodeName(node.field('name')))),
})

/** Most endpoints have the same hints: equal lists become one. Bounded by starting again. */
const lists = new Map<string, readonly string[]>()
const MOST_LISTS = 1024

function sharedList(names: readonly string[]): readonly string[] {
  const text = names.join()
  const known = lists.get(text)
  if (known !== undefined) return known
  if (lists.size >= MOST_LISTS) lists.clear()
  lists.set(text, names)
  return names
}
