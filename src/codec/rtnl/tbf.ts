import { NetloomError } from '../../base/errors.js'
import { type Attributes } from '../attr.js'
import { type Writer } from '../wire.js'
import { TCA_TBF } from './constants.js'
import { checkInteger, MAX_U32 } from './fields.js'

/** The token bucket: struct tc_tbf_qopt and its attributes, <linux/pkt_sched.h>. */

export interface TokenBucket {
  /** Bytes per second. */
  readonly rate: number
  /** Bytes that may pass at once; less than a packet lets none pass. */
  readonly burst: number
  /** Bytes that may wait; what comes beyond is dropped. */
  readonly limit: number
}

/** A token bucket as the kernel tells of it. */
export interface TokenBucketFacts {
  readonly rate: number
  /** How long the burst takes at the rate, in ticks, cut off to 32 bits: all that is told of it. */
  readonly burstTicks: number
  readonly limit: number
}

const PARAMETERS_BYTES = 36
/** TC_LINKLAYER_ETHERNET: the kernel computes the times itself and needs no table of them (since Linux 3.8). */
const LINKLAYER_ETHERNET = 1
/** A tick of the kernel's packet scheduler (PSCHED_SHIFT of <net/pkt_sched.h>). */
const TICK_NANOSECONDS = 64

/**
 * Writes the parameters: struct tc_tbf_qopt, which consists of two struct tc_ratespec (rate and peak rate), limit,
 * buffer and mtu. The buffer, a time, is left to TCA_TBF_BURST, which says it in bytes.
 * @throws NetloomError `invalid`, naming the field.
 */
export function writeTokenBucket(writer: Writer, { rate, burst, limit }: TokenBucket): void {
  checkInteger(rate, Number.MAX_SAFE_INTEGER, 'rate')
  const parameters = writer.begin(TCA_TBF.PARMS)
  // struct tc_ratespec: cell_log u8, linklayer u8, overhead u16, cell_align s16, mpu u16, rate u32.
  writer.u8(0).u8(LINKLAYER_ETHERNET).zeros(6).u32(Math.min(rate, MAX_U32)).zeros(12)
  writer.u32(checkInteger(limit, MAX_U32, 'limit')).zeros(8)
  writer.end(parameters)
  writer.attrU32(TCA_TBF.BURST, checkInteger(burst, MAX_U32, 'burst'))
  if (rate > MAX_U32) writer.attrU64(TCA_TBF.RATE64, BigInt(rate))
}

/** @throws NetloomError `invalid` where the struct is cut off. */
export function readTokenBucket(attributes: Attributes): TokenBucketFacts | undefined {
  const parameters = attributes.bytes(TCA_TBF.PARMS)
  if (parameters === undefined) return undefined
  if (parameters.length < PARAMETERS_BYTES)
    throw new NetloomError('invalid', `tc_tbf_qopt has ${parameters.length} bytes, needs ${PARAMETERS_BYTES}`)
  return {
    rate: Number(attributes.u64(TCA_TBF.RATE64) ?? parameters.readUInt32LE(8)),
    burstTicks: parameters.readUInt32LE(28),
    limit: parameters.readUInt32LE(24),
  }
}

/** How long a burst takes at a rate. */
export const ticksOf = ({ rate, burst }: Pick<TokenBucket, 'rate' | 'burst'>): number =>
  Math.floor((burst * 1e9) / rate / TICK_NANOSECONDS)

/** The kernel divides by multiplying with a reciprocal of 32 bits, so the last digits of long times differ. */
const ROUNDING = 2 ** -28

export function sameTokenBucket(wanted: TokenBucket, actual: TokenBucketFacts): boolean {
  const ticks = ticksOf(wanted)
  const apart = Math.abs((ticks % (MAX_U32 + 1)) - actual.burstTicks)
  return wanted.rate === actual.rate && wanted.limit === actual.limit && apart <= 1 + ticks * ROUNDING
}
