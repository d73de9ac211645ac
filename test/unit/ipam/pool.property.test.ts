import fc from 'fast-check'
import * as fs from 'node:fs'
import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { bigIntToIp, cidrContains, parseCidr } from '../../../src/base/ip.js'
import { type Ipam, readIpam } from '../../../src/ipam/config.js'
import { Journal } from '../../../src/ipam/journal-io.js'
import { Pool } from '../../../src/ipam/pool.js'
import { type AddressRange, rangeOf, type RangeSet } from '../../../src/ipam/range.js'
import { Cursor } from '../../../src/model/cursor.js'
import { type Lease, leaseKey } from '../../../src/model/lease.js'
import { exampleLease } from '../../support/lease.js'

/**
 * Whatever happens in whatever order, addresses are given as a slow and obvious model gives them: one that writes down
 * every address of a range. The ranges are small, so that they are exhausted often, and overlap between networks.
 */

/** fast-check prints it, with the path to the smallest sequence that fails: put both here to run that again. */
const SEED = 20_260_807

const ipam = (value: unknown): Ipam => readIpam(new Cursor({ ipam: value }).field('ipam'), new Cursor(undefined))

const NETWORKS: readonly Ipam[] = [
  ipam({}),
  ipam({ exclude: ['10.1.0.4/31', 'fd00::8/125'] }),
  ipam({
    ranges: [[{ subnet: '10.1.0.0/28', rangeStart: '10.1.0.3', gateway: '10.1.0.9' }], [{ subnet: 'fd00::/125' }]],
  }),
  ipam({
    ranges: [
      [
        { subnet: '10.1.0.0/29', rangeEnd: '10.1.0.4', gateway: '192.0.2.7', exclude: ['10.1.0.3'] },
        { subnet: '10.3.0.0/30', gateway: '192.0.2.1' },
      ],
    ],
  }),
  ipam({ subnet: '10.1.0.8/29', gateway: '10.1.0.2', ranges: [[{ subnet: '10.2.0.0/29' }]] }),
]

const SUBNETS = [['10.1.0.0/29', 'fd00::/124'], ['10.2.0.0/28'], ['10.1.0.0/28', 'fd00::/126'], []].map((texts) =>
  texts.map((text) => parseCidr(text)),
)

const POOLED = [
  '10.1.0.1',
  '10.1.0.3',
  '10.1.0.4',
  '10.1.0.9',
  '10.1.0.15',
  '10.2.0.2',
  '10.3.0.1',
  'fd00::3',
  'fd00::9',
]

interface Add {
  readonly kind: 'add' | 'torn'
  readonly id: number
  readonly network: number
  readonly requested: readonly string[]
  /** Whose the addresses are, where they are not ours. */
  readonly foreign: boolean
}

type Step =
  | Add
  | { readonly kind: 'del'; readonly id: number }
  | { readonly kind: 'subnets'; readonly at: number }
  | { readonly kind: 'restart' }

const id = fc.nat({ max: 15 })
const add = (kind: 'add' | 'torn'): fc.Arbitrary<Step> =>
  fc.record({
    kind: fc.constant(kind),
    id,
    network: fc.nat({ max: NETWORKS.length - 1 }),
    requested: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(fc.constantFrom(...POOLED), { minLength: 1, maxLength: 2 }) },
    ),
    foreign: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  })

const steps = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: add('add') },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('del' as const), id }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('subnets' as const), at: fc.nat({ max: SUBNETS.length - 1 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
    { weight: 1, arbitrary: add('torn') },
  ),
  { maxLength: 120, size: 'max' },
)

/** Throws, with a text for people, what must not be. */
function demand(condition: boolean, text: string): asserts condition {
  if (!condition) throw new Error(text)
}

/** The slow model: who has what, and what was released when. */
class Model {
  subnets = SUBNETS[0] ?? []
  readonly leases = new Map<string, Lease>()
  released: string[] = []

  give(lease: Lease): void {
    this.take(lease)
    this.leases.set(leaseKey(lease), lease)
    if (lease.ipam === undefined)
      this.released = this.released.filter((address) => !addressesOf(lease).includes(address))
  }

  take(attachment: Lease): void {
    const lease = this.leases.get(leaseKey(attachment))
    this.leases.delete(leaseKey(attachment))
    if (lease?.ipam !== undefined) return
    const addresses = lease === undefined ? [] : addressesOf(lease)
    this.released = [...this.released.filter((address) => !addresses.includes(address)), ...addresses]
  }

  setsOf({ sets, exclude }: Ipam): readonly RangeSet[] {
    return sets.length > 0 ? sets : this.subnets.map((subnet) => [rangeOf(subnet, exclude)])
  }

  /** What can be given of a range at all. */
  #fit(range: AddressRange, sets: readonly RangeSet[]): string[] {
    const gateways = sets.flat().map(({ gateway }) => gateway)
    return addressesIn(range).filter(
      (address) => !gateways.includes(address) && !range.exclude.some((network) => cidrContains(network, address)),
    )
  }

  isTaken(address: string): boolean {
    const gateways = this.subnets.map((subnet) => rangeOf(subnet).gateway)
    const held = [...this.leases.values()].flatMap(({ addresses }) => addresses)
    return gateways.includes(address) || held.some((one) => one.address === address || one.gateway === address)
  }

  /** The address that a set has to give. */
  next(set: RangeSet, sets: readonly RangeSet[]): string | undefined {
    const free = set.flatMap((range) => this.#fit(range, sets)).filter((address) => !this.isTaken(address))
    const fresh = free.find((address) => !this.released.includes(address))
    return fresh ?? this.released.find((address) => free.includes(address))
  }
}

const addressesOf = ({ addresses }: Lease): string[] => addresses.map(({ address }) => address)

