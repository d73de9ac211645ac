import { type Cidr } from '../base/ip.js'
import { type Bridge } from '../cni/attach.js'
import { type Lease } from '../model/lease.js'

/** The node as attachments find it. */
export interface Ground {
  /** Undefined until it stands. */
  readonly bridge: Bridge | undefined
  /** The node's own networks, to each of which it has a route. */
  readonly subnets: readonly Cidr[]
  /** Addresses come from the node's own networks where a configuration names no ranges; else it has to name some. */
  readonly givesOwn: boolean
  /** What interfaces get where nobody says otherwise; bytes. */
  readonly mtu: number
  /** br_netfilter translates inside of bridges: what ports receive has to be taken off them. */
  readonly redirect: boolean
  /** The leases have others addresses than those of the node's own networks; answers when the node is ready for them. */
  leasesChanged: () => Promise<void>
}

/** Something that the node keeps for an attachment, beside its links. */
export interface Companion {
  /** @throws NetloomError; what was done of it is undone by {@link remove} */
  add: (lease: Lease) => Promise<void>
  /** Succeeds whatever of it is there. */
  remove: (lease: Lease) => Promise<void>
  /** What is not as it was made, in a line each. */
  differences: (lease: Lease) => Promise<readonly string[]>
}
