import t from 'tap'
import { Address4, Address6 } from 'ip-address'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import {
  bigIntToIp,
  bytesToIp,
  cidrContains,
  cidrRange,
  cidrsOverlap,
  familyOf,
  formatCidr,
  ipToBigInt,
  ipToBytes,
  isUnicast,
  networkOf,
  parseCidr,
  parseIp,
  parseIpPrefix,
  writeIp,
} from '../../../src/base/ip.js'

/** mulberry32: the same numbers in every run. */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Bytes with runs of zeros, as addresses have them. */
function* samples(bytes: 4 | 16, count: number): Generator<Uint8Array> {
  const next = random(bytes)
  for (let i = 0; i < count; i++) {
    const density = next()
    yield Uint8Array.from({ length: bytes }, () => (next() < density ? 0 : Math.floor(next() * 256)))
  }
}

/** What a sample came out as where that is not what it should be. */
type Wrong = { of: string; got: unknown; wanted: unknown }

const compare = (of: string, got: string, wanted: string): Wrong[] => (got === wanted ? [] : [{ of, got, wanted }])

/** Text of bytes, against `expected` of another library, and back. */
function thereAndBack(bytes: Uint8Array, expected: string): Wrong[] {
  const text = bytesToIp(bytes)
  const hex = Buffer.from(bytes).toString('hex')
  return [
    ...compare(hex, text, expected),
    ...compare(text, Buffer.from(ipToBytes(text)).toString('hex'), hex),
    ...compare(text, parseIp(text).address, text),
    ...compare(text, bigIntToIp(parseIp(text).family, ipToBigInt(text)), text),
  ]
}

t.test('IPv4 text of 2,000 addresses is that of ip-address, and leads back to the bytes', async (t) => {
  const all = [...samples(4, 2000)]
  t.strictSame(
    all.flatMap((bytes) => thereAndBack(bytes, Address4.fromByteArray([...bytes]).correctForm())),
    [],
  )
})

t.test('IPv6 text of 5,000 addresses is that of ip-address, and leads back to the bytes', async (t) => {
  const all = [...samples(16, 5000)]
  t.strictSame(
    all.flatMap((bytes) => thereAndBack(bytes, Address6.fromByteArray([...bytes]).correctForm())),
    [],
  )
  const shortened = all.filter((bytes) => bytesToIp(bytes).includes('::')).length
  t.ok(shortened > 500 && shortened < 4500, `${shortened} of them with ::`)
})

t.test('every spelling of an IPv6 address gives the same bytes and the same text', async (t) => {
  const wrong = [...samples(16, 1000)].flatMap((bytes) => {
    const parsed = Address6.fromByteArray([...bytes])
    const spellings = [parsed.canonicalForm(), parsed.canonicalForm().toUpperCase(), parsed.to4in6()]
    return spellings.flatMap((text) => [
      ...compare(text, Buffer.from(ipToBytes(text)).toString('hex'), Buffer.from(bytes).toString('hex')),
      ...compare(text, parseIp(text).address, bytesToIp(bytes)),
    ])
  })
  t.strictSame(wrong, [])
})

/** RFC 5952 section 4. */
const canonical: Record<string, string> = {
  '2001:0DB8:0:0:0:0:0:1': '2001:db8::1',
  '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
  '2001:0:0:1:0:0:0:1': '2001:0:0:1::1',
  '2001:db8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
  '0:0:0:0:0:0:0:0': '::',
  '0:0:0:0:0:0:0:1': '::1',
  '1:0:0:0:0:0:0:0': '1::',
  '::ffff:192.0.2.1': '::ffff:c000:201',
  '192.0.2.1': '192.0.2.1',
}

for (const [text, expected] of Object.entries(canonical)) {
  t.test(`${text} is written ${expected}`, async (t) => {
    t.equal(parseIp(text).address, expected)
    t.equal(bytesToIp(ipToBytes(text)), expected)
  })
}

