import { type FamilyName } from '../../base/family.js'
import { type Ip } from '../../base/ip.js'
import { type Endpoints } from '../../model/endpoints.js'
import { type EndpointSlice } from '../../model/endpointslice.js'
import { keyOf } from '../../model/meta.js'
import { type Pod } from '../../model/pod.js'
import { type Protocol } from '../../model/port.js'
import { selects } from '../../model/selector.js'
import { type Service, type ServicePort } from '../../model/service.js'

/**
 * What each Service should do, from the manifests alone and by a way of its own: the agents' result is measured
 * against this.
 */

export interface TargetEndpoint {
  /** `namespace/name`. */
  readonly pod: string
  readonly port: number
}

/** One port of a Service. */
export interface Target {
  /** `namespace/name`. */
  readonly service: string
  readonly type: Service['type']
  readonly portName: string
  readonly port: number
  readonly protocol: Protocol
  /** ClusterIPs, one of each family. */
  readonly addresses: readonly Ip[]
  /** The pods that should answer. */
  readonly endpoints: readonly TargetEndpoint[]
  /** Clients stay with an endpoint, so shares say nothing. */
  readonly affinity: boolean
  /** Why it cannot be reached by its ClusterIP from here; undefined where it can. */
  readonly unprobed: string | undefined
}

export interface Cluster {
  readonly services: readonly Service[]
  readonly pods: readonly Pod[]
  readonly slices: readonly EndpointSlice[]
  readonly endpoints: readonly Endpoints[]
}

export const targets = (cluster: Cluster): Target[] => {
  const given = new Set([
    ...cluster.slices.flatMap(({ namespace, service }) => (service === undefined ? [] : [`${namespace}/${service}`])),
    ...cluster.endpoints.map(keyOf),
  ])
  return cluster.services.flatMap((service) => {
    const own = given.has(keyOf(service))
    if (service.ports.length === 0)
      return [target(service, NO_PORT, [], whyNot(service, NO_PORT, own) ?? 'has no ports')]
    return service.ports.map((port) => {
      const endpoints = endpointsOf(service, port, cluster.pods)
      return target(service, port, endpoints, whyNot(service, port, own))
    })
  })
}

const NO_PORT: ServicePort = { name: '', protocol: 'TCP', port: 0, targetPort: 0, nodePort: undefined }

const target = (
  service: Service,
  { name, port, protocol }: ServicePort,
  endpoints: readonly TargetEndpoint[],
  unprobed: string | undefined,
): Target => ({
  service: keyOf(service),
  type: service.type,
  portName: name,
  port,
  protocol,
  addresses: service.clusterIPs,
  endpoints,
  affinity: service.affinityTimeout !== undefined,
  unprobed,
})

/** The reasons for which a Service is not asked by its ClusterIP, the first that holds. */
const REASONS: readonly (readonly [(service: Service, port: ServicePort, given: boolean) => boolean, string])[] = [
  [({ type }) => type === 'ExternalName', 'is a name of something else (ExternalName)'],
  [({ headless }) => headless, 'is headless: clients find its pods by DNS'],
  [({ proxied }) => !proxied, 'is left to another service proxy, or called headless, by its label'],
  [(_service, _port, given) => given, 'has endpoints of its own in the manifests, which may be anywhere'],
  [
    ({ internalTrafficPolicy }) => internalTrafficPolicy === 'Local',
    'serves each node by itself (internalTrafficPolicy Local)',
  ],
  [(_service, { protocol }) => protocol === 'SCTP', 'is SCTP, which the responders do not speak'],
]

const whyNot = (service: Service, port: ServicePort, given: boolean): string | undefined =>
  REASONS.find(([holds]) => holds(service, port, given))?.[1]

const selectedBy = ({ namespace, selector }: Service, pod: Pod): boolean =>
  selector !== undefined && pod.namespace === namespace && selects(selector, pod.labels)

function endpointsOf(service: Service, port: ServicePort, pods: readonly Pod[]): TargetEndpoint[] {
  return pods
    .filter((pod) => selectedBy(service, pod))
    .flatMap((pod) => {
      const number = targetPort(port, pod)
      return number === undefined ? [] : [{ pod: keyOf(pod), port: number }]
    })
}

/** A named port is looked up in each pod; a pod without it does not serve that port. */
const targetPort = ({ targetPort: wanted, protocol }: ServicePort, pod: Pod): number | undefined =>
  typeof wanted === 'number'
    ? wanted
    : pod.ports.find((port) => port.name === wanted && port.protocol === protocol)?.containerPort

/** A port that a pod listens on. */
export interface Listener {
  readonly protocol: Protocol
  readonly port: number
  /** A Service sends packets there, though no container declares the port. */
  readonly undeclared: boolean
}

/** What every pod listens on, by its key: ports of its containers and those that Services send packets to. */
export function listeners({ pods }: Cluster, all: readonly Target[]): Map<string, Listener[]> {
  const byPod = new Map<string, Map<string, Listener>>()
  for (const pod of pods) {
    const ports = new Map<string, Listener>()
    for (const { protocol, containerPort: port } of pod.ports)
      ports.set(`${protocol} ${port}`, { protocol, port, undeclared: false })
    byPod.set(keyOf(pod), ports)
  }
  for (const { endpoints, protocol } of all)
    for (const { pod, port } of endpoints) {
      const ports = byPod.get(pod)
      if (ports?.has(`${protocol} ${port}`) === false)
        ports.set(`${protocol} ${port}`, { protocol, port, undeclared: true })
    }
  return new Map([...byPod].map(([pod, ports]) => [pod, [...ports.values()]]))
}

export const addressOf = (addresses: readonly Ip[], family: FamilyName): string | undefined =>
  addresses.find((ip) => ip.family.name === family)?.address
