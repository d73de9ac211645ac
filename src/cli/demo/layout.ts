import { IPV4, IPV6 } from '../../base/family.js'
import { type Cidr, formatCidr, type Ip, type IpPrefix } from '../../base/ip.js'

/** The network of the demo: which node has which addresses. Nothing outside of its namespaces ever sees any of them. */

export const MOST_NODES = 20

/** The segment that joins the nodes, by family: the network and the address of its host. */
const SEGMENTS = [
  { family: IPV4, prefix: 24, network: '172.30.0.0', address: (host: number) => `172.30.0.${host}` },
  { family: IPV6, prefix: 64, network: 'fd00:30::', address: (host: number) => `fd00:30::${host}` },
] as const

/** Addresses of nodes follow this one. */
const FIRST_NODE = 10

/** The segment's host, which nodes have as their default router. It forwards nothing. */
export const SEGMENT_HOST: readonly IpPrefix[] = SEGMENTS.map(({ family, prefix, address }) => ({
  family,
  prefix,
  address: address(1),
}))

export interface DemoNode {
  readonly name: string
  /** On the segment, one of each family, with the prefix of the segment. */
  readonly addresses: readonly IpPrefix[]
  /** Networks of its pods, one of each family. */
  readonly podCIDRs: readonly Cidr[]
}

export const layOut = (count: number): DemoNode[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `node-${i + 1}`,
    addresses: SEGMENTS.map(({ family, prefix, address }) => ({
      family,
      prefix,
      address: address(FIRST_NODE + i + 1),
    })),
    podCIDRs: [
      { family: IPV4, address: `10.244.${i + 1}.0`, prefix: 24 },
      { family: IPV6, address: `fd00:244:${i + 1}::`, prefix: 64 },
    ],
  }))

/** The Node object, as kubelet and the node controllers would keep it. */
export const nodeObject = ({ name, addresses, podCIDRs }: DemoNode): Record<string, unknown> => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
  spec: { podCIDR: podCIDRs.map(formatCidr)[0], podCIDRs: podCIDRs.map(formatCidr) },
  status: {
    addresses: [...internalAddresses(addresses), { type: 'Hostname', address: name }],
    conditions: [{ type: 'Ready', status: 'True' }],
  },
})

const internalAddresses = (addresses: readonly Ip[]): unknown[] =>
  addresses.map(({ address }) => ({ type: 'InternalIP', address }))