const noAddress = ['', ' ', 'x', '192.0.2', '192.0.2.256', '192.0.2.1.5', '192.0.2.01', '192.0.2.1 ', '192.0.2.1/24']
const noAddress6 = [':', ':::', '1::2::3', '2001:db8::g', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', 'fe80::1%eth0', '[::1]']
for (const text of [...noAddress, ...noAddress6]) {
  t.test(`'${text}' is no address, and the error names the field`, async (t) => {
    const expected = { code: 'invalid', field: 'podIP', message: `podIP: '${text}' is not an IP address` }
    t.throws(() => parseIp(text, 'podIP'), expected)
  })
}

const noNetwork = ['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8x', '10.0.0.0/1/2', '/8', '::/129']
for (const text of [...noNetwork, '::/0128', 'fe80::1%eth0/64', '10.0.0.0/1e1', 'x/8', '10.0.0/8', '']) {
  t.test(`'${text}' is no network, and the error names the field`, async (t) => {
    const expected = { code: 'invalid', field: 'podCIDR', message: `podCIDR: '${text}' is not ADDRESS/PREFIX` }
    t.throws(() => parseCidr(text, 'podCIDR'), expected)
    t.throws(() => parseIpPrefix(text, 'podCIDR'), expected)
  })
}

t.test('a network loses its host bits, an address with its prefix keeps them', async (t) => {
  t.strictSame(parseCidr('10.1.2.3/8'), { family: IPV4, address: '10.0.0.0', prefix: 8 })
  t.strictSame(parseIpPrefix('10.1.2.3/8'), { family: IPV4, address: '10.1.2.3', prefix: 8 })
  t.strictSame(parseCidr('2001:DB8:ffff::1/36'), { family: IPV6, address: '2001:db8:f000::', prefix: 36 })
  t.strictSame(parseIpPrefix('2001:DB8::1/36'), { family: IPV6, address: '2001:db8::1', prefix: 36 })
  t.equal(formatCidr(parseCidr('10.1.2.3/31')), '10.1.2.2/31')
})

for (const [family, Address] of [
  [IPV4, Address4],
  [IPV6, Address6],
] as const) {
  t.test(`${family.name} networks of random addresses and all prefixes are those of ip-address`, async (t) => {
    const wrong = [...samples(family.bytes, 3 * (family.bits + 1))].flatMap((bytes, i) => {
      const text = `${bytesToIp(bytes)}/${i % (family.bits + 1)}`
      const cidr = parseCidr(text)
      const expected = new Address(text)
      return [
        ...compare(text, cidr.address, expected.startAddress().correctForm()),
        ...compare(text, bigIntToIp(family, cidrRange(cidr).first), expected.startAddress().correctForm()),
        ...compare(text, bigIntToIp(family, cidrRange(cidr).last), expected.endAddress().correctForm()),
      ]
    })
    t.strictSame(wrong, [])
  })
}

t.test('addresses are numbers', async (t) => {
  t.equal(ipToBigInt('192.0.2.1'), 0xc0000201n)
  t.equal(ipToBigInt('::'), 0n)
  t.equal(ipToBigInt('2001:db8::1'), 0x20010db8000000000000000000000001n)
})

t.test('an address is written where it is to be, and nowhere else', async (t) => {
  for (const [address, expected] of [
    ['192.0.2.1', 'ffc0000201ffffffffffffffffffffffffffff'],
    ['1::2', 'ff00010000000000000000000000000002ffff'],
    ['::', 'ff00000000000000000000000000000000ffff'],
  ] as const) {
    const target = Buffer.alloc(19, 0xff)
    writeIp(target, 1, address)
    t.equal(target.toString('hex'), expected, address)
  }
})

const ranges: Record<string, readonly [first: string, last: string]> = {
  '10.0.0.0/24': ['10.0.0.0', '10.0.0.255'],
  '10.0.0.7/32': ['10.0.0.7', '10.0.0.7'],
  '0.0.0.0/0': ['0.0.0.0', '255.255.255.255'],
  'fd00::/64': ['fd00::', 'fd00::ffff:ffff:ffff:ffff'],
  '::/0': ['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
}
for (const [text, [first, last]] of Object.entries(ranges)) {
  t.test(`${text} goes from ${first} to ${last}`, async (t) => {
    const cidr = parseCidr(text)
    const range = cidrRange(cidr)
    t.strictSame([bigIntToIp(cidr.family, range.first), bigIntToIp(cidr.family, range.last)], [first, last])
    t.ok(cidrContains(cidr, first) && cidrContains(cidr, last))
  })
}

const contained: Record<string, readonly [inside: string[], outside: string[]]> = {
  '10.0.0.0/24': [
    ['10.0.0.0', '10.0.0.255'],
    ['10.0.1.0', '9.255.255.255', '::a00:1', 'x', ''],
  ],
  '10.0.0.4/30': [
    ['10.0.0.4', '10.0.0.7'],
    ['10.0.0.3', '10.0.0.8'],
  ],
  '0.0.0.0/0': [['0.0.0.0', '255.255.255.255'], ['::']],
  'fd00::/8': [
    ['fd00::', 'fdff::1'],
    ['fc00::', 'fe00::', '253.0.0.1'],
  ],
  '::/0': [['::', 'ffff::'], ['0.0.0.0']],
}
for (const [text, [inside, outside]] of Object.entries(contained)) {
  t.test(`what ${text} contains`, async (t) => {
    for (const address of inside) t.ok(cidrContains(parseCidr(text), address), address)
    for (const address of outside) t.notOk(cidrContains(parseCidr(text), address), `not ${address}`)
  })
}

const overlaps: readonly (readonly [a: string, b: string, overlap: boolean])[] = [
  ['10.0.0.0/8', '10.1.0.0/16', true],
  ['10.0.0.0/8', '10.0.0.0/8', true],
  ['10.0.0.0/9', '10.128.0.0/9', false],
  ['0.0.0.0/0', '192.0.2.1/32', true],
  ['0.0.0.0/0', '::/0', false],
  ['fd00::/64', 'fd00::5/128', true],
  ['fd00::/64', 'fd00:0:0:1::/64', false],
]
for (const [a, b, overlap] of overlaps) {
  t.test(`${a} and ${b} ${overlap ? 'overlap' : 'do not overlap'}`, async (t) => {
    t.equal(cidrsOverlap(parseCidr(a), parseCidr(b)), overlap)
    t.equal(cidrsOverlap(parseCidr(b), parseCidr(a)), overlap, 'whichever comes first')
  })
}

t.test('the network of an address of a length', async (t) => {
  t.equal(formatCidr(networkOf(IPV4, '10.1.2.3', 0)), '0.0.0.0/0')
  t.equal(formatCidr(networkOf(IPV6, 'fd00::ffff', 120)), 'fd00::ff00/120')
})

const unicast: Record<string, boolean> = {
  '10.0.0.1': true,
  '8.8.8.8': true,
  '169.254.1.1': true,
  '127.0.0.1': false,
  '127.8.0.1': false,
  '0.0.0.0': false,
  '224.0.0.1': false,
  '239.255.255.255': false,
  '255.255.255.255': false,
  'fd00::1': true,
  '2001:db8::1': true,
  'fe80::1': true,
  '::1': false,
  '::': false,
  'ff02::1': false,
}
for (const [address, expected] of Object.entries(unicast)) {
  t.test(`${address} ${expected ? 'can' : 'cannot'} be an endpoint's address`, async (t) => {
    t.equal(isUnicast(parseIp(address)), expected)
  })
}

t.test('the family of a text', async (t) => {
  t.equal(familyOf('192.0.2.1'), IPV4)
  t.equal(familyOf('::1'), IPV6)
  t.equal(familyOf('example.org'), undefined)
})
