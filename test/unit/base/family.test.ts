import t from 'tap'
import { isIPv4, isIPv6 } from 'node:net'
import { FAMILIES, familyOfAf, IPV4, IPV6 } from '../../../src/base/family.js'

for (const family of FAMILIES) {
  t.test(`${family.name}: the record agrees with itself`, async (t) => {
    t.equal(family.bits, family.bytes * 8)
    t.equal(family.destinationOffset, family.sourceOffset + family.bytes, 'the destination follows the source')
    t.equal(family.af, family.nfproto)
    t.equal(family.kubernetes.toLowerCase(), family.name)
    const [address = '', prefix] = family.everything.split('/')
    t.ok(family === IPV4 ? isIPv4(address) : isIPv6(address))
    t.equal(prefix, '0')
  })
  t.test(`${family.name}: the kernel's number leads back to it`, async (t) => {
    t.equal(familyOfAf(family.af), family)
  })
}

t.test('there are two families, IPv4 first', async (t) => {
  t.strictSame(FAMILIES, [IPV4, IPV6])
})

t.test('other address families of the kernel are none', async (t) => {
  for (const af of [0, 1, 7, 17]) t.equal(familyOfAf(af), undefined, String(af))
})
