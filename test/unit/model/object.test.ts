import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { keyOf } from '../../../src/model/meta.js'
import { apiKindOf, KINDS, parseObject, parseObjects, readObjectOf, sameObject } from '../../../src/model/object.js'

const pod = (name: string, rest: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  ...rest,
})

t.test('every kind is read by its own reader', async (t) => {
  const objects: Record<string, object> = {
    Node: { apiVersion: 'v1' },
    Namespace: { apiVersion: 'v1' },
    Pod: { apiVersion: 'v1' },
    Service: { apiVersion: 'v1', spec: { ports: [{ port: 1 }] } },
    EndpointSlice: { apiVersion: 'discovery.k8s.io/v1', addressType: 'IPv4' },
    Endpoints: { apiVersion: 'v1' },
    NetworkPolicy: { apiVersion: 'networking.k8s.io/v1' },
    SubnetClaim: {
      apiVersion: 'coordination.k8s.io/v1',
      metadata: {
        name: 'x',
        labels: { 'app.kubernetes.io/managed-by': 'netloom' },
        annotations: { 'netloom.dev/subnet': '10.244.1.0/24' },
      },
    },
  }
  t.same(Object.keys(objects).sort(), [...KINDS].sort(), 'the table has all kinds')
  for (const kind of KINDS) {
    const rest = objects[kind]
    const parsed = parseObject({ kind: apiKindOf(kind), metadata: { name: 'x' }, ...rest })
    t.same(readObjectOf(kind, { metadata: { name: 'x' }, ...rest }), parsed, 'also where the list has said the kind')
    t.equal(parsed?.kind, kind)
    const scoped = kind === 'Node' || kind === 'Namespace'
    t.equal(parsed && keyOf(parsed), scoped ? 'x' : 'default/x')
  }
})

t.test('kinds that are not used are left out, broken or not', async (t) => {
  const rows: [apiVersion: string, kind: string][] = [
    ['apps/v1', 'Deployment'],
    ['v1', 'ConfigMap'],
    ['serving.knative.dev/v1', 'Service'],
    ['crd.projectcalico.org/v1', 'NetworkPolicy'],
    ['v1', 'constructor'],
  ]
  for (const [apiVersion, kind] of rows) t.equal(parseObject({ apiVersion, kind, metadata: 7 }), undefined, kind)
})

t.test('a version of a kind that is not supported is refused, not overlooked', async (t) => {
  const rows: [apiVersion: string, kind: string][] = [
    ['extensions/v1beta1', 'NetworkPolicy'],
    ['networking.k8s.io/v1beta1', 'NetworkPolicy'],
    ['discovery.k8s.io/v1beta1', 'EndpointSlice'],
    ['v2', 'Service'],
  ]
  for (const [apiVersion, kind] of rows)
    t.throws(
      () => parseObject({ apiVersion, kind }),
      { code: 'invalid', field: 'apiVersion', message: /is not supported, only/ },
      apiVersion,
    )
})

t.test('what is no object is refused', async (t) => {
  t.throws(() => parseObject({ metadata: {} }), { code: 'invalid', field: 'apiVersion' })
  t.throws(() => parseObject({ apiVersion: 'v1' }), { code: 'invalid', field: 'kind' })
  t.throws(() => parseObject('text'), { code: 'invalid', message: '"text" is not a mapping' })
  t.throws(() => parseObjects([]), { code: 'invalid' })
  t.same(parseObjects(null), [])
})

t.test('lists are flattened, lists in lists and typed lists too', async (t) => {
  const inner = { apiVersion: 'v1', kind: 'List', items: [pod('c')] }
  const typed = { apiVersion: 'v1', kind: 'PodList', items: [{ metadata: { name: 'd' } }, pod('e')] }
  const deployments = { apiVersion: 'apps/v1', kind: 'DeploymentList', items: 7 }
  const unused = { apiVersion: 'apps/v1', kind: 'Deployment' }
  const list = { apiVersion: 'v1', kind: 'List', items: [pod('a'), unused, pod('b'), inner, typed, deployments] }
  t.same(
    parseObjects(list).map(({ object, path }) => `${object.name} ${path}`),
    ['a items[0]', 'b items[2]', 'c items[3].items[0]', 'd items[4].items[0]', 'e items[4].items[1]'],
  )
  t.same(
    parseObjects(pod('x')).map(({ object, path }) => [object.name, path]),
    [['x', '']],
  )
})

t.test('an error in a list names the item', async (t) => {
  const list = { apiVersion: 'v1', kind: 'List', items: [pod('a'), pod('b', { spec: { hostNetwork: 1 } })] }
  t.throws(() => parseObjects(list), { code: 'invalid', field: 'items[1].spec.hostNetwork' })
  t.throws(() => parseObjects({ apiVersion: 'v1', kind: 'List', items: [{}] }), {
    code: 'invalid',
    field: 'items[0].apiVersion',
  })
})

t.test('objects are the same when they say the same', async (t) => {
  const one = (rest: object = {}): unknown =>
    parseObject(pod('a', { metadata: { name: 'a', labels: { x: '1', y: '2' } }, ...rest }))
  t.equal(sameObject(one(), one()), true)
  t.equal(sameObject(one(), one({ spec: { nodeName: 'n' } })), false)
  t.equal(sameObject(one(), undefined), false)
  t.equal(sameObject({ a: 1, b: 2 }, { b: 2, a: 1 }), true, 'the order of labels is nothing')
  t.equal(sameObject([1, 2], [2, 1]), false, 'the order of a list is')
  t.equal(sameObject([1], [1, 2]), false)
  t.equal(sameObject({ a: undefined }, { b: undefined }), false)
  t.equal(sameObject([], {}), false)
  t.equal(sameObject({}, []), false)
})

const boutique = new URL('../../../../../shared/manifests/online-boutique/', import.meta.url)

t.test(
  'the manifests of a shop that others wrote are read',
  { skip: existsSync(boutique) ? false : 'the folder ../shared/manifests/online-boutique is absent' },
  async (t) => {
    const counts: Record<string, number> = {}
    for (const file of readdirSync(boutique)) {
      const documents = parseAllDocuments(readFileSync(new URL(file, boutique), 'utf8'))
      for (const document of documents)
        for (const { object } of parseObjects(document.toJS())) counts[object.kind] = (counts[object.kind] ?? 0) + 1
    }
    t.same(counts, { Service: 12, NetworkPolicy: 13 })
  },
)
