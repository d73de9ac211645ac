import t from 'tap'
import { type DocumentCache, documents, readManifest } from '../../../src/kube/manifest.js'

const names = (text: string): string[] =>
  readManifest(text).objects.map(({ object }) => `${object.kind} ${object.name}`)

t.test('documents, lists and comments are read', async (t) => {
  const text = `# only a comment
---
apiVersion: v1
kind: Node
metadata: {name: n1}
---
# an empty document
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Namespace
    metadata: {name: shop}
  - apiVersion: apps/v1
    kind: Deployment
...
`
  t.same(readManifest(text).flaws, [])
  t.same(
    readManifest(text).objects.map(({ object, line }) => [object.kind, line]),
    [
      ['Node', 3],
      ['Namespace', 12],
    ],
  )
})

t.test('JSON is read, in one document or several', async (t) => {
  const one = '{"apiVersion":"v1","kind":"Node","metadata":{"name":"a"}}'
  t.same(names(one), ['Node a'])
  t.same(names(`${one}\n---\n${one.replace('"a"', '"b"')}`), ['Node a', 'Node b'])
  t.same(names(`\uFEFF${one}`), ['Node a'], 'with a byte order mark')
})

t.test('an empty text has no objects', async (t) => {
  for (const text of ['', '\n', '# nothing\n', '---\n---\n', 'null'])
    t.same(readManifest(text), { objects: [], flaws: [] }, JSON.stringify(text))
})

const HEAD = 'apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n'

interface Row {
  readonly text: string
  readonly line: number
  readonly column?: number
  readonly field?: string
  readonly message: RegExp
}

const FLAWS: Record<string, Row> = {
  'a value out of range': {
    text: `${HEAD}spec:\n  ports:\n    - port: 80\n    - name: b\n      port: 70000\n`,
    line: 9,
    column: 13,
    field: 'spec.ports[1].port',
    message: /70000 is not within/,
  },
  'a missing field, at what is around it': {
    text: `${HEAD}spec:\n  ports:\n    - name: a\n`,
    line: 7,
    column: 7,
    field: 'spec.ports[0].port',
    message: /is missing/,
  },
  'a label with a dot and a slash': {
    text: 'apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n    example.com/x: 7\n',
    line: 6,
    column: 20,
    field: 'metadata.labels[example.com/x]',
    message: /7 is not a string/,
  },
  'the second document': {
    text: `apiVersion: v1\nkind: Node\nmetadata: {name: n}\n---\n${HEAD}spec: {ports: [{port: 0}]}\n`,
    line: 9,
    field: 'spec.ports[0].port',
    message: /0 is not within/,
  },
  'an item of a list': {
    text: 'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata:\n    name: A_B\n',
    line: 7,
    column: 11,
    field: 'items[0].metadata.name',
    message: /not a DNS name/,
  },
  'a value that came through an alias': {
    text: `${HEAD}spec:\n  ports: &p\n    - port: 0\n  x: *p\n`,
    line: 7,
    field: 'spec.ports[0].port',
    message: /0 is not within/,
  },
  'a key that stands twice': { text: `${HEAD}kind: Pod\n`, line: 5, message: /unique/ },
  'a quote that does not end': { text: `${HEAD}spec: {x: "abc\n`, line: 6, message: /quote/i },
  'a tab for indentation': { text: 'kind: List\nitems:\n\t- a\n', line: 3, message: /tab/i },
  'no mapping at all': { text: 'just text\n', line: 1, field: '', message: /not a mapping/ },
  'no kind': { text: 'a: 1\n---\nb: 2\n', line: 1, field: 'apiVersion', message: /is missing/ },
  'an alias of nothing': { text: `${HEAD}spec: *nothing\n`, line: 5, message: /alias/i },
  'JSON that is broken': { text: '{"apiVersion": "v1",\n "kind" "Pod"}', line: 2, message: /./ },
  'JSON with a bad field': {
    text: '{"apiVersion": "v1", "kind": "Pod",\n "metadata": {"name": "a"},\n "spec": {"hostNetwork": 1}}',
    line: 3,
    column: 26,
    field: 'spec.hostNetwork',
    message: /1 is not true or false/,
  },
}

for (const [what, { text, line, column, field, message }] of Object.entries(FLAWS))
  t.test(`says line and field of ${what}`, async (t) => {
    const [flaw] = readManifest(text).flaws
    t.match(flaw, { line, message, ...(column === undefined ? {} : { column }) })
    t.equal(flaw?.field, field)
  })

