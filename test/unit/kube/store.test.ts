import t from 'tap'
import { type KubeObject, parseObject } from '../../../src/model/object.js'
import { type Change, changeOf, Store } from '../../../src/kube/store.js'

const object = (kind: string, name: string, rest: object = {}): KubeObject => {
  const apiVersion = kind === 'EndpointSlice' ? 'discovery.k8s.io/v1' : 'v1'
  return parseObject({ apiVersion, kind, metadata: { name }, ...rest })!
}

const pod = (name: string, namespace: string, nodeName?: string): KubeObject =>
  object('Pod', name, { metadata: { name, namespace }, spec: { nodeName } })

const slice = (name: string, service?: string): KubeObject =>
  object('EndpointSlice', name, {
    metadata: { name, labels: service === undefined ? {} : { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
  })

const change = (before: KubeObject | undefined, after: KubeObject | undefined): Change => changeOf(before, after)!
const names = (objects: Iterable<KubeObject>): string[] => [...objects].map(({ name }) => name).sort()

t.test('objects are found by kind and key', async (t) => {
  const store = new Store()
  const node = object('Node', 'n1')
  store.apply([change(undefined, node), change(undefined, pod('a', 'shop'))])
  t.equal(store.get('Node', 'n1'), node)
  t.equal(store.get('Pod', 'shop/a')?.name, 'a')
  t.equal(store.get('Pod', 'default/a'), undefined)
  t.equal(store.get('Service', 'shop/a'), undefined)
  t.same([...store.all('Pod').keys()], ['shop/a'])
  store.apply([change(node, undefined)])
  t.equal(store.get('Node', 'n1'), undefined)
})

t.test('pods are found by namespace and by node, also after they moved', async (t) => {
  const store = new Store()
  const [waiting, placed, other] = [pod('a', 'shop'), pod('a', 'shop', 'n1'), pod('b', 'shop', 'n1')]
  store.apply([change(undefined, waiting), change(undefined, other), change(undefined, pod('c', 'bank', 'n2'))])
  t.same(names(store.podsIn('shop')), ['a', 'b'])
  t.same(names(store.podsOn('n1')), ['b'])
  store.apply([change(waiting, placed)])
  t.same(names(store.podsOn('n1')), ['a', 'b'])
  const moved = pod('a', 'shop', 'n2')
  store.apply([change(placed, moved), change(other, undefined)])
  t.same(names(store.podsOn('n1')), [])
  t.same(names(store.podsOn('n2')), ['a', 'c'])
  t.equal(
    [...store.podsOn('n2')].find(({ name }) => name === 'a'),
    moved,
  )
  t.same(names(store.podsIn('shop')), ['a'])
})

t.test('slices are found by Service, Services by namespace', async (t) => {
  const store = new Store()
  const one = slice('x', 'web')
  const service = object('Service', 'web', { spec: { ports: [{ port: 1 }] } })
  store.apply([one, slice('y', 'web'), slice('z'), service].map((added) => change(undefined, added)))
  t.same(names(store.slicesOf('default/web')), ['x', 'y'])
  t.same(names(store.servicesIn('default')), ['web'])
  store.apply([change(one, slice('x', 'db')), change(service, undefined)])
  t.same(names(store.slicesOf('default/web')), ['y'])
  t.same(names(store.slicesOf('default/db')), ['x'])
  t.same(names(store.servicesIn('default')), [])
})

t.test('nothing to nothing, or to itself, is no change', async (t) => {
  const node = object('Node', 'n1')
  t.equal(changeOf(undefined, undefined), undefined)
  t.equal(changeOf(node, node), undefined)
  t.same(changeOf(node, undefined), { kind: 'Node', key: 'n1', before: node, after: undefined })
})
