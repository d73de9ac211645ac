import t from 'tap'
import { formatCidr, parseCidr } from '../../../src/base/ip.js'
import { linkLocalOf } from '../../../src/model/linklocal.js'
import { type Node } from '../../../src/model/node.js'
import { vtepMac } from '../../../src/routes/tunnel.js'
import { type PeerRoute, routeTo, type Vantage } from '../../../src/routes/ways.js'
import { node, UNDERLAY_V4, UNDERLAY_V6 } from './fake-node.js'

const B = node('b', ['10.2.0.0/24', 'fd00:2::/64'], ['192.168.0.2', 'fd00::2'])
const BEHIND = node('behind', ['10.3.0.0/24', 'fd00:3::/64'], ['192.168.9.3', 'fd00:9::3'])
const V6_ONLY = node('v6', ['10.4.0.0/24', 'fd00:4::/64'], ['fd00:9::4'])
const V6_HERE = node('v6h', ['10.5.0.0/24', 'fd00:5::/64'], ['fd00::5'])

const DIRECT: Vantage = {
  mode: 'direct',
  subnets: [parseCidr('10.1.0.0/24'), parseCidr('fd00:1::/64')],
  underlays: [UNDERLAY_V4, UNDERLAY_V6],
}

const text = (route: PeerRoute): string =>
  [
    ...[formatCidr(route.destination), 'via', route.gateway],
    ...(route.kind === 'vxlan' ? ['in', route.device, 'to', route.remote] : [route.device ?? []].flat()),
    `(${route.node})`,
  ].join(' ')

const WAYS: Readonly<
  Record<string, readonly [peers: readonly Node[], vantage: Partial<Vantage>, routes: readonly string[]]>
> = {
  'vxlan: both families in one tunnel, over IPv4 where both nodes have it': [
    [B],
    { mode: 'vxlan' },
    [
      '10.2.0.0/24 via 10.2.0.1 in nlx4 to 192.168.0.2 (b)',
      `fd00:2::/64 via ${linkLocalOf(vtepMac('b'))} in nlx4 to 192.168.0.2 (b)`,
    ],
  ],
  'vxlan: over IPv6 to a node that has no IPv4': [
    [V6_ONLY],
    { mode: 'vxlan' },
    [
      '10.4.0.0/24 via 10.4.0.1 in nlx6 to fd00:9::4 (v6)',
      `fd00:4::/64 via ${linkLocalOf(vtepMac('v6'))} in nlx6 to fd00:9::4 (v6)`,
    ],
  ],
  'vxlan: over IPv6 from a node that has no IPv4': [
    [B],
    { mode: 'vxlan', underlays: [UNDERLAY_V6] },
    [
      '10.2.0.0/24 via 10.2.0.1 in nlx6 to fd00::2 (b)',
      `fd00:2::/64 via ${linkLocalOf(vtepMac('b'))} in nlx6 to fd00::2 (b)`,
    ],
  ],
  'auto: straight to a node on the same link, in a tunnel to one that is not': [
    [B, BEHIND],
    { mode: 'auto' },
    [
      '10.2.0.0/24 via 192.168.0.2 (b)',
      'fd00:2::/64 via fd00::2 (b)',
      '10.3.0.0/24 via 10.3.0.1 in nlx4 to 192.168.9.3 (behind)',
      `fd00:3::/64 via ${linkLocalOf(vtepMac('behind'))} in nlx4 to 192.168.9.3 (behind)`,
    ],
  ],
  'auto: each family for itself': [
    [B],
    { mode: 'auto', underlays: [{ ...UNDERLAY_V4, connected: [parseCidr('192.168.0.1/32')] }, UNDERLAY_V6] },
    ['10.2.0.0/24 via 10.2.0.1 in nlx4 to 192.168.0.2 (b)', 'fd00:2::/64 via fd00::2 (b)'],
  ],
  'auto: IPv4 pods of a node on the same link that has no IPv4 of its own': [
    [V6_HERE],
    { mode: 'auto' },
    ['10.5.0.0/24 via 10.5.0.1 in nlx6 to fd00::5 (v6h)', 'fd00:5::/64 via fd00::5 (v6h)'],
  ],
  'and so it is seen from there': [
    [B],
    { mode: 'direct', underlays: [UNDERLAY_V6] },
    ['10.2.0.0/24 via fd00::2 eth0 (b)', 'fd00:2::/64 via fd00::2 (b)'],
  ],
  'the same without tunnels: its IPv6 address is the next hop': [
    [V6_HERE],
    { mode: 'direct' },
    ['10.5.0.0/24 via fd00::5 eth0 (v6h)', 'fd00:5::/64 via fd00::5 (v6h)'],
  ],
}

for (const [name, [peers, vantage, routes]] of Object.entries(WAYS))
  t.test(name, async (t) => {
    const found = peers.flatMap((peer) => peer.podCIDRs.map((cidr) => routeTo(peer, cidr, { ...DIRECT, ...vantage })))
    t.same(
      found.map((route) => route && text(route)),
      routes,
    )
  })

t.test('a way in a tunnel says all that the kernel has to know', async (t) => {
  const [v4, v6] = B.podCIDRs.map((cidr) => routeTo(B, cidr, { ...DIRECT, mode: 'vxlan' }))
  const mac = vtepMac('b')
  t.match(v4, { kind: 'vxlan', gateway: '10.2.0.1', source: '10.1.0.1', mac, remote: '192.168.0.2' })
  t.match(v6, { kind: 'vxlan', gateway: linkLocalOf(mac), source: 'fd00:1::1', mac, remote: '192.168.0.2' })
})

t.test('a node that has no pods of a family sends with whatever address the kernel takes', async (t) => {
  const vantage: Vantage = { ...DIRECT, mode: 'vxlan', subnets: [parseCidr('10.1.0.0/24')] }
  t.match(routeTo(B, parseCidr('fd00:2::/64'), vantage), { source: undefined })
})
