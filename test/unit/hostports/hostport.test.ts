import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { formatCidr } from '../../../src/base/ip.js'
import { type HostPort, hostPortsOf, hostPortText, isAtLoopback } from '../../../src/hostports/hostport.js'
import { type PortMapping } from '../../../src/model/portmapping.js'
import { exampleLease, type LeaseFields } from '../../support/lease.js'

const mapping = (fields: Partial<PortMapping> = {}): PortMapping => ({
  hostPort: 80,
  containerPort: 8080,
  protocol: 'TCP',
  ...fields,
})

const portsOf = (hostIP: string | undefined, fields: LeaseFields = {}): HostPort[] =>
  hostPortsOf(exampleLease({ ports: [mapping(hostIP === undefined ? {} : { hostIP })], ...fields }))

/** What a mapping with this hostIP becomes for a container with addresses of both families. */
const ROWS: Readonly<Record<string, readonly [string | undefined, readonly string[]]>> = {
  'without hostIP: both families': [undefined, ['* > 10.1.0.2', '* > fd00:1::2']],
  '0.0.0.0: all addresses of IPv4': ['0.0.0.0', ['* > 10.1.0.2']],
  '::: all addresses of IPv6': ['::', ['* > fd00:1::2']],
  'an IPv4 address': ['192.0.2.1', ['192.0.2.1 > 10.1.0.2']],
  'an IPv6 address': ['fd00::9', ['fd00::9 > fd00:1::2']],
}

for (const [name, [hostIP, expected]] of Object.entries(ROWS))
  t.test(`a mapping ${name}`, async (t) => {
    const ports = portsOf(hostIP)
    t.strictSame(
      ports.map(({ address, target }) => `${address ?? '*'} > ${target.address}`),
      expected,
    )
    for (const port of ports) t.match(port, { port: 80, protocol: 'TCP', target: { port: 8080 } })
  })

t.test('a family that the container has no address of is left out', async (t) => {
  t.same(
    portsOf(undefined, { addresses: ['10.1.0.2'] }).map(({ family }) => family),
    [IPV4],
  )
  t.same(portsOf('::', { addresses: ['10.1.0.2'] }), [])
})

t.test('of several addresses of a family the first one is taken', async (t) => {
  const ports = portsOf(undefined, { addresses: ['10.1.0.2', '10.2.0.2', 'fd00:1::2'] })
  t.same(
    ports.map(({ target }) => target.address),
    ['10.1.0.2', 'fd00:1::2'],
  )
})

t.test('who is masqueraded: the container alone, and everybody in a network of another plugin', async (t) => {
  const nearby = (mode: 'bridge' | 'ptp' | 'chained'): string[] =>
    portsOf(undefined, { mode }).map((port) => formatCidr(port.nearby))
  t.same(nearby('bridge'), ['10.1.0.2/32', 'fd00:1::2/128'])
  t.same(nearby('ptp'), ['10.1.0.2/32', 'fd00:1::2/128'])
  t.same(nearby('chained'), ['10.1.0.0/24', 'fd00:1::/64'])
})

t.test('127.0.0.1 leads to ports of IPv4 at all addresses, and at 127.0.0.0/8', async (t) => {
  const [any4, any6] = portsOf(undefined)
  t.same(
    [any4, any6].map((port) => port !== undefined && isAtLoopback(port)),
    [true, false],
  )
  t.same(portsOf('127.0.0.1').map(isAtLoopback), [true])
  t.same(portsOf('192.0.2.1').map(isAtLoopback), [false])
  t.same(portsOf('::1').map(isAtLoopback), [false])
})

t.test('a port is told with the addresses that it is at', async (t) => {
  t.equal(hostPortText({ family: IPV4, protocol: 'TCP', port: 80 }), '80/TCP of every IPv4 address')
  t.equal(hostPortText({ family: IPV6, protocol: 'UDP', port: 53, address: 'fd00::9' }), '53/UDP of fd00::9')
})
