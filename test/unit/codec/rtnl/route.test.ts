import t from 'tap'
import { IPV6 } from '../../../../src/base/family.js'
import { parseCidr, parseIp } from '../../../../src/base/ip.js'
import { type Request } from '../../../../src/codec/request.js'
import { RT_SCOPE, RT_TABLE, RTA, RTM, RTM_F, RTN, RTNH_F } from '../../../../src/codec/rtnl/constants.js'
import {
  addRoute,
  decodeRoute,
  defaultScope,
  deleteRoute,
  dumpRoutes,
  getRoute,
  replaceRoute,
  type RouteSpec,
} from '../../../../src/codec/rtnl/route.js'
import { FLAG, Writer } from '../../../../src/codec/wire.js'

const payloadOf = (request: Request): Buffer => {
  const writer = new Writer()
  request.body(writer)
  return writer.bytes()
}
const spec = (destination: string, rest: Partial<RouteSpec> = {}): RouteSpec => ({
  destination: parseCidr(destination),
  protocol: 110,
  ...rest,
})

const routes: Record<string, RouteSpec> = {
  'on the link': spec('10.0.0.0/24', { index: 3 }),
  'through a gateway': spec('10.0.0.0/24', { gateway: '192.0.2.1', index: 3 }),
  'through a gateway of the other family': spec('10.0.0.0/24', { gateway: 'fe80::1', index: 3 }),
  'by default': spec('0.0.0.0/0', { gateway: '169.254.1.1', onlink: true, index: 3 }),
  'of IPv6 by default': spec('::/0', { gateway: 'fe80::1', onlink: true, index: 3 }),
  'with everything': spec('fd00::/64', {
    gateway: 'fe80::1',
    index: 3,
    source: 'fd01::1',
    table: 1000,
    priority: 0,
    mtu: 1400,
    advmss: 1340,
    type: RTN.UNICAST,
    scope: RT_SCOPE.SITE,
  }),
  'in the last table of eight bits': spec('10.0.0.0/24', { index: 3, table: 255 }),
  'in the first table beyond': spec('10.0.0.0/24', { index: 3, table: 256 }),
}
for (const [name, route] of Object.entries(routes)) {
  t.test(`a route ${name} is decoded as it was encoded`, async (t) => {
    const expected = { table: RT_TABLE.MAIN, onlink: false, multipath: false, dead: false, cloned: false, ...route }
    t.match(decodeRoute(payloadOf(addRoute(route))), { ...expected, family: route.destination.family, nextHops: [] })
  })
}

const scopes: readonly (readonly [RouteSpec, scope: number, name: string])[] = [
  [spec('10.0.0.0/24'), RT_SCOPE.LINK, 'on the link'],
  [spec('10.0.0.0/24', { gateway: '192.0.2.1' }), RT_SCOPE.UNIVERSE, 'through a gateway'],
  [spec('10.0.0.0/24', { type: RTN.LOCAL }), RT_SCOPE.HOST, 'to the node itself'],
  [spec('10.0.0.0/24', { type: RTN.BROADCAST }), RT_SCOPE.LINK, 'of broadcast'],
  [spec('10.0.0.0/24', { type: RTN.BLACKHOLE }), RT_SCOPE.UNIVERSE, 'to nowhere'],
  [spec('fd00::/64'), RT_SCOPE.UNIVERSE, 'of IPv6 on the link'],
  [spec('fd00::/64', { type: RTN.LOCAL }), RT_SCOPE.UNIVERSE, 'of IPv6 to the node itself'],
]
for (const [route, scope, name] of scopes) {
  t.test(`the scope of a route ${name}`, async (t) => {
    t.equal(defaultScope(route), scope)
    t.equal(decodeRoute(payloadOf(replaceRoute(route)))?.scope, scope)
  })
}

t.test('a deletion matches any scope and type unless they are given', async (t) => {
  const deleted = (route: RouteSpec) => decodeRoute(payloadOf(deleteRoute(route)))
  t.match(deleted(spec('10.0.0.0/24')), { scope: RT_SCOPE.NOWHERE, type: RTN.UNSPEC, protocol: 110 })
  t.match(deleted(spec('fd00::/64')), { scope: RT_SCOPE.UNIVERSE, type: RTN.UNSPEC })
  t.match(deleted(spec('10.0.0.0/24', { scope: 5, type: RTN.LOCAL })), { scope: 5, type: RTN.LOCAL })
})

t.test('routes are created, replaced and deleted by what the request says', async (t) => {
  const route = spec('10.0.0.0/24', { gateway: '192.0.2.1' })
  t.match(addRoute(route), { type: RTM.NEWROUTE, flags: FLAG.CREATE | FLAG.EXCL })
  t.match(replaceRoute(route), { type: RTM.NEWROUTE, flags: FLAG.CREATE | FLAG.REPLACE })
  t.match(deleteRoute(route), { type: RTM.DELROUTE, flags: 0 })
  t.equal(addRoute(route).operation, 'create route 10.0.0.0/24 via 192.0.2.1')
  t.equal(replaceRoute(spec('::/0')).operation, 'replace route ::/0')
  t.equal(dumpRoutes(IPV6).operation, 'list ipv6 routes')
})

