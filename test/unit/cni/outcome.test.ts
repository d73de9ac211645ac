import t from 'tap'
import { parseCidr, parseIpPrefix } from '../../../src/base/ip.js'
import { readInterface } from '../../../src/cni/config.js'
import {
  chainedLease,
  interfaceBefore,
  leasedOf,
  macFor,
  resultDifferences,
  resultOf,
} from '../../../src/cni/outcome.js'
import { type CniRequest, parseRequest } from '../../../src/cni/request.js'
import { type CniResult } from '../../../src/cni/result.js'
import { macOf } from '../../../src/model/lease.js'
import { exampleLease, leased } from '../../support/lease.js'

const NOTHING: CniResult = { interfaces: [], ips: [], routes: [], dns: {} }

const PREVIOUS: CniResult = {
  interfaces: [
    { name: 'veth7', mac: '02:00:00:00:00:07' },
    { name: 'eth0', mac: '02:00:00:00:00:08', sandbox: '/run/netns/a' },
    { name: 'net1', mac: '02:00:00:00:00:09', sandbox: '/run/netns/a' },
  ],
  ips: [
    { address: parseIpPrefix('10.9.0.2/24'), gateway: '10.9.0.1', interface: 1 },
    { address: parseIpPrefix('10.8.0.2/24'), interface: 2 },
    { address: parseIpPrefix('fd00:9::2/64') },
  ],
  routes: [{ destination: parseCidr('0.0.0.0/0'), gateway: '10.9.0.1' }],
  dns: { domain: 'before' },
}

const request = (fields: object = {}): CniRequest =>
  parseRequest({
    command: 'ADD',
    containerId: 'c1',
    netns: '/run/netns/a',
    ifname: 'eth0',
    args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web',
    config: Buffer.from(JSON.stringify({ cniVersion: '1.1.0', name: 'pods', type: 'netloom', ...fields })),
  })

t.test('an interface is another plugin’s where its result has it in the container', async (t) => {
  t.equal(interfaceBefore(PREVIOUS, { ifname: 'eth0' }), 1)
  t.equal(interfaceBefore(PREVIOUS, { ifname: 'veth7' }), undefined, 'which is the node’s')
  t.equal(interfaceBefore(PREVIOUS, { ifname: 'eth1' }), undefined)
  t.equal(interfaceBefore(NOTHING, { ifname: 'eth0' }), undefined)
})

t.test('what is kept of an interface of another plugin', async (t) => {
  const asked = request({
    runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 8080 }], aliases: ['www'] },
    spoofCheck: true,
    ingressPolicy: 'isolated',
  })
  const found = { position: 1, mac: '02:00:00:00:00:08', mtu: 1400, hostInterface: 'veth7' }
  const lease = chainedLease(asked, readInterface(asked.config), { previous: PREVIOUS, found })
  t.match(lease, {
    mode: 'chained',
    ingressPolicy: 'isolated',
    hostInterface: 'veth7',
    mac: found.mac,
    mtu: 1400,
    spoofCheck: true,
    pod: 'shop/web',
    ports: [{ hostPort: 80 }],
    aliases: ['www'],
    routes: [],
  })
  t.strictSame(lease.addresses, [
    { address: '10.9.0.2', prefix: 24, gateway: '10.9.0.1' },
    { address: 'fd00:9::2', prefix: 64 },
  ])
  const plain = request()
  const without = { ...found, hostInterface: undefined }
  const other = chainedLease(plain, readInterface(plain.config), { previous: PREVIOUS, found: without })
  t.equal(other.spoofCheck, false, 'who sends as whom is that plugin’s business, unless it is asked for')
  t.equal(other.hostInterface, '')
})

t.test('addresses of another plugin’s IPAM: the gateway is the first of the network unless it is named', async (t) => {
  const ips = ['10.9.0.7/24', 'fd00:9::7/64'].map((text) => ({ address: parseIpPrefix(text) }))
  t.strictSame(leasedOf('host-local', { ...NOTHING, ips }), [
    { address: '10.9.0.7', prefix: 24, gateway: '10.9.0.1' },
    { address: 'fd00:9::7', prefix: 64, gateway: 'fd00:9::1' },
  ])
  const named = [{ address: parseIpPrefix('10.9.0.7/32'), gateway: '10.9.0.9' }]
  t.match(leasedOf('static', { ...NOTHING, ips: named }), [{ prefix: 32, gateway: '10.9.0.9' }])
  t.throws(() => leasedOf('static', NOTHING), { message: /static gave no address/ })
  for (const text of ['10.9.0.7/32', '10.9.0.1/24'])
    t.throws(() => leasedOf('static', { ...NOTHING, ips: [{ address: parseIpPrefix(text) }] }), {
      message: /ips\[0\] has no gateway/,
      field: 'ips[0].gateway',
    })
})

t.test('the MAC address follows from the first address', async (t) => {
  t.equal(macFor([leased('10.1.0.2'), leased('fd00:1::2')]), macOf('10.1.0.2'))
})

t.test('CHECK: what the runtime believes is compared with what is held', async (t) => {
  const lease = exampleLease({ addresses: ['10.9.0.2', 'fd00:9::2'] })
  t.strictSame(resultDifferences(lease, PREVIOUS), [])
  t.match(resultDifferences({ ...lease, addresses: [leased('10.9.0.2')] }, PREVIOUS), [/fd00:9::2 is not eth0's/])
  t.match(resultDifferences(exampleLease({ addresses: ['10.9.0.2', 'fd00:9::2', '10.9.0.3'] }), PREVIOUS), [
    /10\.9\.0\.3 is not among them/,
  ])
  t.match(resultDifferences({ ...lease, ifname: 'eth7' }, PREVIOUS), [/eth7 is not among them/])
})

const BRIDGE = { name: 'netloom0', index: 7, mac: '0a:58:0a:01:00:01' }

t.test('ADD tells both ends, the address alone, and the routes that lead on', async (t) => {
  const lease = exampleLease()
  t.strictSame(resultOf(lease, { bridge: BRIDGE, dns: { domain: 'x' }, previous: undefined }), {
    interfaces: [
      { name: 'nlm-1', mac: BRIDGE.mac, mtu: 1450 },
      { name: 'eth0', mac: lease.mac, mtu: 1450, sandbox: '/run/netns/a' },
    ],
    ips: [
      { interface: 1, address: parseIpPrefix('10.1.0.2/32'), gateway: '10.1.0.1' },
      { interface: 1, address: parseIpPrefix('fd00:1::2/128'), gateway: 'fd00:1::1' },
    ],
    routes: [
      { destination: parseCidr('0.0.0.0/0'), gateway: '10.1.0.1' },
      { destination: parseCidr('::/0'), gateway: 'fd00:1::1' },
    ],
    dns: { domain: 'x' },
  })
})

t.test('what plugins before us made comes first, and indexes count on from there', async (t) => {
  const lease = exampleLease({ mode: 'ptp', ifname: 'eth1', addresses: ['10.1.0.2'] })
  const { interfaces, ips, dns } = resultOf(lease, { bridge: BRIDGE, dns: { search: ['y'] }, previous: PREVIOUS })
  t.same(
    interfaces.map(({ name }) => name),
    ['veth7', 'eth0', 'net1', 'nlm-1', 'eth1'],
  )
  t.equal(interfaces[3]?.mac, macOf('10.1.0.1'), 'point to point, the near end is the gateway')
  t.match(ips.at(-1), { interface: 4 })
  t.strictSame(dns, { domain: 'before', search: ['y'] })
})
