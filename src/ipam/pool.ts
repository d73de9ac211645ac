import { type Family, type FamilyName } from '../base/family.js'
import { NetloomError } from '../base/errors.js'
import { bigIntToIp, type Cidr, ipToBigInt } from '../base/ip.js'
import { type Attachment, type Lease, type LeasedAddress, leaseKey, ownerText } from '../model/lease.js'
import { gatewayOf } from '../model/podnetwork.js'
import { type RequestedAddress } from '../model/requested.js'
import { holds, type Interval, sizeOf } from './interval.js'
import { IntervalSet } from './interval-set.js'
import { type AddressRange, assignable, familyIn, rangeHolds, rangeOf, type RangeSet, setText } from './range.js'
import { assign } from './requested.js'
import { Resting } from './resting.js'

/** What addresses are wanted; {@link readIpam} answers the first two. */
export interface AddressRequest {
  /** One address is taken from each; without any, one from each of the node's networks. No two overlap. */
  readonly sets?: readonly RangeSet[]
  /** Not to be given of the node's networks. */
  readonly exclude?: readonly Cidr[]
  /** At most one for each set. */
  readonly requested?: readonly RequestedAddress[]
}

/** Those of another IPAM plugin, or of a plugin that made the interface, are not ours to give. */
export const isOurs = ({ ipam, mode }: Pick<Lease, 'ipam' | 'mode'>): boolean =>
  ipam === undefined && mode !== 'chained'

/**
 * The addresses of a node and who has them; an address has one owner, whatever network it was given in. Pure: what it
 * gives is remembered elsewhere, before it is used.
 *
 * An address rests as long as it can before it is given again, because packets, connections and caches of its former
 * owner outlive it: those never used come first, then the one released first.
 */
export class Pool {
  #subnets: readonly Cidr[] = []
  readonly #leases = new Map<string, Lease>()
  readonly #owners = new Map<string, Lease>()
  /**
   * How often an address is somebody else's: the gateway of a lease or of the node, or given by another plugin. It is
   * not given meanwhile, but a lease that has it is no error: networks of other plugins may overlap ours.
   */
  readonly #reserved = new Map<string, number>()
  readonly #resting = new Resting()
  /** All that are owned, reserved or resting: what is missing here was never used. */
  readonly #used: Readonly<Record<FamilyName, IntervalSet>> = { ipv4: new IntervalSet(), ipv6: new IntervalSet() }

  /**
   * @param leases in the order in which they were given
   * @param released addresses in the order of their release
   */
  constructor(subnets: readonly Cidr[], leases: Iterable<Lease> = [], released: Iterable<string> = []) {
    this.subnets = subnets
    for (const address of released) this.#rest(address)
    for (const lease of leases) this.add(lease)
  }

  get subnets(): readonly Cidr[] {
    return this.#subnets
  }

  /** Later addresses come from these networks; leases of others stay until they are released. */
  set subnets(subnets: readonly Cidr[]) {
    const before = this.#subnets
    this.#subnets = subnets
    for (const subnet of subnets) this.#reserve(gatewayOf(subnet), 1)
    for (const subnet of before) this.#reserve(gatewayOf(subnet), -1)
  }

  get leases(): ReadonlyMap<string, Lease> {
    return this.#leases
  }

  find(attachment: Attachment): Lease | undefined {
    return this.#leases.get(leaseKey(attachment))
  }

  /**
   * A free address of every set, or none at all; nothing is taken until {@link add}.
   * @throws NetloomError `exhausted`, naming the ranges; `invalid` or `exists` for an address that was asked for
   */
  choose({ sets = [], exclude = [], requested = [] }: AddressRequest = {}): LeasedAddress[] {
    const from = sets.length > 0 ? sets : this.#subnets.map((subnet) => [rangeOf(subnet, exclude)])
    if (from.length === 0)
      throw new NetloomError('unavailable', 'this node has no pod network yet (Node.spec.podCIDRs)')
    const assigned = assign(from, requested)
    const gateways = from.flat().map(({ gateway }) => gateway)
    return from.map((set, i) => {
      const wanted = assigned[i]
      return wanted === undefined ? this.#chooseFrom(set, gateways) : this.#requested(set, wanted)
    })
  }

  #requested(set: RangeSet, { address, field }: RequestedAddress): LeasedAddress {
    const owner = this.#owners.get(address)
    if (owner !== undefined) throw belongsTo(owner, address, field)
    if (this.#reserved.has(address)) throw this.#whyReserved(address, field)
    const range = set.find((candidate) => rangeHolds(candidate, address))
    if (range === undefined) throw new NetloomError('internal', `${address} is not of ${setText(set)}`)
    return leasedFrom(range, address)
  }

