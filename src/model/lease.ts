import { createHash } from 'node:crypto'
import { invalid } from '../base/errors.js'
import { VETH_PREFIX } from '../base/names.js'
import { ipToBytes, parseIp } from '../base/ip.js'

/** What an attachment holds: its addresses and the link that leads to it. */
export interface Lease {
  /** Name of the CNI network. */
  readonly network: string
  readonly containerId: string
  /** The interface in the container. */
  readonly ifname: string
  /** Path of the container's network namespace, as the runtime gave it. */
  readonly netns: string
  /** One per family, canonical. */
  readonly addresses: readonly string[]
  /** The host's end of the veth pair. */
  readonly hostInterface: string
  /** Namespace and name of the pod, where the runtime told them. */
  readonly pod?: string
}

export type Attachment = Pick<Lease, 'network' | 'containerId' | 'ifname'>

/** What identifies an attachment (CNI specification, "Section 2": network name, container ID and interface name). */
export const leaseKey = ({ network, containerId, ifname }: Attachment): string => `${network} ${containerId} ${ifname}`

/** Always the same for an attachment, so that a link left by a crash is found again. */
export const hostInterfaceOf = (attachment: Attachment): string =>
  VETH_PREFIX + createHash('sha256').update(leaseKey(attachment)).digest('hex').slice(0, 11)

/**
 * The MAC address that belongs to an address: locally administered, and for IPv4 with the address in it. Whoever gets
 * an address anew has the MAC address that the neighbours remember.
 */
export function macOf(address: string): string {
  const bytes = ipToBytes(address)
  const last = bytes.length === 4 ? bytes : createHash('sha256').update(bytes).digest().subarray(0, 4)
  // 0a: locally administered, unicast; the second byte keeps the families apart.
  const hex = Buffer.of(0x0a, bytes.length === 4 ? 0x58 : 0x59, ...last).toString('hex')
  return hex.replace(/..(?=.)/g, '$&:')
}

/**
 * A lease from data of unknown origin.
 * @throws NetloomError `invalid`, naming the field.
 */
export function parseLease(value: unknown): Lease {
  if (typeof value !== 'object' || value === null) throw invalid('lease', 'is not a map')
  const record = value as Record<string, unknown>
  const text = (field: string): string => {
    const entry = record[field]
    if (typeof entry !== 'string') throw invalid(`lease.${field}`, 'is not text')
    return entry
  }
  const addresses = record['addresses']
  if (!Array.isArray(addresses)) throw invalid('lease.addresses', 'is not a list')
  return {
    network: text('network'),
    containerId: text('containerId'),
    ifname: text('ifname'),
    netns: text('netns'),
    addresses: addresses.map((address, i) => parseIp(String(address), `lease.addresses[${i}]`).address),
    hostInterface: text('hostInterface'),
    ...(record['pod'] === undefined ? {} : { pod: text('pod') }),
  }
}
