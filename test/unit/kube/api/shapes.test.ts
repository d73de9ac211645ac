import t from 'tap'
import { KINDS, readObjectOf } from '../../../../src/model/object.js'
import { compileShape, prune, type Shape } from '../../../../src/kube/api/prune.js'
import { SHAPES } from '../../../../src/kube/api/shapes.js'

const container = (name: string) => ({
  name,
  image: 'x',
  restartPolicy: 'Always',
  ports: [{ name: 'http', containerPort: 80, protocol: 'TCP', hostPort: 8080, hostIP: '192.0.2.1' }],
})

const metadata = {
  name: 'x',
  namespace: 'shop',
  uid: 'u',
  resourceVersion: '7',
  deletionTimestamp: '2026-01-01T00:00:00Z',
  labels: {
    app: 'web',
    'topology.kubernetes.io/zone': 'z1',
    'kubernetes.io/service-name': 'web',
    'service.kubernetes.io/service-proxy-name': 'other',
  },
  annotations: { 'netloom.dev/node-addresses': '192.0.2.9' },
  managedFields: [{ manager: 'kubectl' }],
}

/** Objects with every field that a reader may look at. */
const FULL: Record<string, object> = {
  Node: {
    metadata: { ...metadata, namespace: undefined },
    spec: { podCIDR: '10.0.0.0/24', podCIDRs: ['10.0.0.0/24', 'fd00::/64'], taints: [{ key: 'x' }] },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }], images: [{ names: ['x'] }] },
  },
  Pod: {
    metadata,
    spec: {
      nodeName: 'n1',
      hostNetwork: true,
      containers: [container('a')],
      initContainers: [container('b')],
      volumes: [{ name: 'x' }],
    },
    status: {
      phase: 'Running',
      podIP: '10.0.0.1',
      podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }],
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: 'x' }],
      containerStatuses: [{ name: 'a' }],
    },
  },
  Service: {
    metadata,
    spec: { clusterIP: '10.96.0.1', selector: { app: 'web' }, ports: [{ name: 'http', port: 80, nodePort: 30000 }] },
    status: { loadBalancer: { ingress: [{ ip: '192.0.2.2', ipMode: 'Proxy' }] } },
  },
  EndpointSlice: {
    metadata,
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 80 }],
    endpoints: [
      {
        addresses: ['10.0.0.1'],
        conditions: { ready: false, serving: true, terminating: true },
        nodeName: 'n1',
        zone: 'z1',
        hints: { forZones: [{ name: 'z1' }], forNodes: [{ name: 'n1' }] },
        targetRef: { kind: 'Pod', name: 'x' },
      },
    ],
  },
}

/** Every path that a reader looks at, whether something is there or not: `spec.containers.ports`. */
function lookedAt(kind: (typeof KINDS)[number], value: object): Set<string> {
  const paths = new Set<string>()
  const watched = (of: unknown, path: string): unknown => {
    if (typeof of !== 'object' || of === null) return of
    const below = (name: string | symbol): string => {
      if (Array.isArray(of) || typeof name === 'symbol') return path
      return path === '' ? name : `${path}/${name}`
    }
    return new Proxy(of, {
      getOwnPropertyDescriptor(target, name) {
        paths.add(below(name))
        return Reflect.getOwnPropertyDescriptor(target, name)
      },
      get: (target, name) => watched(Reflect.get(target, name), below(name)),
    })
  }
  readObjectOf(kind, watched(value, ''))
  return paths
}

function covers(shape: Shape, path: string): boolean {
  let at: Shape | undefined = shape
  for (const name of path.split('/')) {
    if (at === undefined || at === true) break
    at = at[name]
  }
  return at !== undefined
}

t.test('a shape keeps all that the reader of its kind looks at', async (t) => {
  for (const kind of KINDS) {
    const shape = SHAPES[kind]
    if (shape === undefined) continue
    const full = FULL[kind]!
    const missing = [...lookedAt(kind, full)].filter((path) => !covers(shape, path))
    t.same(missing, [], `${kind}: nothing is missing`)
    const bytes = Buffer.from(JSON.stringify(full))
    const cut: unknown = JSON.parse(bytes.subarray(0, prune(bytes, compileShape(shape))).toString())
    t.same(readObjectOf(kind, cut), readObjectOf(kind, JSON.parse(JSON.stringify(full))), `${kind}: reads the same`)
  }
})
