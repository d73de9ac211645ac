import { type Family } from '../base/family.js'
import { type Endpoint, type EndpointSlice } from '../model/endpointslice.js'
import { type Protocol } from '../model/port.js'
import { type Service, type ServicePort } from '../model/service.js'

/**
 * What a proxy serves: an address, protocol and port with its own list of endpoints. Every way of reaching a Service
 * is one of these; policies only decide the list.
 */
export interface Frontend {
  readonly family: Family
  readonly address: string
  readonly protocol: Protocol
  readonly port: number
  /** Namespace and name of the Service. */
  readonly service: string
  readonly endpoints: readonly Target[]
}

/** Where a connection may be sent. */
export interface Target {
  readonly address: string
  readonly port: number
  /** The endpoint is on this node, so its connections to its own Service come back to it (hairpin). */
  readonly local: boolean
}

/** Unique among frontends; addresses of the two families never have the same text. */
export const frontendKey = ({ address, protocol, port }: Pick<Frontend, 'address' | 'protocol' | 'port'>): string =>
  `${address} ${protocol} ${port}`

export const targetKey = ({ address, port }: Pick<Target, 'address' | 'port'>): string => `${address} ${port}`

/**
 * The frontends of a Service: its cluster IPs. Headless and ExternalName Services have none, and what labels leave to
 * another proxy or call headless is not looked at, as by kube-proxy.
 * @param slices all EndpointSlices of the Service, of both families
 */
export function frontendsOf(service: Service, slices: readonly EndpointSlice[], node: string): Frontend[] {
  if (service.headless || service.type === 'ExternalName' || !service.proxied) return []
  return service.clusterIPs.flatMap(({ family, address }) => {
    const own = slices.filter((slice) => slice.family === family && slice.proxied)
    return service.ports.map((port): Frontend => ({
      family,
      address,
      protocol: port.protocol,
      port: port.port,
      service: `${service.namespace}/${service.name}`,
      endpoints: targetsOf(port, own, node),
    }))
  })
}

/** Endpoints that new connections are sent to, by KEP-1669: those terminating serve where nothing else does. */
const TIERS: readonly ((endpoint: Endpoint) => boolean)[] = [
  ({ ready }) => ready,
  ({ serving, terminating }) => serving && terminating,
]

function targetsOf(port: ServicePort, slices: readonly EndpointSlice[], node: string): Target[] {
  for (const accepts of TIERS) {
    const targets = new Map<string, Target>()
    for (const slice of slices) collect(targets, port, slice, { accepts, node })
    if (targets.size > 0) return [...targets.values()]
  }
  return []
}

interface Choice {
  readonly accepts: (endpoint: Endpoint) => boolean
  readonly node: string
}

function collect(
  targets: Map<string, Target>,
  port: ServicePort,
  slice: EndpointSlice,
  { accepts, node }: Choice,
): void {
  const target = slice.ports.find(({ name, protocol }) => name === port.name && protocol === port.protocol)
  if (target?.port === undefined) return
  for (const endpoint of slice.endpoints) {
    if (!accepts(endpoint)) continue
    const entry = { address: endpoint.address, port: target.port, local: endpoint.nodeName === node }
    targets.set(targetKey(entry), entry)
  }
}
