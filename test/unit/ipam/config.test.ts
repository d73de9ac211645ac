import t from 'tap'
import { bigIntToIp, formatCidr } from '../../../src/base/ip.js'
import { type Ipam, readIpam } from '../../../src/ipam/config.js'
import { type AddressRange } from '../../../src/ipam/range.js'
import { Cursor } from '../../../src/model/cursor.js'

const read = (ipam: unknown, ipRanges?: unknown): Ipam => {
  const root = new Cursor({ ipam, runtimeConfig: { ipRanges } })
  return readIpam(root.field('ipam'), root.field('runtimeConfig').field('ipRanges'))
}

/** A range in one line: `SUBNET FIRST-LAST via GATEWAY`. */
function line({ subnet, first, last, gateway, exclude }: AddressRange): string {
  const ip = (value: bigint): string => bigIntToIp(subnet.family, value)
  const not = exclude.length === 0 ? '' : ` not ${exclude.map(formatCidr).join()}`
  return `${formatCidr(subnet)} ${ip(first)}-${ip(last)} via ${gateway}${not}`
}

const lines = (ipam: Ipam): string[][] => ipam.sets.map((set) => set.map(line))

const READ: Readonly<Record<string, readonly [ipam: unknown, sets: readonly (readonly string[])[]]>> = {
  "without ranges the node's networks are what there is": [{ type: 'netloom' }, []],
  'no ipam at all': [undefined, []],
  'a subnet': [{ ranges: [[{ subnet: '10.1.0.0/24' }]] }, [['10.1.0.0/24 10.1.0.1-10.1.0.254 via 10.1.0.1']]],
  'IPv6 has no broadcast address': [
    { ranges: [[{ subnet: 'FD00:0::/64' }]] },
    [['fd00::/64 fd00::1-fd00::ffff:ffff:ffff:ffff via fd00::1']],
  ],
  'a part of a subnet, and another gateway': [
    { ranges: [[{ subnet: '10.1.0.0/16', rangeStart: '10.1.2.10', rangeEnd: '10.1.2.20', gateway: '10.1.255.254' }]] },
    [['10.1.0.0/16 10.1.2.10-10.1.2.20 via 10.1.255.254']],
  ],
  'empty texts, as templates leave them': [
    { subnet: '10.1.0.0/24', rangeStart: '', rangeEnd: '', gateway: '' },
    [['10.1.0.0/24 10.1.0.1-10.1.0.254 via 10.1.0.1']],
  ],
  'a gateway outside of the subnet': [
    { ranges: [[{ subnet: 'fd00:1::/64', gateway: 'fe80::1' }], [{ subnet: '10.1.0.0/24', gateway: '192.0.2.1' }]] },
    [
      ['fd00:1::/64 fd00:1::1-fd00:1::ffff:ffff:ffff:ffff via fe80::1'],
      ['10.1.0.0/24 10.1.0.1-10.1.0.254 via 192.0.2.1'],
    ],
  ],
  'network and broadcast address are not given, though they are named': [
    { subnet: '10.1.0.0/24', rangeStart: '10.1.0.0', rangeEnd: '10.1.0.255' },
    [['10.1.0.0/24 10.1.0.1-10.1.0.254 via 10.1.0.1']],
  ],
  'the older form comes before ranges': [
    { subnet: '10.1.0.0/24', ranges: [[{ subnet: '10.2.0.0/24' }]], routes: [], dataDir: '/x', resolvConf: '/y' },
    [['10.1.0.0/24 10.1.0.1-10.1.0.254 via 10.1.0.1'], ['10.2.0.0/24 10.2.0.1-10.2.0.254 via 10.2.0.1']],
  ],
  'several ranges of one set': [
    {
      ranges: [
        [
          { subnet: '10.1.0.0/24', rangeEnd: '10.1.0.9' },
          { subnet: '10.1.0.0/24', rangeStart: '10.1.0.20' },
        ],
      ],
    },
    [['10.1.0.0/24 10.1.0.1-10.1.0.9 via 10.1.0.1', '10.1.0.0/24 10.1.0.20-10.1.0.254 via 10.1.0.1']],
  ],
  'excluded of one range, and of all': [
    {
      exclude: ['10.1.0.200/32', '10.0.0.0/8'],
      ranges: [[{ subnet: '10.1.0.0/24', exclude: ['10.1.0.16/28', '10.1.0.5'] }], [{ subnet: 'fd00::/64' }]],
    },
    [
      ['10.1.0.0/24 10.1.0.1-10.1.0.254 via 10.1.0.1 not 10.1.0.16/28,10.1.0.5/32,10.1.0.200/32,10.0.0.0/8'],
      ['fd00::/64 fd00::1-fd00::ffff:ffff:ffff:ffff via fd00::1'],
    ],
  ],
}

for (const [name, [ipam, sets]] of Object.entries(READ))
  t.test(`read: ${name}`, async (t) => {
    t.same(lines(read(ipam)), sets)
  })

t.test('ranges of the runtime come first', async (t) => {
  t.same(
    lines(read({ subnet: '10.1.0.0/24' }, [[{ subnet: '10.9.0.0/30' }]])).map(([text]) => text?.split(' ')[0]),
    ['10.9.0.0/30', '10.1.0.0/24'],
  )
  t.equal(read({ exclude: ['10.1.0.0/30'] }, [[{ subnet: '10.9.0.0/30' }]]).sets.length, 1)
})

