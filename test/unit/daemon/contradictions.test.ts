import t from 'tap'
import { effectiveSettings, environmentSettings, flagSettings } from '../../../src/daemon/effective-settings.js'

/** Settles what a command line says, outside of a cluster unless told. */
const settle = (line: string, env: Readonly<Record<string, string>> = {}) => {
  const flags = Object.fromEntries(line.split(' ').map((word) => word.split('=', 2) as [string, string]))
  const surroundings = { env, hostname: 'host-1', namespace: undefined }
  return effectiveSettings(surroundings, flagSettings(flags), environmentSettings(env)).settings
}

const REFUSED: Readonly<Record<string, readonly [line: string, first: string, second: string]>> = {
  'a folder and a kubeconfig': ['source=dir:/x kubeconfig=/k', '--kubeconfig', '--source'],
  'a folder and networks to claim': ['source=dir:/x cluster-networks=10.0.0.0/8', '--cluster-networks', '--source'],
  'a folder and a place for claims': ['source=dir:/x claim-namespace=x', '--claim-namespace', '--source'],
  'the API from outside without a kubeconfig': ['source=api', '--source', '--kubeconfig'],
  'a port for tunnels without tunnels': [
    'source=dir:/x route-mode=direct vxlan-port=1',
    '--vxlan-port',
    '--route-mode',
  ],
  'the same by default': ['source=dir:/x vxlan-vni=1', '--vxlan-vni', '--route-mode'],
  'two ways to choose addresses': [
    'source=dir:/x node-cidr=10.0.0.0/8 node-interface=e*',
    '--node-interface',
    '--node-cidr',
  ],
  'a size for networks that nobody claims': [
    'source=api kubeconfig=/k node-prefix-length-ipv4=25',
    '--node-prefix-length-ipv4',
    '--cluster-networks',
  ],
  'the same for one family': [
    'source=api kubeconfig=/k cluster-networks=10.0.0.0/8 node-prefix-length-ipv6=65',
    '--node-prefix-length-ipv6',
    '--cluster-networks',
  ],
  'a share that is as large as the whole': [
    'source=api kubeconfig=/k cluster-networks=10.0.0.0/24',
    '--node-prefix-length-ipv4',
    '--cluster-networks',
  ],
  'the same for IPv6, where another network is large enough': [
    'source=api kubeconfig=/k cluster-networks=fd00::/48,fd01::/72 node-prefix-length-ipv6=64',
    '--node-prefix-length-ipv6',
    '--cluster-networks',
  ],
  'an MTU that is too small for IPv6': [
    'source=api kubeconfig=/k cluster-networks=fd00::/48 mtu=1279',
    '--mtu',
    '--cluster-networks',
  ],
  'a name for a list that is not installed': [
    'source=dir:/x cni-conf-name=a.conflist',
    '--cni-conf-name',
    '--cni-conf-dir',
  ],
  'what is to be in it': ['source=dir:/x cni-mode=ptp', '--cni-mode', '--cni-conf-dir'],
  'the same, though the executable is': ['source=dir:/x cni-bin-dir=/b cni-wait=1s', '--cni-wait', '--cni-conf-dir'],
}

for (const [name, [line, first, second]] of Object.entries(REFUSED))
  t.test(`refused by both names: ${name}`, async (t) => {
    t.throws(() => settle(line), { code: 'invalid', field: first, message: new RegExp(`^${first}: .* ${second}$`) })
  })

const ACCEPTED: Readonly<Record<string, string>> = {
  'tunnels from a folder': 'source=dir:/x route-mode=vxlan vxlan-port=8472 vxlan-vni=1',
  'tunnels where they may be needed': 'source=api kubeconfig=/k vxlan-port=8472',
  'a share that is smaller by one bit': 'source=api kubeconfig=/k cluster-networks=10.0.0.0/23,fd00::/63',
  'an MTU as small as IPv6 allows': 'source=api kubeconfig=/k cluster-networks=fd00::/48 mtu=1280',
  'a smaller one for IPv4': 'source=api kubeconfig=/k cluster-networks=10.0.0.0/8 mtu=600',
  'a list without the executable, which a package brings': 'source=dir:/x cni-conf-dir=/c cni-mode=ptp',
}

for (const [name, line] of Object.entries(ACCEPTED))
  t.test(`accepted: ${name}`, async (t) => {
    t.doesNotThrow(() => settle(line))
  })

t.test('both are named as whoever set them knows them', async (t) => {
  t.throws(() => settle('source=dir:/x', { NETLOOM_VXLAN_PORT: '1', NETLOOM_ROUTE_MODE: 'direct' }), {
    message: 'NETLOOM_VXLAN_PORT: is for tunnels, and there are none with NETLOOM_ROUTE_MODE',
  })
})

t.test('in a cluster the API needs no kubeconfig', async (t) => {
  t.doesNotThrow(() => settle('source=api', { KUBERNETES_SERVICE_HOST: '10.96.0.1' }))
})

t.test('networks to claim out of do not hold each other', async (t) => {
  t.throws(() => settle('source=api kubeconfig=/k cluster-networks=10.0.0.0/8,fd00::/48,10.1.0.0/16'), {
    field: '--cluster-networks',
    message: /10\.0\.0\.0\/8 and 10\.1\.0\.0\/16 overlap/,
  })
})
