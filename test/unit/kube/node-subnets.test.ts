import t from 'tap'
import { formatCidr } from '../../../src/base/ip.js'
import { type KubeObject, parseObject } from '../../../src/model/object.js'
import { NodeSubnets } from '../../../src/kube/node-subnets.js'
import { type Change, changeOf, Store } from '../../../src/kube/store.js'

const node = (name: string, podCIDRs: string[] = [], zone = 'z'): KubeObject =>
  parseObject({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } },
    spec: { podCIDRs },
  })!

const claim = (subnet: string, holderIdentity: string): KubeObject =>
  parseObject({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: subnet.replace(/[/:]/g, '-'),
      labels: { 'app.kubernetes.io/managed-by': 'netloom' },
      annotations: { 'netloom.dev/subnet': subnet },
    },
    spec: { holderIdentity, acquireTime: '2026-01-01T00:00:00.000000Z' },
  })!

/** A store behind the subject, and what was reported last of each node. */
function world() {
  const store = new Store()
  const reports = new Map<string, string[]>()
  const subnets = new NodeSubnets(store, (name, flaws) =>
    reports.set(
      name,
      flaws.map(({ message }) => message),
    ),
  )
  const update = (...steps: [before: KubeObject | undefined, after: KubeObject | undefined][]): readonly Change[] => {
    const changes = subnets.update(steps.map(([before, after]) => changeOf(before, after)!))
    store.apply(changes)
    return changes
  }
  const cidrs = (name: string): string[] | undefined => store.get('Node', name)?.podCIDRs.map(formatCidr)
  return { update, cidrs, reports }
}

t.test('a Node has what it claimed, in whatever order the two come', async (t) => {
  const { update, cidrs } = world()
  const [n1, first] = [node('n1'), claim('10.1.0.0/24', 'n1')]
  update([undefined, first])
  t.equal(cidrs('n1'), undefined)
  update([undefined, n1])
  t.same(cidrs('n1'), ['10.1.0.0/24'])
  update([undefined, claim('fd00:1::/64', 'n1')])
  t.same(cidrs('n1'), ['10.1.0.0/24', 'fd00:1::/64'])
  update([first, undefined])
  t.same(cidrs('n1'), ['fd00:1::/64'])
  update([n1, undefined])
  t.equal(cidrs('n1'), undefined)
})

t.test('what the cluster allocates counts before claims', async (t) => {
  const { update, cidrs } = world()
  update([undefined, node('n1', ['10.9.0.0/24'])], [undefined, claim('10.1.0.0/24', 'n1')])
  t.same(cidrs('n1'), ['10.9.0.0/24'])
})

t.test('a claim that moves to another node leaves the first', async (t) => {
  const { update, cidrs } = world()
  update([undefined, node('n1')], [undefined, node('n2')], [undefined, claim('10.1.0.0/24', 'n1')])
  const changes = update([claim('10.1.0.0/24', 'n1'), claim('10.1.0.0/24', 'n2')])
  t.same([cidrs('n1'), cidrs('n2')], [[], ['10.1.0.0/24']])
  t.same(
    changes.map(({ kind, key }) => `${kind} ${key}`),
    ['Node n1', 'Node n2', 'SubnetClaim default/10.1.0.0-24'],
  )
})

t.test('a Node is told once for all that changed, and not at all where it is the same', async (t) => {
  const { update } = world()
  t.equal(update([undefined, node('n1')], [undefined, claim('10.1.0.0/24', 'n1')]).length, 2)
  t.same(update([node('n1'), node('n1')]), [])
  const [change] = update([node('n1'), node('n1', [], 'other')])
  t.match(change, { before: { zone: 'z' }, after: { zone: 'other', podCIDRs: [{ prefix: 24 }] } })
})

t.test('a second claim of a family does not count and is reported until it is gone', async (t) => {
  const { update, cidrs, reports } = world()
  const second = claim('10.2.0.0/24', 'n1')
  update([undefined, second], [undefined, claim('10.1.0.0/24', 'n1')], [undefined, node('n1')])
  t.same(cidrs('n1'), ['10.1.0.0/24'])
  t.match(reports.get('n1'), [/holds 10\.2\.0\.0\/24 beside 10\.1\.0\.0\/24/])
  update([second, undefined])
  t.same(reports.get('n1'), [])
})
