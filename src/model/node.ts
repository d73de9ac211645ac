import { asNetloomError } from '../base/errors.js'
import { type Cidr, formatCidr, type Ip } from '../base/ip.js'
import { NODE_ADDRESSES_ANNOTATION } from '../base/names.js'
import { readIp, readListOrLegacy, readPodCidr, readUnicastIp, refuseSecondOfFamily } from './address.js'
import { type Cursor } from './cursor.js'
import { type Identity, readClusterScoped } from './meta.js'
import { readLabelValue } from './name.js'

/** core/v1 Node: where its pods are, how to reach it, and its zone. */
export interface Node extends Identity {
  readonly kind: 'Node'
  /** At most one per family; empty where nobody has allocated any yet. */
  readonly podCIDRs: readonly Cidr[]
  /** status.addresses of type InternalIP, in their order. */
  readonly internalIPs: readonly Ip[]
  readonly externalIPs: readonly Ip[]
  /** Where other nodes send what is for its pods, the preferred first: its own choice, or else its InternalIPs. */
  readonly nodeAddresses: readonly Ip[]
  /** Why its own choice is not used, naming the field: pods that are reached by the InternalIPs are better than none. */
  readonly nodeAddressesProblem: string | undefined
  /** Label topology.kubernetes.io/zone. */
  readonly zone: string | undefined
}

const ZONE_LABEL = 'topology.kubernetes.io/zone'

/** @throws NetloomError `invalid`, naming the field */
export function readNode(object: Cursor): Node {
  const spec = object.field('spec')
  const podCIDRs = readListOrLegacy(spec.field('podCIDRs'), spec.field('podCIDR'), readPodCidr, formatCidr)
  refuseSecondOfFamily(
    spec.field('podCIDRs'),
    podCIDRs.map(({ family }) => family),
  )
  const zone = object.field('metadata').field('labels').field(ZONE_LABEL).optional(readLabelValue)
  const addresses = object.field('status').field('addresses').list(readAddress)
  const internalIPs = ofType(addresses, 'InternalIP')
  return {
    kind: 'Node',
    ...readClusterScoped(object),
    podCIDRs,
    internalIPs,
    ...readNodeAddresses(object.field('metadata').field('annotations'), internalIPs),
    externalIPs: ofType(addresses, 'ExternalIP'),
    zone: zone === '' ? undefined : zone,
  }
}

interface NodeAddress {
  readonly type: string
  readonly ip: Ip | undefined
}

/** Addresses of other types are names. */
function readAddress(place: Cursor): NodeAddress {
  const type = place.field('type').string()
  return { type, ip: type === 'InternalIP' || type === 'ExternalIP' ? readIp(place.field('address')) : undefined }
}

const ofType = (addresses: readonly NodeAddress[], wanted: string): readonly Ip[] =>
  addresses.flatMap(({ type, ip }) => (type === wanted && ip !== undefined ? [ip] : []))

type NodeAddresses = Pick<Node, 'nodeAddresses' | 'nodeAddressesProblem'>

/** The annotation is what a node's agent writes; a list that is wrong anywhere is not used at all. */
function readNodeAddresses(annotations: Cursor, internalIPs: readonly Ip[]): NodeAddresses {
  try {
    const chosen = annotations.optionalField(NODE_ADDRESSES_ANNOTATION, (place) =>
      place
        .string()
        .split(',')
        .map((text) => readUnicastIp(place.with(text.trim()))),
    )
    return { nodeAddresses: chosen ?? internalIPs, nodeAddressesProblem: undefined }
  } catch (error) {
    return { nodeAddresses: internalIPs, nodeAddressesProblem: asNetloomError(error).message }
  }
}
