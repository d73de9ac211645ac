import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseCidr } from '../../../src/base/ip.js'
import { type Link } from '../../../src/codec/rtnl/link.js'
import { planText } from '../../../src/ops/text.js'
import { type BridgeActual, bridgeSysctls, planBridge, watchedSysctls } from '../../../src/routes/bridge.js'
import { observedAddress } from '../../support/address.js'

const DESIRED = { name: 'netloom0', subnets: [parseCidr('10.1.0.0/24'), parseCidr('fd00:1::/64')], mtu: 1450 }

const LINK: Link = {
  index: 7,
  name: 'netloom0',
  kind: 'bridge',
  up: true,
  running: true,
  loopback: false,
  mtu: 1450,
  mac: '0a:58:0a:01:00:01',
  group: 0,
}

const address = (text: string, index = 7) => observedAddress(text, index)

const RIGHT: BridgeActual = {
  link: LINK,
  addresses: [address('10.1.0.1/24'), address('fd00:1::1/64'), address('192.168.0.1/24', 2)],
  sysctls: bridgeSysctls('netloom0'),
}

const plan = (actual: Partial<BridgeActual>, desired = DESIRED): string[] =>
  planText(planBridge(desired, { ...RIGHT, ...actual }))
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')

t.test('a bridge that is right costs nothing', async (t) => t.same(plan({}), []))

t.test('a bridge is made with everything that it needs', async (t) => {
  const sysctls = new Map([['net/ipv4/ip_forward', '0']])
  t.same(plan({ link: undefined, addresses: [address('192.168.0.1/24', 2)], sysctls }), [
    'ip link add name netloom0 address 0a:58:0a:01:00:01 mtu 1449 type bridge mcast_snooping 0',
    'ip link set dev netloom0 up mtu 1450 addrgenmode none',
    'ip address replace 10.1.0.1/24 dev netloom0',
    'ip address replace fd00:1::1/64 dev netloom0 nodad',
    'sysctl -w net.ipv4.ip_forward=1',
    'sysctl -w net.ipv6.conf.all.forwarding=1',
    'sysctl -w net.ipv4.conf.all.send_redirects=0',
    'sysctl -w net.ipv4.conf.netloom0.send_redirects=0',
  ])
})

const DRIFTS: Readonly<Record<string, readonly [actual: Partial<BridgeActual>, plan: readonly string[]]>> = {
  'it is down': [{ link: { ...LINK, up: false } }, ['ip link set dev netloom0 up']],
  'its MTU is another': [{ link: { ...LINK, mtu: 1500 } }, ['ip link set dev netloom0 mtu 1450']],
  'its MAC address is another': [
    { link: { ...LINK, mac: '02:00:00:00:00:01' } },
    ['ip link set dev netloom0 address 0a:58:0a:01:00:01'],
  ],
  'it lost an address': [
    { addresses: [address('10.1.0.1/24')] },
    ['ip address replace fd00:1::1/64 dev netloom0 nodad'],
  ],
  'it has an address of a network that the node no longer has': [
    { addresses: [...RIGHT.addresses, address('10.9.0.1/24')] },
    ['ip address delete 10.9.0.1/24 dev netloom0'],
  ],
  'its address has another prefix: the old one goes first': [
    { addresses: [address('10.1.0.1/24'), address('fd00:1::1/48')] },
    ['ip address delete fd00:1::1/48 dev netloom0', 'ip address replace fd00:1::1/64 dev netloom0 nodad'],
  ],
  'a link-local address is none of ours, and stays': [{ addresses: [...RIGHT.addresses, address('fe80::1/64')] }, []],
  'the gateway on another link does not count': [
    { addresses: [address('10.1.0.1/24', 3), address('fd00:1::1/64')] },
    ['ip address replace 10.1.0.1/24 dev netloom0'],
  ],
  'forwarding was turned off': [
    { sysctls: new Map([...RIGHT.sysctls, ['net/ipv4/ip_forward', '0']]) },
    ['sysctl -w net.ipv4.ip_forward=1'],
  ],
  'redirects were turned on': [
    { sysctls: new Map([...RIGHT.sysctls, ['net/ipv4/conf/netloom0/send_redirects', '1']]) },
    ['sysctl -w net.ipv4.conf.netloom0.send_redirects=0'],
  ],
  'a setting that this kernel does not have is left out': [
    { sysctls: new Map([...RIGHT.sysctls].filter(([path]) => !path.startsWith('net/ipv6'))) },
    [],
  ],
}

