import t from 'tap'
import {
  DEFAULT_CNI_BIN_DIR,
  DEFAULT_CNI_CONF_DIR,
  DEFAULT_SOCKET,
  DEFAULT_STATE_DIR,
  HOST_SYSCTLS,
} from '../../../src/base/names.js'
import { effectiveSettings, fileSettings } from '../../../src/daemon/effective-settings.js'
import { nameOf, SETTINGS } from '../../../src/daemon/settings.js'
import { VERSION } from '../../../src/daemon/version.js'
import { NAMESPACE_DIR } from '../../../src/kernel/netns.js'
import { agentPod, MANIFEST, manifestObject, type PolicyRule } from '../../support/manifest.js'

/** What is applied to a cluster is what the agent needs, and no more. */

/** Every permission that the agent uses: what it asks the API server, by verb. */
const READ = ['get', 'list', 'watch']
const USED: Readonly<Record<'ClusterRole' | 'Role', Readonly<Record<string, readonly string[]>>>> = {
  ClusterRole: {
    nodes: [...READ, 'patch'],
    'nodes/status': ['patch'],
    namespaces: READ,
    pods: READ,
    services: READ,
    'events.events.k8s.io': ['create', 'patch'],
    'endpointslices.discovery.k8s.io': READ,
    'networkpolicies.networking.k8s.io': READ,
  },
  Role: { 'leases.coordination.k8s.io': [...READ, 'create', 'patch', 'delete'] },
}

/** Rules as verbs of each resource. */
function granted(rules: readonly PolicyRule[]): Record<string, string[]> {
  const verbs: Record<string, string[]> = {}
  for (const { apiGroups, resources, verbs: given } of rules)
    for (const group of apiGroups)
      for (const resource of resources) (verbs[group === '' ? resource : `${resource}.${group}`] ??= []).push(...given)
  return verbs
}

for (const kind of ['ClusterRole', 'Role'] as const)
  t.test(`the ${kind} allows what the agent does, and nothing else`, async (t) => {
    t.strictSame(granted(manifestObject(kind).rules ?? []), USED[kind])
    const binding = manifestObject(`${kind}Binding`)
    t.match(binding.roleRef, { kind, name: 'netloom' })
    t.strictSame(binding.subjects, [{ kind: 'ServiceAccount', name: 'netloom', namespace: 'netloom' }])
  })

t.test('all of it is labelled, and in a namespace of its own', async (t) => {
  const clusterWide = ['Namespace', 'ClusterRole', 'ClusterRoleBinding']
  for (const { kind, metadata } of MANIFEST) {
    t.match(metadata, { name: 'netloom', labels: { 'app.kubernetes.io/name': 'netloom' } }, kind)
    t.equal(metadata.namespace, clusterWide.includes(kind) ? undefined : 'netloom', kind)
  }
})

const SURROUNDINGS = { env: { KUBERNETES_SERVICE_HOST: '10.96.0.1' }, hostname: 'host-1', namespace: 'netloom' }

t.test('the agent understands its configuration, what stands in comments as well', async (t) => {
  const text = manifestObject('ConfigMap').data?.['config.yaml'] ?? ''
  const { settings, given } = effectiveSettings(SURROUNDINGS, fileSettings(text, 'config.yaml'))
  t.same([...given.keys()], ['cniBinDir', 'cniConfDir'])
  t.match(settings, { cniBinDir: DEFAULT_CNI_BIN_DIR, cniConfDir: DEFAULT_CNI_CONF_DIR, claimNamespace: 'netloom' })
  const comments = [...text.matchAll(/^# ([a-z0-9-]+): (.*)$/gm)]
  t.ok(comments.length > 10)
  const examples = ['node-interface', 'node-cidr', 'masquerade-except', 'cluster-networks']
  for (const [, name = '', value] of comments) {
    const [key] = fileSettings(`${name}: ${value}`, 'config.yaml').keys()
    const setting = key && SETTINGS[key]
    if (key === undefined || setting === undefined) return t.fail(name)
    const [given] = fileSettings(`${name}: ${value}`, 'config.yaml').values()
    const read = setting.kind.read(given?.texts ?? [], name)
    if (!examples.includes(nameOf(key)))
      t.strictSame(read, setting.fallback({ ...SURROUNDINGS, source: { kind: 'api' } }), `${name} is the default`)
  }
  return undefined
})

t.test('the pod is the first on a node and the last to be evicted, on every node', async (t) => {
  const { pod, container } = agentPod()
  t.match(pod, {
    hostNetwork: true,
    priorityClassName: 'system-node-critical',
    tolerations: [{ operator: 'Exists' }],
    enableServiceLinks: false,
    automountServiceAccountToken: false,
    serviceAccountName: 'netloom',
  })
  t.match(manifestObject('DaemonSet').spec?.updateStrategy, { type: 'RollingUpdate' })
  t.equal(container.image, `netloom:${VERSION}`, 'the image is of this release')
  t.strictSame(container.env.map(({ name }) => name), ['NODE_NAME', 'POD_NAMESPACE']) // prettier-ignore
})

t.test('the pod may do no more than it must', async (t) => {
  const { pod, container } = agentPod()
  const { securityContext } = container
  t.strictSame(securityContext.capabilities, { drop: ['ALL'], add: ['NET_ADMIN', 'SYS_ADMIN'] })
  t.match(securityContext, { readOnlyRootFilesystem: true, seccompProfile: { type: 'RuntimeDefault' } })
  for (const key of ['privileged', 'procMount']) t.notOk(key in securityContext, key)
  for (const key of ['hostPID', 'hostIPC']) t.notOk(key in pod, key)
})

t.test('probes ask where the agent answers', async (t) => {
  const { container } = agentPod()
  const answers = SETTINGS.healthAddress.fallback({ ...SURROUNDINGS, source: undefined })
  for (const [probe, path] of [
    ['startupProbe', '/livez'],
    ['livenessProbe', '/livez'],
    ['readinessProbe', '/readyz'],
  ] as const)
    t.strictSame(container[probe]?.httpGet, { ...(answers as object), path }, probe)
})

t.test('what the agent writes and reads of the node is mounted where it is on the node', async (t) => {
  const { pod, container } = agentPod()
  const mounts = new Map(
    pod.volumes.flatMap(({ name, hostPath }) => {
      const mount = container.volumeMounts.find((candidate) => candidate.name === name)
      return hostPath === undefined ? [] : [[mount?.mountPath, hostPath.path] as const]
    }),
  )
  t.strictSame(new Set(mounts.keys()), new Set(['/run/netloom', NAMESPACE_DIR, DEFAULT_CNI_BIN_DIR, DEFAULT_CNI_CONF_DIR, `${HOST_SYSCTLS}/net`])) // prettier-ignore
  for (const [inside, outside] of mounts) t.equal(outside, inside?.replace('/host', ''))
  for (const path of [DEFAULT_SOCKET, DEFAULT_STATE_DIR]) t.ok(path.startsWith('/run/netloom/'), path)
  t.equal(
    container.volumeMounts.find(({ mountPath }) => mountPath === NAMESPACE_DIR)?.mountPropagation,
    'HostToContainer',
  )
  for (const { name } of pod.volumes) t.ok(container.volumeMounts.some((mount) => mount.name === name), name) // prettier-ignore
})
