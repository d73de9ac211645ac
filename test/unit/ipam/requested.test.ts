import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import { rangeOf } from '../../../src/ipam/range.js'
import { assign } from '../../../src/ipam/requested.js'

const sets = [['10.1.0.0/24', '10.3.0.0/24'], ['10.2.0.0/24'], ['fd00::/64']].map((set) =>
  set.map((text) => rangeOf(parseCidr(text))),
)

const ask = (...addresses: readonly string[]): (string | undefined)[] =>
  assign(
    sets,
    addresses.map((address, i) => ({ address, field: `ips[${i}]` })),
  ).map((request) => request?.address)

t.test('each address goes to the set that has it', async (t) => {
  t.same(ask(), [undefined, undefined, undefined])
  t.same(ask('fd00::7', '10.3.0.7'), ['10.3.0.7', undefined, 'fd00::7'])
  t.same(ask('10.2.0.7', '10.2.0.7'), [undefined, '10.2.0.7', undefined], 'asked for in two places')
})

const REFUSED: Readonly<Record<string, readonly [addresses: readonly string[], field: string, problem: RegExp]>> = {
  'an address of no range': [
    ['10.1.0.7', '10.4.0.7'],
    'ips[1]',
    /10\.4\.0\.7 cannot be given out of 10\.1\.0\.0\/24, /,
  ],
  'two of one set': [['10.1.0.7', '10.3.0.7'], 'ips[1]', /10\.3\.0\.7 is of the same ranges as 10\.1\.0\.7/],
  'the gateway': [['10.1.0.1'], 'ips[0]', /10\.1\.0\.1 is the gateway/],
  "the network's own address": [['10.1.0.0'], 'ips[0]', /10\.1\.0\.0 cannot be given/],
  'the broadcast address': [['10.2.0.255'], 'ips[0]', /10\.2\.0\.255 cannot be given/],
  'an IPv4 address in IPv6 form': [['::ffff:a01:7'], 'ips[0]', /cannot be given/],
}

for (const [name, [addresses, field, message]] of Object.entries(REFUSED))
  t.test(`refused, with the field and the address: ${name}`, async (t) => {
    t.throws(() => ask(...addresses), { code: 'invalid', field, message })
  })
