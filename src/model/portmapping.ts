import { parseIp } from '../base/ip.js'
import { type Cursor } from './cursor.js'
import { PROTOCOLS, type Protocol, readPort } from './port.js'

/** A port of the node that leads to a container (CNI conventions, "portMappings"; hostPort of a Pod's container). */
export interface PortMapping {
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: Protocol
  /** Only at this address of the node; at all of them where absent. Canonical. */
  readonly hostIP?: string
}

const ANYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/**
 * Runtimes write the protocol in small letters. An unspecified hostIP means the addresses of its own family for the
 * reference plugin; it is kept as it is for that reason, and an empty one is none.
 * @throws NetloomError `invalid`, naming the field
 */
export function readPortMapping(place: Cursor): PortMapping {
  const protocol = place.field('protocol')
  const named = typeof protocol.value === 'string' ? protocol.with(protocol.value.toUpperCase()) : protocol
  const hostIP = place.field('hostIP')
  return {
    hostPort: readPort(place.field('hostPort')),
    containerPort: readPort(place.field('containerPort')),
    protocol: named.oneOf(PROTOCOLS, 'TCP'),
    ...(hostIP.absent || hostIP.value === '' ? {} : { hostIP: hostIP.address(parseIp).address }),
  }
}

/** True for `0.0.0.0` and `::`: all addresses of the node of that family. */
export const isAnywhere = (hostIP: string): boolean => ANYWHERE.has(hostIP)
