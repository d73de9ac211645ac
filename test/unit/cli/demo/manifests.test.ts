import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseManifests, readManifests, reading } from '../../../../src/cli/demo/manifests.js'

const kinds = (text: string): string[] => parseManifests('x.yaml', text).objects.map(({ kind }) => kind)

t.test('documents and lists in one file are objects in their order', async (t) => {
  const text = `
apiVersion: v1
kind: Service
metadata: { name: a }
---
# nothing but a comment
---
apiVersion: v1
kind: List
items:
  - { apiVersion: apps/v1, kind: Deployment, metadata: { name: b } }
  - apiVersion: v1
    kind: PodList
    items: [{ metadata: { name: c } }]
`
  t.same(kinds(text), ['Service', 'Deployment', 'Pod'])
  const [, , pod] = parseManifests('x.yaml', text).objects
  t.match(
    pod?.value,
    { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'c' } },
    'a typed list says what its items are',
  )
})

t.test('a kind that merely ends in List and has no items is an object', async (t) => {
  t.same(kinds('{"apiVersion": "example.com/v1", "kind": "WishList", "metadata": {"name": "a"}}'), ['WishList'])
})

t.test('files of other tools are counted and left out', async (t) => {
  t.match(parseManifests('values.yaml', 'replicas: 3\n'), { objects: [], strangers: 1 })
  t.match(parseManifests('a/kustomization.yaml', 'kind: Kustomization\n'), { objects: [], strangers: 1 })
})

t.test('an error names the file, the line and the field', async (t) => {
  const rows: readonly [name: string, text: string, message: RegExp][] = [
    ['broken YAML', 'apiVersion: v1\nkind: [\n', /^x\.yaml:\d+: /],
    ['no kind', 'apiVersion: v1\nmetadata: {}\n', /^x\.yaml:1: kind: is missing$/],
    ['a kind that is no text', 'apiVersion: v1\nkind: 5\n', /^x\.yaml:2: kind: 5 is not a string$/],
    ['text', 'hello\n', /^x\.yaml:1: /],
    [
      'an item of a list',
      'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: 1\n',
      /^x\.yaml:5: items\[0\]\.kind: /,
    ],
  ]
  for (const [name, text, message] of rows) t.throws(() => parseManifests('x.yaml', text), { message }, name)
})

t.test('an error in an object of a list is found at its own line', async (t) => {
  const text = 'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: 7\n'
  const [pod] = parseManifests('x.yaml', text).objects
  t.throws(() => reading(pod!, (object) => object.field('metadata').field('name').string()), {
    message: 'x.yaml:7: metadata.name: 7 is not a string',
    field: 'metadata.name',
  })
})

t.test('a folder is read with all below it, in the order of paths', async (t) => {
  const root = t.testdir({
    'b.yaml': service('b'),
    'a.yml': service('a'),
    'c.json': `{"apiVersion":"v1","kind":"Service","metadata":{"name":"c"}}`,
  })
  mkdirSync(join(root, 'deeper'))
  writeFileSync(join(root, 'deeper', 'd.yaml'), service('d'))
  writeFileSync(join(root, 'notes.txt'), 'kind: nothing')
  const { objects, files } = await readManifests(root)
  t.same(
    objects.map(({ value }) => (value['metadata'] as { name: string }).name),
    ['a', 'b', 'c', 'd'],
  )
  t.equal(files, 4)
})

const service = (name: string): string => `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\n`

t.test('a path that is not there, and a folder without manifests, are errors that name them', async (t) => {
  const empty = t.testdir({})
  await t.rejects(readManifests(join(empty, 'missing.yaml')), { message: /missing\.yaml: .*ENOENT/, code: 'invalid' })
  await t.rejects(readManifests(empty), { message: /holds no file that ends in \.yaml/ })
})
