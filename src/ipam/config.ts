import {
  bigIntToIp,
  type Cidr,
  cidrContains,
  cidrRange,
  cidrsOverlap,
  formatCidr,
  type IpPrefix,
  ipToBigInt,
  isUnicast,
  networkOf,
  parseIp,
  parseIpPrefix,
} from '../base/ip.js'
import { type Cursor } from '../model/cursor.js'
import { gatewayOf } from '../model/podnetwork.js'
import { type Interval, overlaps } from './interval.js'
import { type AddressRange, type RangeSet, rangeText, usable } from './range.js'

/**
 * `ipam` of a network's configuration where netloom gives the addresses. The keys are host-local's, so that changing
 * `type` is all that it takes to switch; `exclude` is our own.
 */
export interface Ipam {
  /** One address is taken from each; without any the node's pod networks are what there is. */
  readonly sets: readonly RangeSet[]
  /** Networks that nothing is given from unasked; ranges of `sets` have them among their own. */
  readonly exclude: readonly Cidr[]
}

const RANGE_KEYS = ['subnet', 'rangeStart', 'rangeEnd', 'gateway', 'exclude'] as const

/** Those of `ipam`. Others read `routes` and `resolvConf`; the leases' place is not a network's to choose (`dataDir`). */
const IPAM_KEYS = ['type', 'ranges', ...RANGE_KEYS, 'routes', 'resolvConf', 'dataDir'] as const

/** A range and where it stands. */
interface Placed {
  readonly place: Cursor
  readonly range: AddressRange
}

/**
 * Reads `ipam`. The sets of the capability `ipRanges` come first, then the range that `ipam` itself is, then `ranges`:
 * host-local's order, which is that of the addresses in the result.
 * @param ipRanges `runtimeConfig.ipRanges`, absent where the runtime gave none
 * @throws NetloomError `invalid`, naming the field; a misspelt key is refused, because it would widen what is given
 */
export function readIpam(place: Cursor, ipRanges: Cursor): Ipam {
  const exclude = place.only(IPAM_KEYS).field('exclude').list(readExclusion)
  const own = [...readSingle(place), ...readSets(place.field('ranges'))]
  const sets = [...readSets(ipRanges), ...own]
  refuseOverlaps(sets.flat())
  if (own.length > 0) refuseOutside(place.field('exclude'), sets.flat())
  return { sets: sets.map((set) => set.map(({ range }) => withExcluded(range, exclude))), exclude }
}

/** Host-local's older form, in which `ipam` is a range itself. */
function readSingle(place: Cursor): Placed[][] {
  if (!place.field('subnet').absent) return [[{ place, range: readRange(place) }]]
  const stray = ['rangeStart', 'rangeEnd', 'gateway'].map((name) => place.field(name)).find((field) => !isEmpty(field))
  if (stray !== undefined) throw stray.error('means nothing without a subnet beside it')
  return []
}

const readSets = (place: Cursor): readonly Placed[][] =>
  place.list((set) => {
    const ranges = set.list((item) => {
      const range = readRange(item.only(RANGE_KEYS))
      return { place: item, range: { ...range, exclude: readExcluded(item.field('exclude'), range.subnet) } }
    })
    if (ranges.length === 0) throw set.error('is a set without a range')
    refuseMixture(ranges)
    return [...ranges]
  })

/** Go takes an empty text for no address, and templates leave such. */
const isEmpty = (field: Cursor): boolean => field.absent || field.value === ''

/** All but what is excluded: of the older form that is for all ranges. */
function readRange(place: Cursor): AddressRange {
  const subnet = readSubnet(place.field('subnet'))
  const { family, prefix } = subnet
  if (prefix > family.bits - 2) throw place.field('subnet').error(`${formatCidr(subnet)} is too small to give from`)
  return { subnet, ...readBounds(place, subnet), gateway: readGateway(place.field('gateway'), subnet), exclude: [] }
}

