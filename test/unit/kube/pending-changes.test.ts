import t from 'tap'
import { parseObject } from '../../../src/model/object.js'
import { PendingChanges } from '../../../src/kube/pending-changes.js'
import { type Change, changeOf } from '../../../src/kube/store.js'

const node = (name: string, zone: string) =>
  parseObject({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } } })!

/** What is left of changes of node n, each from one zone to another; '' for no node. */
function left(...steps: [from: string, to: string][]): [from: string, to: string][] {
  const pending = new PendingChanges()
  const state = (zone: string) => (zone === '' ? undefined : node('n', zone))
  for (const [from, to] of steps) pending.add([changeOf(state(from), state(to))!])
  const zoneOf = (object: Change['after']): string => (object?.kind === 'Node' ? (object.zone ?? '?') : '')
  return pending.take().map(({ before, after }) => [zoneOf(before), zoneOf(after)])
}

t.test('several changes of an object are one, from the first state to the last', async (t) => {
  t.same(left(['a', 'b'], ['b', 'c']), [['a', 'c']])
  t.same(left(['', 'b'], ['b', 'c']), [['', 'c']])
  t.same(left(['a', 'b'], ['b', '']), [['a', '']])
  t.same(left(['a', ''], ['', 'b']), [['a', 'b']])
})

t.test('what comes to nothing is no change', async (t) => {
  t.same(left(['a', 'b'], ['b', 'a']), [])
  t.same(left(['', 'b'], ['b', '']), [])
  t.same(left(['a', ''], ['', 'a'], ['a', 'b']), [['a', 'b']], 'unless more follows')
})

t.test('taking leaves nothing', async (t) => {
  const pending = new PendingChanges()
  pending.add([changeOf(undefined, node('a', 'x'))!, changeOf(undefined, node('b', 'x'))!])
  t.equal(pending.size, 2)
  t.same(
    pending.take().map(({ key }) => key),
    ['a', 'b'],
  )
  t.equal(pending.size, 0)
})
