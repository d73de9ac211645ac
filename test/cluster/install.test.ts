import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../support/cni-exec.js'
import { ControlPlane, withoutControlPlane } from '../support/control-plane.js'
import { type KubeInput, settled } from '../support/cluster-client.js'
import { agentPod, MANIFEST, manifestObject, type ManifestObject } from '../support/manifest.js'

/** A real API server takes cni-conf/netloom.yaml, and lets agents do what they must and nothing beside it. */

const input = (object: ManifestObject): KubeInput => object as unknown as KubeInput

interface Attributes {
  readonly verb: string
  readonly resource: string
  readonly group?: string
  readonly namespace?: string
  readonly subresource?: string
}

/** What agents are let do, and what they are not, though it is close to it. */
const ALLOWED: readonly Attributes[] = [
  { verb: 'watch', resource: 'nodes' },
  { verb: 'list', resource: 'pods' },
  { verb: 'list', resource: 'endpointslices', group: 'discovery.k8s.io' },
  { verb: 'watch', resource: 'networkpolicies', group: 'networking.k8s.io' },
  { verb: 'patch', resource: 'nodes' },
  { verb: 'patch', resource: 'nodes', subresource: 'status' },
  { verb: 'create', resource: 'events', namespace: 'default' },
  { verb: 'delete', resource: 'leases', group: 'coordination.k8s.io', namespace: 'netloom' },
]
const REFUSED: readonly Attributes[] = [
  { verb: 'list', resource: 'secrets' },
  { verb: 'get', resource: 'configmaps', namespace: 'netloom' },
  { verb: 'delete', resource: 'nodes' },
  { verb: 'update', resource: 'nodes' },
  { verb: 'patch', resource: 'pods', namespace: 'default' },
  { verb: 'create', resource: 'pods', namespace: 'netloom' },
  { verb: 'update', resource: 'leases', group: 'coordination.k8s.io', namespace: 'kube-system' },
  { verb: 'update', resource: 'leases', group: 'coordination.k8s.io', namespace: 'kube-node-lease' },
]

t.test('an API server', { skip: withoutControlPlane() }, async (t) => {
  const plane = await ControlPlane.start()
  t.teardown(() => plane.stop())

  t.test('finds nothing wrong with any object, and no field that it does not know', async (t) => {
    const [namespace, ...others] = MANIFEST
    if (namespace?.kind !== 'Namespace') return t.fail('the namespace is not the first')
    const query = { fieldManager: 'netloom-test', dryRun: 'All', fieldValidation: 'Strict', force: true }
    const dryRun = async (object: ManifestObject) =>
      plane.admin.call({
        method: 'PATCH',
        patch: 'apply',
        path: await plane.admin.path(input(object)),
        query,
        body: object,
      })
    t.match(await dryRun(namespace), { kind: 'Namespace' })
    await plane.apply(input(namespace)) // the others are within
    for (const object of others) t.match(await dryRun(object), { kind: object.kind })
    const misspelt = { ...input(namespace), sepc: {} }
    await t.rejects(
      plane.admin.call({
        method: 'PATCH',
        patch: 'apply',
        path: await plane.admin.path(misspelt),
        query,
        body: misspelt,
      }),
      { message: /\.sepc: field not declared/ },
      'it would have found it',
    )
    return plane.apply(...MANIFEST.map(input))
  })

  t.test('takes the patch by which it is removed', async (t) => {
    const readme = readFileSync(join(ROOT, 'cni-conf/README.md'), 'utf8')
    const patch = JSON.parse(/--type json --patch '([^']+)'/.exec(readme)?.[1] ?? '') as unknown
    const path = await plane.admin.path(input(manifestObject('DaemonSet')))
    const patched = await plane.admin.call({
      method: 'PATCH',
      patch: 'json',
      path,
      query: { dryRun: 'All' },
      body: patch,
    })
    t.match(patched, { spec: { template: { spec: { containers: [{ args: ['uninstall'] }] } } } })
  })

  t.test('lets agents do what they must, and nothing beside it', async (t) => {
    const review = async (resourceAttributes: Attributes): Promise<boolean> => {
      const body = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user: 'system:serviceaccount:netloom:netloom', resourceAttributes },
      }
      const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews'
      const { status } = (await plane.admin.call({ method: 'POST', path, body })) as { status: { allowed: boolean } }
      return status.allowed
    }
    for (const attributes of ALLOWED) t.equal(await review(attributes), true, JSON.stringify(attributes))
    for (const attributes of REFUSED) t.equal(await review(attributes), false, JSON.stringify(attributes))
  })

  t.test('has a pod for a node that nothing else may come to yet, admitted with all that it asks for', async (t) => {
    const taints = [{ key: 'node.kubernetes.io/network-unavailable', effect: 'NoSchedule' }]
    const labels = { 'kubernetes.io/os': 'linux' }
    await plane.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1', labels }, spec: { taints } })
    const list = () => plane.admin.list('v1', 'Pod', 'netloom')
    const [pod] = await settled(list, (pods) => pods.length > 0)
    t.match(pod, {
      spec: {
        priority: 2_000_001_000,
        hostNetwork: true,
        containers: [{ image: agentPod().container.image, securityContext: { capabilities: { drop: ['ALL'] } } }],
      },
    })
  })
})
