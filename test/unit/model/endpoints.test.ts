import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import { type Endpoints, mirroredSlices, readEndpoints } from '../../../src/model/endpoints.js'

const endpoints = (subsets: unknown, metadata: object = {}): Endpoints =>
  readEndpoints(new Cursor({ metadata: { name: 'db', namespace: 'shop', ...metadata }, subsets }))

const ip = (address: string, rest: object = {}): object => ({ ip: address, ...rest })

t.test('Endpoints become one slice per family and set of ports', async (t) => {
  const slices = mirroredSlices(
    endpoints([
      {
        addresses: [ip('10.0.0.1', { nodeName: 'n1', targetRef: { kind: 'Pod', name: 'db-0' } }), ip('FD00::1')],
        notReadyAddresses: [ip('10.0.0.2')],
        ports: [{ name: 'sql', port: 5432 }],
      },
      { addresses: [ip('10.0.0.3')], ports: [{ name: 'sql', port: 5433 }] },
      { addresses: [ip('10.0.0.4')], ports: [{ name: 'sql', port: 5432 }] },
    ]),
  )
  t.same(
    slices.map(({ namespace, name, service, family, ports, endpoints }) => ({
      name: `${namespace}/${name}`,
      service,
      family: family.kubernetes,
      ports: ports.map(({ name, port }) => `${name}:${String(port)}`),
      endpoints: endpoints.map(({ address, ready, serving }) => `${address} ${ready} ${serving}`),
    })),
    [
      {
        name: 'shop/db-mirrored:ipv4-1',
        service: 'db',
        family: 'IPv4',
        ports: ['sql:5432'],
        endpoints: ['10.0.0.1 true true', '10.0.0.2 false false', '10.0.0.4 true true'],
      },
      {
        name: 'shop/db-mirrored:ipv6-1',
        service: 'db',
        family: 'IPv6',
        ports: ['sql:5432'],
        endpoints: ['fd00::1 true true'],
      },
      {
        name: 'shop/db-mirrored:ipv4-2',
        service: 'db',
        family: 'IPv4',
        ports: ['sql:5433'],
        endpoints: ['10.0.0.3 true true'],
      },
    ],
  )
  t.match(slices[0]?.endpoints[0], { nodeName: 'n1', pod: 'db-0', terminating: false })
})

t.test('an address in several subsets is one endpoint, ready where any of them says so', async (t) => {
  const ports = [{ port: 1 }]
  const [slice, ...others] = mirroredSlices(
    endpoints([
      { notReadyAddresses: [ip('10.0.0.1')], ports },
      { addresses: [ip('10.0.0.1')], ports },
      { notReadyAddresses: [ip('10.0.0.1')], ports },
    ]),
  )
  t.same(
    slice?.endpoints.map(({ address, ready }) => [address, ready]),
    [['10.0.0.1', true]],
  )
  t.same(others, [])
})

t.test('no slice has more than 1000 endpoints', async (t) => {
  const addresses = Array.from({ length: 2500 }, (_, i) => ip(`10.0.${i >> 8}.${i & 255}`))
  const slices = mirroredSlices(endpoints([{ addresses, ports: [{ port: 1 }] }]))
  t.same(
    slices.map(({ name, endpoints }) => [name, endpoints.length]),
    [
      ['db-mirrored:ipv4-1', 1000],
      ['db-mirrored:ipv4-2', 1000],
      ['db-mirrored:ipv4-3', 500],
    ],
  )
  t.equal(new Set(slices.flatMap(({ endpoints }) => endpoints.map(({ address }) => address))).size, 2500)
})

t.test('Endpoints that are marked, or record a leader, become no slices', async (t) => {
  const subsets = [{ addresses: [ip('10.0.0.1')] }]
  const skip = { labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } }
  const leader = { name: 'x.y', annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } }
  t.same(mirroredSlices(endpoints(subsets, skip)), [])
  t.same(mirroredSlices(endpoints(subsets, leader)), [])
  t.equal(mirroredSlices(endpoints(subsets)).length, 1)
  t.same(mirroredSlices(endpoints(undefined)), [])
})

const REFUSALS: Record<string, [subset: object, field: string]> = {
  'a loopback address': [{ addresses: [ip('127.0.0.1')] }, 'subsets[0].addresses[0].ip'],
  'a broken address': [{ notReadyAddresses: [ip('x')] }, 'subsets[0].notReadyAddresses[0].ip'],
  'port 0': [{ ports: [{ port: 0 }] }, 'subsets[0].ports[0].port'],
  'an unknown protocol': [{ ports: [{ port: 1, protocol: 'x' }] }, 'subsets[0].ports[0].protocol'],
}

t.test('bad Endpoints are refused', async (t) => {
  for (const [what, [subset, field]] of Object.entries(REFUSALS))
    t.throws(() => endpoints([subset]), { code: 'invalid', field }, what)
})
