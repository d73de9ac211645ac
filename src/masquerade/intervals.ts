import { type Family } from '../base/family.js'
import { bigIntToIp, type Cidr, cidrRange } from '../base/ip.js'
import { type Element } from '../codec/nft/element.js'

/** Networks as the intervals of one set: the kernel refuses such that overlap, so they are joined. */
export function intervalsOf(family: Family, networks: readonly Cidr[]): Element[] {
  const ranges = networks
    .filter((network) => network.family === family)
    .map(cidrRange)
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const joined: { first: bigint; last: bigint }[] = []
  for (const { first, last } of ranges) {
    const previous = joined.at(-1)
    if (previous === undefined || first > previous.last) joined.push({ first, last })
    else if (last > previous.last) previous.last = last
  }
  return joined.map(({ first, last }) => ({ key: [bigIntToIp(family, first)], last: bigIntToIp(family, last) }))
}

export const intervalKey = ({ key, last }: Element): string => `${key[0] ?? ''}-${last ?? ''}`
