import t from 'tap'
import { parseManifests } from '../../../../src/cli/demo/manifests.js'
import { checkSizes, isWorkload, plan } from '../../../../src/cli/demo/workloads.js'

const NODES = ['node-1', 'node-2', 'node-3']
const TEMPLATE =
  'template: { metadata: { labels: { app: a } }, spec: { containers: [{ name: c, ports: [{ containerPort: 80 }] }] } }'

const workload = (kind: string, spec: string, { apiVersion = 'apps/v1', name = 'web' } = {}): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: { ${[spec, TEMPLATE].filter((part) => part !== '').join(', ')} }\n`

const planned = (text: string, nodes = NODES) => plan(parseManifests('w.yaml', text).objects.filter(isWorkload), nodes)
const names = (text: string): string[] => planned(text).pods.map(({ pod }) => pod.name)

t.test('every kind of workload becomes as many pods as its controller would make', async (t) => {
  const rows: readonly [name: string, text: string, count: number][] = [
    ['a Deployment without replicas', workload('Deployment', ''), 1],
    ['a Deployment', workload('Deployment', 'replicas: 4'), 4],
    ['one scaled to nothing', workload('Deployment', 'replicas: 0'), 0],
    ['a ReplicaSet', workload('ReplicaSet', 'replicas: 2'), 2],
    ['a StatefulSet', workload('StatefulSet', 'replicas: 2'), 2],
    ['a DaemonSet', workload('DaemonSet', ''), 3],
    ['a Job', workload('Job', '', { apiVersion: 'batch/v1' }), 1],
    ['a parallel Job', workload('Job', 'parallelism: 3', { apiVersion: 'batch/v1' }), 3],
    [
      'a parallel Job with less to do',
      workload('Job', 'parallelism: 3, completions: 2', { apiVersion: 'batch/v1' }),
      2,
    ],
    ['a ReplicationController', workload('ReplicationController', 'replicas: 2', { apiVersion: 'v1' }), 2],
    ['a Pod', 'apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [] }\n', 1],
    ['a CronJob', workload('CronJob', '', { apiVersion: 'batch/v1' }), 0],
    ["somebody else's Deployment", workload('Deployment', '', { apiVersion: 'example.com/v1' }), 0],
  ]
  for (const [name, text, count] of rows) t.equal(planned(text).pods.length, count, name)
})

t.test('pods have the names and labels that controllers give', async (t) => {
  t.match(names(workload('Deployment', 'replicas: 2')), [
    /^web-[a-z0-9]{10}-[a-z0-9]{5}$/,
    /^web-[a-z0-9]{10}-[a-z0-9]{5}$/,
  ])
  t.same(names(workload('StatefulSet', 'replicas: 2, ordinals: { start: 5 }')), ['web-5', 'web-6'])
  t.match(names(workload('DaemonSet', '')), [/^web-[a-z0-9]{5}$/])
  const [pod] = planned(workload('StatefulSet', '')).pods
  t.same(pod?.pod.labels, {
    app: 'a',
    'statefulset.kubernetes.io/pod-name': 'web-0',
    'apps.kubernetes.io/pod-index': '0',
  })
  t.same(
    names(workload('Deployment', 'replicas: 3')),
    names(workload('Deployment', 'replicas: 3')),
    'the same in every run',
  )
})

t.test('replicas of one workload land on different nodes, and all nodes get their share', async (t) => {
  const text = ['a', 'b', 'c'].map((name) => workload('Deployment', 'replicas: 2', { name })).join('---\n')
  const { pods } = planned(text)
  for (const name of ['a', 'b', 'c'])
    t.equal(new Set(pods.filter(({ workload }) => workload === `Deployment/${name}`).map(({ node }) => node)).size, 2)
  for (const node of NODES) t.equal(pods.filter((pod) => pod.node === node).length, 2, node)
  t.equal(pods[0]?.pod.nodeName, pods[0]?.node, 'the object says so too')
})

t.test('a DaemonSet has one pod on each node', async (t) => {
  t.same(
    planned(workload('DaemonSet', '')).pods.map(({ node }) => node),
    NODES,
  )
})

t.test('a pod that names its node goes there; unknown nodes stand for those of the demo', async (t) => {
  const pod = (name: string, node: string): string =>
    `apiVersion: v1\nkind: Pod\nmetadata: { name: ${name} }\nspec: { nodeName: ${node} }\n`
  const { pods, notes } = planned(
    [pod('a', 'node-3'), pod('b', 'big'), pod('c', 'small'), pod('d', 'big')].join('---\n'),
  )
  t.same(
    pods.map(({ node }) => node),
    ['node-3', 'node-1', 'node-2', 'node-1'],
  )
  t.same(notes, ['node big of the manifests is node-1 here', 'node small of the manifests is node-2 here'])
})

t.test('a dump of a cluster does not run its pods twice', async (t) => {
  const owned = (kind: string, name: string, owner: string, apiVersion = 'apps/v1'): string =>
    `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name}, ownerReferences: [{ apiVersion: apps/v1, kind: ${owner}, name: web, uid: x }] }\nspec: { ${TEMPLATE} }\n`
  const text = [
    workload('Deployment', 'replicas: 2'),
    owned('ReplicaSet', 'web', 'Deployment'),
    owned('Pod', 'p', 'ReplicaSet', 'v1'),
  ]
  t.same(
    planned(text.join('---\n')).pods.map(({ workload }) => workload),
    ['Deployment/web', 'Deployment/web'],
  )
  t.equal(planned(text[2]!).pods.length, 1, 'a pod whose owner is not there runs')
})

t.test('errors name file, line and field', async (t) => {
  const rows: readonly [name: string, text: string, message: RegExp][] = [
    [
      'replicas',
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\nspec:\n  replicas: many\n  template: {}\n',
      /^w\.yaml:5: spec\.replicas: /,
    ],
    [
      'no template',
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\nspec:\n  replicas: 1\n',
      /^w\.yaml:\d: spec\.template: is missing$/,
    ],
    [
      'a port of the template',
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\nspec:\n  template:\n    spec:\n      containers:\n      - ports:\n        - containerPort: 99999\n',
      /^w\.yaml:9: spec\.template\.spec\.containers\[0\]\.ports\[0\]\.containerPort: /,
    ],
    [
      'an old version',
      workload('Deployment', '', { apiVersion: 'extensions/v1beta1' }),
      /^w\.yaml:1: apiVersion: "extensions\/v1beta1" is not supported, only apps\/v1$/,
    ],
    ['no name', 'apiVersion: v1\nkind: Pod\nmetadata: {}\nspec: {}\n', /^w\.yaml:3: metadata\.name: is missing$/],
  ]
  for (const [name, text, message] of rows) t.throws(() => planned(text), { message }, name)
})

t.test('more pods than a node has addresses for is an error that says what to do', async (t) => {
  const { objects } = parseManifests('w.yaml', workload('Deployment', 'replicas: 254'))
  const { pods } = plan(objects, ['node-1'])
  t.throws(() => checkSizes(pods, ['node-1'], objects[0]!), {
    message: /254 pods are asked for, and node-1 has room for 253.*--nodes/,
  })
  t.doesNotThrow(() => checkSizes(plan(objects, NODES).pods, NODES, objects[0]!))
})
