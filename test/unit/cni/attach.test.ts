import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import {
  type AttachmentPlan,
  gatewayFor,
  planForget,
  planHostSide,
  planPodSide,
  planReattach,
} from '../../../src/cni/attach.js'
import { type Op } from '../../../src/ops/op.js'
import { exampleLease } from '../../support/lease.js'

const LEASE = exampleLease()
const BRIDGE = { name: 'netloom0', index: 7 }
const SUBNETS = [parseCidr('10.1.0.0/24'), parseCidr('fd00:1::/64')]
const PLAN = { lease: LEASE, bridge: BRIDGE, subnets: SUBNETS, mtu: 1450 }

const kinds = (ops: readonly Op[]): string[] => ops.map(({ kind }) => kind)

t.test('one request makes both ends, the far one in the namespace, both with the same MTU', async (t) => {
  const [first] = planHostSide(PLAN, 42)
  t.match(first, {
    kind: 'link.add',
    link: {
      kind: 'veth',
      name: 'nlm-1',
      master: 7,
      mtu: 1450,
      peer: { name: 'eth0', mac: LEASE.mac, mtu: 1450, netnsFd: 42 },
    },
  })
})

t.test('the port is isolated before the pod has an address', async (t) => {
  const ops = planHostSide(PLAN, 42)
  t.ok(ops.some((op) => op.kind === 'port.set' && op.port.isolated === true))
  t.notOk(ops.some(({ kind }) => kind === 'address.add'))
})

t.test('a pod has its address alone, and everything goes through the gateway', async (t) => {
  const ops = planPodSide(PLAN)
  const prefixes = ops.flatMap((op) => (op.kind === 'address.add' ? [op.address.prefix] : []))
  t.same(prefixes, [32, 128])
  const routes = ops.flatMap((op) => (op.kind === 'route.replace' ? [op.route] : []))
  t.same(
    routes.map(({ destination: { address, prefix }, gateway }) => `${address}/${prefix} ${gateway ?? 'on the link'}`),
    ['10.1.0.1/32 on the link', '0.0.0.0/0 10.1.0.1', 'fd00:1::1/128 on the link', '::/0 fd00:1::1'],
  )
  t.ok(kinds(ops).indexOf('sysctl.set') < kinds(ops).indexOf('address.add'), 'IPv6 is on before it gets an address')
})

t.test(
  "the routes of a container's further interfaces stand behind those of the first, each at its own place",
  async (t) => {
    const priorities = (plan: AttachmentPlan) =>
      planPodSide(plan).flatMap((op) => (op.kind === 'route.replace' ? [op.route.priority] : []))
    t.same(priorities(PLAN), [undefined, undefined, undefined, undefined])
    const other = exampleLease({ addresses: ['10.1.0.3', 'fd00:1::3'] })
    const [second, third] = [LEASE, other].map((lease) => priorities({ ...PLAN, lease, further: true }))
    for (const priority of [...second!, ...third!]) t.ok(Number(priority) > 1024)
    t.not(second![0], third![0])
  },
)

t.test('a pod without IPv6 has its IPv6 settings left as they are', async (t) => {
  t.notOk(kinds(planPodSide({ ...PLAN, lease: exampleLease({ addresses: ['10.1.0.2'] }) })).includes('sysctl.set'))
})

t.test('what is forgotten is what was told: a neighbour for each address', async (t) => {
  const told = planHostSide(PLAN, 42).flatMap((op) => (op.kind === 'neighbour.replace' ? [op.neighbour] : []))
  const forgotten = planForget(LEASE, BRIDGE).flatMap((op) => (op.kind === 'neighbour.delete' ? [op.neighbour] : []))
  t.equal(told.length, 2)
  t.same(forgotten, told)
})

t.test('what comes back to a new bridge is all that its link had at the old one', async (t) => {
  const made = planHostSide(PLAN, 42).slice(2)
  const back = planReattach(LEASE, BRIDGE)
  t.same(back.slice(-made.length), made)
  t.match(back[0], { kind: 'link.set', name: 'nlm-1', changes: { master: 7, up: true } })
})

t.test('the gateway is that of the family, whatever the order of networks', async (t) => {
  t.equal(gatewayFor('10.1.0.2', [...SUBNETS].reverse()), '10.1.0.1')
  t.equal(gatewayFor('fd00:1::2', SUBNETS), 'fd00:1::1')
  t.throws(() => gatewayFor('10.1.0.2', SUBNETS.slice(1)), { code: 'internal' })
})
