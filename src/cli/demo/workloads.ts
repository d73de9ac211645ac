import { NetloomError } from '../../base/errors.js'
import { type Cursor } from '../../model/cursor.js'
import { keyOf } from '../../model/meta.js'
import { readDnsSubdomain } from '../../model/name.js'
import { type Pod, readPod } from '../../model/pod.js'
import { generatedName, suffix } from './identity.js'
import { type Manifest, manifestError, reading } from './manifests.js'

/** From workloads to pods on nodes: what controllers and the scheduler would do, without time and chance. */

/** A pod that is to run. */
export interface PodPlan {
  /** As of its object, without status. */
  readonly pod: Pod
  readonly node: string
  /** `Deployment/web`. */
  readonly workload: string
  /** The object without status. */
  readonly value: Readonly<Record<string, unknown>>
}

/** How a kind of workload becomes pods. */
interface WorkloadKind {
  readonly apiVersion: string
  /** Groups that have, or had, the kind: other versions are refused, not overlooked. */
  readonly groups: readonly string[]
  readonly template: (spec: Cursor) => Cursor
  /** How many pods; `each node` is one for every node. */
  readonly count: (spec: Cursor) => number | 'each node'
  /** Name and labels of its own for the pod at a position. */
  readonly pod: (workload: Named, position: number) => { name: string; labels: Record<string, string> }
}

interface Named {
  readonly namespace: string
  readonly name: string
  readonly spec: Cursor
}

const MOST_REPLICAS = 10_000

const replicas = (spec: Cursor, field = 'replicas'): number =>
  spec.field(field).optional((place) => place.integer(0, MOST_REPLICAS)) ?? 1

const identityOf = ({ namespace, name }: Named, position: number): string => `${namespace}/${name}/${position}`

const random = (workload: Named, position: number): { name: string; labels: Record<string, string> } => ({
  name: generatedName(workload.name, suffix(identityOf(workload, position), 5)),
  labels: {},
})

const templateOf = (spec: Cursor): Cursor => spec.field('template')

const APPS = { apiVersion: 'apps/v1', groups: ['apps', 'extensions'], template: templateOf }
const CORE = { apiVersion: 'v1', groups: [''] }

/** Kinds of workloads. CronJobs make Jobs at times of their own, so nothing of them runs here. */
const WORKLOADS: Readonly<Record<string, WorkloadKind>> = {
  Deployment: {
    ...APPS,
    count: replicas,
    pod: (workload, position) => {
      const hash = suffix(JSON.stringify(workload.spec.field('template').value), 10)
      const end = `${hash}-${suffix(identityOf(workload, position), 5)}`
      return { name: generatedName(workload.name, end), labels: { 'pod-template-hash': hash } }
    },
  },
  ReplicaSet: { ...APPS, count: replicas, pod: random },
  StatefulSet: {
    ...APPS,
    count: replicas,
    pod: ({ name, spec }, position) => {
      const first =
        spec
          .field('ordinals')
          .field('start')
          .optional((place) => place.integer(0, MOST_REPLICAS)) ?? 0
      const pod = generatedName(name, String(first + position))
      const labels = {
        'statefulset.kubernetes.io/pod-name': pod,
        'apps.kubernetes.io/pod-index': String(first + position),
      }
      return { name: pod, labels }
    },
  },
  DaemonSet: { ...APPS, count: () => 'each node', pod: random },
  Job: {
    apiVersion: 'batch/v1',
    groups: ['batch'],
    template: templateOf,
    count: (spec) => Math.min(replicas(spec, 'parallelism'), jobCompletions(spec)),
    pod: (job, position) => ({
      ...random(job, position),
      labels: { 'batch.kubernetes.io/job-name': job.name, 'job-name': job.name },
    }),
  },
  ReplicationController: { ...CORE, template: templateOf, count: replicas, pod: random },
  Pod: { ...CORE, template: (spec) => spec, count: () => 1, pod: ({ name }) => ({ name, labels: {} }) },
}

const jobCompletions = (spec: Cursor): number =>
  spec.field('completions').optional((place) => place.integer(0, MOST_REPLICAS)) ?? MOST_REPLICAS

/**
 * True for the manifests that become pods.
 * @throws NetloomError for a version of a workload's kind that is not supported.
 */
export function isWorkload(manifest: Manifest): boolean {
  const kind = Object.hasOwn(WORKLOADS, manifest.kind) ? WORKLOADS[manifest.kind] : undefined
  if (kind === undefined) return false
  const { apiVersion } = manifest
  if (apiVersion === kind.apiVersion) return true
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  if (!kind.groups.includes(group)) return false
  return reading(manifest, (object) => {
    throw object.field('apiVersion').error(`"${apiVersion}" is not supported, only ${kind.apiVersion}`)
  })
}

export interface Plan {
  readonly pods: readonly PodPlan[]
  readonly notes: readonly string[]
}

/**
 * The pods of workloads, spread over the nodes in turn, so that replicas of one workload land on different nodes.
 * A pod that names its node goes there; names of nodes that the demo does not have stand for its own in turn.
 * @param workloads manifests for which {@link isWorkload} holds
 * @throws NetloomError naming file, line and field
 */
