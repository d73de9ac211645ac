import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseCidr, parseIp } from '../../../src/base/ip.js'
import { RT_SCOPE, RT_TABLE, RTM, RTN, RTPROT } from '../../../src/codec/rtnl/constants.js'
import {
  addRoute,
  decodeRoute,
  deleteRoute,
  dumpRoutes,
  getRoute,
  type NextHop,
  replaceRoute,
  type Route,
  type RouteSpec,
} from '../../../src/codec/rtnl/route.js'
import {
  captures,
  checkRefusals,
  checkRequests,
  known,
  type Refusal,
  repliesOf,
  type RequestTable,
} from './captured.js'

const to = (destination: string, rest: Partial<RouteSpec> = {}): RouteSpec => ({
  destination: parseCidr(destination),
  index: 2,
  protocol: 110,
  ...rest,
})
const requests: RequestTable = {
  'IPv4 through a gateway': [addRoute(to('10.1.0.0/16', { gateway: '192.0.2.2' }))],
  'IPv4 on the link': [addRoute(to('10.2.0.0/24'))],
  'IPv4 host with source and metric': [addRoute(to('10.3.0.1/32', { priority: 5, source: '192.0.2.1' }))],
  'IPv4 default onlink': [addRoute(to('0.0.0.0/0', { gateway: '169.254.1.1', onlink: true }))],
  'IPv4 in a large table': [addRoute(to('10.4.0.0/16', { gateway: '192.0.2.2', table: 1000 }))],
  'IPv4 metrics': [addRoute(to('10.5.0.0/16', { mtu: 1400, advmss: 1300 }))],
  'IPv4 through an IPv6 gateway': [addRoute(to('10.6.0.0/16', { gateway: '2001:db8::2' }))],
  'IPv4 blackhole': [addRoute(to('10.7.0.0/16', { type: RTN.BLACKHOLE, index: undefined }))],
  'IPv4 local': [addRoute(to('10.8.0.0/16', { type: RTN.LOCAL, index: 1, table: 100 }))],
  'IPv4 replaced': [replaceRoute(to('10.1.0.0/16', { gateway: '192.0.2.3' }))],
  'IPv4 that is there': [addRoute(to('10.1.0.0/16', { gateway: '192.0.2.3' }))],
  'IPv6 through a gateway': [addRoute(to('2001:db8:1::/48', { gateway: '2001:db8::2' }))],
  'IPv6 on the link': [addRoute(to('2001:db8:2::1/128', { priority: 5 }))],
  'IPv6 default onlink': [addRoute(to('::/0', { gateway: 'fe80::1', onlink: true }))],
  'IPv6 unreachable': [addRoute(to('2001:db8:3::/48', { type: RTN.UNREACHABLE, index: undefined }))],
  'list IPv4': [dumpRoutes(IPV4)],
  'list IPv6': [dumpRoutes(IPV6)],
  'list IPv4 of a protocol': [dumpRoutes(IPV4, { protocol: 110 })],
  'list IPv4 of a table': [dumpRoutes(IPV4, { table: 1000 })],
  'look up IPv4': [getRoute({ destination: parseIp('10.1.2.3') })],
  'look up IPv4 from and by': [getRoute({ destination: parseIp('10.1.2.3'), source: '192.0.2.1', index: 2, mark: 7 })],
  'look up IPv4 that comes in': [getRoute({ destination: parseIp('10.1.2.3'), source: '192.0.2.77', inputIndex: 2 })],
  'look up IPv6': [getRoute({ destination: parseIp('2001:db8:1::5') })],
  'look up IPv4, as configured': [getRoute({ destination: parseIp('10.1.2.3'), match: true })],
  'look up IPv4 that a blackhole takes': [getRoute({ destination: parseIp('10.7.0.1') })],
  'delete IPv4': [deleteRoute(to('10.1.0.0/16', { gateway: '192.0.2.3' }))],
  'delete IPv4 that is not there': [deleteRoute(to('10.1.0.0/16', { gateway: '192.0.2.3' }))],
  'delete IPv6': [deleteRoute(to('2001:db8:1::/48', { gateway: '2001:db8::2' }))],
  'delete IPv4 in a large table': [deleteRoute(to('10.4.0.0/16', { index: undefined, table: 1000 }))],
}

checkRequests(t, 'route', requests)

const { captured } = captures('route')
const answer = (name: string) =>
  repliesOf(captured(name))
    .filter(({ type }) => type === RTM.NEWROUTE)
    .map(({ payload }) => known(decodeRoute(payload)))

