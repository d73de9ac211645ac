import { IPV6 } from '../base/family.js'
import { formatCidr, type IpPrefix } from '../base/ip.js'
import { type Address, type AddressSpec } from '../codec/rtnl/address.js'
import { type Op } from '../ops/op.js'

/**
 * The addresses of a link of ours. Those that it is not to have go, and go first: the kernel takes further addresses of
 * an IPv4 network away with its first, and keeps an IPv6 address only once, whatever its prefix.
 * @param actual those on the link
 */
export function planAddresses(
  device: string,
  wanted: readonly (IpPrefix & Pick<AddressSpec, 'noPrefixRoute'>)[],
  actual: readonly Address[],
): Op[] {
  const have = new Set(actual.map(formatCidr))
  const want = new Set(wanted.map(formatCidr))
  const linkLocal = (address: Address): boolean => address.family === IPV6 && address.address.startsWith('fe80:')
  return [
    ...actual
      .filter((address) => !want.has(formatCidr(address)) && !linkLocal(address))
      .map(({ family, address, prefix }): Op => ({
        kind: 'address.delete',
        address: { family, address, prefix, device },
      })),
    ...wanted
      .filter((address) => !have.has(formatCidr(address)))
      .map((address): Op => ({
        kind: 'address.add',
        address: { ...address, device, noDad: address.family === IPV6 },
      })),
  ]
}
