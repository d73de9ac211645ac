import { type Cidr, formatCidr, type Ip } from '../base/ip.js'
import { readIp, readListOrLegacy, readPodCidr, refuseSecondOfFamily } from './address.js'
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
  return {
    kind: 'Node',
    ...readClusterScoped(object),
    podCIDRs,
    internalIPs: ofType(addresses, 'InternalIP'),
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
