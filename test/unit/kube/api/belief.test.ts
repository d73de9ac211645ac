import t from 'tap'
import { doubtOf } from '../../../../src/kube/api/belief.js'

const set = (...keys: string[]) => ({ size: keys.length, count: keys.length, has: (key: string) => keys.includes(key) })

t.test('what is not held cannot be lost', async (t) => {
  t.equal(doubtOf({ kind: 'Pod' }, set(), set()), undefined)
  t.equal(doubtOf({ kind: 'Node', neverEmpty: true, certain: 'n1' }, set(), set()), undefined)
})

t.test('an empty list is believed the second time, or never where there must be something', async (t) => {
  t.match(doubtOf({ kind: 'Pod' }, set('a'), set()), { final: false, message: /no Pod any more/ })
  t.match(doubtOf({ kind: 'Service', neverEmpty: true }, set('a'), set()), { final: true, message: /single Service/ })
  t.equal(doubtOf({ kind: 'Service', neverEmpty: true }, set('a'), set('b')), undefined)
})

t.test('a list without what must be there is never believed', async (t) => {
  const nodes = { kind: 'Node', certain: 'n1' } as const
  t.match(doubtOf(nodes, set('n1', 'n2'), set('n2')), { final: true, message: /no Node n1 any more/ })
  t.equal(doubtOf(nodes, set('n1', 'n2'), set('n1')), undefined)
  t.equal(doubtOf(nodes, set('n2'), set('n3')), undefined, 'unless it was not there before either')
})
