import { FAMILIES, type Family } from '../base/family.js'
import { readUnicastIp } from './address.js'
import { type Cursor } from './cursor.js'
import {
  type Endpoint,
  type EndpointPort,
  type EndpointSlice,
  readEndpointPort,
  readPodReference,
  SLICE_ENDPOINTS,
} from './endpointslice.js'
import { type Identity, readNamespaced } from './meta.js'
import { readDnsLabel, readDnsSubdomain, readNodeName } from './name.js'

/** Endpoints of one family that share their ports. */
export interface EndpointSubset {
  readonly family: Family
  readonly ports: readonly EndpointPort[]
  readonly endpoints: readonly Endpoint[]
}

/** core/v1 Endpoints, the older form of EndpointSlice; it has the name of its Service. */
export interface Endpoints extends Identity {
  readonly kind: 'Endpoints'
  /** Subsets by family; those with the same ports are one. */
  readonly subsets: readonly EndpointSubset[]
  /** Not to become slices: a leader election's record, or marked with endpointslice.kubernetes.io/skip-mirror. */
  readonly skipMirror: boolean
}

const SKIP_LABEL = 'endpointslice.kubernetes.io/skip-mirror'
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader'

/** @throws NetloomError `invalid`, naming the field */
export function readEndpoints(object: Cursor): Endpoints {
  const metadata = object.field('metadata')
  const leader = !metadata.field('annotations').field(LEADER_ANNOTATION).absent
  const subsets = object.field('subsets').list(readSubset).flat()
  return {
    kind: 'Endpoints',
    ...readNamespaced(object, leader ? readDnsSubdomain : readDnsLabel),
    subsets: merged(subsets),
    skipMirror: leader || metadata.field('labels').field(SKIP_LABEL).value === 'true',
  }
}

function readSubset(place: Cursor): EndpointSubset[] {
  const ports = place.field('ports').list(readEndpointPort)
  const all = [
    ...place.field('addresses').list((address) => readEndpointAddress(address, true)),
    ...place.field('notReadyAddresses').list((address) => readEndpointAddress(address, false)),
  ]
  return FAMILIES.map((family) => {
    const endpoints = all.filter((address) => address.family === family).map(({ endpoint }) => endpoint)
    return { family, ports, endpoints }
  }).filter(({ endpoints }) => endpoints.length > 0)
}

function readEndpointAddress(place: Cursor, ready: boolean): { family: Family; endpoint: Endpoint } {
  const { family, address } = readUnicastIp(place.field('ip'))
  const endpoint: Endpoint = {
    address,
    ready,
    serving: ready,
    terminating: false,
    nodeName: place.field('nodeName').optional(readNodeName),
    zone: undefined,
    forZones: [],
    forNodes: [],
    pod: readPodReference(place.field('targetRef')),
  }
  return { family, endpoint }
}

/** Subsets of one family and the same ports become one, an address in several of them counts once. */
function merged(subsets: readonly EndpointSubset[]): readonly EndpointSubset[] {
  const groups = new Map<string, { subset: EndpointSubset; byAddress: Map<string, Endpoint> }>()
  for (const subset of subsets) {
    const id = `${subset.family.name} ${portsText(subset.ports)}`
    const group = groups.get(id) ?? { subset, byAddress: new Map<string, Endpoint>() }
    groups.set(id, group)
    for (const endpoint of subset.endpoints)
      if (group.byAddress.get(endpoint.address)?.ready !== true) group.byAddress.set(endpoint.address, endpoint)
  }
  return [...groups.values()].map(({ subset, byAddress }) => ({ ...subset, endpoints: [...byAddress.values()] }))
}

/** Equal for equal ports in any order. */
export const portsText = (ports: readonly EndpointPort[]): string =>
  ports
    .map(({ name, protocol, port }) => `${name}:${protocol}:${port ?? '*'}`)
    .sort()
    .join()

/**
 * Slices of a Service from groups of its endpoints: one group per family and set of ports, at most
 * {@link SLICE_ENDPOINTS} endpoints in each slice, numbered from 1 within the family.
 * @param label what the names carry after the Service's: `web-LABEL:ipv4-1`. No name of the API has a colon, so these
 * never meet a slice of somebody else.
 */
export function slicesOf(service: Identity, label: string, groups: readonly EndpointSubset[]): EndpointSlice[] {
  const counts = new Map<Family, number>()
  const slices: EndpointSlice[] = []
  for (const { family, ports, endpoints } of groups)
    for (let at = 0; at < endpoints.length; at += SLICE_ENDPOINTS) {
      const count = (counts.get(family) ?? 0) + 1
      counts.set(family, count)
      slices.push({
        kind: 'EndpointSlice',
        namespace: service.namespace,
        name: `${service.name}-${label}:${family.name}-${count}`,
        service: service.name,
        family,
        ports,
        endpoints: endpoints.length <= SLICE_ENDPOINTS ? endpoints : endpoints.slice(at, at + SLICE_ENDPOINTS),
        proxied: true,
      })
    }
  return slices
}

/** The slices that the EndpointSlice mirroring controller would make of Endpoints, but of all addresses. */
export const mirroredSlices = (endpoints: Endpoints): EndpointSlice[] =>
  endpoints.skipMirror ? [] : slicesOf(endpoints, 'mirrored', endpoints.subsets)
