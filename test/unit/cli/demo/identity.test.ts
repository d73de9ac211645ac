import t from 'tap'
import { containerId, generatedName, namespaceNames, suffix } from '../../../../src/cli/demo/identity.js'

t.test('suffixes follow from their text and have the characters that Kubernetes uses', async (t) => {
  t.equal(suffix('default/web/0', 5), suffix('default/web/0', 5))
  t.not(suffix('default/web/0', 5), suffix('default/web/1', 5))
  t.match(suffix('x', 10), /^[bcdfghjklmnpqrstvwxz2456789]{10}$/)
})

t.test('a long name gives way to its suffix', async (t) => {
  t.equal(generatedName('web', 'abc'), 'web-abc')
  const name = generatedName('w'.repeat(80), 'abc')
  t.equal(name.length, 63)
  t.ok(name.endsWith('-abc'))
})

t.test('namespaces of pods are named after them, each once', async (t) => {
  const long = `default/${'x'.repeat(63)}`
  const names = namespaceNames(['default/web-0', 'a-b/c', 'a/b-c', long, `${long}y`])
  t.equal(names.get('default/web-0'), 'pod-default-web-0')
  t.equal(names.get('a-b/c'), 'pod-a-b-c')
  t.match(names.get('a/b-c'), /^pod-a-b-c-[a-z0-9]{8}$/, 'a name that is taken gets a suffix')
  t.equal(new Set(names.values()).size, 5)
  for (const name of names.values()) t.ok(name.length <= 48, name)
})

t.test('a sandbox has the identifier that runtimes use', async (t) => {
  t.match(containerId('default/web-0'), /^[0-9a-f]{64}$/)
})
