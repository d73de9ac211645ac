import t from 'tap'
import { FAMILIES, IPV4, IPV6 } from '../../../../src/base/family.js'
import { cidrContains, parseCidr } from '../../../../src/base/ip.js'
import { bigIntToIp, ipToBigInt } from '../../../../src/base/ip.js'
import { intervalKey, intervalsOf } from '../../../../src/codec/nft/intervals.js'
import { seededRandom } from '../../../support/cni-exec.js'

const ROWS: Readonly<Record<string, readonly [networks: readonly string[], intervals: readonly string[]]>> = {
  nothing: [[], []],
  'one network': [['10.1.0.0/24'], ['10.1.0.0-10.1.0.255']],
  'a single address': [['192.0.2.1/32'], ['192.0.2.1-192.0.2.1']],
  'two apart, in their order': [
    ['10.3.0.0/24', '10.1.0.0/24'],
    ['10.1.0.0-10.1.0.255', '10.3.0.0-10.3.0.255'],
  ],
  'the same twice': [['10.1.0.0/24', '10.1.0.0/24'], ['10.1.0.0-10.1.0.255']],
  'one within another': [['10.1.2.0/24', '10.1.0.0/16'], ['10.1.0.0-10.1.255.255']],
  'one within another, with the same start': [['10.1.0.0/16', '10.1.0.0/24'], ['10.1.0.0-10.1.255.255']],
  'one within another, with the same end': [['10.1.0.0/16', '10.1.255.0/24'], ['10.1.0.0-10.1.255.255']],
  'two that touch stay two, so that a node that goes is one element': [
    ['10.1.0.0/24', '10.1.1.0/24'],
    ['10.1.0.0-10.1.0.255', '10.1.1.0-10.1.1.255'],
  ],
  'up to the last address of all': [['255.255.255.0/24', '0.0.0.0/8'], ['0.0.0.0-0.255.255.255', '255.255.255.0-255.255.255.255']],
  everything: [['0.0.0.0/0', '10.1.0.0/24'], ['0.0.0.0-255.255.255.255']],
  'IPv6 does not count for IPv4': [['fd00::/64', '10.1.0.0/24'], ['10.1.0.0-10.1.0.255']],
} // prettier-ignore

for (const [name, [networks, intervals]] of Object.entries(ROWS))
  t.test(`intervals of ${name}`, async (t) => {
    t.same(intervalsOf(IPV4, networks.map((text) => parseCidr(text))).map(intervalKey), intervals) // prettier-ignore
  })

t.test('IPv6 works alike', async (t) => {
  const networks = ['fd00:2::/64', 'fd00:1::/64', 'fd00:1:0:1::/64', '10.0.0.0/8', 'ffff::/16'].map((text) =>
    parseCidr(text),
  )
  t.same(intervalsOf(IPV6, networks).map(intervalKey), [
    'fd00:1::-fd00:1::ffff:ffff:ffff:ffff',
    'fd00:1:0:1::-fd00:1:0:1:ffff:ffff:ffff:ffff',
    'fd00:2::-fd00:2::ffff:ffff:ffff:ffff',
    'ffff::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  ])
})

t.test('intervals hold exactly what the networks hold, apart from one another and in order', async (t) => {
  const random = seededRandom(3)
  for (let round = 0; round < 300; round++)
    for (const family of FAMILIES) {
      const base = family === IPV4 ? 0x0a000000n : 0xfd00n << 112n
      const networks = Array.from({ length: 1 + Math.floor(random() * 6) }, () => {
        const prefix = family.bits - Math.floor(random() * 6)
        return parseCidr(`${bigIntToIp(family, base + BigInt(Math.floor(random() * 64)))}/${prefix}`)
      })
      const intervals = intervalsOf(family, networks).map(({ key, last = '' }) => ({
        first: ipToBigInt(String(key[0])),
        last: ipToBigInt(last),
      }))
      for (const [i, { first }] of intervals.entries())
        if (i > 0 && first <= intervals[i - 1]!.last) t.fail(`round ${round}: intervals overlap`)
      for (let at = base - 2n; at < base + 100n; at++) {
        const address = bigIntToIp(family, at)
        const wanted = networks.some((network) => cidrContains(network, address))
        const found = intervals.some(({ first, last }) => first <= at && at <= last)
        if (wanted !== found) t.fail(`round ${round}: ${address}`)
      }
    }
  t.pass()
})