  /** Looked for only where it is told: nobody else needs to know who an address is reserved for. */
  #whyReserved(address: string, field: string): NetloomError {
    const holder = [...this.#leases.values()].find(
      (lease) => !isOurs(lease) && lease.addresses.some((held) => held.address === address),
    )
    if (holder !== undefined) return belongsTo(holder, address, field)
    return new NetloomError('exists', `${field}: ${address} is a gateway`, { field })
  }

  #chooseFrom(set: RangeSet, gateways: readonly string[]): LeasedAddress {
    const parts = set.map((range) => ({ range, intervals: assignable(range, gateways) }))
    for (const { range, intervals } of parts) {
      const address = this.#neverUsed(range.subnet.family, intervals)
      if (address !== undefined) return leasedFrom(range, address)
    }
    return this.#releasedFirst(parts) ?? this.#refuse(set, parts)
  }

  #neverUsed(family: Family, intervals: readonly Interval[]): string | undefined {
    for (const interval of intervals) {
      const value = this.#used[family.name].firstMissing(interval)
      if (value !== undefined) return bigIntToIp(family, value)
    }
    return undefined
  }

  #releasedFirst(parts: readonly Part[]): LeasedAddress | undefined {
    for (const address of this.#resting) {
      if (this.#reserved.has(address)) continue
      const [family, value] = [familyIn(address), ipToBigInt(address)]
      const part = parts.find(
        ({ range, intervals }) =>
          range.subnet.family === family && intervals.some((interval) => holds(interval, value)),
      )
      if (part !== undefined) return leasedFrom(part.range, address)
    }
    return undefined
  }

  #refuse(set: RangeSet, parts: readonly Part[]): never {
    const count = sizeOf(parts.flatMap(({ intervals }) => intervals))
    const none = set.some(({ exclude }) => exclude.length > 0)
      ? 'all of it is excluded'
      : 'it is too small to hold a pod'
    const why = count === 0n ? none : `all ${count} are in use`
    throw new NetloomError('exhausted', `no free address in ${setText(set)}: ${why}`)
  }

  /**
   * Gives a lease's addresses to it; those of an earlier lease of the same attachment are free then.
   * @throws NetloomError `exists` where one belongs to somebody else; nothing is taken then
   */
  add(lease: Lease): void {
    for (const { address } of isOurs(lease) ? lease.addresses : []) {
      const owner = this.#owners.get(address)
      if (owner !== undefined && leaseKey(owner) !== leaseKey(lease)) throw belongsTo(owner, address)
    }
    this.remove(lease)
    this.#leases.set(leaseKey(lease), lease)
    for (const { address, gateway } of lease.addresses) {
      if (gateway !== undefined) this.#reserve(gateway, 1)
      if (isOurs(lease)) this.#own(address, lease)
      else this.#reserve(address, 1)
    }
  }

  remove(attachment: Attachment): Lease | undefined {
    const key = leaseKey(attachment)
    const lease = this.#leases.get(key)
    if (lease === undefined) return undefined
    this.#leases.delete(key)
    for (const { address, gateway } of lease.addresses) {
      if (gateway !== undefined) this.#reserve(gateway, -1)
      if (isOurs(lease)) this.#release(address)
      else this.#reserve(address, -1)
    }
    return lease
  }

  #own(address: string, lease: Lease): void {
    this.#owners.set(address, lease)
    this.#resting.delete(address)
    this.#settle(address)
  }

  #release(address: string): void {
    this.#owners.delete(address)
    this.#rest(address)
  }

  #rest(address: string): void {
    const forgotten = this.#resting.add(address)
    this.#settle(address)
    if (forgotten !== undefined) this.#settle(forgotten)
  }

  #reserve(address: string, change: 1 | -1): void {
    const count = (this.#reserved.get(address) ?? 0) + change
    if (count > 0) this.#reserved.set(address, count)
    else this.#reserved.delete(address)
    this.#settle(address)
  }

  /** Brings {@link #used} up to date with an address that has changed hands. */
  #settle(address: string): void {
    const used = this.#used[familyIn(address).name]
    if (this.#owners.has(address) || this.#reserved.has(address) || this.#resting.has(address))
      used.add(ipToBigInt(address))
    else used.delete(ipToBigInt(address))
  }
}

/** A range and what of it may be chosen. */
interface Part {
  readonly range: AddressRange
  readonly intervals: readonly Interval[]
}

const leasedFrom = ({ subnet, gateway }: AddressRange, address: string): LeasedAddress => ({
  address,
  prefix: subnet.prefix,
  gateway,
})

function belongsTo(owner: Lease, address: string, field?: string): NetloomError {
  const place = field === undefined ? '' : `${field}: `
  return new NetloomError('exists', `${place}${address} belongs to ${ownerText(owner)}`, { field })
}