const addressesIn = ({ subnet, first, last }: AddressRange): string[] =>
  Array.from({ length: Number(last - first + 1n) }, (_, i) => bigIntToIp(subnet.family, first + BigInt(i)))

/** Written anew often, and without waiting for the disk. */
const OPTIONS = { toleratedHistory: 5, disk: { ...fs, fsyncSync: () => undefined } }

/** An agent's pool and journal, and the model beside them. */
class Node {
  readonly #path: string
  readonly #model = new Model()
  #journal: Journal
  #pool: Pool

  constructor(path: string) {
    this.#path = path
    this.#journal = new Journal(path, OPTIONS)
    this.#pool = new Pool(this.#model.subnets)
  }

  run(step: Step): void {
    if (step.kind === 'add') this.#add(step)
    else if (step.kind === 'del') this.#del(lease(step.id))
    else if (step.kind === 'subnets') this.#pool.subnets = this.#model.subnets = SUBNETS[step.at] ?? []
    else if (step.kind === 'restart') this.#restart()
    else this.#tear(step)
    this.#compare()
  }

  #add(step: Add): void {
    const one = this.#choose(step)
    if (one === undefined) return
    this.#journal.add(one)
    this.#pool.add(one)
    this.#model.give(one)
  }

  /** The agent ends while it writes; what it would have written is not there, and nobody was told of it. */
  #tear(step: Add): void {
    const one = this.#choose(step)
    if (one === undefined) return
    const before = sizeOf(this.#path)
    this.#journal.add(one)
    const after = sizeOf(this.#path)
    truncateSync(this.#path, before + ((step.id * 37) % (after - before)))
    this.#restart()
  }

  #restart(): void {
    this.#journal.close()
    this.#journal = new Journal(this.#path, OPTIONS)
    this.#pool = new Pool([], this.#journal.leases, this.#journal.released)
    this.#pool.subnets = this.#model.subnets
  }

  #del(one: Lease): void {
    this.#journal.remove(one)
    this.#pool.remove(one)
    this.#model.take(one)
  }

  #choose({ id, network, requested, foreign }: Add): Lease | undefined {
    const one = lease(id)
    if (foreign) {
      const addresses = requested.map((address) => ({ address, prefix: 24 }))
      return { ...one, addresses, ipam: 'dhcp' }
    }
    const config = NETWORKS[network] ?? ipam({})
    const request = { ...config, requested: requested.map((address, i) => ({ address, field: `ips[${i}]` })) }
    try {
      const addresses = this.#pool.choose(request)
      this.#checkGiven(addresses.map(({ address }) => address), this.#model.setsOf(config), requested) // prettier-ignore
      return { ...one, addresses }
    } catch (error) {
      if (!(error instanceof NetloomError)) throw error
      this.#checkRefused(error, this.#model.setsOf(config), requested)
      return undefined
    }
  }

  #checkGiven(given: readonly string[], sets: readonly RangeSet[], requested: readonly string[]): void {
    demand(given.length === sets.length, `${given.length} addresses of ${sets.length} sets`)
    for (const address of requested) demand(given.includes(address), `${address} was asked for, ${given.join()} given`)
    for (const [i, address] of given.entries()) {
      const set = sets[i] ?? []
      demand(!this.#model.isTaken(address), `${address} is somebody's`)
      demand(set.some((range) => addressesIn(range).includes(address)), `${address} is not of set ${i}`) // prettier-ignore
      demand(!sets.flat().some(({ gateway }) => gateway === address), `${address} is a gateway`)
      const expected = requested.includes(address) ? address : this.#model.next(set, sets)
      demand(address === expected, `${address} was given, ${expected} is next`)
    }
  }

  #checkRefused(error: NetloomError, sets: readonly RangeSet[], requested: readonly string[]): void {
    const isEmpty = (set: RangeSet): boolean =>
      this.#model.next(set, sets) === undefined &&
      !requested.some((address) => set.some((range) => addressesIn(range).includes(address)))
    if (error.code === 'unavailable') demand(sets.length === 0, 'there are networks')
    else if (error.code === 'exhausted') demand(sets.some(isEmpty), `no set is exhausted: ${error.message}`)
    else if (error.code === 'exists')
      demand(requested.some((one) => this.#model.isTaken(one)), error.message) // prettier-ignore
    else demand(error.code === 'invalid' && error.field?.startsWith('ips[') === true, error.message)
  }

  /** Pool, journal and model agree, and no two leases of ours share an address. */
  #compare(): void {
    const expected = text(this.#model.leases.values())
    demand(text(this.#pool.leases.values()) === expected, 'the pool has other leases')
    demand(text(this.#journal.leases) === expected, 'the journal has other leases')
    demand([...this.#journal.released].join() === this.#model.released.join(), 'the journal has another order')
    const held = [...this.#pool.leases.values()].filter((one) => one.ipam === undefined).flatMap(addressesOf)
    demand(new Set(held).size === held.length, `shared: ${held.join()}`)
  }

  close(): void {
    this.#journal.close()
  }
}

const lease = (id: number): Lease => exampleLease({ containerId: `c${id}`, addresses: [] })

const text = (leases: Iterable<Lease>): string =>
  [...leases].map((one) => `${one.containerId} ${addressesOf(one).join()}`).join('\n')

const sizeOf = (path: string): number => statSync(path).size

t.test('in any order of ADD, DEL, requests, changes of networks, restarts and crashes', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-pool-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  let runs = 0
  fc.assert(
    fc.property(steps, (sequence) => {
      const node = new Node(join(folder, `${runs++}`))
      try {
        for (const step of sequence) node.run(step)
      } finally {
        node.close()
      }
    }),
    { seed: SEED, numRuns: 250 },
  )
  t.equal(runs, 250)
})
