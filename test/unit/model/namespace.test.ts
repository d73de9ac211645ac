import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import { readNamespace } from '../../../src/model/namespace.js'

const namespace = (metadata: unknown) => readNamespace(new Cursor({ metadata }))

t.test('a Namespace always has the label of its name, and no other one in its place', async (t) => {
  t.same(namespace({ name: 'shop', labels: { team: 'a' } }), {
    kind: 'Namespace',
    namespace: '',
    name: 'shop',
    labels: { team: 'a', 'kubernetes.io/metadata.name': 'shop' },
  })
  t.same(namespace({ name: 'shop', labels: { 'kubernetes.io/metadata.name': 'kube-system' } }).labels, {
    'kubernetes.io/metadata.name': 'shop',
  })
})

t.test('a Namespace has the name of a DNS label', async (t) => {
  t.throws(() => namespace({ name: 'a.b' }), { code: 'invalid', field: 'metadata.name' })
  t.throws(() => namespace({}), { code: 'invalid', field: 'metadata.name' })
})
