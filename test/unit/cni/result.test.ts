import fc from 'fast-check'
import t from 'tap'
import { parseCidr, parseIpPrefix } from '../../../src/base/ip.js'
import { NetloomError } from '../../../src/base/errors.js'
import {
  type CniResult,
  parseResult,
  type ResultInterface,
  type ResultIp,
  type ResultRoute,
  writeResult,
} from '../../../src/cni/result.js'
import { CNI_VERSIONS, type CniVersion } from '../../../src/cni/version.js'

const NOTHING: CniResult = { interfaces: [], ips: [], routes: [], dns: {} }

const host: ResultInterface = { name: 'nlm-1', mac: '0a:58:0a:01:00:01', mtu: 1450 }
const pod: ResultInterface = { name: 'eth0', mac: '0a:58:0a:01:00:02', mtu: 1450, sandbox: '/run/netns/a' }
const v4: ResultIp = { address: parseIpPrefix('10.1.0.2/24'), gateway: '10.1.0.1', interface: 1 }
const v6: ResultIp = { address: parseIpPrefix('fd00:1::2/64'), gateway: 'fd00:1::1', interface: 1 }
const everything: ResultRoute = { destination: parseCidr('0.0.0.0/0'), gateway: '10.1.0.1' }
const dns = { nameservers: ['10.96.0.10', 'fd00::a'], domain: 'here', search: ['svc', 'local'], options: ['ndots:5'] }

/** What a result becomes in the versions up to 0.4.0, in 1.0.0 and in 1.1.0, with the keys that are not empty. */
interface Row {
  readonly name: string
  readonly result: Partial<CniResult>
  readonly to040: object
  readonly in100: object
  readonly in110: object
}

const oldInterfaces = [
  { name: 'nlm-1', mac: '0a:58:0a:01:00:01' },
  { name: 'eth0', mac: '0a:58:0a:01:00:02', sandbox: '/run/netns/a' },
]
const newInterfaces = [
  { name: 'nlm-1', mac: '0a:58:0a:01:00:01', mtu: 1450 },
  { name: 'eth0', mac: '0a:58:0a:01:00:02', mtu: 1450, sandbox: '/run/netns/a' },
]
const written4 = { address: '10.1.0.2/24', gateway: '10.1.0.1', interface: 1 }
const written6 = { address: 'fd00:1::2/64', gateway: 'fd00:1::1', interface: 1 }
const same = (written: object): Pick<Row, 'to040' | 'in100' | 'in110'> => ({
  to040: written,
  in100: written,
  in110: written,
})

const ROWS: readonly Row[] = [
  { name: 'nothing', result: {}, ...same({}) },
  {
    name: 'IPv4 alone',
    result: { interfaces: [host, pod], ips: [v4] },
    to040: { interfaces: oldInterfaces, ips: [{ version: '4', ...written4 }] },
    in100: { interfaces: oldInterfaces, ips: [written4] },
    in110: { interfaces: newInterfaces, ips: [written4] },
  },
  {
    name: 'IPv6 alone',
    result: { interfaces: [host, pod], ips: [v6] },
    to040: { interfaces: oldInterfaces, ips: [{ version: '6', ...written6 }] },
    in100: { interfaces: oldInterfaces, ips: [written6] },
    in110: { interfaces: newInterfaces, ips: [written6] },
  },
  {
    name: 'both families',
    result: { interfaces: [host, pod], ips: [v4, v6] },
    to040: {
      interfaces: oldInterfaces,
      ips: [
        { version: '4', ...written4 },
        { version: '6', ...written6 },
      ],
    },
    in100: { interfaces: oldInterfaces, ips: [written4, written6] },
    in110: { interfaces: newInterfaces, ips: [written4, written6] },
  },
  {
    name: 'an address without gateway and interface',
    result: { ips: [{ address: parseIpPrefix('10.1.0.2/24') }] },
    to040: { ips: [{ version: '4', address: '10.1.0.2/24' }] },
    in100: { ips: [{ address: '10.1.0.2/24' }] },
    in110: { ips: [{ address: '10.1.0.2/24' }] },
  },
  {
    name: 'a device and a socket as interfaces',
    result: {
      interfaces: [
        { name: 'vf', pciID: '0000:00:1f.6' },
        { name: 'sock', socketPath: '/run/vhost/a' },
      ],
    },
    to040: { interfaces: [{ name: 'vf' }, { name: 'sock' }] },
    in100: { interfaces: [{ name: 'vf' }, { name: 'sock' }] },
    in110: {
      interfaces: [
        { name: 'vf', pciID: '0000:00:1f.6' },
        { name: 'sock', socketPath: '/run/vhost/a' },
      ],
    },
  },
  {
    name: 'routes',
    result: { routes: [everything, { destination: parseCidr('fd00:2::/64') }] },
    ...same({ routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }, { dst: 'fd00:2::/64' }] }),
  },
  {
    name: 'a route with all that one can have',
    result: { routes: [{ ...everything, mtu: 1400, advmss: 1360, priority: 10, table: 0, scope: 0 }] },
    to040: { routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }] },
    in100: { routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }] },
    in110: {
      routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1', mtu: 1400, advmss: 1360, priority: 10, table: 0, scope: 0 }],
    },
  },
  { name: 'name resolution', result: { dns }, ...same({ dns }) },
]