t.test('only IPv4 is asked for the table, for strict sockets refuse it for IPv6', async (t) => {
  const flags = (address: string, match: boolean) =>
    payloadOf(getRoute({ destination: parseIp(address), match })).readUInt32LE(8)
  t.equal(flags('10.0.0.1', false), RTM_F.LOOKUP_TABLE)
  t.equal(flags('10.0.0.1', true), RTM_F.LOOKUP_TABLE | RTM_F.FIB_MATCH)
  t.equal(flags('fd00::1', false), 0)
  t.equal(flags('fd00::1', true), RTM_F.FIB_MATCH)
})

const refused: Record<string, readonly [make: () => Request, field: string]> = {
  'a source of another family': [() => addRoute(spec('10.0.0.0/8', { source: 'fd00::1' })), 'source'],
  'a source that is none': [() => addRoute(spec('10.0.0.0/8', { source: 'x' })), 'source'],
  'a gateway that is none': [() => addRoute(spec('10.0.0.0/8', { gateway: '10.0.0.0/8' })), 'gateway'],
  'a protocol of more than eight bits': [() => addRoute(spec('10.0.0.0/8', { protocol: 256 })), 'protocol'],
  'a table that is none': [() => addRoute(spec('10.0.0.0/8', { table: -1 })), 'table'],
  'a metric that is none': [() => addRoute(spec('10.0.0.0/8', { priority: 1.5 })), 'priority'],
  'a look-up from another family': [() => getRoute({ destination: parseIp('10.0.0.1'), source: '::1' }), 'source'],
}
for (const [name, [make, field]] of Object.entries(refused)) {
  t.test(`${name} is refused before anything is sent`, async (t) => {
    t.throws(make, { code: 'invalid', field })
  })
}

function payload(family: number, flags: number, write: (writer: Writer) => unknown = () => undefined): Buffer {
  const writer = new Writer()
  writer.u8(family).u8(0).u8(0).u8(0).u8(254).u8(4).u8(0).u8(1).u32(flags)
  write(writer)
  return writer.bytes()
}

t.test('a route that the kernel does not use, or made of a look-up, says so', async (t) => {
  t.match(decodeRoute(payload(2, RTNH_F.DEAD | RTNH_F.LINKDOWN)), { dead: true, cloned: false, onlink: false })
  t.match(decodeRoute(payload(2, RTM_F.CLONED)), { dead: false, cloned: true })
})

t.test(
  'routes with several next hops, with a next hop object or with encapsulation are told from plain ones',
  async (t) => {
    const hops = (writer: Writer) => {
      const mark = writer.begin(RTA.MULTIPATH)
      writer.u16(8).u8(RTNH_F.DEAD).u8(0).u32(7)
      writer.u16(16).u8(RTNH_F.ONLINK).u8(255).u32(8).attrIp(RTA.GATEWAY, '10.0.0.1').end(mark)
    }
    t.match(decodeRoute(payload(2, 0, hops)), {
      multipath: true,
      nextHops: [
        { index: 7, gateway: undefined, weight: 1, onlink: false, dead: true },
        { index: 8, gateway: '10.0.0.1', weight: 256, onlink: true, dead: false },
      ],
    })
    const object = decodeRoute(payload(2, 0, (writer) => writer.attrU32(RTA.NH_ID, 42)))
    t.match(object, { multipath: true, nextHopId: 42, nextHops: [] })
    t.match(decodeRoute(payload(2, 0, (writer) => writer.attrU16(RTA.ENCAP_TYPE, 1))), { encapsulation: 1 })
  },
)

t.test('a gateway of a family that is neither is none', async (t) => {
  const via = (hex: string) =>
    decodeRoute(payload(2, 0, (writer) => writer.attrBytes(RTA.VIA, Buffer.from(hex, 'hex'))))?.gateway
  t.equal(via('1c00aabbccdd'), undefined)
  t.equal(via('0a00aabb'), undefined, 'nor one that is cut off')
  t.equal(via('00'), undefined)
  t.equal(via('0200c0000201'), '192.0.2.1')
})

t.test('other families are no routes', async (t) => {
  t.equal(decodeRoute(payload(28, 0)), undefined)
})

t.test('a message that is malformed is refused', async (t) => {
  t.throws(() => decodeRoute(Buffer.alloc(11)), { code: 'invalid' })
  for (const length of [0, 7, 9]) {
    const hops = (writer: Writer) => {
      const mark = writer.begin(RTA.MULTIPATH)
      writer.u16(length).u8(0).u8(0).u32(7).end(mark)
    }
    t.throws(() => decodeRoute(payload(2, 0, hops)), { code: 'invalid' }, `next hop of ${length} bytes`)
  }
})
