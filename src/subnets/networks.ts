import { invalid } from '../base/errors.js'
import { type Family, type FamilyName, IPV4 } from '../base/family.js'
import { type Cidr, cidrsOverlap, formatCidr } from '../base/ip.js'

/** A network that nodes' subnets are taken from. */
export interface ClusterNetwork {
  readonly cidr: Cidr
  /** Prefix length of each node's subnet. */
  readonly nodePrefix: number
}

/** The settings that say which. */
export interface ClusterNetworkSettings {
  readonly clusterNetworks: readonly Cidr[]
  readonly nodePrefixLengthIpv4: number
  readonly nodePrefixLengthIpv6: number
}

/** The settings of prefix lengths, by family, and how people know them. */
export const PREFIX_LENGTH = {
  ipv4: { key: 'nodePrefixLengthIpv4', field: 'node-prefix-length-ipv4' },
  ipv6: { key: 'nodePrefixLengthIpv6', field: 'node-prefix-length-ipv6' },
} as const satisfies Readonly<Record<FamilyName, { key: keyof ClusterNetworkSettings; field: string }>>

/** Bits that a subnet needs for its own address, that of the gateway, and pods. */
const LEAST_HOST_BITS = 2

/**
 * Networks in the order in which they are used up; of a family there may be several.
 * @throws NetloomError `invalid`, naming the setting
 */
export function clusterNetworksOf(settings: ClusterNetworkSettings): ClusterNetwork[] {
  refuseOverlaps(settings.clusterNetworks)
  return settings.clusterNetworks.map((cidr) => {
    const { key, field } = PREFIX_LENGTH[cidr.family.name]
    const nodePrefix = settings[key]
    const most = cidr.family.bits - LEAST_HOST_BITS
    if (!Number.isInteger(nodePrefix) || nodePrefix < cidr.prefix || nodePrefix > most)
      throw invalid(
        field,
        `${nodePrefix} is not within ${cidr.prefix} to ${most}, as subnets of ${formatCidr(cidr)} are`,
      )
    return { cidr, nodePrefix }
  })
}

function refuseOverlaps(cidrs: readonly Cidr[]): void {
  const [first, second] = firstOverlap(cidrs) ?? []
  if (first !== undefined && second !== undefined)
    throw invalid('cluster-networks', `${formatCidr(second)} and ${formatCidr(first)} overlap`)
}

/** Two networks that hold each other, in their order; undefined where none do. */
export function firstOverlap(cidrs: readonly Cidr[]): readonly [Cidr, Cidr] | undefined {
  for (const [i, cidr] of cidrs.entries()) {
    const other = cidrs.slice(i + 1).find((behind) => cidrsOverlap(cidr, behind))
    if (other !== undefined) return [cidr, other]
  }
  return undefined
}

/** Families of some networks, IPv4 first, each once. */
export function familiesOf(networks: readonly ClusterNetwork[]): Family[] {
  const families = new Set(networks.map(({ cidr }) => cidr.family))
  return [...families].sort((a) => (a === IPV4 ? -1 : 1))
}

/** How many subnets a network has. */
export const sizeOf = ({ cidr, nodePrefix }: ClusterNetwork): bigint => 1n << BigInt(nodePrefix - cidr.prefix)