t.test('each broken document has its flaw', async (t) => {
  const { objects, flaws } = readManifest('a: 1\n---\napiVersion: v1\nkind: Node\nmetadata: {name: n}\n---\nb: 1\n')
  t.equal(objects.length, 1)
  t.same(
    flaws.map(({ line }) => line),
    [1, 7],
  )
})

t.test('only documents that are new are parsed, and lines stay right', async (t) => {
  const node = (name: string): string => `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\n`
  const cache: DocumentCache = new Map()
  const [first, second] = readManifest(`${node('a')}---\n${node('b')}`, cache).objects
  const again = readManifest(`# moved\n--- # down\n${node('c')}---\n${node('b')}`, cache).objects
  t.same(
    again.map(({ object, line }) => [object.name, line]),
    [
      ['c', 3],
      ['b', 7],
    ],
  )
  t.equal(again[1]?.object, second?.object, 'the same object, not an equal one')
  t.equal(cache.size, 3, 'what is not in the text any more is forgotten')
  t.not(readManifest(`${node('a')}---\n${node('b')}`, cache).objects[0]?.object, first?.object)

  const broken = `${node('A')}---\n${node('b')}`
  for (let i = 0; i < 2; i++) t.match(readManifest(broken, cache).flaws, [{ line: 3 }], 'flaws are not cached away')
})

t.test('three dashes end a document wherever they start a line, and nowhere else', async (t) => {
  const pod = (label: string): string =>
    `apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n    x: |\n${label}\n`
  t.same(names(pod('      ---\n      text')), ['Pod a'])
  t.same(names(pod('      a\n      ----')), ['Pod a'])
  t.same(names(`${pod('      text')}--- {apiVersion: v1, kind: Node, metadata: {name: n}}\n`), ['Pod a', 'Node n'])
  t.same(names(`%YAML 1.2\n---\n${pod('      text')}`), ['Pod a'])
  t.same(names(`${pod('      text')}...\n%TAG ! tag:x,2000:\n---\napiVersion: v1\nkind: Node\nmetadata: {name: n}\n`), [
    'Pod a',
    'Node n',
  ])
  t.same(names('---\r\napiVersion: v1\r\nkind: Node\r\nmetadata: {name: a}\r\n---\r\n'), ['Node a'])
})

t.test('merge keys and anchors are resolved', async (t) => {
  const [pod] = readManifest(`
apiVersion: v1
kind: List
items:
- &a
  apiVersion: v1
  kind: Pod
  metadata: {name: a, labels: &l {app: web}}
- <<: *a
  metadata: {name: b, labels: {<<: *l, tier: x}}
`).objects.slice(1)
  t.match(pod?.object, { kind: 'Pod', name: 'b', labels: { app: 'web', tier: 'x' } })
})

t.test('a file that would unfold without end is refused', async (t) => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x,x]']
  for (let i = 0; i < 12; i++) {
    const [before, after] = [String.fromCharCode(97 + i), String.fromCharCode(98 + i)]
    bomb.push(`${after}: &${after} [${Array.from({ length: 10 }, () => `*${before}`).join()}]`)
  }
  t.match(readManifest(bomb.join('\n')), { objects: [], flaws: [{ message: /alias/i, line: 1 }] })
  const circle = 'apiVersion: v1\nkind: List\nitems: &i\n- {apiVersion: v1, kind: List, items: *i}\n'
  t.match(readManifest(circle), { objects: [], flaws: [{ message: /./ }] })
  t.match(readManifest('['.repeat(100_000)), { objects: [], flaws: [{ message: /./ }] })
})

t.test('keys that mean something to JavaScript are keys', async (t) => {
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  __proto__: {labels: {x: y}}\n__proto__: {spec: {hostNetwork: true}}\n'
  t.match(readManifest(text), { flaws: [], objects: [{ object: { hostNetwork: false, labels: {} } }] })
  t.same(readManifest('{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"__proto__":{"spec":7}}').flaws, [])
  t.equal(({} as Record<string, unknown>)['spec'], undefined)
})

t.test('words that older YAML takes for flags stay words', async (t) => {
  const [flaw] = readManifest('apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostNetwork: yes}\n').flaws
  t.match(flaw, { field: 'spec.hostNetwork', message: /"yes" is not true or false/ })
})

t.test('documents of any kind are there as data', async (t) => {
  const [first, second] = documents('kind: Deployment\nspec: {replicas: 2}\n---\n: : :\n  - x: [\n')
  t.match(first, { value: { kind: 'Deployment', spec: { replicas: 2 } } })
  t.match(second, { message: /./ })
})
