import { bigIntToIp, type Cidr, cidrRange } from '../base/ip.js'

/** The first address of a pod network: the node's own, through which its pods send everything. */
export const gatewayOf = (subnet: Cidr): string => bigIntToIp(subnet.family, cidrRange(subnet).first + 1n)