const EMPTY = { interfaces: [], ips: [], routes: [], dns: {} }
const SHAPES: Readonly<Record<CniVersion, 'to040' | 'in100' | 'in110'>> = {
  '0.3.0': 'to040',
  '0.3.1': 'to040',
  '0.4.0': 'to040',
  '1.0.0': 'in100',
  '1.1.0': 'in110',
}

for (const version of CNI_VERSIONS)
  t.test(`a result is written in the shape of ${version}, and read again`, async (t) => {
    for (const { name, result, ...shapes } of ROWS) {
      const shape = shapes[SHAPES[version]]
      const written = writeResult({ ...NOTHING, ...result }, version)
      t.strictSame(written, { cniVersion: version, ...EMPTY, ...shape }, name)
      t.strictSame(writeResult(parseResult(JSON.parse(JSON.stringify(written))), version), written, name)
    }
  })

t.test('what the newest version can say is read as it was written', async (t) => {
  for (const { name, result } of ROWS) {
    const whole = { ...NOTHING, ...result }
    t.strictSame(parseResult(JSON.parse(JSON.stringify(writeResult(whole, '1.1.0')))), whole, name)
  }
})

t.test('what is left out, null, empty or 0 is not there', async (t) => {
  t.strictSame(parseResult({}), NOTHING)
  t.strictSame(parseResult({ cniVersion: '1.0.0', interfaces: null, ips: null, routes: null, dns: null }), NOTHING)
  t.strictSame(
    parseResult({
      interfaces: [{ name: 'eth0', mac: '', mtu: 0, sandbox: '', socketPath: '', pciID: '' }],
      ips: [{ address: '10.1.0.2/24', gateway: '', interface: null }],
      routes: [{ dst: '0.0.0.0/0', gw: '', mtu: 0, advmss: 0, priority: 0, table: null, scope: null }],
      dns: { nameservers: null, domain: '' },
    }),
    {
      interfaces: [{ name: 'eth0' }],
      ips: [{ address: parseIpPrefix('10.1.0.2/24') }],
      routes: [{ destination: parseCidr('0.0.0.0/0') }],
      dns: {},
    },
  )
})

t.test('addresses are read in their canonical form, networks without host bits', async (t) => {
  t.match(
    parseResult({
      ips: [{ address: 'FD00:0001:0::2/64', gateway: 'fd00:1:0::0001' }],
      routes: [{ dst: '10.1.2.3/8' }],
    }),
    {
      ips: [{ address: { address: 'fd00:1::2', prefix: 64 }, gateway: 'fd00:1::1' }],
      routes: [{ destination: { address: '10.0.0.0', prefix: 8 } }],
    },
  )
})

t.test('an index into a list that is not there says nothing', async (t) => {
  t.strictSame(parseResult({ ips: [{ version: '4', address: '10.0.0.5/32', interface: 0 }] }).ips, [
    { address: parseIpPrefix('10.0.0.5/32') },
  ])
})

const ip = (fields: object) => ({ interfaces: [{ name: 'eth0' }], ips: [{ address: '10.1.0.2/24', ...fields }] })
const route = (fields: object) => ({ routes: [{ dst: '10.0.0.0/8', ...fields }] })

