import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseIpPrefix } from '../../../src/base/ip.js'
import {
  addAddress,
  type Address,
  decodeAddress,
  deleteAddress,
  dumpAddresses,
} from '../../../src/codec/rtnl/address.js'
import { IFA_F, RT_SCOPE, RTM } from '../../../src/codec/rtnl/constants.js'
import {
  captures,
  checkRefusals,
  checkRequests,
  known,
  type Refusal,
  repliesOf,
  type RequestTable,
} from './captured.js'

const on2 = (text: string) => ({ ...parseIpPrefix(text), index: 2 })

const requests: RequestTable = {
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

checkRequests(t, 'address', requests)

const { captured } = captures('address')
const answer = (name: string) =>
  repliesOf(captured(name))
    .filter(({ type }) => type === RTM.NEWADDR)
    .map(({ payload }) => known(decodeAddress(payload)))

const defaults = {
  index: 2,
  scope: RT_SCOPE.UNIVERSE,
  flags: IFA_F.PERMANENT as number,
  permanent: true,
  tentative: false,
  dadFailed: false,
}
const ipv4 = (text: string, rest: Partial<Address> = {}) => ({
  ...defaults,
  ...parseIpPrefix(text),
  label: 'br0',
  ...rest,
})
const ipv6 = (text: string, flags: number, rest: Partial<Address> = {}) => ({
  ...defaults,
  ...parseIpPrefix(text),
  flags: flags | IFA_F.PERMANENT,
  ...rest,
})

t.test('IPv4 addresses of the kernel are read whole', async (t) => {
  t.strictSame(answer('list IPv4'), [
    ipv4('127.0.0.1/8', { index: 1, label: 'lo', scope: RT_SCOPE.HOST }),
    ipv4('169.254.1.1/32', { scope: RT_SCOPE.LINK }),
    ipv4('192.0.2.1/24'),
    ipv4('192.0.2.9/32', { peer: '192.0.2.10' }),
    ipv4('198.51.100.1/24', { label: 'br0:x', broadcast: '198.51.100.255', flags: 0, permanent: false }),
  ])
})

t.test('IPv6 addresses of the kernel are read whole', async (t) => {
  const byAddress = (a: Address | undefined, b: Address | undefined) =>
    String(a?.address).localeCompare(String(b?.address))
  t.strictSame(
    answer('list IPv6').sort(byAddress),
    [
      ipv6('::1/128', 0, { index: 1, scope: RT_SCOPE.HOST }),
      ipv6('2001:db8::1/64', IFA_F.NODAD),
      ipv6('2001:db8:1::1/64', IFA_F.NODAD | IFA_F.NOPREFIXROUTE),
      ipv6('2001:db8:2::1/64', IFA_F.TENTATIVE, { tentative: true }),
      ipv6('2001:db8:9::9/128', IFA_F.NODAD, { peer: '2001:db8:9::10' }),
    ].sort(byAddress),
  )
})

const refusals: Record<string, Refusal> = {
  'add IPv4 that is there': [
    'exists',
    /^add address 192.0.2.1\/24 to link 2: .*\(EEXIST\): ipv4: Address already assigned$/,
  ],
  'delete address that is not there': [
    'not-found',
    /^delete address 192.0.2.1\/24 of link 2: .*\(EADDRNOTAVAIL\): ipv4: Address not found$/,
  ],
}
checkRefusals(t, 'address', requests, refusals)
