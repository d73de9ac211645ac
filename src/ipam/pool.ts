import { NetloomError } from '../base/errors.js'
import { bigIntToIp, type Cidr, cidrContains, cidrRange, formatCidr, ipToBigInt } from '../base/ip.js'
import { type Attachment, type Lease, type LeasedAddress, leaseKey } from '../model/lease.js'
import { gatewayOf } from '../model/podnetwork.js'

/**
 * The addresses of a node's pod networks, one network per family, and who has them. Pure: what it gives is remembered
 * elsewhere, before it is used.
 */
export class Pool {
  #subnets: readonly Cidr[]
  readonly #leases = new Map<string, Lease>()
  readonly #owners = new Map<string, Lease>()
  /** The address given last, by network: the next is looked for behind it, so an address rests before it is reused. */
  readonly #last = new Map<string, bigint>()

  /** @param leases in the order in which they were given */
  constructor(subnets: readonly Cidr[], leases: Iterable<Lease> = []) {
    this.#subnets = subnets
    for (const lease of leases) this.add(lease)
  }

  get subnets(): readonly Cidr[] {
    return this.#subnets
  }

  /** Later addresses come from these networks; leases of others stay until they are released. */
  set subnets(subnets: readonly Cidr[]) {
    this.#subnets = subnets
    // A restarted agent learns the networks after the leases: what was given last must rest then as well.
    const fresh = subnets.filter((subnet) => !this.#last.has(formatCidr(subnet)))
    for (const address of this.#owners.keys()) this.#rememberLast(fresh, address)
  }

  get leases(): ReadonlyMap<string, Lease> {
    return this.#leases
  }

  find(attachment: Attachment): Lease | undefined {
    return this.#leases.get(leaseKey(attachment))
  }

  /**
   * A free address of every network; nothing is taken until {@link add}.
   * @throws NetloomError `exhausted`, naming the network.
   */
  choose(): LeasedAddress[] {
    if (this.#subnets.length === 0)
      throw new NetloomError('unavailable', 'this node has no pod network yet (Node.spec.podCIDRs)')
    return this.#subnets.map((subnet) => ({
      address: this.#chooseIn(subnet),
      prefix: subnet.prefix,
      gateway: gatewayOf(subnet),
    }))
  }

  #chooseIn(subnet: Cidr): string {
    const { first, last } = usable(subnet)
    const count = last < first ? 0n : last - first + 1n
    const previous = this.#last.get(formatCidr(subnet)) ?? first - 1n
    // A lease of an earlier network may be at what is this one's gateway.
    const start = previous < first ? first - 1n : previous
    // No more tries than there are leases can fail; one more finds a free address or proves that there is none.
    const tries = BigInt(this.#owners.size + 1)
    for (let i = 0n; i < tries && i < count; i++) {
      const address = bigIntToIp(subnet.family, first + ((start - first + 1n + i) % count))
      if (!this.#owners.has(address)) return address
    }
    const why = count === 0n ? 'it is too small to hold a pod' : `all ${count} are in use`
    throw new NetloomError('exhausted', `no free address in ${formatCidr(subnet)}: ${why}`)
  }

  /**
   * Gives a lease's addresses to it; those of an earlier lease of the same attachment are free then.
   * @throws NetloomError `exists` where one belongs to somebody else; nothing is taken then
   */
  add(lease: Lease): void {
    for (const { address } of lease.addresses) {
      const owner = this.#owners.get(address)
      if (owner !== undefined && leaseKey(owner) !== leaseKey(lease))
        throw new NetloomError('exists', `${address} belongs to container ${owner.containerId}`)
    }
    this.remove(lease)
    this.#leases.set(leaseKey(lease), lease)
    for (const { address } of lease.addresses) {
      this.#owners.set(address, lease)
      this.#rememberLast(this.#subnets, address)
    }
  }

  #rememberLast(subnets: readonly Cidr[], address: string): void {
    const subnet = subnets.find((candidate) => cidrContains(candidate, address))
    if (subnet !== undefined) this.#last.set(formatCidr(subnet), ipToBigInt(address))
  }

  remove(attachment: Attachment): Lease | undefined {
    const key = leaseKey(attachment)
    const lease = this.#leases.get(key)
    if (lease === undefined) return undefined
    this.#leases.delete(key)
    for (const { address } of lease.addresses) this.#owners.delete(address)
    return lease
  }
}

/** All but the network's own address, the gateway, and IPv4's broadcast address. */
function usable(subnet: Cidr): { first: bigint; last: bigint } {
  const { first, last } = cidrRange(subnet)
  return { first: first + 2n, last: subnet.family.bytes === 4 ? last - 1n : last }
}
