import { type ApiObject } from './fake-api.js'

/** Paths of the kinds that an API source asks for. */
export const PATHS = {
  nodes: '/api/v1/nodes',
  namespaces: '/api/v1/namespaces',
  pods: '/api/v1/pods',
  services: '/api/v1/services',
  slices: '/apis/discovery.k8s.io/v1/endpointslices',
  policies: '/apis/networking.k8s.io/v1/networkpolicies',
  leases: '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases',
} as const

type Labels = Readonly<Record<string, string>>

/** Objects as the API has them, of few fields. */
export const node = (name: string, zone = 'z1', podCIDRs: string[] = []): ApiObject => ({
  metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } },
  spec: { podCIDRs },
})

export const namespace = (name: string): ApiObject => ({ metadata: { name } })

export const pod = (name: string, nodeName: string, labels: Labels = {}): ApiObject => ({
  metadata: { name, namespace: 'shop', labels },
  spec: { nodeName },
  status: { phase: 'Running' },
})

export const service = (name: string, clusterIP: string, labels: Labels = {}): ApiObject => ({
  metadata: { name, namespace: 'shop', labels },
  spec: { clusterIP, ports: [{ port: 80 }] },
})

export const slice = (service: string, addresses: readonly string[], labels: Labels = {}): ApiObject => ({
  metadata: { name: `${service}-1`, namespace: 'shop', labels: { 'kubernetes.io/service-name': service, ...labels } },
  addressType: 'IPv4',
  ports: [{ port: 8080 }],
  endpoints: addresses.map((address) => ({ addresses: [address] })),
})

export const policy = (name: string): ApiObject => ({
  metadata: { name, namespace: 'shop' },
  spec: { podSelector: {} },
})

export const claim = (subnet: string, holderIdentity: string): ApiObject => ({
  metadata: {
    name: subnet.replace(/[/:]+/g, '-'),
    namespace: 'kube-system',
    labels: { 'app.kubernetes.io/managed-by': 'netloom' },
    annotations: { 'netloom.dev/subnet': subnet },
  },
  spec: { holderIdentity, acquireTime: '2026-01-01T00:00:00.000000Z' },
})
