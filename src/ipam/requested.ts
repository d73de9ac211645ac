import { invalid, type NetloomError } from '../base/errors.js'
import { type RequestedAddress } from '../model/requested.js'
import { rangeHolds, type RangeSet, setText } from './range.js'

/**
 * Which address each set has to give; undefined where it is free to choose. An address that is excluded can be asked
 * for: `exclude` keeps the pool from giving it on its own, and so keeps it for those who name it. The bounds of a range
 * are for everybody. Who asks for one address in two places gets it once.
 * @throws NetloomError `invalid`, naming the field and the address
 */
export function assign(
  sets: readonly RangeSet[],
  requested: readonly RequestedAddress[],
): (RequestedAddress | undefined)[] {
  const assigned: (RequestedAddress | undefined)[] = sets.map(() => undefined)
  for (const request of requested) {
    const at = setOf(sets, request)
    const other = assigned[at]
    if (other !== undefined && other.address !== request.address)
      throw refused(request, `is of the same ranges as ${other.address}, and they give one address`)
    assigned[at] = other ?? request
  }
  return assigned
}

function setOf(sets: readonly RangeSet[], request: RequestedAddress): number {
  const { address } = request
  const at = sets.findIndex((set) => set.some((range) => rangeHolds(range, address)))
  if (at < 0) throw refused(request, `cannot be given out of ${sets.map(setText).join('; ')}`)
  if (sets.flat().some(({ gateway }) => gateway === address)) throw refused(request, 'is the gateway')
  return at
}

const refused = ({ address, field }: RequestedAddress, problem: string): NetloomError =>
  invalid(field, `${address} ${problem}`)
