import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseIpPrefix } from '../../../src/base/ip.js'
import { type Request } from '../../../src/codec/request.js'
import { decodeAcknowledgement, kernelError } from '../../../src/codec/error.js'
import {
  addAddress,
  type Address,
  decodeAddress,
  deleteAddress,
  dumpAddresses,
} from '../../../src/codec/rtnl/address.js'
import { IFA_F, RT_SCOPE } from '../../../src/codec/rtnl/constants.js'
import { captures, checkRequests, repliesOf, type ShapeOptions } from './captured.js'

const on2 = (text: string) => ({ ...parseIpPrefix(text), index: 2 })

const requests: Record<string, readonly [Request, ShapeOptions?]> = {
  'add IPv4': [addAddress(on2('192.0.2.1/24'))],
  'add IPv4 that is there': [addAddress(on2('192.0.2.1/24'))],
  'replace IPv4': [addAddress(on2('192.0.2.1/24'), { replace: true })],
  'add IPv4 of scope link': [addAddress({ ...on2('169.254.1.1/32'), scope: RT_SCOPE.LINK })],
  'add IPv6 without detection': [addAddress({ ...on2('2001:db8::1/64'), noDad: true })],
  'add IPv6 without route': [addAddress({ ...on2('2001:db8:1::1/64'), noDad: true, noPrefixRoute: true })],
  'list IPv4': [dumpAddresses(IPV4)],
  'list IPv6': [dumpAddresses(IPV6)],
  'delete IPv4': [deleteAddress(on2('192.0.2.1/24'))],
  'delete IPv6': [deleteAddress(on2('2001:db8::1/64'))],
  'delete address that is not there': [deleteAddress(on2('192.0.2.1/24'))],
}

t.test('address requests are byte for byte what ip sends', async (t) => {
  checkRequests(t, 'address', requests)
})
