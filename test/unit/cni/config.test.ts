import t from 'tap'
import {
  type InterfaceConfig,
  parseConfig,
  readInterface,
  readValidAttachments,
  requestedByArgs,
} from '../../../src/cni/config.js'
import { CNI_CODE, type CniFailure } from '../../../src/cni/error.js'

const bytes = (fields: object): Uint8Array =>
  Buffer.from(JSON.stringify({ cniVersion: '1.1.0', name: 'pods', type: 'netloom', ...fields }))
const read = (fields: object = {}): InterfaceConfig => readInterface(parseConfig(bytes(fields)))

function failure(work: () => unknown): CniFailure | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error as CniFailure
  }
}

t.test('what goes without saying', async (t) => {
  t.match(read(), {
    mode: 'bridge',
    mtu: 'auto',
    spoofCheck: undefined,
    ingressPolicy: undefined,
    masquerade: true,
    defaultRoute: undefined,
    routes: [],
    mac: undefined,
    requested: [],
    ports: [],
    bandwidth: undefined,
    aliases: [],
    dns: {},
  })
  t.equal(read().sysctls.size, 0)
})

t.test('addresses are ours to give unless another plugin is named', async (t) => {
  for (const ipam of [undefined, {}, { type: 'netloom' }]) t.equal(parseConfig(bytes({ ipam })).delegate, undefined)
  t.equal(parseConfig(bytes({ ipam: { type: 'host-local' } })).delegate, 'host-local')
})

t.test('an MTU that is left out, 0 or "auto" follows the node, others are taken as they are', async (t) => {
  for (const mtu of [undefined, 0, 'auto']) t.equal(read({ mtu }).mtu, 'auto')
  for (const mtu of [1280, 9000, 65_535]) t.equal(read({ mtu }).mtu, mtu)
})

t.test('policies go by the names of the reference plugin, and by one that says what it means here', async (t) => {
  const policies = ['open', 'same-bridge', 'same-network', 'isolated'].map(
    (ingressPolicy) => read({ ingressPolicy }).ingressPolicy,
  )
  t.strictSame(policies, [undefined, 'same-network', 'same-network', 'isolated'])
})

t.test('the MAC address of the runtime goes before that of its user, and that before the author’s', async (t) => {
  const [own, args, runtime] = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02-00-00-00-00-0A']
  t.equal(read({ mac: own }).mac, own)
  t.equal(read({ mac: own, args: { cni: { mac: args } } }).mac, args)
  const all = { mac: own, args: { cni: { mac: args } }, runtimeConfig: { mac: runtime } }
  t.equal(read(all).mac, '02:00:00:00:00:0a')
  t.equal(read({ mac: own, runtimeConfig: { mac: '' } }).mac, own, 'an empty one asks for none')
})

t.test('addresses are asked for in three places, and each is named', async (t) => {
  const fields = { runtimeConfig: { ips: ['10.1.0.9/24'] }, args: { cni: { ips: ['FD00::9'] } } }
  t.strictSame(read(fields).requested, [
    { address: '10.1.0.9', field: 'runtimeConfig.ips[0]' },
    { address: 'fd00::9', field: 'args.cni.ips[0]' },
  ])
  t.strictSame(requestedByArgs(['10.1.0.9']), [{ address: '10.1.0.9', field: 'CNI_ARGS' }])
  t.match(
    failure(() => requestedByArgs(['10.1.0'])),
    { cniCode: CNI_CODE.INVALID_ENVIRONMENT, field: 'CNI_ARGS' },
  )
})

t.test('routes with all that a route may have, from both places', async (t) => {
  const whole = { dst: '192.0.2.7/24', gw: '10.1.0.3', mtu: 1400, advmss: 1360, priority: 7, table: 100, scope: 253 }
  t.strictSame(read({ routes: [whole], ipam: { routes: [{ dst: 'FD00:7::/64' }] } }).routes, [
    {
      destination: '192.0.2.0/24',
      gateway: '10.1.0.3',
      mtu: 1400,
      advmss: 1360,
      priority: 7,
      table: 100,
      scope: 253,
    },
    { destination: 'fd00:7::/64' },
  ])
  t.strictSame(
    read({ ipam: { type: 'host-local', routes: [{ dst: '0.0.0.0/0' }] } }).routes,
    [],
    "they are that plugin's",
  )
})

