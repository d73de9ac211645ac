import { parseIpPrefix } from '../../src/base/ip.js'
import { type Address } from '../../src/codec/rtnl/address.js'

/** An address as the kernel tells it: ADDRESS/PREFIX on the link of that index. */
export const observedAddress = (text: string, index: number): Address => ({
  ...parseIpPrefix(text),
  index,
  scope: 0,
  flags: 0x80,
  permanent: true,
  tentative: false,
  dadFailed: false,
})
