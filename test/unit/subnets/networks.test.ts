import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import { clusterNetworksOf, familiesOf, sizeOf } from '../../../src/subnets/networks.js'

const read = (cidrs: readonly string[], nodePrefixLengthIpv4 = 24, nodePrefixLengthIpv6 = 64) => {
  const clusterNetworks = cidrs.map((cidr) => parseCidr(cidr))
  return clusterNetworksOf({ clusterNetworks, nodePrefixLengthIpv4, nodePrefixLengthIpv6 })
}

t.test('each network has the prefix length of its family', async (t) => {
  const networks = read(['fd00::/32', '10.0.0.0/8', '192.168.0.0/16'])
  t.same(
    networks.map(({ nodePrefix }) => nodePrefix),
    [64, 24, 24],
  )
  t.same(networks.map(sizeOf), [2n ** 32n, 2n ** 16n, 2n ** 8n])
  t.same(
    familiesOf(networks).map(({ name }) => name),
    ['ipv4', 'ipv6'],
  )
})

t.test('refuses what cannot be, by the name of the setting', async (t) => {
  t.throws(() => read(['10.0.0.0/16'], 15), {
    message: 'node-prefix-length-ipv4: 15 is not within 16 to 30, as subnets of 10.0.0.0/16 are',
    code: 'invalid',
    field: 'node-prefix-length-ipv4',
  })
  t.throws(() => read(['10.0.0.0/16'], 31), { code: 'invalid', field: 'node-prefix-length-ipv4' })
  t.throws(() => read(['10.0.0.0/16'], NaN), { code: 'invalid', field: 'node-prefix-length-ipv4' })
  t.throws(() => read(['fd00::/48'], 24, 127), { code: 'invalid', field: 'node-prefix-length-ipv6' })
  t.throws(() => read(['10.0.0.0/16', '10.0.128.0/17']), {
    message: 'cluster-networks: 10.0.128.0/17 and 10.0.0.0/16 overlap',
    field: 'cluster-networks',
  })
})
