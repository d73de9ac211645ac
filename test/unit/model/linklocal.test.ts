import t from 'tap'
import { linkLocalOf } from '../../../src/model/linklocal.js'

const CASES: Readonly<Record<string, string>> = {
  // RFC 2464, section 4.
  '34:56:78:9a:bc:de': 'fe80::3656:78ff:fe9a:bcde',
  '0a:58:0a:01:00:02': 'fe80::858:aff:fe01:2',
  '02:00:00:00:00:00': 'fe80::ff:fe00:0',
  'FE:FF:FF:FF:FF:FF': 'fe80::fcff:ffff:feff:ffff',
}

t.test('the link-local address follows from the MAC address', async (t) => {
  for (const [mac, address] of Object.entries(CASES)) t.equal(linkLocalOf(mac), address, mac)
})

t.test('what is no MAC address is refused', async (t) => {
  t.throws(() => linkLocalOf('0a:58'), { code: 'invalid', field: 'mac' })
})
