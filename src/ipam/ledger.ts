import { type Attachment, type Lease, leaseKey } from '../model/lease.js'
import { isOurs } from './pool.js'
import { type JournalRecord } from './record.js'
import { Resting } from './resting.js'

/** Addresses in one record; 39 characters at most, so it stays far below what a record may take. */
const RELEASED_IN_RECORD = 256

/** What the records of a journal come to: the leases, and what was released in which order. */
export class Ledger {
  readonly #leases = new Map<string, Lease>()
  readonly #resting = new Resting()

  /** In the order in which they were given. */
  get leases(): ReadonlyMap<string, Lease> {
    return this.#leases
  }

  /** Addresses in the order of their release. */
  get released(): Iterable<string> {
    return this.#resting
  }

  has(attachment: Attachment): boolean {
    return this.#leases.has(leaseKey(attachment))
  }

  apply(record: JournalRecord): void {
    if ('add' in record) this.#add(record.add)
    else if ('remove' in record) this.#remove(record.remove)
    else for (const address of record.released) this.#resting.add(address)
  }

  /** A lease that is replaced is a later one: it stands last then. */
  #add(lease: Lease): void {
    this.#remove(lease)
    this.#leases.set(leaseKey(lease), lease)
    if (isOurs(lease)) for (const { address } of lease.addresses) this.#resting.delete(address)
  }

  #remove(attachment: Attachment): void {
    const lease = this.#leases.get(leaseKey(attachment))
    if (lease === undefined) return
    this.#leases.delete(leaseKey(lease))
    if (isOurs(lease)) for (const { address } of lease.addresses) this.#resting.add(address)
  }

  /**
   * Removes leases whose address a later one has, and answers them: where a removal was lost, the lease that it was of
   * is there again.
   */
  dropSuperseded(): Lease[] {
    const owned = new Set<string>()
    const superseded = [...this.#leases.values()].reverse().filter((lease) => {
      if (!isOurs(lease)) return false
      const addresses = lease.addresses.map(({ address }) => address)
      if (addresses.some((address) => owned.has(address))) return true
      for (const address of addresses) owned.add(address)
      return false
    })
    for (const lease of superseded) this.#remove(lease)
    for (const address of owned) this.#resting.delete(address)
    return superseded
  }

  /** The fewest records that come to the same. */
  records(): JournalRecord[] {
    const released = [...this.#resting]
    const chunks = Math.ceil(released.length / RELEASED_IN_RECORD)
    return [
      ...Array.from({ length: chunks }, (_, i) => ({
        released: released.slice(i * RELEASED_IN_RECORD, (i + 1) * RELEASED_IN_RECORD),
      })),
      ...[...this.#leases.values()].map((lease) => ({ add: lease })),
    ]
  }
}
