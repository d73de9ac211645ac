import { FAMILIES, type Family } from '../base/family.js'
import { familyOf, ipToBigInt } from '../base/ip.js'
import { FILTER_PRIORITY, LIMIT_TABLE } from '../base/names.js'
import { TC_H } from '../codec/rtnl/constants.js'
import { type Filter, type FilterHandle } from '../codec/rtnl/filter.js'
import { type Link } from '../codec/rtnl/link.js'
import { type Qdisc } from '../codec/rtnl/qdisc.js'
import { LAST_BYTES, lastByteOfSource, type PacketSource } from '../codec/rtnl/u32.js'
import { type Op } from '../ops/op.js'
import { type Fault } from './fault.js'

/** The filters that send what a container sent through its IFB device, where that comes in to the node. */

/** Where a container's packets can be caught. */
export interface CatchPoint {
  /** The link that they come in by. */
  readonly device: string
  /** Packets of others come in there as well, so that its own have to be told by their source. */
  readonly shared: boolean
}

export interface Detour {
  readonly caught: CatchPoint
  /** The addresses of the container. */
  readonly addresses: readonly string[]
  /** Name of the IFB device. */
  readonly through: string
}

export interface ActualDetours {
  readonly links: ReadonlyMap<string, Link>
  readonly qdiscs: readonly Qdisc[]
  /** What the catch point's device has for what it receives. */
  readonly filters: readonly Filter[]
}

export function* detourFaults(detour: Detour, actual: ActualDetours): Generator<Fault> {
  const { device, shared } = detour.caught
  if (!hasPlace(device, actual))
    yield { text: `link ${device} has no place for filters`, repair: [{ kind: 'clsact.add', device }] }
  if (shared) yield* sharedFaults(detour, actual)
  else for (const family of FAMILIES) yield* ownFaults(detour, family, actual)
}

/** Where there are filters there is a place for them. */
function hasPlace(device: string, { links, qdiscs, filters }: ActualDetours): boolean {
  const index = links.get(device)?.index
  return filters.length > 0 || qdiscs.some((qdisc) => qdisc.index === index && qdisc.parent === TC_H.CLSACT)
}

const priorityOf = (family: Family): number => FILTER_PRIORITY.limit[family.name]

const isLimit = ({ family, priority }: Filter): boolean => family !== undefined && priority === priorityOf(family)

/** Tables, and what leads to them. */
const isScaffold = (filter: Filter): boolean => filter.buckets !== undefined || filter.leadsTo !== undefined

/** Filters of ours that catch packets. */
const limitsOf = (filters: readonly Filter[]): Filter[] =>
  filters.filter((filter) => isLimit(filter) && !isScaffold(filter))

/** It matches what comes from this source and nothing else. */
const matches = ({ source }: Filter, { mac, address, protocol }: PacketSource): boolean =>
  source !== undefined && source.mac === mac && source.address === address && source.protocol === protocol

/** It sends packets to the IFB device, and not to one that is gone. */
const leadsThrough = ({ redirect }: Filter, { through }: Detour, { links }: ActualDetours): boolean =>
  redirect?.to === 'egress' && redirect.target === links.get(through)?.index

const missing = (device: string, what: string, through: string): string =>
  `${what} that arrive on ${device} do not pass ${through}`

/** On a link of the container's own all packets are caught, also those from addresses that were not given to it. */
function* ownFaults(detour: Detour, family: Family, actual: ActualDetours): Generator<Fault> {
  const { caught, through } = detour
  const { device } = caught
  const place = { device, family, priority: priorityOf(family) }
  const found = limitsOf(actual.filters).filter((filter) => filter.family === family)
  const right = found.filter((filter) => matches(filter, {}) && leadsThrough(filter, detour, actual))
  if (right.length === 1 && found.length === 1) return
  yield {
    text: missing(device, `${family.name} packets`, through),
    repair: [
      ...(found.length === 0 ? [] : [{ kind: 'filter.delete', ...place } as const]),
      { kind: 'filter.add', ...place, to: 'egress', target: through },
    ],
  }
}

/**
 * Where many share a link, each address has a filter in a table that the last byte of a packet's source leads into: a
 * packet meets the few filters of its own bucket and not those of all containers.
 */
function* sharedFaults(detour: Detour, actual: ActualDetours): Generator<Fault> {
  const handles = new Handles(actual.filters)
  for (const family of FAMILIES) {
    const addresses = detour.addresses.filter((address) => familyOf(address) === family)
    if (addresses.length > 0) yield* tableFaults(detour, family, actual)
    for (const address of addresses) yield* addressFaults({ ...detour, address, family }, actual, handles)
  }
}

