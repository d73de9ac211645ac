import { type Kind } from '../../model/object.js'
import { type Shape } from './prune.js'

const METADATA: Shape = { name: true, namespace: true, labels: true, deletionTimestamp: true, resourceVersion: true }
const CONTAINER: Shape = { ports: true, restartPolicy: true }

/**
 * What the readers of src/model look at, for kinds of which that is a small part. A test reads objects through these
 * and without them, so a reader that looks at more has to say so here. The others are wanted whole; a policy must not
 * lose what its reader would refuse.
 */
export const SHAPES: { readonly [K in Kind]?: Shape } = {
  Node: {
    metadata: { ...METADATA, annotations: true },
    spec: { podCIDR: true, podCIDRs: true },
    status: { addresses: true },
  },
  Pod: {
    metadata: { ...METADATA, uid: true },
    spec: { nodeName: true, hostNetwork: true, containers: CONTAINER, initContainers: CONTAINER },
    status: { phase: true, podIP: true, podIPs: true, conditions: { type: true, status: true } },
  },
  Service: { metadata: METADATA, spec: true, status: true },
  EndpointSlice: { metadata: METADATA, addressType: true, endpoints: true, ports: true },
}
