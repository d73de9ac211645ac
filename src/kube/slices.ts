import { FAMILIES, type Family } from '../base/family.js'
import { type EndpointSubset, portsText, slicesOf } from '../model/endpoints.js'
import { type Endpoint, type EndpointPort, type EndpointSlice } from '../model/endpointslice.js'
import { type Pod } from '../model/pod.js'
import { type Service, type ServicePort } from '../model/service.js'

/** No slices of their own, but a selector: what the EndpointSlice controller would see to. */
export const isDerivable = (service: Service): boolean =>
  service.selector !== undefined && service.type !== 'ExternalName'

/**
 * The slices that the EndpointSlice controller would make of the Pods a Service selects.
 * @param pods those that its selector matches, in the order in which they are to stand
 * @param zoneOf zone of a node, by its name
 */
export function deriveSlices(
  service: Service,
  pods: Iterable<Pod>,
  zoneOf: (nodeName: string) => string | undefined,
): EndpointSlice[] {
  const families = familiesOf(service)
  const groups = new Map<string, EndpointSubset & { readonly endpoints: Endpoint[] }>()
  for (const pod of pods) {
    if (pod.phase === 'Succeeded' || pod.phase === 'Failed') continue
    const ports = portsFor(service, pod)
    if (ports === undefined) continue
    for (const { family, address } of pod.ips) {
      if (!families.includes(family)) continue
      const id = `${family.name} ${portsText(ports)}`
      const group = groups.get(id) ?? { family, ports, endpoints: [] }
      groups.set(id, group)
      group.endpoints.push(endpointOf(service, pod, { address, zoneOf }))
    }
  }
  // By their ports and not by who came first: a pod that goes does not rename the slices of the others.
  const ordered = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group)
  return slicesOf(service, 'derived', ordered)
}

/** Those the Service says, else those of its addresses, else (headless and silent) all. */
function familiesOf({ ipFamilies, clusterIPs }: Service): readonly Family[] {
  if (ipFamilies.length > 0) return ipFamilies
  return clusterIPs.length > 0 ? clusterIPs.map(({ family }) => family) : FAMILIES
}

/**
 * The Service's ports as this pod has them; a name that no container of the pod has leaves the port out.
 * @returns undefined where the pod serves none of them
 */
function portsFor(service: Service, pod: Pod): readonly EndpointPort[] | undefined {
  const ports = service.ports.flatMap((port): EndpointPort[] => {
    const number = resolvePort(port, pod)
    return number === undefined ? [] : [{ name: port.name, protocol: port.protocol, port: number }]
  })
  return ports.length === 0 && service.ports.length > 0 ? undefined : ports
}

function resolvePort({ targetPort, protocol }: ServicePort, pod: Pod): number | undefined {
  if (typeof targetPort === 'number') return targetPort
  return pod.ports.find((port) => port.name === targetPort && port.protocol === protocol)?.containerPort
}

interface Place {
  readonly address: string
  readonly zoneOf: (nodeName: string) => string | undefined
}

/** Ready is never said of a terminating pod, unless the Service wants pods that are not ready as well. */
function endpointOf(service: Service, pod: Pod, { address, zoneOf }: Place): Endpoint {
  return {
    address,
    ready: service.publishNotReadyAddresses || (pod.ready && !pod.terminating),
    serving: pod.ready,
    terminating: pod.terminating,
    nodeName: pod.nodeName,
    zone: pod.nodeName === undefined ? undefined : zoneOf(pod.nodeName),
    forZones: [],
    forNodes: [],
    pod: pod.name,
  }
}