/** Of a range that names the network's own address or the broadcast address, these are not given all the same. */
function readBounds(place: Cursor, subnet: Cidr): Interval {
  const most = usable(subnet)
  const bound = (field: Cursor, fallback: bigint): bigint => {
    if (isEmpty(field)) return fallback
    const { address } = field.address(parseIp)
    if (!cidrContains(subnet, address)) throw field.error(`${address} is outside of ${formatCidr(subnet)}`)
    return ipToBigInt(address)
  }
  const first = bound(place.field('rangeStart'), most.first)
  const last = bound(place.field('rangeEnd'), most.last)
  if (last < first)
    throw place.field('rangeEnd').error(`${bigIntToIp(subnet.family, last)} is before the start of the range`)
  return { first: first < most.first ? most.first : first, last: last > most.last ? most.last : last }
}

/** Host-local takes one outside of the network as well, and some hosters give such; of the same family it must be. */
function readGateway(field: Cursor, subnet: Cidr): string {
  if (isEmpty(field)) return gatewayOf(subnet)
  const ip = field.address(parseIp)
  if (ip.family !== subnet.family)
    throw field.error(`${ip.address} is not ${subnet.family.kubernetes}, as the subnet is`)
  if (!isUnicast(ip)) throw field.error(`${ip.address} cannot be a gateway`)
  return ip.address
}

const readExcluded = (place: Cursor, subnet: Cidr): readonly Cidr[] =>
  place.list((item) => {
    const network = readExclusion(item)
    if (!cidrsOverlap(network, subnet)) throw item.error(`${formatCidr(network)} is outside of ${formatCidr(subnet)}`)
    return network
  })

const readSubnet = (place: Cursor): Cidr => withoutHostBits(place, place.address(parseIpPrefix))

/** A network, or an address alone. */
function readExclusion(place: Cursor): Cidr {
  if (place.string().includes('/')) return withoutHostBits(place, place.address(parseIpPrefix))
  const { family, address } = place.address(parseIp)
  return { family, address, prefix: family.bits }
}

/** Host bits are a mistake in one of the two numbers, and clearing them would be a guess in which. */
function withoutHostBits(place: Cursor, { family, address, prefix }: IpPrefix): Cidr {
  const network = networkOf(family, address, prefix)
  if (network.address === address) return network
  throw place.error(`${place.quoted} has host bits set: the network is ${formatCidr(network)}`)
}

function refuseMixture(set: readonly Placed[]): void {
  const family = set[0]?.range.subnet.family
  const other = set.find(({ range }) => range.subnet.family !== family)
  if (other !== undefined)
    throw other.place
      .field('subnet')
      .error('is of another family than the first of its set, and a set gives one address')
}

/** Within a set and between sets: an address must not come from two places, with two gateways. */
function refuseOverlaps(ranges: readonly Placed[]): void {
  for (const [i, { place, range }] of ranges.entries()) {
    const other = ranges
      .slice(0, i)
      .find((before) => before.range.subnet.family === range.subnet.family && overlaps(before.range, range))
    if (other !== undefined)
      throw place.error(`${rangeText(range)} overlaps ${rangeText(other.range)} of ${other.place.path}`)
  }
}

/** What is excluded of nothing is a misprint. Ranges of the runtime alone may be any, so there it is none. */
function refuseOutside(place: Cursor, ranges: readonly Placed[]): void {
  place.list((item) => {
    const network = readExclusion(item)
    if (!ranges.some(({ range }) => excludes(network, range)))
      throw item.error(`${formatCidr(network)} is in none of the ranges`)
  })
}

const excludes = (network: Cidr, range: AddressRange): boolean =>
  network.family === range.subnet.family && overlaps(cidrRange(network), range)

const withExcluded = (range: AddressRange, exclude: readonly Cidr[]): AddressRange => ({
  ...range,
  exclude: [...range.exclude, ...exclude.filter((network) => excludes(network, range))],
})
