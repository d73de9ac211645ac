import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { NetloomError } from '../../src/base/errors.js'
import { IPV4 } from '../../src/base/family.js'
import { bigIntToIp, ipToBigInt } from '../../src/base/ip.js'
import { ignoreAbsence, type KubeInput, type KubeObject, settled } from './cluster-client.js'
import { type ControlPlane } from './control-plane.js'

/**
 * Fills an API server with the objects of a large cluster, as size and fields of real ones are, so that reading them
 * costs what it costs in one. Everything follows from its number: whoever knows the number knows name and address.
 */
export interface Load {
  readonly services: number
  readonly endpointsPerService: number
  readonly pods: number
  /** Nodes that the pods are spread over; at least one. */
  readonly nodes: number
}

export interface Filling {
  /** Told now and then: objects that are written, of how many. */
  readonly progress?: (written: number, total: number) => void
  /** Ends it between two writes. */
  readonly signal?: AbortSignal
}

export const LOAD_NAMESPACE = 'load'

/** Bits of a node's network: of 10.128.0.0/9 there are 2048 of them. */
const NODE_BITS = 12n
const FIRST_POD = ipToBigInt('10.128.0.0')
/** The tests' Service network is a /16; the first addresses are for others. */
const FIRST_SERVICE = ipToBigInt('10.96.16.0')
const FIRST_NODE = ipToBigInt('172.29.0.1')
/** Of a node's network the gateway has the first address. */
const FIRST_HOST = 2n

const ipv4 = (value: bigint): string => bigIntToIp(IPV4, value)

export const nodeName = (i: number): string => `load-node-${i}`
export const podName = (i: number): string => `load-pod-${i}-5d8f7c9b4-x2k8q`
export const serviceName = (i: number): string => `load-service-${i}`
export const sliceName = (i: number): string => `${serviceName(i)}-k7x2p`
export const serviceAddress = (i: number): string => ipv4(FIRST_SERVICE + BigInt(i))
export const nodeAddress = (i: number): string => ipv4(FIRST_NODE + BigInt(i))
const nodeCidr = (i: number): string => `${ipv4(FIRST_POD + (BigInt(i) << NODE_BITS))}/${32 - Number(NODE_BITS)}`

/** Pod I is on node I modulo their number. */
export function podAddress(i: number, { nodes }: Pick<Load, 'nodes'>): string {
  const network = FIRST_POD + (BigInt(i % nodes) << NODE_BITS)
  return ipv4(network + FIRST_HOST + BigInt(Math.floor(i / nodes)))
}

/** The pod behind endpoint J of Service I: all pods get their turn. */
const podOf = (i: number, j: number, { endpointsPerService, pods }: Load): number =>
  (i * endpointsPerService + j) % Math.max(pods, endpointsPerService)

/** One kind of object: where etcd has them, how many, and each as a client would write it. */
interface Row {
  readonly key: string
  readonly count: number
  readonly make: (i: number) => KubeInput
}

const rowsOf = (load: Load): readonly Row[] => [
  { key: 'minions', count: load.nodes, make: loadNode },
  // What the server keeps of each address of a Service. Before the Services, or it would repair what is missing.
  { key: 'ipaddresses', count: load.services, make: loadServiceAddress },
  { key: `services/specs/${LOAD_NAMESPACE}`, count: load.services, make: loadService },
  { key: `endpointslices/${LOAD_NAMESPACE}`, count: load.services, make: (i) => loadSlice(i, load) },
  { key: `pods/${LOAD_NAMESPACE}`, count: load.pods, make: (i) => loadPod(i, load) },
]

/**
 * Writes everything, and waits until the API server has seen it.
 *
 * The first of each kind is written through the API. The others are made like it, with all that the server gave it
 * (defaults, managed fields), and go into etcd a hundred at a time, so that what is read is what a cluster would have
 * had, in seconds. Through the API 10,000 Services with 10 endpoints each and 10,000 pods took 90 s on two busy cores,
 * nearly half of it since a server of 1.36 counts all addresses that are taken for each new Service.
 */
