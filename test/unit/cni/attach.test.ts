import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseCidr } from '../../../src/base/ip.js'
import {
  deviceOf,
  linkMac,
  planForget,
  planHostSide,
  planPodSide,
  planReattach,
  planRedirection,
  type Surroundings,
  uncovered,
} from '../../../src/cni/attach.js'
import { macOf } from '../../../src/model/lease.js'
import { type Op } from '../../../src/ops/op.js'
import { exampleLease } from '../../support/lease.js'

const LEASE = exampleLease()
const PTP = exampleLease({ mode: 'ptp' })
const COVERED = [parseCidr('10.1.0.0/24'), parseCidr('fd00:1::/64')]
const PLAIN: Surroundings = {
  bridge: { name: 'netloom0', index: 7, mac: '0a:58:0a:01:00:01' },
  covered: COVERED,
  redirect: false,
}
const NETFILTER: Surroundings = { ...PLAIN, redirect: true }

const kinds = (ops: readonly Op[]): string[] => ops.map(({ kind }) => kind)
const redirects = (ops: readonly Op[]): Op[] => ops.filter(({ kind }) => kind === 'ingress.redirect')

t.test('one request makes both ends, the far one in the namespace, both with the same MTU', async (t) => {
  for (const lease of [LEASE, PTP]) {
    const [first] = planHostSide(lease, PLAIN, 42)
    t.match(first, {
      kind: 'link.add',
      link: { kind: 'veth', name: 'nlm-1', mtu: 1450, peer: { name: 'eth0', mac: lease.mac, mtu: 1450, netnsFd: 42 } },
    })
  }
})

t.test('the port is isolated before the container has an address, and has the MAC address of the bridge', async (t) => {
  const ops = planHostSide(LEASE, PLAIN, 42)
  t.match(ops[0], { link: { master: 7, mac: '0a:58:0a:01:00:01' } })
  t.ok(ops.some((op) => op.kind === 'port.set' && op.port.isolated === true))
  t.notOk(ops.some(({ kind }) => kind === 'address.add'))
  t.throws(() => planHostSide(LEASE, { ...PLAIN, bridge: undefined }, 42), { code: 'unavailable' })
})

t.test('packets are taken off the port only while br_netfilter would translate in the bridge', async (t) => {
  t.notOk(kinds(planHostSide(LEASE, PLAIN, 42)).includes('clsact.add'), 'the ingress of the link is free for others')
  t.match(redirects(planHostSide(LEASE, NETFILTER, 42)), [
    { family: IPV4, source: { mac: LEASE.mac, address: '10.1.0.2' } },
    ...[6, 17, 132].map((protocol) => ({ source: { mac: LEASE.mac, address: 'fd00:1::2', protocol } })),
  ])
  const free = redirects(planHostSide({ ...LEASE, spoofCheck: false }, NETFILTER, 42))
  t.match(free, [
    { family: IPV4, source: {} },
    { family: IPV6, source: {} },
  ])
  t.strictSame(kinds(planRedirection(LEASE, PLAIN)), ['clsact.delete'])
  t.strictSame(kinds(planRedirection(LEASE, NETFILTER)).slice(0, 3), [
    'clsact.delete',
    'clsact.add',
    'ingress.redirect',
  ])
})

t.test('point to point: no bridge, the gateway at the near end, and a route for each address', async (t) => {
  const ops = planHostSide(PTP, NETFILTER, 42)
  t.notOk(ops.some((op) => op.kind === 'link.add' && op.link.master !== undefined))
  t.notOk(kinds(ops).some((kind) => /port|fdb|clsact|ingress/.test(kind)))
  t.match(ops[0], { link: { mac: macOf('10.1.0.1') } })
  t.equal(linkMac(PTP), macOf('10.1.0.1'))
  const addresses = ops.flatMap((op) =>
    op.kind === 'address.add' ? [`${op.address.address}/${op.address.prefix}`] : [],
  )
  t.strictSame(addresses, ['10.1.0.1/32', 'fd00:1::1/128'])
  const routes = ops.flatMap((op) => (op.kind === 'route.replace' ? [op.route] : []))
  t.match(routes, [
    { destination: { address: '10.1.0.2', prefix: 32 }, device: 'nlm-1', protocol: 111 },
    { destination: { address: 'fd00:1::2', prefix: 128 }, device: 'nlm-1', protocol: 111 },
  ])
  t.strictSame(planForget(PTP, 'netloom0', COVERED), [], 'all of it goes with the link')
})