const WRONG: readonly [unknown, field: string, problem: RegExp][] = [
  [undefined, 'prevResult', /is missing/],
  [null, 'prevResult', /is missing/],
  ['text', 'prevResult', /is not a mapping/],
  [[], 'prevResult', /is not a mapping/],
  [{ ips: {} }, 'prevResult.ips', /is not a list/],
  [{ ips: [null] }, 'prevResult.ips[0]', /is null/],
  [{ ips: [{}] }, 'prevResult.ips[0].address', /is missing/],
  [ip({ address: '10.1.0.2' }), 'prevResult.ips[0].address', /is not ADDRESS\/PREFIX/],
  [ip({ address: '10.1.0.2/33' }), 'prevResult.ips[0].address', /is not ADDRESS\/PREFIX/],
  [ip({ address: 7 }), 'prevResult.ips[0].address', /is not a string/],
  [ip({ gateway: 'router' }), 'prevResult.ips[0].gateway', /is not an IP address/],
  [ip({ gateway: 'fd00::1' }), 'prevResult.ips[0].gateway', /is not of the family of 10\.1\.0\.2\/24/],
  [ip({ version: '6' }), 'prevResult.ips[0].version', /"6" is not the version of 10\.1\.0\.2\/24/],
  [ip({ interface: 1 }), 'prevResult.ips[0].interface', /1 is no index into a list of 1 interfaces/],
  [ip({ interface: -1 }), 'prevResult.ips[0].interface', /-1 is not within/],
  [ip({ interface: '0' }), 'prevResult.ips[0].interface', /is not a whole number/],
  [{ interfaces: [{}] }, 'prevResult.interfaces[0].name', /is missing/],
  [{ interfaces: [{ name: '' }] }, 'prevResult.interfaces[0].name', /is empty/],
  [{ interfaces: [{ name: 'a', mac: 'nn' }] }, 'prevResult.interfaces[0].mac', /is not a MAC address/],
  [{ interfaces: [{ name: 'a', mtu: 1.5 }] }, 'prevResult.interfaces[0].mtu', /is not a whole number/],
  [{ interfaces: [{ name: 'a', sandbox: 1 }] }, 'prevResult.interfaces[0].sandbox', /is not a string/],
  [{ routes: [{}] }, 'prevResult.routes[0].dst', /is missing/],
  [route({ gw: 'fd00::1' }), 'prevResult.routes[0].gw', /is not of the family/],
  [route({ priority: -1 }), 'prevResult.routes[0].priority', /is not within/],
  [route({ table: 2 ** 32 }), 'prevResult.routes[0].table', /is not within/],
  [route({ scope: 256 }), 'prevResult.routes[0].scope', /is not within 0 to 255/],
  [{ dns: { nameservers: ['dns.example'] } }, 'prevResult.dns.nameservers[0]', /is not an IP address/],
  [{ dns: { search: 'here' } }, 'prevResult.dns.search', /is not a list/],
  [{ dns: { options: [1] } }, 'prevResult.dns.options[0]', /is not a string/],
]

t.test('an error names the field at fault', async (t) => {
  for (const [value, field, message] of WRONG)
    t.throws(() => parseResult(value, 'prevResult'), { code: 'invalid', field, message }, field)
})

t.test('whatever comes, it is a result or an error of ours', async (t) => {
  const near = fc.record(
    {
      interfaces: fc.array(fc.record({ name: fc.string(), mac: fc.anything() }, { requiredKeys: [] })),
      ips: fc.array(fc.record({ address: fc.constantFrom('10.0.0.1/8', 'fd00::1/64', 'x'), interface: fc.integer() })),
      routes: fc.array(fc.record({ dst: fc.constantFrom('::/0', '0.0.0.0/0'), gw: fc.anything() })),
      dns: fc.anything(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(fc.oneof(near, fc.anything()), (value) => {
      try {
        const result = parseResult(value)
        const known = ({ interface: index }: ResultIp): boolean =>
          index === undefined || index < result.interfaces.length
        return result.ips.every(known)
      } catch (error) {
        return error instanceof NetloomError && error.code === 'invalid'
      }
    }),
  )
  t.pass()
})
