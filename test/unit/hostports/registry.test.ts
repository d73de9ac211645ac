import t from 'tap'
import { HostPortRegistry } from '../../../src/hostports/registry.js'
import { type Lease } from '../../../src/model/lease.js'
import { type PortMapping } from '../../../src/model/portmapping.js'
import { exampleLease, type LeaseFields } from '../../support/lease.js'

/** `80`, `192.0.2.1:80`, `80/UDP`. */
function mapping(text: string): PortMapping {
  const [, hostIP, port, protocol = 'TCP'] = /^(?:(.*):)?(\d+)(?:\/(\w+))?$/.exec(text) ?? []
  const fields = { hostPort: Number(port), containerPort: 8080, protocol: protocol as PortMapping['protocol'] }
  return hostIP === undefined ? fields : { ...fields, hostIP }
}

const lease = (containerId: string, ports: readonly string[], fields: LeaseFields = {}): Lease =>
  exampleLease({ containerId, ports: ports.map(mapping), pod: `shop/${containerId}`, ...fields })

const CONFLICTS: Readonly<Record<string, readonly [first: string, second: string]>> = {
  'the same port': ['80', '80'],
  'the same address': ['192.0.2.1:80', '192.0.2.1:80'],
  'all addresses, then one': ['80', '192.0.2.1:80'],
  'one address, then all': ['192.0.2.1:80', '80'],
  'all addresses of a family, then one': [':::80', 'fd00::9:80'],
  'both families, then one': ['80', '0.0.0.0:80'],
  'UDP alike': ['53/UDP', '53/UDP'],
}

for (const [name, [first, second]] of Object.entries(CONFLICTS))
  t.test(`refused: ${name}`, async (t) => {
    const registry = new HostPortRegistry()
    registry.claim(lease('a', [first]))
    const before = registry.all()
    t.throws(() => registry.claim(lease('b', ['1000', second])), {
      code: 'exists',
      message: /^host port \d+\/\w+ of .* is taken: pod shop\/a has it/,
    })
    t.same(registry.all(), before, 'and nothing is taken')
    t.same(registry.of(lease('b', [])), [])
    registry.release(lease('a', []))
    t.not(registry.claim(lease('b', ['1000', second])).length, 0, 'free again')
  })

const PEACE: Readonly<Record<string, readonly [first: string, second: string]>> = {
  'another port': ['80', '81'],
  'another protocol': ['80', '80/UDP'],
  'another address': ['192.0.2.1:80', '192.0.2.2:80'],
  'another family': ['0.0.0.0:80', ':::80'],
}

for (const [name, [first, second]] of Object.entries(PEACE))
  t.test(`both are right: ${name}`, async (t) => {
    const registry = new HostPortRegistry()
    t.not(registry.claim(lease('a', [first])).length, 0)
    t.not(registry.claim(lease('b', [second])).length, 0)
  })

t.test('the error names port, protocol, address and owner', async (t) => {
  const registry = new HostPortRegistry()
  registry.claim(lease('a', ['0.0.0.0:80']))
  t.throws(() => registry.claim(lease('b', ['192.0.2.1:80'])), {
    message: 'host port 80/TCP of 192.0.2.1 is taken: pod shop/a has it (80/TCP of every IPv4 address)',
    field: 'portMappings',
    operation: 'map host port',
  })
})

t.test('a lease that asks for a port twice is refused, with the place', async (t) => {
  const registry = new HostPortRegistry()
  for (const twice of [
    ['80', '80'],
    ['80', '0.0.0.0:80'],
    ['192.0.2.1:80', '192.0.2.1:80'],
  ])
    // prettier-ignore
    t.throws(() => registry.claim(lease('a', ['1', ...twice])), {
      code: 'invalid',
      field: 'portMappings[2]',
      message: /repeats host port 80\/TCP of/,
    })
  t.same(registry.all(), [])
})

t.test('a container may have a port at all addresses and at one of them', async (t) => {
  const registry = new HostPortRegistry()
  t.equal(registry.claim(lease('a', ['0.0.0.0:80', '192.0.2.1:80'])).length, 2)
})

t.test('a claim that is made again stands in the place of the first', async (t) => {
  const registry = new HostPortRegistry()
  registry.claim(lease('a', ['80', '81']))
  registry.claim(lease('a', ['81', '82']))
  t.same(new Set(registry.all().map(({ port }) => port)), new Set([81, 82]))
  t.doesNotThrow(() => registry.claim(lease('b', ['80'])))
})

t.test('a second attachment of a container leaves its ports with the first', async (t) => {
  const registry = new HostPortRegistry()
  const second = { ifname: 'eth1', addresses: ['10.3.0.2'] }
  t.equal(registry.claim(lease('a', ['80'])).length, 2)
  t.same(registry.claim(lease('a', ['80'], second)), [])
  t.same(registry.release(lease('a', [], second)), [], 'and takes none away when it goes')
  t.equal(registry.all().length, 2)
})

t.test('ranges are many mappings, and each of them counts', async (t) => {
  const registry = new HostPortRegistry()
  const range = Array.from({ length: 2000 }, (_, i) => String(10_000 + i))
  t.equal(registry.claim(lease('a', range)).length, 4000)
  t.throws(() => registry.claim(lease('b', ['11999'])), { code: 'exists' })
  t.equal(registry.release(lease('a', [])).length, 4000)
  t.same(registry.all(), [])
})
