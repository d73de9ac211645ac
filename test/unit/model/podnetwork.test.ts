import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import { gatewayMac, gatewayOf } from '../../../src/model/podnetwork.js'

t.test('the first address of a pod network is its gateway', async (t) => {
  const rows: Record<string, string> = {
    '10.1.0.0/24': '10.1.0.1',
    '10.1.0.64/26': '10.1.0.65',
    '10.255.255.252/30': '10.255.255.253',
    'fd00:1::/64': 'fd00:1::1',
    'fd00:1::ff00/120': 'fd00:1::ff01',
  }
  for (const [subnet, gateway] of Object.entries(rows)) t.equal(gatewayOf(parseCidr(subnet)), gateway)
})

t.test("the gateway's MAC address follows from its first address, so it outlives the bridge", async (t) => {
  const [v4, v6] = [parseCidr('10.1.0.0/24'), parseCidr('fd00:1::/64')]
  t.equal(gatewayMac([v4, v6]), '0a:58:0a:01:00:01')
  t.equal(gatewayMac([v4]), gatewayMac([v4, v6]))
  t.not(gatewayMac([v6]), gatewayMac([v4]))
  t.throws(() => gatewayMac([]), { code: 'internal' })
})
