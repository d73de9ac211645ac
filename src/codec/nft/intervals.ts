import { type Family } from '../../base/family.js'
import { bigIntToIp, type Cidr, cidrRange } from '../../base/ip.js'
import { type Element } from './element.js'

interface Interval {
  readonly first: bigint
  readonly last: bigint
  readonly element: Element
}

/**
 * Intervals of networks that were asked for before: those of 5,000 nodes are asked for with every node that comes, and
 * are the same objects each time.
 */
const KNOWN = new WeakMap<Cidr, Interval>()

function intervalOf(network: Cidr): Interval {
  const known = KNOWN.get(network)
  if (known !== undefined) return known
  const { first, last } = cidrRange(network)
  const interval = { first, last, element: elementOf(network.family, first, last) }
  KNOWN.set(network, interval)
  return interval
}

const elementOf = (family: Family, first: bigint, last: bigint): Element => ({
  key: [bigIntToIp(family, first)],
  last: bigIntToIp(family, last),
})

/** Networks as the intervals of one set: the kernel refuses such that overlap, so they are joined. */
export function intervalsOf(family: Family, networks: readonly Cidr[]): Element[] {
  const intervals = networks
    .filter((network) => network.family === family)
    .map(intervalOf)
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const joined: Interval[] = []
  for (const interval of intervals) {
    const previous = joined.at(-1)
    if (previous === undefined || interval.first > previous.last) joined.push(interval)
    else if (interval.last > previous.last) {
      const { first } = previous
      joined[joined.length - 1] = { first, last: interval.last, element: elementOf(family, first, interval.last) }
    }
  }
  return joined.map(({ element }) => element)
}

export const intervalKey = ({ key, last }: Element): string => `${key[0] ?? ''}-${last ?? ''}`
