import { NetloomError } from '../base/errors.js'
import { bigIntToIp, type Cidr, cidrRange } from '../base/ip.js'
import { macOf } from './lease.js'

/** The first address of a pod network: the node's own, through which its pods send everything. */
export const gatewayOf = (subnet: Cidr): string => bigIntToIp(subnet.family, cidrRange(subnet).first + 1n)

/**
 * The MAC address of a node's gateway: it follows from the gateway's first address, so it stays when the bridge is made
 * anew, and pods' neighbour entries stay right.
 * @param subnets the node's pod networks, at least one
 */
export function gatewayMac([first]: readonly Cidr[]): string {
  if (first === undefined) throw new NetloomError('internal', 'a node without pod networks has no gateway')
  return macOf(gatewayOf(first))
}