t.test('sysctls are named with dots, or with slashes where a name has dots', async (t) => {
  const sysctl = { 'net.ipv4.conf.IFNAME.arp_filter': '1', 'net/ipv6/conf/eth0.7/hop_limit': 9 }
  t.strictSame(
    [...read({ sysctl }).sysctls],
    [
      ['net/ipv4/conf/IFNAME/arp_filter', '1'],
      ['net/ipv6/conf/eth0.7/hop_limit', '9'],
    ],
  )
})

t.test('dns: what the runtime says goes before what the author says, key by key', async (t) => {
  const dns = { nameservers: ['10.96.0.10'], domain: 'cluster.local', search: ['a'], options: ['ndots:5'] }
  t.strictSame(read({ dns }).dns, { ...dns })
  t.strictSame(read({ dns, runtimeConfig: { dns: { servers: ['1.1.1.1'], searches: ['b'] } } }).dns, {
    ...dns,
    nameservers: ['1.1.1.1'],
    search: ['b'],
  })
})

t.test('capabilities: ports, bandwidth, aliases', async (t) => {
  const runtimeConfig = {
    portMappings: [
      { hostPort: 80, containerPort: 8080, protocol: 'tcp' },
      { hostPort: 80, containerPort: 8080, protocol: 'udp' },
    ],
    bandwidth: { ingressRate: 1_000_000, ingressBurst: 100_000 },
    aliases: ['web', 'www.example.com'],
  }
  t.match(read({ runtimeConfig }), {
    ports: [{ hostPort: 80, protocol: 'TCP' }, { protocol: 'UDP' }],
    bandwidth: { ingress: { rate: 1_000_000, burst: 100_000 } },
    aliases: ['web', 'www.example.com'],
  })
  t.match(read({ bandwidth: { egressRate: 1_000_000, egressBurst: 100_000 } }).bandwidth, {
    egress: { rate: 1_000_000 },
  })
})

t.test('aliases may stand by the name of the network', async (t) => {
  t.strictSame(read({ runtimeConfig: { aliases: { pods: ['web'], other: ['x'] } } }).aliases, ['web'])
})

const SYSCTL_FIELD = 'sysctl[kernel.hostname]'

