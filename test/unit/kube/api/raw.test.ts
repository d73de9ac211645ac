import t from 'tap'
import { rawObject, readPage, readWatchEvent } from '../../../../src/kube/api/raw.js'

const LEASES = { kind: 'LeaseList', metadata: { resourceVersion: '7', continue: '' }, items: [1] }

t.test('a page has items, a version, and where the next begins', async (t) => {
  t.same(readPage('SubnetClaim', LEASES), { items: [1], version: '7', next: undefined })
  t.match(readPage('SubnetClaim', { ...LEASES, metadata: { resourceVersion: '7', continue: 'x' } }), { next: 'x' })
})

t.test('what is no list of the kind is no list', async (t) => {
  const others = [undefined, 'x', [], {}, { ...LEASES, kind: 'PodList' }, { ...LEASES, items: null }]
  for (const value of [...others, { ...LEASES, items: {} }, { ...LEASES, metadata: {} }])
    t.throws(() => readPage('SubnetClaim', value), { code: 'unavailable' })
})

t.test('an object is known by namespace and name', async (t) => {
  t.equal(rawObject({ metadata: { name: 'a', namespace: 'b' } }).key, 'b/a')
  t.equal(rawObject({ metadata: { name: 'a' } }).key, 'a')
  for (const value of [undefined, {}, { metadata: { name: 7 } }, { metadata: { name: '' } }])
    t.throws(() => rawObject(value), { code: 'unavailable' })
})

t.test('a watch tells of objects, and how far it is', async (t) => {
  const object = { metadata: { name: 'a', resourceVersion: '8' } }
  t.match(readWatchEvent({ type: 'ADDED', object }), { object: { key: 'a', value: object }, gone: false, version: '8' })
  t.match(readWatchEvent({ type: 'MODIFIED', object }), { gone: false })
  t.match(readWatchEvent({ type: 'DELETED', object }), { gone: true, version: '8' })
  t.same(readWatchEvent({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '9' } } }), {
    type: 'bookmark',
    version: '9',
  })
})

t.test('a watch that fails says why, and what is no event is refused', async (t) => {
  t.throws(() => readWatchEvent({ type: 'ERROR', object: { kind: 'Status', code: 410 } }), { status: 410 } as never)
  t.throws(() => readWatchEvent({ type: 'ERROR' }), { code: 'unavailable' })
  const object = { metadata: { name: 'a', resourceVersion: '8' } }
  for (const value of [undefined, 7, {}, { type: 'X', object }, { type: 'ADDED', object: { metadata: {} } }])
    t.throws(() => readWatchEvent(value), { code: 'invalid' })
})
