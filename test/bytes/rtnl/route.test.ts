import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseCidr, parseIp } from '../../../src/base/ip.js'
import { type Request } from '../../../src/codec/request.js'
import { RTN } from '../../../src/codec/rtnl/constants.js'
import {
  addRoute,
  deleteRoute,
  dumpRoutes,
  getRoute,
  replaceRoute,
  type RouteSpec,
} from '../../../src/codec/rtnl/route.js'
import { checkRequests, type ShapeOptions } from './captured.js'

const to = (destination: string, rest: Partial<RouteSpec> = {}): RouteSpec => ({
  destination: parseCidr(destination),
  index: 2,
  protocol: 110,
  ...rest,
})
const requests: Record<string, readonly [Request, ShapeOptions?]> = {
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

t.test('route requests are byte for byte what ip sends', async (t) => {
  checkRequests(t, 'route', requests)
})