const REFUSED: Readonly<Record<string, readonly [fields: object, field: string]>> = {
  'an unknown mode': [{ mode: 'macvlan' }, 'mode'],
  'an MTU below that of IPv6': [{ mtu: 1279 }, 'mtu'],
  'an MTU above what a packet can be': [{ mtu: 65_536 }, 'mtu'],
  'an MTU in quotes': [{ mtu: '1400' }, 'mtu'],
  'half an MTU': [{ mtu: 1400.5 }, 'mtu'],
  'a negative MTU': [{ mtu: -1 }, 'mtu'],
  'spoofCheck in words': [{ spoofCheck: 'no' }, 'spoofCheck'],
  'an unknown policy': [{ ingressPolicy: 'closed' }, 'ingressPolicy'],
  'a policy that is a word of objects': [{ ingressPolicy: 'toString' }, 'ingressPolicy'],
  'ipMasq in words': [{ ipMasq: 'yes' }, 'ipMasq'],
  'dns that is a list': [{ dns: [] }, 'dns'],
  'a nameserver that is a number': [{ dns: { nameservers: ['x'] } }, 'dns.nameservers[0]'],
  'a MAC address that is too short': [{ mac: '02:00' }, 'mac'],
  'the MAC address of a group': [{ runtimeConfig: { mac: '01:00:5e:00:00:01' } }, 'runtimeConfig.mac'],
  'the MAC address of nobody': [{ args: { cni: { mac: '00:00:00:00:00:00' } } }, 'args.cni.mac'],
  'an address that is none': [{ runtimeConfig: { ips: ['10.1.0.9', '10.1.0'] } }, 'runtimeConfig.ips[1]'],
  'a prefix that is none': [{ runtimeConfig: { ips: ['10.1.0.9/33'] } }, 'runtimeConfig.ips[0]'],
  'a route without a destination': [{ routes: [{ gw: '10.1.0.1' }] }, 'routes[0].dst'],
  'a gateway of another family': [{ routes: [{ dst: '::/0', gw: '10.1.0.1' }] }, 'routes[0].gw'],
  'a route with a negative MTU': [{ ipam: { routes: [{ dst: '::/0', mtu: -1 }] } }, 'ipam.routes[0].mtu'],
  'a scope beyond a byte': [{ routes: [{ dst: '0.0.0.0/0', scope: 256 }] }, 'routes[0].scope'],
  'a sysctl outside of the network': [{ sysctl: { 'kernel.hostname': 'x' } }, SYSCTL_FIELD],
  'a sysctl that climbs': [{ sysctl: { 'net/../kernel/hostname': 'x' } }, 'sysctl[net/../kernel/hostname]'],
  'a sysctl of two lines': [{ sysctl: { 'net.core.x': '1\n2' } }, 'sysctl[net.core.x]'],
  'an IPAM plugin with a path': [{ ipam: { type: '../host-local' } }, 'ipam.type'],
  'ipam that is a list': [{ ipam: [] }, 'ipam'],
  'a mapping twice': [
    {
      runtimeConfig: {
        portMappings: [
          { hostPort: 80, containerPort: 1 },
          { hostPort: 80, containerPort: 2 },
        ],
      },
    },
    'runtimeConfig.portMappings[1]',
  ],
  'a port beyond 65535': [
    { runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 65_536 }] } },
    'runtimeConfig.portMappings[0].containerPort',
  ],
  'a rate without a burst': [
    { runtimeConfig: { bandwidth: { ingressRate: 1 } } },
    'runtimeConfig.bandwidth.ingressBurst',
  ],
  'an alias that is no name': [{ runtimeConfig: { aliases: ['a b'] } }, 'runtimeConfig.aliases[0]'],
  'a runtimeConfig that is text': [{ runtimeConfig: 'x' }, 'runtimeConfig'],
}

for (const [name, [fields, field]] of Object.entries(REFUSED))
  t.test(`refused with code 7, naming ${field}: ${name}`, async (t) => {
    const error = failure(() => read(fields))
    t.equal(error?.cniCode, CNI_CODE.INVALID_CONFIG)
    t.equal(error?.field, field)
    t.ok(error?.message.includes(field), error?.message ?? '')
  })

t.test('an InfiniBand GUID is refused with code 2, with key and value', async (t) => {
  const error = failure(() => read({ runtimeConfig: { infinibandGUID: 'c2:11:22:33:44:55:66:77' } }))
  t.equal(error?.cniCode, CNI_CODE.UNSUPPORTED_FIELD)
  t.match(error?.message, /runtimeConfig\.infinibandGUID.*c2:11/)
})

const KEY = 'cni.dev/valid-attachments'

t.test('GC is told what is still valid', async (t) => {
  const list = [{ containerID: 'a', ifname: 'eth0', more: 1 }]
  t.same(readValidAttachments(parseConfig(bytes({ [KEY]: list }))), [{ containerId: 'a', ifname: 'eth0' }])
})

t.test('GC without a list is told of no garbage', async (t) => {
  t.equal(readValidAttachments(parseConfig(bytes({}))), undefined)
  t.strictSame(readValidAttachments(parseConfig(bytes({ [KEY]: [] }))), [])
})

const LISTS: Readonly<Record<string, readonly [list: unknown, field: string]>> = {
  'a map': [{}, KEY],
  'an entry without an interface': [[{ containerID: 'a', ifname: 'eth0' }, { containerID: 'b' }], `${KEY}[1].ifname`],
  'a null': [[null], `${KEY}[0]`],
}

for (const [name, [list, field]] of Object.entries(LISTS))
  t.test(`GC refuses ${name}, naming ${field}`, async (t) => {
    const error = failure(() => readValidAttachments(parseConfig(bytes({ [KEY]: list }))))
    t.equal(error?.cniCode, CNI_CODE.INVALID_CONFIG)
    t.equal(error?.field, field)
  })
