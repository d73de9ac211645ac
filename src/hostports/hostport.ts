import { FAMILIES, type Family, IPV4 } from '../base/family.js'
import { type Cidr, cidrContains, familyOf, networkOf, parseCidr } from '../base/ip.js'
import { type Lease, type LeasedAddress, ownerText } from '../model/lease.js'
import { type Protocol } from '../model/port.js'
import { isAnywhere, type PortMapping } from '../model/portmapping.js'

/** A port of the node that leads to a container, in one family. */
export interface HostPort {
  readonly family: Family
  /** Only at this address of the node; at all of the family where absent. */
  readonly address?: string
  readonly protocol: Protocol
  readonly port: number
  readonly target: { readonly address: string; readonly port: number }
  /**
   * Clients whom the container would answer past the node, so that they would not know the answer: they are
   * masqueraded. Of our own attachments that is the container alone, since all else that it sends passes the node; in a
   * network that another plugin made, everybody in it.
   */
  readonly nearby: Cidr
  /** For people. */
  readonly owner: string
}

/** The node's own processes use these addresses; of IPv6 there is ::1, which is never translated (see layout). */
export const LOOPBACK = parseCidr('127.0.0.0/8')

/**
 * The host ports of a lease: each mapping in each family that it is meant for, to the lease's first address of that
 * family. A family that the container has no address of is left out, as runtimes map ports without asking for it.
 */
export const hostPortsOf = (lease: Lease): HostPort[] => lease.ports.flatMap((mapping) => mappingPorts(lease, mapping))

/** The host ports of one mapping of a lease. */
export const mappingPorts = (lease: Lease, mapping: PortMapping): HostPort[] =>
  FAMILIES.filter((family) => isMeant(mapping, family)).flatMap((family) => {
    const leased = lease.addresses.find(({ address }) => familyOf(address) === family)
    if (leased === undefined) return []
    const { hostIP, hostPort, containerPort, protocol } = mapping
    return {
      family,
      ...(hostIP === undefined || isAnywhere(hostIP) ? {} : { address: hostIP }),
      protocol,
      port: hostPort,
      target: { address: leased.address, port: containerPort },
      nearby: nearbyOf(lease, family, leased),
      owner: ownerText(lease),
    }
  })

const isMeant = ({ hostIP }: PortMapping, family: Family): boolean =>
  hostIP === undefined || familyOf(hostIP) === family

const nearbyOf = ({ mode }: Lease, family: Family, { address, prefix }: LeasedAddress): Cidr =>
  networkOf(family, address, mode === 'chained' ? prefix : family.bits)

/** The node reaches it at 127.0.0.1, where its link lets such packets pass. */
export const isAtLoopback = ({ family, address }: HostPort): boolean =>
  family === IPV4 && (address === undefined || cidrContains(LOOPBACK, address))

/** `8080/TCP of every IPv4 address`. */
export const hostPortText = ({
  family,
  address,
  protocol,
  port,
}: Omit<HostPort, 'target' | 'nearby' | 'owner'>): string =>
  `${port}/${protocol} of ${address ?? `every ${family.kubernetes} address`}`
