import t from 'tap'
import { formatCidr, parseIp } from '../../../src/base/ip.js'
import { type Address } from '../../../src/codec/rtnl/address.js'
import { DEFAULT_ROUTING, type Routing } from '../../../src/routes/routing.js'
import { onLink, podMtu, tunnelMtu, underlaysOf } from '../../../src/routes/underlay.js'
import { UNDERLAY_V4, UNDERLAY_V6 } from './fake-node.js'
import { observedAddress } from '../../support/address.js'

const address = (text: string, index: number, peer?: string): Address => ({ ...observedAddress(text, index), peer })

const LINKS = new Map([
  [2, { name: 'eth0', mtu: 1500 }],
  [3, { name: 'eth1', mtu: 9000 }],
])
const ADDRESSES = [
  ...[address('192.168.0.1/24', 2), address('10.0.0.1/8', 2), address('fe80::1/64', 2)],
  ...[address('192.168.7.1/24', 3), address('fd00::1/64', 3)],
]

t.test('a node stands on the links that carry its addresses, and on their networks', async (t) => {
  const underlays = underlaysOf([parseIp('fd00::1'), parseIp('192.168.0.1')], ADDRESSES, LINKS)
  t.match(underlays, [
    { address: '192.168.0.1', link: 'eth0', index: 2, mtu: 1500 },
    { address: 'fd00::1', link: 'eth1', index: 3, mtu: 9000 },
  ])
  t.same(
    underlays.map(({ connected }) => connected.map(formatCidr)),
    [['192.168.0.0/24', '10.0.0.0/8'], ['fd00::/64']],
  )
  t.same(underlaysOf([parseIp('192.168.99.1')], ADDRESSES, LINKS), [], 'an address that is on no link is none')
})

t.test('who is on the same link can be told by the address', async (t) => {
  const underlays = underlaysOf([parseIp('fd00::1'), parseIp('192.168.0.1')], ADDRESSES, LINKS)
  t.match(onLink(underlays, parseIp('10.9.9.9')), { link: 'eth0' })
  t.match(onLink(underlays, parseIp('fd00::9')), { link: 'eth1' })
  for (const far of ['192.168.7.2', '203.0.113.1', 'fd00:1::1', 'fe80::2'])
    t.notOk(onLink(underlays, parseIp(far)), far)
})

t.test('a link to one other end reaches that end alone', async (t) => {
  const [underlay] = underlaysOf([parseIp('192.168.0.1')], [address('192.168.0.1/32', 2, '192.168.5.5')], LINKS)
  t.ok(onLink([underlay!], parseIp('192.168.5.5')))
  t.notOk(onLink([underlay!], parseIp('192.168.0.2')))
})

const BOTH = [UNDERLAY_V4, UNDERLAY_V6]
const MTUS: Readonly<
  Record<string, readonly [routing: Partial<Routing>, underlays: typeof BOTH, pods: number, tunnels: readonly number[]]>
> = {
  "without tunnels pods have the link's": [{ mode: 'direct' }, BOTH, 1500, []],
  'without tunnels and on two links, the smaller': [
    { mode: 'direct' },
    [UNDERLAY_V4, { ...UNDERLAY_V6, mtu: 1400 }],
    1400,
    [],
  ],
  'what a tunnel over IPv4 takes is left out': [{ mode: 'vxlan' }, BOTH, 1450, [1450, 1430]],
  'where a tunnel may be needed as well': [{ mode: 'auto' }, BOTH, 1450, [1450, 1430]],
  'over IPv6 it is more': [{ mode: 'vxlan' }, [UNDERLAY_V6], 1430, [1430]],
  'a given number counts, and so for the path': [{ mode: 'vxlan', mtu: 1400 }, BOTH, 1400, [1400, 1380]],
  'but makes no link larger': [{ mode: 'vxlan', mtu: 8950 }, BOTH, 8950, [1450, 1430]],
  'nothing is known of the links': [{ mode: 'auto' }, [], 1450, []],
  'nothing is known of the links, and no tunnels': [{ mode: 'direct' }, [], 1500, []],
}

for (const [name, [changes, underlays, pods, tunnels]] of Object.entries(MTUS))
  t.test(`MTU: ${name}`, async (t) => {
    const routing = { ...DEFAULT_ROUTING, ...changes }
    t.equal(podMtu(routing, underlays), pods)
    if (tunnels.length > 0)
      t.same(
        underlays.map((underlay) => tunnelMtu(routing, underlays, underlay)),
        tunnels,
      )
  })
