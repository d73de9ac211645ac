import { invalid, NetloomError } from '../base/errors.js'
import { type Attachment, type Lease, leaseKey } from '../model/lease.js'
import { type HostPort, hostPortText, mappingPorts } from './hostport.js'

/** Who has a host port. */
interface Holder {
  readonly port: HostPort
  readonly containerId: string
  /** Of the attachment. */
  readonly key: string
}

/** The place of all addresses of the node among the holders of a port. */
const ANY = '*'

const slotOf = ({ address = ANY }: HostPort): string => address
const portKey = ({ family, protocol, port }: HostPort): string => `${family.name} ${protocol} ${port}`

/**
 * Who has which port of the node. A port at all addresses and the same port at one of them exclude each other, unless
 * one container has both: then the one address wins. Cost follows the mappings of the lease, never their number on
 * the node.
 */
export class HostPortRegistry {
  /** Holders by port, then by address. */
  readonly #holders = new Map<string, Map<string, Holder>>()
  readonly #claims = new Map<string, readonly HostPort[]>()

  /**
   * Takes the host ports of a lease, in the place of those that it may have had, and answers them. What a further
   * attachment of the same container asks for again stays with the one that has it.
   * @throws NetloomError `exists` where another container has one of them, `invalid` where the lease asks for one
   * twice; nothing is taken then
   */
  claim(lease: Lease): readonly HostPort[] {
    const key = leaseKey(lease)
    const wanted = distinctPorts(lease)
    const granted = wanted.filter((port) => this.#isFree(port, { key, containerId: lease.containerId }))
    this.release(lease)
    for (const port of granted) this.#hold({ port, containerId: lease.containerId, key })
    if (granted.length > 0) this.#claims.set(key, granted)
    return granted
  }

  /** Gives back what an attachment has, and answers it: nothing for one that has none. */
  release(attachment: Attachment): readonly HostPort[] {
    const key = leaseKey(attachment)
    const ports = this.#claims.get(key) ?? []
    for (const port of ports) this.#drop(port)
    this.#claims.delete(key)
    return ports
  }

  /** What an attachment has. */
  of(attachment: Attachment): readonly HostPort[] {
    return this.#claims.get(leaseKey(attachment)) ?? []
  }

  all(): HostPort[] {
    return [...this.#claims.values()].flat()
  }

  #isFree(port: HostPort, by: Pick<Holder, 'key' | 'containerId'>): boolean {
    const holders = this.#holders.get(portKey(port)) ?? new Map<string, Holder>()
    const slot = slotOf(port)
    const rivals = slot === ANY ? holders.values() : [holders.get(ANY), holders.get(slot)]
    for (const rival of rivals)
      if (rival !== undefined && rival.containerId !== by.containerId) throw taken(port, rival)
    const holder = holders.get(slot)
    return holder === undefined || holder.key === by.key
  }

  #hold(holder: Holder): void {
    const key = portKey(holder.port)
    const holders = this.#holders.get(key) ?? new Map<string, Holder>()
    this.#holders.set(key, holders.set(slotOf(holder.port), holder))
  }

  #drop(port: HostPort): void {
    const key = portKey(port)
    const holders = this.#holders.get(key)
    holders?.delete(slotOf(port))
    if (holders?.size === 0) this.#holders.delete(key)
  }
}

function taken(port: HostPort, { port: theirs }: Holder): NetloomError {
  const where = theirs.address === port.address ? '' : ` (${hostPortText(theirs)})`
  return new NetloomError('exists', `host port ${hostPortText(port)} is taken: ${theirs.owner} has it${where}`, {
    operation: 'map host port',
    field: 'portMappings',
  })
}

function distinctPorts(lease: Lease): HostPort[] {
  const seen = new Set<string>()
  return lease.ports.flatMap((mapping, i) => {
    const ports = mappingPorts(lease, mapping)
    for (const port of ports) {
      const place = `${portKey(port)} ${slotOf(port)}`
      if (seen.has(place)) throw invalid(`portMappings[${i}]`, `repeats host port ${hostPortText(port)}`)
      seen.add(place)
    }
    return ports
  })
}
