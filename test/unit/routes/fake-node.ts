import { NODE_ADDRESSES_ANNOTATION } from '../../../src/base/names.js'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseCidr } from '../../../src/base/ip.js'
import { type Node } from '../../../src/model/node.js'
import { parseObject } from '../../../src/model/object.js'
import { type Underlay } from '../../../src/routes/underlay.js'

/** A Node as the API server would have it; `chosen` is the annotation of its agent. */
export const node = (name: string, podCIDRs: readonly string[], ips: readonly string[], chosen?: string): Node =>
  parseObject({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, ...(chosen === undefined ? {} : { annotations: { [NODE_ADDRESSES_ANNOTATION]: chosen } }) },
    spec: { podCIDRs },
    status: { addresses: ips.map((address) => ({ type: 'InternalIP', address })) },
  }) as Node

/** A node's place on a link with a network of each family. */
export const UNDERLAY_V4: Underlay = {
  family: IPV4,
  address: '192.168.0.1',
  link: 'eth0',
  index: 2,
  mtu: 1500,
  connected: [parseCidr('192.168.0.0/24')],
}
export const UNDERLAY_V6: Underlay = {
  ...UNDERLAY_V4,
  family: IPV6,
  address: 'fd00::1',
  connected: [parseCidr('fd00::/64')],
}
