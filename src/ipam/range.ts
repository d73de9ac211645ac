import { type Family, IPV4, IPV6 } from '../base/family.js'
import { bigIntToIp, type Cidr, cidrRange, formatCidr, ipToBigInt } from '../base/ip.js'
import { gatewayOf } from '../model/podnetwork.js'
import { type Interval, holds, point, without } from './interval.js'

/** Addresses of one network that may be given. */
export interface AddressRange extends Interval {
  readonly subnet: Cidr
  /** What a container sends everything through. It may be outside of the network: the container has a route to it. */
  readonly gateway: string
  /** Only given to those who ask for them by name. */
  readonly exclude: readonly Cidr[]
}

/** Ranges of one family that one address is taken from. */
export type RangeSet = readonly AddressRange[]

/**
 * All that a network can give: neither its own address, which IPv6 gives to all of its routers, nor IPv4's broadcast
 * address. Nothing where the network is too small.
 */
export function usable(subnet: Cidr): Interval {
  const { first, last } = cidrRange(subnet)
  return { first: first + 1n, last: subnet.family.bytes === 4 ? last - 1n : last }
}

/** A whole network, as a node's pods get their addresses from. */
export const rangeOf = (subnet: Cidr, exclude: readonly Cidr[] = []): AddressRange => ({
  subnet,
  ...usable(subnet),
  gateway: gatewayOf(subnet),
  exclude: exclude.filter(({ family }) => family === subnet.family),
})

/** The family of what is known to be an address; for the many that are looked at before one is given. */
export const familyIn = (address: string): Family => (address.includes(':') ? IPV6 : IPV4)

/** True also for what is excluded, or the gateway. */
export const rangeHolds = (range: AddressRange, address: string): boolean =>
  range.subnet.family === familyIn(address) && holds(range, ipToBigInt(address))

/** What of a range is given without having been asked for by name. */
export function assignable(range: AddressRange, gateways: readonly string[]): Interval[] {
  const own = gateways.filter((gateway) => familyIn(gateway) === range.subnet.family)
  return without(range, [...range.exclude.map(cidrRange), ...own.map((gateway) => point(ipToBigInt(gateway)))])
}

/** For people: the network, or first and last address where it is a part of one. */
export function rangeText({ subnet, first, last }: AddressRange): string {
  const whole = usable(subnet)
  if (first === whole.first && last === whole.last) return formatCidr(subnet)
  return `${bigIntToIp(subnet.family, first)}-${bigIntToIp(subnet.family, last)}`
}

export const setText = (set: RangeSet): string => set.map(rangeText).join(', ')
