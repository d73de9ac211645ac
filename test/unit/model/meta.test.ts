import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import {
  keyOf,
  labelOf,
  readClusterScoped,
  readLabels,
  readNamespaced,
  readTerminating,
} from '../../../src/model/meta.js'

t.test('an object without a namespace is in default', async (t) => {
  for (const namespace of [undefined, null, ''])
    t.same(readNamespaced(new Cursor({ metadata: { name: 'a', namespace } })), { namespace: 'default', name: 'a' })
  t.same(readNamespaced(new Cursor({ metadata: { name: 'a', namespace: 'shop' } })), { namespace: 'shop', name: 'a' })
})

t.test('names are checked, and needed', async (t) => {
  const named = (metadata: unknown) => () => readNamespaced(new Cursor({ metadata }))
  t.throws(named({}), { code: 'invalid', field: 'metadata.name', message: /is missing/ })
  t.throws(named(undefined), { code: 'invalid', field: 'metadata.name' })
  t.throws(named({ generateName: 'x-' }), { code: 'invalid', field: 'metadata.name' })
  t.throws(named({ name: '../../etc/passwd' }), { code: 'invalid', field: 'metadata.name' })
  t.throws(named({ name: 'a', namespace: 'a.b' }), { code: 'invalid', field: 'metadata.namespace' })
  t.throws(named({ name: 'a', namespace: 'a/b' }), { code: 'invalid', field: 'metadata.namespace' })
  t.throws(named([]), { code: 'invalid', field: 'metadata' })
})

t.test('an object that is in no namespace ignores one', async (t) => {
  t.same(readClusterScoped(new Cursor({ metadata: { name: 'n1', namespace: 'x' } })), { namespace: '', name: 'n1' })
})

t.test('keys are namespace/name, or the name alone', async (t) => {
  t.equal(keyOf({ namespace: 'shop', name: 'web' }), 'shop/web')
  t.equal(keyOf({ namespace: '', name: 'node-1' }), 'node-1')
})

t.test('labels called like members of objects are labels', async (t) => {
  const labels = readLabels(new Cursor({ constructor: 'x', app: 'web' }))
  t.equal(labelOf(labels, 'constructor'), 'x')
  t.equal(labelOf(labels, 'toString'), undefined)
  t.equal(labelOf(readLabels(new Cursor(undefined)), 'constructor'), undefined)
})

t.test('labels are checked', async (t) => {
  const labels = (value: unknown) => () => readLabels(new Cursor({ labels: value }).field('labels'))
  t.throws(labels({ app: 1 }), { code: 'invalid', field: 'labels.app', message: /1 is not a string/ })
  t.throws(labels({ 'x/y': 'a b' }), { code: 'invalid', field: 'labels[x/y]', message: /not a label value/ })
  t.throws(labels({ '-a': 'b' }), { code: 'invalid', field: 'labels[-a]', message: /not a label key/ })
  t.throws(labels(JSON.parse('{"__proto__": "x"}')), { code: 'invalid', field: 'labels.__proto__' })
})

t.test('an object with a deletion time is terminating', async (t) => {
  t.equal(readTerminating(new Cursor({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } })), true)
  t.equal(readTerminating(new Cursor({ metadata: { deletionTimestamp: null } })), false)
  t.throws(() => readTerminating(new Cursor({ metadata: { deletionTimestamp: 7 } })), {
    code: 'invalid',
    field: 'metadata.deletionTimestamp',
  })
})
