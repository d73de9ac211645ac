import { API_MANAGER, MANAGED_BY_LABEL } from '../../base/names.js'
import { type Kind } from '../../model/object.js'
import { HEADLESS_LABEL, PROXY_NAME_LABEL } from '../../model/proxy-labels.js'

/** Which objects of a kind are asked for. */
export interface Selection {
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

/** A kind as the API server has it, and what of it is wanted. */
export interface Resource extends Selection {
  readonly kind: Kind
  readonly path: string
  /** No cluster is without any: each has its Service `kubernetes`, for one. */
  readonly neverEmpty?: boolean
  /** Key of an object without which no list is believed while it is held. */
  readonly certain?: string
}

/**
 * What kube-proxy asks for (its server.go): no Services that another proxy serves, none that have no address, nor the
 * slices of either. The EndpointSlice controller copies a Service's labels to its slices, and marks the slices of
 * headless Services.
 */
const PROXIED: Selection = {
  labelSelector: `!${PROXY_NAME_LABEL},!${HEADLESS_LABEL}`,
}

export interface ResourcesOptions {
  /** Name of the Node that the agent runs on. */
  readonly node: string
  /** Where claims to subnets are; undefined where the cluster allocates them. */
  readonly claimNamespace: string | undefined
}

/** All that the agent wants to know, a row for each kind. */
export const resourcesOf = ({ node, claimNamespace }: ResourcesOptions): Resource[] => [
  { kind: 'Node', path: '/api/v1/nodes', neverEmpty: true, certain: node },
  { kind: 'Namespace', path: '/api/v1/namespaces', neverEmpty: true },
  { kind: 'NetworkPolicy', path: '/apis/networking.k8s.io/v1/networkpolicies' },
  { kind: 'Service', path: '/api/v1/services', neverEmpty: true, ...PROXIED },
  { kind: 'EndpointSlice', path: '/apis/discovery.k8s.io/v1/endpointslices', neverEmpty: true, ...PROXIED },
  { kind: 'Pod', path: '/api/v1/pods', ...podsOf(node, false) },
  ...(claimNamespace === undefined ? [] : [claimsIn(claimNamespace)]),
]

/** Policies speak of the labels of pods on all nodes; without any, only the node's own matter. */
export const podsOf = (node: string, policed: boolean): Selection =>
  policed ? {} : { fieldSelector: `spec.nodeName=${node}` }

const claimsIn = (namespace: string): Resource => ({
  kind: 'SubnetClaim',
  path: `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`,
  labelSelector: `${MANAGED_BY_LABEL}=${API_MANAGER}`,
})
