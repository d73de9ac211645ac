import { availableParallelism } from 'node:os'
import { bigIntToIp, ipToBigInt } from '../../src/base/ip.js'
import { IPV4 } from '../../src/base/family.js'
import { mapBounded } from '../../src/cli/demo/bounded.js'
import { type KubeInput, type KubeObject, type ClusterClient } from './cluster-client.js'

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
  /** Ends it between two objects. */
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

/** Requests at a time: enough that the server never waits for this process, and few enough not to wait in its queue. */
const PARALLEL = 16 * availableParallelism()
/** Objects between two calls of `progress`. */
const STRIDE = 250

/**
 * Writes everything; an object that is there already is an error.
 *
 * 10,000 Services with 10 endpoints each and 10,000 pods take a minute on two cores. A third of that is the API server's
 * own doing: for each new Service of 1.36 it counts all addresses that are taken, so that time grows with the square of
 * their number. Writing into etcd itself would pass by that, and by validation, defaults and managed fields as well:
 * what is read then would not be what is read in a cluster.
 */
export async function fill(client: ClusterClient, load: Load, { progress, signal }: Filling = {}): Promise<void> {
  await client.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: LOAD_NAMESPACE } })
  const total = load.nodes + load.pods + 2 * load.services
  let written = 0
  const rows: readonly { path: string; count: number; make: (i: number) => KubeInput }[] = [
    { path: '/api/v1/nodes', count: load.nodes, make: loadNode },
    { path: `/api/v1/namespaces/${LOAD_NAMESPACE}/services`, count: load.services, make: loadService },
    {
      path: `/apis/discovery.k8s.io/v1/namespaces/${LOAD_NAMESPACE}/endpointslices`,
      count: load.services,
      make: (i) => loadSlice(i, load),
    },
    { path: `/api/v1/namespaces/${LOAD_NAMESPACE}/pods`, count: load.pods, make: (i) => loadPod(i, load) },
  ]
  for (const { path, count, make } of rows)
    await mapBounded(Array.from({ length: count }), PARALLEL, async (_, i) => {
      signal?.throwIfAborted()
      await write(client, path, make(i))
      if (++written % STRIDE === 0 || written === total) progress?.(written, total)
    })
}

/** The server takes a status only by itself, and with the version that it is of it need not look for a conflict. */
async function write(client: ClusterClient, path: string, object: KubeInput): Promise<void> {
  const created = (await client.call({ method: 'POST', path, body: object })) as KubeObject
  if (object['status'] === undefined || object.kind === 'Service') return
  const body = { ...created, status: object['status'] }
  await client.call({ method: 'PUT', path: `${path}/${object.metadata.name}/status`, body })
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
    ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }],
  },
})

const loadSlice = (i: number, load: Load): KubeInput => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: `${serviceName(i)}-k7x2p`,
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