export async function fill(plane: ControlPlane, load: Load, { progress, signal }: Filling = {}): Promise<void> {
  signal?.throwIfAborted()
  await plane.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: LOAD_NAMESPACE } })
  const rows = rowsOf(load).filter(({ count }) => count > 0)
  const models = await Promise.all(rows.map(({ make }) => modelOf(plane, make(0))))
  const total = rows.reduce((sum, { count }) => sum + count, 0)
  let written = rows.length
  const etcd = new Etcd(plane.etcdSocket)
  try {
    for (const pairs of batches(rows, models)) {
      signal?.throwIfAborted()
      await etcd.put(pairs)
      written += pairs.length
      progress?.(written, total)
    }
  } finally {
    etcd.close()
  }
  await Promise.all(rows.map(({ count, make }) => seen(plane, make(count - 1))))
}

type Pair = readonly [key: string, value: unknown]

/** All but the first of each kind, in their order. */
function* batches(rows: readonly Row[], models: readonly KubeObject[]): Generator<readonly Pair[]> {
  for (const [r, { key, count, make }] of rows.entries())
    for (let from = 1; from < count; from += BATCH) {
      const objects = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => make(from + i))
      const model = models[r] as KubeObject
      yield objects.map((object) => [`/registry/${key}/${object.metadata.name}`, alike(model, object)])
    }
}

/** A hundred Pods with what the server adds to them are less than etcd takes at once, which is 1.5 MB. */
const BATCH = 100

/** An object of a kind as the server keeps it. Whose address a Service has, it has noted by itself. */
async function modelOf(plane: ControlPlane, object: KubeInput): Promise<KubeObject> {
  if (object.kind !== 'IPAddress') return plane.create(object)
  return settled(
    () => plane.admin.find(object),
    (found) => found !== undefined,
  ) as Promise<KubeObject>
}

/** What a client wrote, and of the model what the server added to it; but the version, which is etcd's. */
const alike = (model: KubeObject, object: KubeInput): unknown =>
  over({ ...model, metadata: { ...model.metadata, resourceVersion: undefined, uid: randomUUID() } }, object)

/** One value laid over another, field by field; of lists item by item. */
function over(under: unknown, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item, i) => over((under as unknown[] | undefined)?.[i], item))
  if (typeof value !== 'object' || value === null) return value
  const fields = { ...(under as Record<string, unknown> | undefined) }
  for (const [name, field] of Object.entries(value)) fields[name] = over(fields[name], field)
  return fields
}

/** Waits until the server's own copy has an object, and so all that were written before it. */
async function seen(plane: ControlPlane, object: KubeInput): Promise<void> {
  const request = { method: 'GET', path: await plane.admin.path(object), query: { resourceVersion: '0' } } as const
  await settled(
    () => plane.admin.call(request).catch(ignoreAbsence),
    (found) => found !== undefined,
  )
}

/** etcd's own API in JSON, on its socket. */
class Etcd {
  readonly #agent = new Agent({ keepAlive: true })
  readonly #socket: string

  constructor(socket: string) {
    this.#socket = socket
  }

  /** Writes keys with values as JSON, which the API server reads as well as the protobuf that it writes. */
  async put(pairs: readonly Pair[]): Promise<void> {
    const base64 = (text: string): string => Buffer.from(text).toString('base64')
    const success = pairs.map(([key, value]) => ({
      requestPut: { key: base64(key), value: base64(JSON.stringify(value)) },
    }))
    const body = JSON.stringify({ success })
    const sent = request({ socketPath: this.#socket, agent: this.#agent, method: 'POST', path: '/v3/kv/txn' }).end(body)
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    const text = (await answer.setEncoding('utf8').toArray()).join('')
    if (answer.statusCode !== 200) throw new NetloomError('unavailable', `etcd: ${text}`)
  }

  close(): void {
    this.#agent.destroy()
  }
}

const loadNode = (i: number): KubeInput => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: nodeName(i), labels: { 'kubernetes.io/hostname': nodeName(i), 'kubernetes.io/os': 'linux' } },
  spec: { podCIDR: nodeCidr(i), podCIDRs: [nodeCidr(i)] },
  status: {
    addresses: [
      { type: 'InternalIP', address: nodeAddress(i) },
      { type: 'Hostname', address: nodeName(i) },
    ],
    capacity: { cpu: '16', memory: '65536000Ki', pods: '250' },
    conditions: ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map((type) => condition(type)),
  },
})

