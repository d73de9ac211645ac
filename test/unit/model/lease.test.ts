import t from 'tap'
import { hostInterfaceOf, leaseKey, macOf, ownerText, parseLease } from '../../../src/model/lease.js'
import { exampleLease } from '../../support/lease.js'

const lease = exampleLease({
  hostInterface: 'nlm-0123456789a',
  ports: [{ hostPort: 8080, containerPort: 80, protocol: 'TCP', hostIP: '192.0.2.1' }],
  bandwidth: { ingress: { rate: 1_000_000, burst: 100_000 } },
  ingressPolicy: 'same-network',
  aliases: ['web'],
  ipam: 'host-local',
  pod: 'shop/web',
})

t.test('an attachment is its network, container and interface together', async (t) => {
  const keys = [lease, { ...lease, network: 'x' }, { ...lease, containerId: 'x' }, { ...lease, ifname: 'x' }]
  t.equal(new Set(keys.map(leaseKey)).size, 4)
  const elsewhere = { ...lease, netns: 'elsewhere', addresses: [] }
  t.equal(leaseKey(elsewhere), leaseKey(lease))
})

t.test("the node's end has a name of its own for each attachment, always the same, that a link can have", async (t) => {
  const names = Array.from({ length: 2000 }, (_, i) => hostInterfaceOf({ ...lease, containerId: `c${i}` }))
  t.equal(new Set(names).size, names.length)
  t.ok(names.every((name) => /^nlm-[0-9a-f]{11}$/.test(name) && name.length === 15))
})

t.test(
  'the name of an interface does not change between versions: links of running pods are found by it',
  async (t) => {
    t.equal(hostInterfaceOf({ network: 'pods', containerId: 'c1', ifname: 'eth0' }), 'nlm-814c47b80cb')
  },
)

t.test('a MAC address belongs to an address: local, unicast, and with an IPv4 address in it', async (t) => {
  t.equal(macOf('10.1.2.3'), '0a:58:0a:01:02:03')
  t.match(macOf('fd00::1'), /^0a:59(:[0-9a-f]{2}){4}$/)
  t.not(macOf('fd00::1'), macOf('fd00::2'))
  t.equal(macOf('fd00::1'), macOf('fd00::1'))
  for (const address of ['0.0.0.1', '255.255.255.254', 'fd00::1', '2001:db8::ffff'])
    t.equal(Number.parseInt(macOf(address).slice(0, 2), 16) & 3, 2, `${address}: locally administered, unicast`)
})

t.test('a lease that was written is read as it was', async (t) => {
  t.same(parseLease(structuredClone(lease)), lease)
  const { pod, ...without } = lease
  t.same(parseLease(without), without)
  t.ok(pod)
  t.notOk('pod' in parseLease(without))
  const loose = { ...lease, addresses: [{ address: 'FD00:1:0::2', prefix: 64 }], more: 1 }
  t.strictSame(parseLease(loose).addresses, [{ address: 'fd00:1::2', prefix: 64 }], 'in canonical form')
  t.strictSame(Object.keys(parseLease(exampleLease())).sort(), Object.keys(exampleLease()).sort(), 'nothing is made up')
})

t.test('people are told the pod, or the container where no pod is known', async (t) => {
  t.equal(ownerText(lease), 'pod shop/web')
  t.equal(ownerText(exampleLease()), 'container c1')
})

const REFUSED: Readonly<Record<string, readonly [value: unknown, field: string]>> = {
  nothing: [undefined, 'lease'],
  'a list': [[], 'lease'],
  text: ['x', 'lease'],
  null: [null, 'lease'],
  'no network': [{ ...lease, network: undefined }, 'lease.network'],
  'a number as container': [{ ...lease, containerId: 7 }, 'lease.containerId'],
  'no interface': [{ ...lease, ifname: null }, 'lease.ifname'],
  'no namespace': [{ ...lease, netns: undefined }, 'lease.netns'],
  "no node's end": [{ ...lease, hostInterface: undefined }, 'lease.hostInterface'],
  'no addresses': [{ ...lease, addresses: '10.0.0.1' }, 'lease.addresses'],
  'a broken address': [{ ...lease, addresses: [{ address: '10.0.0', prefix: 24 }] }, 'lease.addresses[0].address'],
  'a prefix of another family': [
    { ...lease, addresses: [{ address: '10.0.0.1', prefix: 64 }] },
    'lease.addresses[0].prefix',
  ],
  'a broken gateway': [
    { ...lease, addresses: [{ address: '10.0.0.1', prefix: 24, gateway: 'x' }] },
    'lease.addresses[0].gateway',
  ],
  'no mode': [{ ...lease, mode: undefined }, 'lease.mode'],
  'an unknown mode': [{ ...lease, mode: 'macvlan' }, 'lease.mode'],
  'an unknown policy': [{ ...lease, ingressPolicy: 'same-bridge' }, 'lease.ingressPolicy'],
  'no MAC address': [{ ...lease, mac: undefined }, 'lease.mac'],
  'no ports': [{ ...lease, ports: undefined }, 'lease.ports'],
  'a port out of range': [{ ...lease, ports: [{ hostPort: 0, containerPort: 80 }] }, 'lease.ports[0].hostPort'],
  'a rate that is no number': [
    { ...lease, bandwidth: { egress: { rate: '1', burst: 1 } } },
    'lease.bandwidth.egress.rate',
  ],
  'a number as pod': [{ ...lease, pod: 7 }, 'lease.pod'],
}

for (const [name, [value, field]] of Object.entries(REFUSED))
  t.test(`refused as a lease, with the field: ${name}`, async (t) => {
    t.throws(() => parseLease(value), { code: 'invalid', field })
  })
