import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseCidr } from '../../../src/base/ip.js'
import { type Address } from '../../../src/codec/rtnl/address.js'
import { type Link } from '../../../src/codec/rtnl/link.js'
import { planText } from '../../../src/ops/text.js'
import { DEFAULT_ROUTING, type Routing } from '../../../src/routes/routing.js'
import {
  desiredTunnels,
  planLeftovers,
  planTunnel,
  type TunnelActual,
  tunnelSysctls,
  vtepMac,
} from '../../../src/routes/tunnel.js'
import { UNDERLAY_V4, UNDERLAY_V6 } from './fake-node.js'
import { observedAddress } from '../../support/address.js'

const SUBNETS = [parseCidr('10.1.0.0/24'), parseCidr('fd00:1::/64')]
const VXLAN: Routing = { ...DEFAULT_ROUTING, mode: 'vxlan' }
const ends = (routing = VXLAN) => ({ node: 'a', routing, subnets: SUBNETS, underlays: [UNDERLAY_V4, UNDERLAY_V6] })
const [FOUR, SIX] = desiredTunnels(ends())

const LINK: Link = {
  index: 9,
  name: 'nlx4',
  kind: 'vxlan',
  up: true,
  running: true,
  loopback: false,
  mtu: 1450,
  mac: vtepMac('a'),
  group: 0,
  vxlan: { id: 110, local: '192.168.0.1', learning: false, port: 4789, udpChecksum: true },
}

const address = (text: string): Address => observedAddress(text, 9)

const RIGHT: TunnelActual = {
  link: LINK,
  addresses: [address('10.1.0.1/32'), address('fd00:1::1/128'), { ...address('10.1.0.1/24'), index: 7 }],
  sysctls: tunnelSysctls('nlx4'),
}

const lines = (desired: typeof FOUR, actual: TunnelActual): string[] =>
  planText(planTunnel(desired!, actual))
    .split('\n')
    .filter((line) => line !== '')

t.test('a node has a device for each family of its own', async (t) => {
  t.match(
    [FOUR, SIX],
    [
      { name: 'nlx4', family: IPV4, local: '192.168.0.1', mtu: 1450, vni: 110, port: 4789 },
      { name: 'nlx6', family: IPV6, local: 'fd00::1', mtu: 1430 },
    ],
  )
  t.same(desiredTunnels(ends(DEFAULT_ROUTING)), [], 'and none where there are no tunnels')
})

t.test("every node knows every other's MAC address, which is unicast and nobody's registered one", async (t) => {
  t.equal(vtepMac('node-1'), vtepMac('node-1'))
  t.not(vtepMac('node-1'), vtepMac('node-2'))
  for (let i = 0; i < 200; i++) t.equal(Number.parseInt(vtepMac(`n${i}`).slice(0, 2), 16) & 3, 2)
})

t.test('a device is made with everything that it needs', async (t) => {
  t.same(lines(FOUR, { link: undefined, addresses: [], sysctls: new Map() }), [
    `ip link add name nlx4 address ${vtepMac('a')} mtu 1450 type vxlan id 110 local 192.168.0.1 nolearning dstport 4789 udpcsum`,
    'ip link set dev nlx4 addrgenmode none',
    'ip link set dev nlx4 up',
    'ip address replace 10.1.0.1/32 dev nlx4',
    'ip address replace fd00:1::1/128 dev nlx4 nodad noprefixroute',
    'sysctl -w net.ipv4.conf.nlx4.rp_filter=2',
    'sysctl -w net.ipv4.conf.nlx4.send_redirects=0',
  ])
  t.match(
    lines(SIX, { link: undefined, addresses: [], sysctls: new Map() })[0],
    /local fd00::1 nolearning dstport 4789$/,
  )
})

t.test('a device that is right costs nothing', async (t) => t.same(lines(FOUR, RIGHT), []))

const vxlan = (changes: Partial<NonNullable<Link['vxlan']>>): Partial<TunnelActual> => ({
  link: { ...LINK, vxlan: { ...LINK.vxlan!, ...changes } },
})
const ANEW = [/link delete dev nlx4/, /link add name nlx4/]

const DRIFTS: Readonly<Record<string, readonly [actual: Partial<TunnelActual>, plan: readonly (string | RegExp)[]]>> = {
  'it is down': [{ link: { ...LINK, up: false } }, ['ip link set dev nlx4 up']],
  'its MTU is another': [{ link: { ...LINK, mtu: 1500 } }, ['ip link set dev nlx4 mtu 1450']],
  'its MAC address is another': [
    { link: { ...LINK, mac: '02:00:00:00:00:01' } },
    [`ip link set dev nlx4 address ${vtepMac('a')}`],
  ],
  'the node has another address: in place, so that no route goes': [
    vxlan({ local: '192.168.0.9' }),
    ['ip link set dev nlx4 type vxlan id 110 local 192.168.0.1 nolearning'],
  ],
  'it learns': [vxlan({ learning: true }), ['ip link set dev nlx4 type vxlan id 110 local 192.168.0.1 nolearning']],
  'it lost an address': [
    { addresses: [address('10.1.0.1/32')] },
    ['ip address replace fd00:1::1/128 dev nlx4 nodad noprefixroute'],
  ],
  'it has an address of a network that the node no longer has': [
    { addresses: [...RIGHT.addresses, address('10.9.0.1/32')] },
    ['ip address delete 10.9.0.1/32 dev nlx4'],
  ],
  'its filter by the way back is strict': [
    { sysctls: new Map([...RIGHT.sysctls, ['net/ipv4/conf/nlx4/rp_filter', '1']]) },
    ['sysctl -w net.ipv4.conf.nlx4.rp_filter=2'],
  ],
  'it is of another network: made anew, with all that was on it': [
    vxlan({ id: 7 }),
    [...ANEW, /addrgenmode/, /up/, /10\.1\.0\.1/, /fd00:1::1/, /rp_filter/, /send_redirects/],
  ],
}

for (const [name, [actual, plan]] of Object.entries(DRIFTS))
  t.test(`put right: ${name}`, async (t) => t.match(lines(FOUR, { ...RIGHT, ...actual }), plan))

t.test('what cannot be changed makes the device anew', async (t) => {
  for (const changes of [
    { port: 8472 },
    { group: '192.168.0.3' },
    { local: undefined },
    { local: 'fd00::1' },
    { udpChecksum: false },
  ])
    t.match(lines(FOUR, { ...RIGHT, ...vxlan(changes) }).slice(0, 2), ANEW, JSON.stringify(changes))
})

t.test('a link of that name that is no VXLAN device is not touched', async (t) => {
  t.throws(() => planTunnel(FOUR!, { ...RIGHT, link: { ...LINK, kind: 'veth' } }), { code: 'exists', message: /nlx4/ })
})

t.test('devices of ours that nobody wants go, and no others', async (t) => {
  const links = [LINK, { ...LINK, name: 'nlx6' }, { ...LINK, name: 'vxlan0' }, { ...LINK, name: 'nlx4', kind: 'veth' }]
  t.equal(planText(planLeftovers([FOUR!], links)), 'ip link delete dev nlx6\n')
  t.equal(planText(planLeftovers([], links)), 'ip link delete dev nlx4\nip link delete dev nlx6\n')
})