t.test("what is excluded of the node's networks is told", async (t) => {
  t.same(read({ exclude: ['10.1.0.0/28', 'fd00::5'] }).exclude.map(formatCidr), ['10.1.0.0/28', 'fd00::5/128'])
})

/** A set with one range: a good one, changed by some fields. */
const one = (fields: object): object => ({ ranges: [[{ subnet: '10.1.0.0/24', ...fields }]] })
const both = (first: object, second: object): object => ({
  ranges: [[{ subnet: '10.1.0.0/24', ...first }], [{ subnet: '10.1.0.0/24', ...second }]],
})

const REFUSED: Readonly<Record<string, readonly [ipam: unknown, field: string, problem?: RegExp]>> = {
  'no mapping': ['10.1.0.0/24', 'ipam'],
  'a key that is not known': [{ subnets: [] }, 'ipam.subnets', /not a known field/],
  'a misspelt key of a range': [one({ rangestart: '10.1.0.9' }), 'ipam.ranges[0][0].rangestart', /not a known field/],
  'no list of sets': [{ ranges: {} }, 'ipam.ranges', /not a list/],
  'a range where a set belongs': [{ ranges: [{ subnet: '10.1.0.0/24' }] }, 'ipam.ranges[0]', /not a list/],
  'a set without a range': [{ ranges: [[]] }, 'ipam.ranges[0]', /without a range/],
  'a range without a subnet': [{ ranges: [[{}]] }, 'ipam.ranges[0][0].subnet', /missing/],
  'a gateway without a subnet': [{ gateway: '10.1.0.1' }, 'ipam.gateway', /without a subnet/],
  'an address for a subnet': [{ subnet: '10.1.0.0' }, 'ipam.subnet', /not ADDRESS\/PREFIX/],
  'a subnet with host bits': [{ subnet: '10.1.0.7/24' }, 'ipam.subnet', /the network is 10\.1\.0\.0\/24/],
  'a network of two': [{ subnet: '10.1.0.0/31' }, 'ipam.subnet', /too small/],
  'an IPv6 network of one': [{ subnet: 'fd00::1/128' }, 'ipam.subnet', /too small/],
  'a start outside of the subnet': [one({ rangeStart: '10.2.0.1' }), 'ipam.ranges[0][0].rangeStart', /outside/],
  'a start of the other family': [one({ rangeStart: 'fd00::1' }), 'ipam.ranges[0][0].rangeStart', /outside/],
  'an end outside of the subnet': [one({ rangeEnd: '10.1.1.0' }), 'ipam.ranges[0][0].rangeEnd', /outside/],
  'an end before the start': [
    one({ rangeStart: '10.1.0.9', rangeEnd: '10.1.0.8' }),
    'ipam.ranges[0][0].rangeEnd',
    /before the start/,
  ],
  'no address as an end': [one({ rangeEnd: '10.1.0' }), 'ipam.ranges[0][0].rangeEnd', /not an IP address/],
  'a gateway of the other family': [one({ gateway: 'fd00::1' }), 'ipam.ranges[0][0].gateway', /not IPv4/],
  'a gateway for everybody': [one({ gateway: '224.0.0.1' }), 'ipam.ranges[0][0].gateway', /cannot be a gateway/],
  'two families in a set': [
    { ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: 'fd00::/64' }]] },
    'ipam.ranges[0][1].subnet',
    /another family/,
  ],
  'ranges of one set that overlap': [
    { ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: '10.1.0.128/25' }]] },
    'ipam.ranges[0][1]',
    /10\.1\.0\.128\/25 overlaps 10\.1\.0\.0\/24 of ipam\.ranges\[0\]\[0\]/,
  ],
  'sets that overlap': [
    both({ rangeEnd: '10.1.0.20' }, { rangeStart: '10.1.0.20' }),
    'ipam.ranges[1][0]',
    /10\.1\.0\.20-10\.1\.0\.254 overlaps 10\.1\.0\.1-10\.1\.0\.20 of/,
  ],
  'an exclusion outside of its range': [
    one({ exclude: ['10.1.0.4', '10.2.0.0/24'] }),
    'ipam.ranges[0][0].exclude[1]',
    /outside/,
  ],
  'an exclusion with host bits': [one({ exclude: ['10.1.0.4/24'] }), 'ipam.ranges[0][0].exclude[0]', /host bits/],
  'an exclusion that is none': [one({ exclude: [4] }), 'ipam.ranges[0][0].exclude[0]', /not a string/],
  'an exclusion from nothing': [
    { subnet: '10.1.0.0/24', exclude: ['10.2.0.4'] },
    'ipam.exclude[0]',
    /10\.2\.0\.4\/32 is in none/,
  ],
}

for (const [name, [ipam, field, message]] of Object.entries(REFUSED))
  t.test(`refused, with the field: ${name}`, async (t) => {
    t.throws(() => read(ipam), { code: 'invalid', field, ...(message === undefined ? {} : { message }) })
  })

t.test('ranges of the runtime are refused with their own place', async (t) => {
  const field = 'runtimeConfig.ipRanges[0][0].subnet'
  t.throws(() => read({}, [[{ subnet: '10.1.0.1/24' }]]), { code: 'invalid', field })
  t.throws(() => read({ subnet: '10.1.0.0/24' }, [[{ subnet: '10.1.0.0/30' }]]), {
    field: 'ipam',
    message: /overlaps 10\.1\.0\.0\/30 of runtimeConfig\.ipRanges\[0\]\[0\]/,
  })
})
