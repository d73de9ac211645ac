import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import { type NetworkConfig } from '../../../src/cni/request.js'
import { addResult, type Attached } from '../../../src/cni/result.js'
import { type CniVersion } from '../../../src/cni/version.js'

const ATTACHED: Attached = {
  hostInterface: 'nlm-1',
  hostMac: '0a:58:0a:01:00:01',
  ifname: 'eth0',
  mac: '0a:58:0a:01:00:02',
  netns: '/run/netns/a',
  mtu: 1450,
  addresses: [
    { address: '10.1.0.2', prefix: 32, gateway: '10.1.0.1' },
    { address: 'fd00:1::2', prefix: 128, gateway: 'fd00:1::1' },
  ],
  routes: [
    { destination: parseCidr('0.0.0.0/0'), gateway: '10.1.0.1' },
    { destination: parseCidr('::/0'), gateway: 'fd00:1::1' },
  ],
}

const config = (cniVersion: CniVersion, dns?: Record<string, unknown>): NetworkConfig => ({
  cniVersion,
  name: 'pods',
  mtu: 'auto',
  dns,
  validAttachments: undefined,
})

const interfaces = (mtu: object) => [
  { name: 'nlm-1', mac: '0a:58:0a:01:00:01', ...mtu },
  { name: 'eth0', mac: '0a:58:0a:01:00:02', sandbox: '/run/netns/a', ...mtu },
]

const ips = (versions: readonly object[]) => [
  { ...versions[0], interface: 1, address: '10.1.0.2/32', gateway: '10.1.0.1' },
  { ...versions[1], interface: 1, address: 'fd00:1::2/128', gateway: 'fd00:1::1' },
]

const routes = [
  { dst: '0.0.0.0/0', gw: '10.1.0.1' },
  { dst: '::/0', gw: 'fd00:1::1' },
]

const OLD = { interfaces: interfaces({}), ips: ips([{ version: '4' }, { version: '6' }]) }
const SHAPES: Readonly<Record<CniVersion, object>> = {
  '0.3.0': OLD,
  '0.3.1': OLD,
  '0.4.0': OLD,
  '1.0.0': { interfaces: interfaces({}), ips: ips([{}, {}]) },
  '1.1.0': { interfaces: interfaces({ mtu: 1450 }), ips: ips([{}, {}]) },
}

for (const [version, shape] of Object.entries(SHAPES))
  t.test(`the result has the shape of ${version}`, async (t) => {
    t.strictSame(addResult(config(version as CniVersion), ATTACHED), {
      cniVersion: version,
      ...shape,
      routes,
      dns: {},
    })
  })

t.test("dns is passed on as the network's configuration has it", async (t) => {
  const dns = { nameservers: ['10.96.0.10'], search: ['svc.cluster.local'], options: ['ndots:5'] }
  t.match(addResult(config('1.1.0', dns), ATTACHED), { dns })
})
