import { LIMIT_QDISC } from '../base/names.js'
import { TC_H } from '../codec/rtnl/constants.js'
import { type Link } from '../codec/rtnl/link.js'
import { type Qdisc } from '../codec/rtnl/qdisc.js'
import { sameTokenBucket, type TokenBucket } from '../codec/rtnl/tbf.js'
import { type Limit } from '../model/bandwidth.js'
import { type Op } from '../ops/op.js'
import { type Fault } from './fault.js'

/** A limit of what a link sends: a token bucket at its root. */

/** How long a packet may wait at most, if the burst is used up: as with the reference plugin. */
const LATENCY_SECONDS = 0.025
/** Header of Ethernet and a VLAN tag, which count as well. */
const ETHERNET_BYTES = 18
const MAX_BYTES = 0xffff_ffff

/**
 * The token bucket of a limit. Its burst holds a whole packet, whatever was asked for: the kernel drops those that do
 * not fit. (It cuts a packet of several segments to pieces.)
 * @param mtu bytes
 */
export function tokenBucketOf({ rate, burst }: Limit, mtu: number): TokenBucket {
  const bytes = { rate: Math.ceil(rate / 8), burst: Math.max(Math.ceil(burst / 8), mtu + ETHERNET_BYTES) }
  const limit = Math.min(Math.floor(bytes.rate * LATENCY_SECONDS) + bytes.burst, MAX_BYTES)
  return { ...bytes, limit }
}

export interface LimitedLink {
  readonly device: string
  /** None: it must not have one of ours. */
  readonly limit: Limit | undefined
  /** Bytes. */
  readonly mtu: number
}

interface ActualLimits {
  readonly links: ReadonlyMap<string, Link>
  readonly qdiscs: readonly Qdisc[]
}

export function* limitFaults({ device, limit, mtu }: LimitedLink, actual: ActualLimits): Generator<Fault> {
  const index = actual.links.get(device)?.index
  const found = actual.qdiscs.find((qdisc) => qdisc.index === index && qdisc.parent === TC_H.ROOT)
  const own = found?.handle === LIMIT_QDISC ? found.tokenBucket : undefined
  const on = { device, handle: LIMIT_QDISC }
  if (limit !== undefined) {
    const wanted = tokenBucketOf(limit, mtu)
    if (own === undefined || !sameTokenBucket(wanted, own))
      yield {
        text: `link ${device} does not limit what it sends to ${limit.rate} bit/s`,
        repair: [{ kind: 'limit.replace', ...on, ...wanted }],
      }
  } else if (own !== undefined) yield { text: `link ${device} limits what it sends`, repair: [limitRemoval(device)] }
}

/** Brings the default back; a queueing discipline of somebody else's stays. */
export const limitRemoval = (device: string): Op => ({ kind: 'limit.delete', device, handle: LIMIT_QDISC })