export function plan(workloads: readonly Manifest[], nodes: readonly string[]): Plan {
  const placement = new Placement(nodes)
  const owned = new Set(workloads.map(ownKey))
  const own = workloads.filter((manifest) => !owners(manifest).some((owner) => owned.has(owner)))
  const pods = own.flatMap((manifest) => podsOf(manifest, nodes, placement))
  const seen = new Map<string, PodPlan>()
  for (const pod of pods) {
    const twin = seen.get(keyOf(pod.pod))
    if (twin !== undefined)
      throw new NetloomError('invalid', `${twin.workload} and ${pod.workload} both make the Pod ${keyOf(pod.pod)}`)
    seen.set(keyOf(pod.pod), pod)
  }
  return { pods, notes: placement.notes() }
}

/** Which node a pod goes to. */
class Placement {
  readonly #nodes: readonly string[]
  readonly #strangers = new Map<string, string>()
  #turn = 0

  constructor(nodes: readonly string[]) {
    this.#nodes = nodes
  }

  next(wanted: string | undefined): string {
    if (wanted === undefined) return this.#at(this.#turn++)
    if (this.#nodes.includes(wanted)) return wanted
    const known = this.#strangers.get(wanted)
    if (known !== undefined) return known
    const node = this.#at(this.#strangers.size)
    this.#strangers.set(wanted, node)
    return node
  }

  #at(turn: number): string {
    return this.#nodes[turn % this.#nodes.length] ?? ''
  }

  notes(): string[] {
    return [...this.#strangers].map(([name, node]) => `node ${name} of the manifests is ${node} here`)
  }
}

const keyOfWorkload = (kind: string, namespace: string, name: string): string => `${kind} ${namespace}/${name}`

function nameOf(manifest: Manifest): { namespace: string; name: string } {
  return reading(manifest, (object) => {
    const metadata = object.field('metadata')
    const namespace = metadata.field('namespace').optional((place) => place.string()) ?? 'default'
    const generate = metadata.field('generateName')
    if (!metadata.field('name').absent || generate.absent)
      return { namespace, name: readDnsSubdomain(metadata.field('name')) }
    const base = generate.string()
    return { namespace, name: generatedName(base.replace(/-$/, ''), suffix(JSON.stringify(manifest.value), 5)) }
  })
}

function ownKey(manifest: Manifest): string {
  const { namespace, name } = nameOf(manifest)
  return keyOfWorkload(manifest.kind, namespace, name)
}

/** Those whose pods these are, in a dump of a cluster: they make them again. */
const owners = (manifest: Manifest): readonly string[] =>
  reading(manifest, (object) =>
    object
      .field('metadata')
      .field('ownerReferences')
      .list((owner) =>
        keyOfWorkload(owner.field('kind').string(), nameOf(manifest).namespace, owner.field('name').string()),
      ),
  )

function podsOf(manifest: Manifest, nodes: readonly string[], placement: Placement): PodPlan[] {
  const kind = WORKLOADS[manifest.kind]
  if (kind === undefined) throw new NetloomError('internal', `${manifest.kind} is no workload`)
  return reading(manifest, (object) => {
    const named = { ...nameOf(manifest), spec: object.field('spec') }
    const template = manifest.kind === 'Pod' ? object : kind.template(named.spec)
    if (template.absent) throw template.error('is missing')
    const count = kind.count(named.spec)
    return Array.from({ length: count === 'each node' ? nodes.length : count }, (_, i): PodPlan => {
      const own = count === 'each node' ? nodes[i] : undefined
      return podPlan(
        { manifest, template, own: kind.pod(named, i), namespace: named.namespace },
        (pod) => own ?? placement.next(pod.nodeName),
      )
    })
  })
}

interface Making {
  readonly manifest: Manifest
  readonly template: Cursor
  readonly namespace: string
  readonly own: { readonly name: string; readonly labels: Record<string, string> }
}

function podPlan({ manifest, template, namespace, own }: Making, place: (pod: Pod) => string): PodPlan {
  const metadata = { ...(template.field('metadata').value as Record<string, unknown> | undefined) }
  const labels = { ...(metadata['labels'] as Record<string, unknown> | undefined), ...own.labels }
  const whole = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, namespace, name: own.name, labels },
    spec: template.field('spec').value ?? {},
  }
  const draft = readPod(template.with(whole))
  const node = place(draft)
  const value = { ...whole, spec: { ...(whole.spec as Record<string, unknown>), nodeName: node } }
  return { pod: readPod(template.with(value)), node, workload: `${manifest.kind}/${nameOf(manifest).name}`, value }
}

/** The most pods that one node's network has addresses for: a /24 less its network, gateway and broadcast. */
export const MOST_PODS_OF_NODE = 253

/** @throws NetloomError where a node has too many pods. */
export function checkSizes(
  pods: readonly PodPlan[],
  nodes: readonly string[],
  where: Pick<Manifest, 'file' | 'line'>,
): void {
  for (const node of nodes) {
    const count = pods.filter((pod) => pod.node === node && !pod.pod.hostNetwork).length
    if (count > MOST_PODS_OF_NODE) {
      const problem = `${pods.length} pods are asked for, and ${node} has room for ${MOST_PODS_OF_NODE}: give it more nodes (--nodes) or fewer replicas`
      throw manifestError(where, new NetloomError('invalid', problem))
    }
  }
}