const loadService = (i: number): KubeInput => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: serviceName(i), namespace: LOAD_NAMESPACE, labels: labelsOf(i) },
  spec: {
    type: 'ClusterIP',
    clusterIP: serviceAddress(i),
    clusterIPs: [serviceAddress(i)],
    ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }],
  },
})

const loadServiceAddress = (i: number): KubeInput => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IPAddress',
  metadata: { name: serviceAddress(i) },
  spec: { parentRef: { group: '', resource: 'services', namespace: LOAD_NAMESPACE, name: serviceName(i) } },
})

const loadSlice = (i: number, load: Load): KubeInput => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: sliceName(i),
    namespace: LOAD_NAMESPACE,
    labels: {
      ...labelsOf(i),
      'kubernetes.io/service-name': serviceName(i),
      'endpointslice.kubernetes.io/managed-by': 'load.test',
    },
  },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints: Array.from({ length: load.endpointsPerService }, (_, j) => {
    const pod = podOf(i, j, load)
    return {
      addresses: [podAddress(pod, load)],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: nodeName(pod % load.nodes),
      targetRef: { kind: 'Pod', name: podName(pod), namespace: LOAD_NAMESPACE },
    }
  }),
})

const loadPod = (i: number, load: Load): KubeInput => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: podName(i),
    namespace: LOAD_NAMESPACE,
    labels: { ...labelsOf(i), 'pod-template-hash': '5d8f7c9b4' },
    annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '9090' },
  },
  spec: {
    nodeName: nodeName(i % load.nodes),
    tolerations: [{ operator: 'Exists' }],
    volumes: [{ name: 'settings', configMap: { name: 'settings' } }],
    containers: [container('main', 8080), container('metrics', 9090)],
  },
  status: podStatus(podAddress(i, load), nodeAddress(i % load.nodes)),
})

const container = (name: string, port: number): object => ({
  name,
  image: `registry.example/team/${name}:v1.24.3`,
  args: ['--listen', `:${port}`, '--log-level', 'info'],
  env: ['REGION', 'STAGE', 'TEAM', 'TRACING'].map((variable) => ({ name: variable, value: variable.toLowerCase() })),
  ports: [{ name: port === 8080 ? 'http' : name, containerPort: port, protocol: 'TCP' }],
  resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
  readinessProbe: { httpGet: { path: '/ready', port }, periodSeconds: 5 },
  volumeMounts: [{ name: 'settings', mountPath: '/etc/settings', readOnly: true }],
})

const podStatus = (podIP: string, hostIP: string): object => ({
  phase: 'Running',
  conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => condition(type)),
  hostIP,
  hostIPs: [{ ip: hostIP }],
  podIP,
  podIPs: [{ ip: podIP }],
  qosClass: 'Burstable',
  startTime: SINCE,
  containerStatuses: ['main', 'metrics'].map((name) => ({
    name,
    image: `registry.example/team/${name}:v1.24.3`,
    imageID: `registry.example/team/${name}@sha256:${'0123456789abcdef'.repeat(4)}`,
    containerID: `containerd://${'fedcba9876543210'.repeat(4)}`,
    ready: true,
    started: true,
    restartCount: 0,
    state: { running: { startedAt: SINCE } },
  })),
})

const SINCE = '2026-01-01T00:00:00Z'

const condition = (type: string): object => ({
  type,
  status: type.endsWith('Pressure') ? 'False' : 'True',
  lastTransitionTime: SINCE,
})

const labelsOf = (i: number): Record<string, string> => ({
  app: `load-${i}`,
  'app.kubernetes.io/part-of': `team-${i % 50}`,
  'app.kubernetes.io/version': 'v1.24.3',
})