t.test('an address of another network than the bridge’s has a route of its own, which goes again', async (t) => {
  const lease = exampleLease({ addresses: ['10.1.0.2', '192.0.2.5'] })
  t.strictSame(
    uncovered(lease, PLAIN).map(({ address }) => address),
    ['192.0.2.5'],
  )
  const made = planHostSide(lease, PLAIN, 42).flatMap((op) => (op.kind === 'route.replace' ? [op.route] : []))
  t.match(made, [{ destination: { address: '192.0.2.5', prefix: 32 }, device: 'netloom0' }])
  const gone = planForget(lease, 'netloom0', COVERED).flatMap((op) => (op.kind === 'route.delete' ? [op.route] : []))
  t.strictSame(gone, made)
})

t.test('containers are reached by the bridge, or by their own link', async (t) => {
  t.equal(deviceOf(LEASE, 'netloom0'), 'netloom0')
  t.equal(deviceOf(PTP, 'netloom0'), 'nlm-1')
})

t.test('a container has its address alone, and everything goes through the gateway', async (t) => {
  const ops = planPodSide(LEASE)
  const prefixes = ops.flatMap((op) => (op.kind === 'address.add' ? [op.address.prefix] : []))
  t.same(prefixes, [32, 128])
  const routes = ops.flatMap((op) => (op.kind === 'route.replace' ? [op.route] : []))
  t.same(
    routes.map(({ destination: { address, prefix }, gateway }) => `${address}/${prefix} ${gateway ?? 'on the link'}`),
    ['10.1.0.1/32 on the link', '0.0.0.0/0 10.1.0.1', 'fd00:1::1/128 on the link', '::/0 fd00:1::1'],
  )
})

t.test(
  'addresses are there before the link is up, so that the kernel announces them, and routes behind it',
  async (t) => {
    const order = kinds(planPodSide(LEASE))
    t.ok(order.lastIndexOf('sysctl.set') < order.indexOf('address.add'), 'IPv6 is on before it gets an address')
    t.ok(order.lastIndexOf('address.add') < order.indexOf('link.set'))
    t.ok(order.lastIndexOf('link.set') < order.indexOf('route.replace'))
    const changes = planPodSide(LEASE).flatMap((op) => (op.kind === 'link.set' ? [op.changes] : []))
    t.strictSame(changes, [{ arpNotify: true, addrGenMode: 0 }, { up: true }], 'the kernel would set up first')
    const announced = planPodSide(LEASE).flatMap((op) => (op.kind === 'sysctl.set' ? [op.path] : []))
    t.ok(announced.includes('net/ipv6/conf/eth0/ndisc_notify'))
  },
)

t.test('sysctls that were asked for are set last, when everything is there that they may name', async (t) => {
  const ops = planPodSide(LEASE, new Map([['net/ipv4/conf/eth0/arp_filter', '1']]))
  t.match(ops.at(-1), { kind: 'sysctl.set', path: 'net/ipv4/conf/eth0/arp_filter', value: '1' })
})

t.test('a container without IPv6 has its IPv6 settings left as they are', async (t) => {
  const ops = planPodSide(exampleLease({ addresses: ['10.1.0.2'] }))
  t.notOk(ops.some((op) => op.kind === 'sysctl.set' && op.path.includes('ipv6')))
  t.notOk(ops.some((op) => op.kind === 'link.set' && op.changes.addrGenMode !== undefined))
})

t.test('what is forgotten is what was told: a neighbour for each address', async (t) => {
  const told = planHostSide(LEASE, PLAIN, 42).flatMap((op) => (op.kind === 'neighbour.replace' ? [op.neighbour] : []))
  const forgotten = planForget(LEASE, 'netloom0', COVERED).flatMap((op) =>
    op.kind === 'neighbour.delete' ? [op.neighbour] : [],
  )
  t.equal(told.length, 2)
  t.same(forgotten, told)
})

t.test('what comes back to a new bridge is all that its link had at the old one', async (t) => {
  const made = planHostSide(LEASE, NETFILTER, 42).slice(2)
  const back = planReattach(LEASE, NETFILTER)
  t.same(back.slice(-made.length), made)
  t.match(back[0], { kind: 'link.set', name: 'nlm-1', changes: { master: 7, up: true } })
})
