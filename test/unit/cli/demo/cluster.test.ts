import t from 'tap'
import { planScene } from '../../../../src/cli/demo/cluster.js'
import { SHOP } from '../../../../src/cli/demo/installation.js'
import { parseManifests, readManifests } from '../../../../src/cli/demo/manifests.js'

const NODES = ['node-1', 'node-2', 'node-3']
const scene = (...documents: string[]) => planScene(parseManifests('c.yaml', documents.join('---\n')), NODES)

t.test('namespaces that nobody defines are made', async (t) => {
  const { others } = scene(
    'apiVersion: v1\nkind: Namespace\nmetadata: { name: own, labels: { team: a } }\n',
    'apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: own }\n',
    'apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: lost }\n',
  )
  t.match(others, [
    { kind: 'Namespace', metadata: { name: 'own', labels: { team: 'a' } } },
    { kind: 'Namespace', metadata: { name: 'lost' } },
  ])
  t.equal(others.length, 2)
})

t.test('what is of no use is counted by kind, and the first of several definitions counts', async (t) => {
  const secret = 'apiVersion: v1\nkind: Secret\nmetadata: { name: a }\n'
  const service = (port: number): string =>
    `apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ port: ${port} }] }\n`
  const { notes, services } = scene(secret, secret.replace('name: a', 'name: b'), service(80), service(81))
  t.same(notes, [
    '1 object is defined more than once: the first definition counts',
    '2 objects are of no use here: 2 Secret',
  ])
  t.same(
    services.map(({ service: { ports } }) => ports[0]?.port),
    [80],
  )
})

t.test('pods of the host network and policies are noted', async (t) => {
  const { notes } = scene(
    'apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { hostNetwork: true }\n',
    'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: deny }\nspec: { podSelector: {} }\n',
  )
  t.match(notes.join('\n'), /1 NetworkPolicy is known to the agents/)
  t.match(notes.join('\n'), /1 pod uses the host's network/)
})

t.test('errors in objects that only the agents read name file, line and field as well', async (t) => {
  const policy =
    'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: p }\nspec:\n  podSelector: { app: a }\n'
  t.throws(() => scene(policy), { message: /^c\.yaml:5: spec\.podSelector\.app: is not a known field$/ })
})

t.test('the shop shows what the demo is about', async (t) => {
  const { pods, targets, notes } = planScene(await readManifests(SHOP), NODES)
  t.same(notes, [], 'nothing in it needs an explanation')
  t.ok(pods.length >= 12 && pods.length <= 20, 'a dozen pods or so')
  t.same([...new Set(pods.map(({ workload }) => workload.split('/')[0]))].sort(), [
    'DaemonSet',
    'Deployment',
    'Job',
    'StatefulSet',
  ])
  t.same([...new Set(targets.map(({ protocol }) => protocol))].sort(), ['TCP', 'UDP'])
  t.ok(
    targets.some(({ addresses }) => addresses.length === 2),
    'dual stack',
  )
  t.ok(
    targets.some(({ addresses }) => addresses.length === 1 && addresses[0]?.family.name === 'ipv6'),
    'IPv6 alone',
  )
  t.ok(
    targets.some(({ endpoints, unprobed }) => endpoints.length === 0 && unprobed === undefined),
    'a Service without endpoints',
  )
  t.ok(
    targets.some(({ endpoints }) => endpoints.length === 1),
    'a Service whose pod can only reach itself',
  )
})