const route = (destination: string, rest: Partial<Route> = {}) => {
  const cidr = parseCidr(destination)
  const gatewayless = cidr.family === IPV4 && rest.gateway === undefined
  return known({
    family: cidr.family,
    destination: cidr,
    index: 2,
    tos: 0,
    table: RT_TABLE.MAIN,
    protocol: 110,
    scope: gatewayless ? RT_SCOPE.LINK : RT_SCOPE.UNIVERSE,
    type: RTN.UNICAST,
    priority: cidr.family === IPV4 ? undefined : 1024,
    onlink: false,
    dead: false,
    cloned: false,
    multipath: false,
    nextHops: [],
    ...rest,
  })
}
const hop = (gateway: string, weight: number): NextHop => ({ index: 2, gateway, weight, onlink: false, dead: false })
const kernelsOwn = (found: Route | undefined) => found?.protocol === RTPROT.KERNEL

t.test('IPv4 routes of the kernel are read whole, others than netloom makes included', async (t) => {
  const found = answer('list IPv4').filter((found) => !kernelsOwn(found))
  const byDestination = (a: Route | undefined, b: Route | undefined) =>
    String(a?.destination.address).localeCompare(String(b?.destination.address))
  const expected = [
    route('0.0.0.0/0', { gateway: '169.254.1.1', onlink: true }),
    route('10.1.0.0/16', { gateway: '192.0.2.3' }),
    route('10.2.0.0/24'),
    route('10.3.0.1/32', { priority: 5, source: '192.0.2.1' }),
    route('10.4.0.0/16', { gateway: '192.0.2.2', table: 1000 }),
    route('10.5.0.0/16', { mtu: 1400, advmss: 1300 }),
    route('10.6.0.0/16', { gateway: '2001:db8::2' }),
    route('10.7.0.0/16', { type: RTN.BLACKHOLE, index: undefined, scope: RT_SCOPE.UNIVERSE }),
    route('10.8.0.0/16', { type: RTN.LOCAL, index: 1, table: 100, scope: RT_SCOPE.HOST }),
    route('10.9.0.0/16', {
      protocol: 111,
      index: undefined,
      scope: RT_SCOPE.UNIVERSE,
      multipath: true,
      nextHops: [hop('192.0.2.2', 2), hop('2001:db8::3', 1)],
    }),
    route('10.10.0.0/16', { protocol: 111, gateway: '192.0.2.2', multipath: true, nextHopId: 42 }),
  ]
  t.strictSame(found.sort(byDestination), expected.sort(byDestination))
})

t.test('routes that the kernel makes of addresses are told by their protocol', async (t) => {
  const own = answer('list IPv4').filter(kernelsOwn)
  t.strictSame(
    own.find((found) => found?.destination.address === '192.0.2.1'),
    route('192.0.2.1/32', {
      table: RT_TABLE.LOCAL,
      protocol: RTPROT.KERNEL,
      scope: RT_SCOPE.HOST,
      type: RTN.LOCAL,
      source: '192.0.2.1',
    }),
  )
})

t.test('IPv6 routes of the kernel are read whole, others than netloom makes included', async (t) => {
  t.strictSame(
    answer('list IPv6').filter((found) => !kernelsOwn(found)),
    [
      route('2001:db8:1::/48', { gateway: '2001:db8::2' }),
      route('2001:db8:2::1/128', { priority: 5 }),
      route('2001:db8:3::/48', { type: RTN.UNREACHABLE, index: 1 }),
      route('2001:db8:9::/48', {
        protocol: 111,
        index: undefined,
        multipath: true,
        nextHops: [hop('2001:db8::2', 1), hop('2001:db8::3', 3)],
      }),
      route('2001:db8:10::/48', { protocol: 111, from: parseCidr('2001:db8:ff::/48') }),
      route('::/0', { gateway: 'fe80::1', onlink: true }),
    ],
  )
})

t.test('a look-up answers the way of one destination, or the route as configured', async (t) => {
  const way = { gateway: '192.0.2.3', source: '192.0.2.1', protocol: 0, cloned: true }
  t.strictSame(answer('look up IPv4'), [route('10.1.2.3/32', way)])
  t.strictSame(answer('look up IPv4, as configured'), [route('10.1.0.0/16', { gateway: '192.0.2.3' })])
  const ipv6 = { gateway: '2001:db8::2', source: '2001:db8::1', from: parseCidr('::/128') }
  t.strictSame(answer('look up IPv6'), [route('2001:db8:1::5/128', ipv6)])
})

const refusals: Record<string, Refusal> = {
  'IPv4 that is there': ['exists', /^create route 10.1.0.0\/16 via 192.0.2.3: .*\(EEXIST\)$/],
  'delete IPv4 that is not there': ['not-found', /^delete route 10.1.0.0\/16 via 192.0.2.3: .*\(ESRCH\)$/],
  'look up IPv4 that a blackhole takes': ['kernel', /^find route to 10.7.0.1: .*\(EINVAL\)$/],
  'look up IPv4 that comes in': ['kernel', /^find route to 10.1.2.3: .*\(EHOSTUNREACH\)$/],
}
checkRefusals(t, 'route', requests, refusals)
