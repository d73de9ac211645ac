import t from 'tap'
import { bigIntToIp, ipToBigInt, parseCidr } from '../../../src/base/ip.js'
import { assignable, type AddressRange, rangeHolds, rangeOf, rangeText, setText } from '../../../src/ipam/range.js'

const range = (subnet: string, ...exclude: readonly string[]): AddressRange =>
  rangeOf(
    parseCidr(subnet),
    exclude.map((text) => parseCidr(text)),
  )

const part: AddressRange = { ...range('10.1.0.0/24'), first: ipToBigInt('10.1.0.9'), last: ipToBigInt('10.1.0.12') }

t.test(
  'what is given of a network is neither excluded nor a gateway, and not walked through to find out',
  async (t) => {
    const left = (one: AddressRange, ...gateways: readonly string[]): string[] =>
      assignable(one, gateways).map(({ first, last }) =>
        [first, last].map((value) => bigIntToIp(one.subnet.family, value)).join('-'),
      )
    t.same(left(range('10.1.0.0/24', '10.1.0.16/28', 'fd00::/64'), '10.1.0.1', 'fd00::1', '10.1.0.9'), [
      '10.1.0.2-10.1.0.8',
      '10.1.0.10-10.1.0.15',
      '10.1.0.32-10.1.0.254',
    ])
    t.same(left(range('fd00::/64', 'fd00::/65'), 'fd00::1'), ['fd00::8000:0:0:0-fd00::ffff:ffff:ffff:ffff'])
    t.same(left(range('10.1.0.0/31')), [])
    t.same(left(range('fd00::/128')), [])
  },
)

t.test('a part of a network is told by its ends, a whole one as network', async (t) => {
  t.equal(setText([range('10.1.0.0/24'), part]), '10.1.0.0/24, 10.1.0.9-10.1.0.12')
  t.equal(rangeText(range('fd00::/64')), 'fd00::/64')
})

t.test('an address of the other family is in no range, whatever its number', async (t) => {
  t.ok(rangeHolds(part, '10.1.0.9'))
  t.notOk(rangeHolds(part, '10.1.0.8'))
  t.notOk(rangeHolds(part, '::a01:9'))
})
