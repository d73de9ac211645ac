import t from 'tap'
import { parseObject } from '../../../src/model/object.js'
import { type Service } from '../../../src/model/service.js'
import { SelectorIndex } from '../../../src/kube/selector-index.js'

const service = (namespace: string, selector?: Record<string, string>): Service =>
  parseObject({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'x', namespace },
    spec: { selector, ports: [{ port: 80 }] },
  }) as Service

t.test('Services are found by all labels of their selector, in their namespace', async (t) => {
  const index = new SelectorIndex()
  index.set('shop/web', service('shop', { app: 'web' }))
  index.set('shop/front', service('shop', { app: 'web', tier: 'front' }))
  index.set('bank/web', service('bank', { app: 'web' }))
  index.set('shop/manual', service('shop'))
  const find = (namespace: string, labels: Record<string, string>): string[] =>
    [...index.matching(namespace, labels)].sort()
  t.same(find('shop', { app: 'web' }), ['shop/web'])
  t.same(find('shop', { app: 'web', tier: 'front', x: 'y' }), ['shop/front', 'shop/web'])
  t.same(find('bank', { app: 'web', tier: 'front' }), ['bank/web'])
  t.same(find('shop', {}), [])
  t.same(find('shop', { tier: 'front' }), [])

  index.set('shop/web', service('shop', { app: 'other' }))
  index.delete('bank/web')
  t.same(find('shop', { app: 'web' }), [])
  t.same(find('shop', { app: 'other' }), ['shop/web'])
  t.same(find('bank', { app: 'web' }), [])
  index.set('shop/web', service('shop'))
  t.same(find('shop', { app: 'other' }), [], 'a Service that selects no more is found no more')
})

t.test('a label that all Services share costs nothing where they have another one', async (t) => {
  const index = new SelectorIndex()
  for (let i = 0; i < 1000; i++) index.set(`shop/s${i}`, service('shop', { 'part-of': 'shop', app: `s${i}` }))
  t.same([...index.matching('shop', { 'part-of': 'shop', app: 's7' })], ['shop/s7'])
  t.ok(index.comparisons <= 2, `${index.comparisons} comparisons`)
})
