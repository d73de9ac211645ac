import { type Cursor } from './cursor.js'

/**
 * How fast an interface may receive (ingress) and send (egress), as the container sees it: rates in bits per second,
 * bursts in bits (CNI conventions, "bandwidth").
 */
export interface Bandwidth {
  readonly ingress?: Limit
  readonly egress?: Limit
}

export interface Limit {
  /** Bits per second. */
  readonly rate: number
  /** Bits that may pass at once. */
  readonly burst: number
}

/** What the kernel's token bucket can hold: 2^32-1 bytes; less is as good as none. */
const MAX_BITS = 0xffff_ffff * 8
/** A bucket that does not hold one packet lets none pass. */
const LEAST_BURST = 1600 * 8

/**
 * From the keys of the conventions (`ingressRate`, `ingressBurst`, `egressRate`, `egressBurst`).
 * A rate of 0 is no limit; a rate without a burst, or the other way round, is refused.
 * @throws NetloomError `invalid`, naming the field
 */
export function readBandwidthKeys(place: Cursor): Bandwidth | undefined {
  const ingress = readKeys(place, 'ingress')
  const egress = readKeys(place, 'egress')
  if (ingress === undefined && egress === undefined) return undefined
  return { ...(ingress === undefined ? {} : { ingress }), ...(egress === undefined ? {} : { egress }) }
}

function readKeys(place: Cursor, direction: 'ingress' | 'egress'): Limit | undefined {
  const [rate, burst] = [place.field(`${direction}Rate`), place.field(`${direction}Burst`)]
  const given = (field: Cursor): boolean => !field.absent && field.value !== 0
  if (!given(rate) && !given(burst)) return undefined
  if (!given(burst)) throw burst.error(`is missing where ${direction}Rate is set`)
  return { rate: rate.integer(1, Number.MAX_SAFE_INTEGER), burst: burst.integer(LEAST_BURST, MAX_BITS) }
}

/** From a lease. */
export const readBandwidth = (place: Cursor): Bandwidth => ({
  ...limitOf(place, 'ingress'),
  ...limitOf(place, 'egress'),
})

function limitOf(place: Cursor, direction: 'ingress' | 'egress'): Bandwidth {
  const limit = place.field(direction).optional((field) => ({
    rate: field.field('rate').integer(1, Number.MAX_SAFE_INTEGER),
    burst: field.field('burst').integer(1, MAX_BITS),
  }))
  return limit === undefined ? {} : { [direction]: limit }
}