for (const [name, [actual, want]] of Object.entries(DRIFTS))
  t.test(`put right: ${name}`, async (t) => t.same(plan(actual), want))

t.test('a node without IPv6 pods keeps its own setting of IPv6 forwarding', async (t) => {
  const sysctls = new Map([...RIGHT.sysctls, ['net/ipv6/conf/all/forwarding', '0']])
  const addresses = [address('10.1.0.1/24')]
  t.same(plan({ sysctls, addresses }, { ...DESIRED, subnets: [parseCidr('10.1.0.0/24')] }), [])
})

t.test('a node that begins to forward IPv6 goes on listening to its routers, where it did before', async (t) => {
  const uplink = { ...DESIRED, uplink: 'eth0' }
  const begins = (acceptRa: string) =>
    new Map([...RIGHT.sysctls, ['net/ipv6/conf/all/forwarding', '0'], ['net/ipv6/conf/eth0/accept_ra', acceptRa]])
  const forwarding = 'sysctl -w net.ipv6.conf.all.forwarding=1'
  t.same(plan({ sysctls: begins('1') }, uplink), ['sysctl -w net.ipv6.conf.eth0.accept_ra=2', forwarding])
  t.same(plan({ sysctls: begins('0') }, uplink), [forwarding], 'it did not listen')
  t.same(plan({ sysctls: begins('2') }, uplink), [forwarding], 'it does already')
  t.same(plan({ sysctls: new Map([...begins('1'), ['net/ipv6/conf/all/forwarding', '1']]) }, uplink), [])
  t.ok(watchedSysctls(uplink).includes('net/ipv6/conf/eth0/accept_ra'))
})

t.test('the order of families is that of the Node', async (t) => {
  const subnets = [...DESIRED.subnets].reverse()
  const ops = planBridge({ ...DESIRED, subnets }, { link: undefined, addresses: [], sysctls: new Map() })
  const families = ops.flatMap((op) => (op.kind === 'address.add' ? [op.address.family] : []))
  t.same(families, [IPV6, IPV4])
})

t.test('a link of that name that is no bridge is not touched', async (t) => {
  for (const kind of ['dummy', undefined])
    t.throws(() => planBridge(DESIRED, { ...RIGHT, link: { ...LINK, kind } }), {
      code: 'exists',
      message: /netloom0.*no bridge/,
    })
})

t.test('a node that begins to forward IPv6 goes on listening to the routers on its own link', async (t) => {
  const accept = (value: string, forwarding = '0'): ReadonlyMap<string, string> =>
    new Map([...RIGHT.sysctls, ['net/ipv6/conf/all/forwarding', forwarding], ['net/ipv6/conf/ens3/accept_ra', value]])
  const desired = { ...DESIRED, uplink: 'ens3' }
  const forward = 'sysctl -w net.ipv6.conf.all.forwarding=1'
  t.same(plan({ sysctls: accept('1') }, desired), ['sysctl -w net.ipv6.conf.ens3.accept_ra=2', forward])
  t.same(plan({ sysctls: accept('0') }, desired), [forward], 'one that did not listen is left alone')
  t.same(plan({ sysctls: accept('1', '1') }, desired), [], 'so is one that forwarded before')
  t.ok(watchedSysctls(desired).includes('net/ipv6/conf/ens3/accept_ra'))
})
