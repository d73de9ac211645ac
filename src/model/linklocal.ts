import { bytesToIp } from '../base/ip.js'
import { macToBytes } from '../codec/rtnl/mac.js'

/** The bit of a MAC address that says that it is locally administered; interface identifiers have it the other way. */
const LOCAL_BIT = 0x02

/**
 * The IPv6 link-local address that a kernel gives itself on an Ethernet link: fe80::/64 and the interface identifier of
 * the MAC address (modified EUI-64, RFC 4291, appendix A).
 */
export function linkLocalOf(mac: string): string {
  const [first = 0, ...rest] = macToBytes(mac)
  const identifier = [first ^ LOCAL_BIT, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)]
  return bytesToIp(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...identifier))
}
