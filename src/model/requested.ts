import { parseIp, parseIpPrefix } from '../base/ip.js'
import { type Cursor } from './cursor.js'

/**
 * An address that somebody asked for by name: the capability `ips` (`runtimeConfig.ips`), `args.cni.ips` of the
 * configuration, or `IP` of CNI_ARGS.
 */
export interface RequestedAddress {
  /** Canonical. */
  readonly address: string
  /** Where it was asked for, as an error names it. */
  readonly field: string
}

/**
 * ADDRESS or ADDRESS/PREFIX. The prefix is not looked at, as in host-local: the network that the address is from has
 * one.
 * @throws NetloomError `invalid`, naming the field
 */
export const readRequested = (place: Cursor): RequestedAddress => ({
  address: place.address((text) => (text.includes('/') ? parseIpPrefix(text) : parseIp(text))).address,
  field: place.path,
})
