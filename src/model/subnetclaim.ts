import { type Cidr } from '../base/ip.js'
import { API_MANAGER, MANAGED_BY_LABEL, SUBNET_ANNOTATION } from '../base/names.js'
import { readPodCidr } from './address.js'
import { type Cursor } from './cursor.js'
import { type Identity, readNamespaced } from './meta.js'
import { readNodeName } from './name.js'

/**
 * A node's claim to a subnet: a coordination.k8s.io/v1 Lease that is named after the subnet, so that no two nodes can
 * hold the same one.
 */
export interface SubnetClaim extends Identity {
  readonly kind: 'SubnetClaim'
  readonly subnet: Cidr
  /**
   * Name of the Node that holds it (spec.holderIdentity); undefined while nobody does, or has not acquired it yet
   * (spec.acquireTime): such a claim may still be withdrawn in favour of another that overlaps.
   */
  readonly node: string | undefined
}

/**
 * @returns undefined for Leases that are for something else
 * @throws NetloomError `invalid`, naming the field
 */
export function readSubnetClaim(object: Cursor): SubnetClaim | undefined {
  const metadata = object.field('metadata')
  const subnet = metadata.field('annotations').field(SUBNET_ANNOTATION)
  if (metadata.field('labels').field(MANAGED_BY_LABEL).value !== API_MANAGER || subnet.absent) return undefined
  const spec = object.field('spec')
  const holder = spec.field('holderIdentity')
  const node = holder.value === '' ? undefined : holder.optional(readNodeName)
  return {
    kind: 'SubnetClaim',
    ...readNamespaced(object),
    subnet: readPodCidr(subnet),
    node: spec.field('acquireTime').absent ? undefined : node,
  }
}
