import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import { familyOrThrow, leasedRoute, routesOf, type RouteWishes } from '../../../src/cni/routes.js'
import { type LeasedRoute } from '../../../src/model/lease.js'
import { leased } from '../../support/lease.js'

const V4 = leased('10.1.0.2')
const V6 = leased('fd00:1::2')
const wishes = (fields: Partial<RouteWishes> = {}): RouteWishes => ({
  addresses: [V4],
  routes: [],
  defaultRoute: true,
  further: false,
  ...fields,
})

const texts = (routes: readonly LeasedRoute[]): string[] =>
  routes.map(({ destination, gateway, priority, table }) =>
    [destination, gateway && `via ${gateway}`, priority && `metric ${priority}`, table && `table ${table}`]
      .filter(Boolean)
      .join(' '),
  )

const CASES: Readonly<Record<string, readonly [wishes: Partial<RouteWishes>, routes: readonly string[]]>> = {
  'the gateway on the link, and everything through it': [{}, ['10.1.0.1/32', '0.0.0.0/0 via 10.1.0.1']],
  'both families': [
    { addresses: [V4, V6] },
    ['10.1.0.1/32', '0.0.0.0/0 via 10.1.0.1', 'fd00:1::1/128', '::/0 via fd00:1::1'],
  ],
  'not everything: the rest of its own network': [{ defaultRoute: false }, ['10.1.0.1/32', '10.1.0.0/24 via 10.1.0.1']],
  'a network of one has no rest': [{ defaultRoute: false, addresses: [{ ...V4, prefix: 32 }] }, ['10.1.0.1/32']],
  'a default route that was asked for takes the place of ours': [
    { routes: [{ destination: '0.0.0.0/0', gateway: '10.1.0.9' }] },
    ['10.1.0.1/32', '10.1.0.0/24 via 10.1.0.1', '0.0.0.0/0 via 10.1.0.9'],
  ],
  'one in another table does not': [
    { routes: [{ destination: '0.0.0.0/0', table: 100 }] },
    ['10.1.0.1/32', '0.0.0.0/0 via 10.1.0.1', '0.0.0.0/0 via 10.1.0.1 table 100'],
  ],
  'a route without a gateway leads through that of its family': [
    { addresses: [V4, V6], defaultRoute: false, routes: [{ destination: 'fd00:9::/64' }] },
    [
      '10.1.0.1/32',
      '10.1.0.0/24 via 10.1.0.1',
      'fd00:1::1/128',
      'fd00:1::/64 via fd00:1::1',
      'fd00:9::/64 via fd00:1::1',
    ],
  ],
  'one of a family that the container does not have is left out': [
    { routes: [{ destination: '::/0' }] },
    ['10.1.0.1/32', '0.0.0.0/0 via 10.1.0.1'],
  ],
  'a further interface stands behind the first': [
    { further: true },
    ['10.1.0.1/32 metric 2050', '0.0.0.0/0 via 10.1.0.1 metric 2050'],
  ],
  'an address without a gateway has no routes': [{ addresses: [{ address: '10.1.0.2', prefix: 24 }] }, []],
}

for (const [name, [fields, expected]] of Object.entries(CASES))
  t.test(name, async (t) => t.strictSame(texts(routesOf(wishes(fields))), expected))

t.test("the routes of a container's further interfaces stand each at its own place", async (t) => {
  const [second, third] = ['10.1.0.3', '10.1.0.4'].map((address) =>
    routesOf(wishes({ addresses: [leased(address)], further: true })),
  )
  for (const { priority } of [...second!, ...third!]) t.ok(Number(priority) > 1024)
  t.not(second![0]!.priority, third![0]!.priority)
})

t.test('routes are kept as text', async (t) => {
  const asked = { destination: parseCidr('192.0.2.0/24'), gateway: '10.1.0.9', mtu: 1400 }
  t.strictSame(leasedRoute(asked), { destination: '192.0.2.0/24', gateway: '10.1.0.9', mtu: 1400 })
})

t.test('what is no address is a mistake of ours', async (t) => {
  t.throws(() => familyOrThrow('x'), { code: 'internal' })
})
