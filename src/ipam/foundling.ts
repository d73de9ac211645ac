import { type Attachment, hostInterfaceOf, type Lease, type LeasedAddress, macOf, type Mode } from '../model/lease.js'

/** A link of ours that no lease is known of, and what the kernel tells about it. */
export interface Found {
  readonly hostInterface: string
  /** From the node's neighbours or routes that lead to it. */
  readonly addresses: readonly LeasedAddress[]
  readonly mode: Mode
  readonly mac?: string
}

/** No name of a network, container or interface: those begin with a letter or a digit. */
const UNKNOWN = '?'

const keyOf = (hostInterface: string): Attachment => ({
  network: UNKNOWN,
  containerId: `${UNKNOWN}${hostInterface}`,
  ifname: UNKNOWN,
})

/**
 * A lease for a link whose own lease a damaged journal has lost, so that its addresses are not given to another while
 * the pod lives. Whose it is cannot be told from the link, only recognized: the link's name follows from the attachment.
 */
export const foundling = ({ hostInterface, addresses, mode, mac }: Found): Lease => ({
  ...keyOf(hostInterface),
  netns: '',
  addresses,
  mode,
  hostInterface,
  mac: mac ?? macOf(addresses[0]?.address ?? '0.0.0.0'),
  mtu: 0,
  routes: [],
  masquerade: false,
  spoofCheck: false,
  ports: [],
  aliases: [],
})

/** The key of the lease that an attachment has if it is a foundling. */
export const foundlingOf = (attachment: Attachment): Attachment => keyOf(hostInterfaceOf(attachment))