function* tableFaults({ caught: { device } }: Detour, family: Family, { filters }: ActualDetours): Generator<Fault> {
  const tableId = LIMIT_TABLE[family.name]
  const place = { device, family, priority: priorityOf(family) }
  const own = filters.filter((filter) => isLimit(filter) && filter.family === family)
  const has = (of: (filter: Filter) => boolean): boolean => own.some(of)
  if (!has(({ buckets, handle }) => buckets !== undefined && handle.table === tableId))
    yield {
      text: `link ${device} has no table of ${family.name} filters`,
      repair: [{ kind: 'filter.table', ...place, tableId, buckets: LAST_BYTES }],
    }
  if (!has(({ leadsTo }) => leadsTo === tableId))
    yield {
      text: `link ${device} does not look into its table of ${family.name} filters`,
      repair: [{ kind: 'filter.link', ...place, tableId, hash: lastByteOfSource(family) }],
    }
}

function* addressFaults(
  detour: Detour & { readonly address: string; readonly family: Family },
  actual: ActualDetours,
  handles: Handles,
): Generator<Fault> {
  const { caught, through, address, family } = detour
  const place = { device: caught.device, family, priority: priorityOf(family) }
  const found = limitsOf(actual.filters).filter(({ source }) => source?.address === address)
  const right = found.find(
    (filter) => matches(filter, { address }) && inItsBucket(filter, address) && leadsThrough(filter, detour, actual),
  )
  const wrong = found.filter((filter) => filter !== right)
  if (right !== undefined && wrong.length === 0) return
  for (const { handle } of wrong) handles.release(handle)
  const removals = wrong.map(({ handle }): Op => ({ kind: 'filter.delete', ...place, handle }))
  yield {
    text: missing(caught.device, `packets of ${address}`, through),
    repair:
      right !== undefined
        ? removals
        : [
            ...removals,
            {
              kind: 'filter.add',
              ...place,
              handle: handles.take(family, address),
              source: { address },
              to: 'egress',
              target: through,
            },
          ],
  }
}

const bucketOf = (address: string): number => Number(ipToBigInt(address) & 0xffn)

const inItsBucket = ({ handle, family }: Filter, address: string): boolean =>
  family !== undefined && handle.table === LIMIT_TABLE[family.name] && handle.bucket === bucketOf(address)

/** Numbers that a filter may have in its bucket: 12 bits without 0. */
const NODES = 0xfff

/** The handles of a link's filters that are in use. */
class Handles {
  readonly #used: Set<string>

  constructor(filters: readonly Filter[]) {
    this.#used = new Set(filters.map(({ handle }) => key(handle)))
  }

  /**
   * A free handle for an address. The further bytes of the address say where the search begins, so that the same
   * address has the same handle wherever that is free, and two of them seldom meet.
   */
  take(family: Family, address: string): FilterHandle {
    const start = Number((ipToBigInt(address) >> 8n) % BigInt(NODES))
    const at = (i: number): FilterHandle => ({
      table: LIMIT_TABLE[family.name],
      bucket: bucketOf(address),
      node: 1 + ((start + i) % NODES),
    })
    // More than there are in use need not be tried; where all are in use the kernel refuses the last.
    let handle = at(0)
    for (let i = 1; i < NODES && this.#used.has(key(handle)); i++) handle = at(i)
    this.#used.add(key(handle))
    return handle
  }

  release(handle: FilterHandle): void {
    this.#used.delete(key(handle))
  }
}

const key = ({ table, bucket, node }: FilterHandle): string => `${table} ${bucket} ${node}`

type IsGone = (address: string) => boolean

/** Filters that catch packets from addresses that are gone. */
export const detoursOf = (filters: readonly Filter[], gone: IsGone): Filter[] =>
  limitsOf(filters).filter(({ source }) => source?.address !== undefined && gone(source.address))

/** What takes those off a link that many share; with the last of all its place for filters. */
export function planDetourRemoval(device: string, filters: readonly Filter[], gone: IsGone): Op[] {
  const leaving = detoursOf(filters, gone)
  const staying = filters.filter((filter) => !leaving.includes(filter))
  // Tables and the way to them are of no use alone, and the kernel keeps them until the last priority is gone.
  if (filters.length > 0 && staying.every((filter) => isLimit(filter) && isScaffold(filter)))
    return [{ kind: 'clsact.delete', device }]
  return leaving.flatMap(({ family, priority, handle }): Op[] =>
    family === undefined ? [] : [{ kind: 'filter.delete', device, family, priority, handle }],
  )
}

/** The same on a link of the container's own, whose place for filters may be somebody else's. */
export const planOwnDetourRemoval = (device: string): Op[] =>
  FAMILIES.map((family): Op => ({ kind: 'filter.delete', device, family, priority: priorityOf(family) }))
