import { type Endpoints, readEndpoints } from '../../model/endpoints.js'
import { type EndpointSlice, readEndpointSlice } from '../../model/endpointslice.js'
import { Cursor } from '../../model/cursor.js'
import { keyOf } from '../../model/meta.js'
import { KINDS, type KubeObject, parseObject } from '../../model/object.js'
import { type AllocatedService, allocateServices } from './allocate.js'
import { type Manifest, manifestError, type Manifests } from './manifests.js'
import { type KubeValue } from './state.js'
import { type Cluster, listeners, type Listener, type Target, targets } from './targets.js'
import { checkSizes, isWorkload, plan, type PodPlan } from './workloads.js'

/** What the manifests ask for, on the demo's nodes: the pure part of the demo, before anything is touched. */
export interface Scene {
  readonly pods: readonly PodPlan[]
  readonly services: readonly AllocatedService[]
  /** Other objects that the agents read, as they stand in the manifests, and Namespaces that none of them defines. */
  readonly others: readonly KubeValue[]
  readonly targets: readonly Target[]
  /** What each pod listens on, by its key. */
  readonly listeners: ReadonlyMap<string, readonly Listener[]>
  readonly notes: readonly string[]
}

/** @throws NetloomError naming file, line and field of what is wrong in the manifests */
export function planScene(manifests: Manifests, nodes: readonly string[]): Scene {
  const { counted, repeated } = firstOfEach(manifests.objects)
  const workloads = counted.filter(isWorkload)
  const services = allocateServices(counted.filter((manifest) => manifest.kind === 'Service' && isUsed(manifest)))
  const used = counted.filter((manifest) => !workloads.includes(manifest) && isUsed(manifest))
  const others = used.filter(({ kind }) => kind !== 'Service' && kind !== 'Node')
  const { pods, notes: placementNotes } = plan(workloads, nodes)
  const [first] = workloads
  if (first !== undefined) checkSizes(pods, nodes, first)
  const cluster: Cluster = {
    services: services.map(({ service }) => service),
    pods: pods.map(({ pod }) => pod),
    slices: others.filter(({ kind }) => kind === 'EndpointSlice').flatMap(readSlice),
    endpoints: others
      .filter(({ kind }) => kind === 'Endpoints')
      .map(({ value }): Endpoints => readEndpoints(new Cursor(value))),
  }
  const all = targets(cluster)
  const ports = listeners(cluster, all)
  const values = others.map(({ value }) => value)
  return {
    pods,
    services,
    others: [...values, ...missingNamespaces(values, [...cluster.pods, ...cluster.services])],
    targets: all,
    listeners: ports,
    notes: [
      ...placementNotes,
      ...(repeated === 0 ? [] : [`${objects(repeated)} defined more than once: the first definition counts`]),
      ...aboutKinds(counted, workloads, used, manifests.strangers),
      ...aboutPods(pods, ports),
    ],
  }
}

/** True for the kinds that the agents read. @throws NetloomError for one that is malformed */
function isUsed(manifest: Manifest): boolean {
  if (!(KINDS as readonly string[]).includes(manifest.kind) || manifest.kind === 'Pod') return false
  try {
    const object: KubeObject | undefined = parseObject(manifest.value)
    return object !== undefined
  } catch (error) {
    throw manifestError(manifest, error)
  }
}

function readSlice({ value }: Manifest): EndpointSlice[] {
  const slice = readEndpointSlice(new Cursor(value))
  return slice === undefined ? [] : [slice]
}

function firstOfEach(all: readonly Manifest[]): { counted: Manifest[]; repeated: number } {
  const seen = new Set<string>()
  const counted = all.filter((manifest) => {
    const id = identityText(manifest)
    if (id === undefined) return true
    if (seen.has(id)) return false
    seen.add(id)
    return true
  })
  return { counted, repeated: all.length - counted.length }
}

/** Undefined where the name is missing or to be generated. */
function identityText({ apiVersion, kind, value }: Manifest): string | undefined {
  const metadata = (value['metadata'] ?? {}) as { name?: unknown; namespace?: unknown }
  if (typeof metadata.name !== 'string') return undefined
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  const namespace = typeof metadata.namespace === 'string' ? metadata.namespace : 'default'
  return [group, kind, namespace, metadata.name].join(' ')
}

function missingNamespaces(
  values: readonly KubeValue[],
  members: readonly { readonly namespace: string }[],
): KubeValue[] {
  const defined = new Set(
    values.filter(({ kind }) => kind === 'Namespace').map(({ metadata }) => (metadata as { name: string }).name),
  )
  const wanted = new Set(members.map(({ namespace }) => namespace))
  return [...wanted]
    .filter((name) => !defined.has(name))
    .map((name) => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'kubernetes.io/metadata.name': name } },
    }))
}

/** `1 object is`, `2 objects are`: how a sentence begins that counts. */
const objects = (count: number, one = 'object is', more = 'objects are'): string =>
  `${count} ${count === 1 ? one : more}`

function aboutKinds(
  counted: readonly Manifest[],
  workloads: readonly Manifest[],
  used: readonly Manifest[],
  strangers: number,
): string[] {
  const ignored = new Map<string, number>()
  for (const manifest of counted)
    if (!workloads.includes(manifest) && !used.includes(manifest))
      ignored.set(manifest.kind, (ignored.get(manifest.kind) ?? 0) + 1)
  const kinds = [...ignored].sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, count]) => `${count} ${kind}`)
  const count = (kind: string): number => used.filter((manifest) => manifest.kind === kind).length
  const total = [...ignored.values()].reduce((sum, each) => sum + each, 0)
  return [
    ...(total === 0 ? [] : [`${objects(total)} of no use here: ${kinds.join(', ')}`]),
    ...(strangers === 0
      ? []
      : [
          `${objects(strangers, 'document is no Kubernetes object', 'documents are no Kubernetes objects')} and left out`,
        ]),
    ...(count('Node') === 0
      ? []
      : [`${objects(count('Node'), 'Node is', 'Nodes are')} left out: the demo has nodes of its own`]),
    ...(count('NetworkPolicy') === 0
      ? []
      : [
          `${objects(count('NetworkPolicy'), 'NetworkPolicy is', 'NetworkPolicies are')} known to the agents, which do not enforce them yet`,
        ]),
  ]
}

function aboutPods(pods: readonly PodPlan[], ports: ReadonlyMap<string, readonly Listener[]>): string[] {
  const host = pods.filter(({ pod }) => pod.hostNetwork).length
  const undeclared = new Map<string, Set<string>>()
  for (const { pod, workload } of pods)
    for (const listener of ports.get(keyOf(pod)) ?? [])
      if (listener.undeclared) {
        const text = `${listener.protocol} ${listener.port}`
        undeclared.set(workload, (undeclared.get(workload) ?? new Set<string>()).add(text))
      }
  return [
    ...(host === 0
      ? []
      : [
          `${objects(host, 'pod uses', 'pods use')} the host's network: not attached, it answers in its node's namespace`,
        ]),
    ...[...undeclared].map(
      ([workload, texts]) =>
        `${workload} listens on ${[...texts].join(', ')} for a Service, though no container declares it`,
    ),
  ]
}
