import t from 'tap'
import { bytesToMac, macToBytes } from '../../../../src/codec/rtnl/mac.js'

t.test('an Ethernet address becomes six bytes and lower-case text', async (t) => {
  const bytes = macToBytes('02:AB:cd:00:ff:01')
  t.equal(bytes.toString('hex'), '02abcd00ff01')
  t.equal(bytesToMac(bytes), '02:ab:cd:00:ff:01')
})

t.test('links without an address have none, other lengths are shown whole', async (t) => {
  t.equal(bytesToMac(undefined), undefined)
  t.equal(bytesToMac(Buffer.alloc(0)), undefined)
  t.equal(bytesToMac(Buffer.of(10, 0, 0, 1)), '0a:00:00:01')
})

const refused = ['', '02:00:00:00:00', '02:00:00:00:00:00:00', '02-00-00-00-00-00', '0:0:0:0:0:0', '02:00:00:00:00:0g']
for (const text of [...refused, '020000000000', '02:00:00:00:00:00 ']) {
  t.test(`'${text}' is no Ethernet address, and the error names the field`, async (t) => {
    const expected = {
      code: 'invalid',
      field: 'gatewayMac',
      message: `gatewayMac: '${text}' is not an Ethernet address`,
    }
    t.throws(() => macToBytes(text, 'gatewayMac'), expected)
  })
}
