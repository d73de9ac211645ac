import { type Cidr, familyOf } from '../base/ip.js'
import { type Address } from '../codec/rtnl/address.js'
import { type Link } from '../codec/rtnl/link.js'
import { type Route } from '../codec/rtnl/route.js'
import { type Lease } from '../model/lease.js'
import { gatewayFor } from './attach.js'
import { CNI_CODE, CniFailure } from './error.js'

/** An attachment as it should be and as it is found. */
export interface FoundAttachment {
  readonly lease: Lease
  readonly bridge: { readonly name: string; readonly index: number } | undefined
  readonly subnets: readonly Cidr[]
  /** The node's end. */
  readonly host: Link | undefined
  /** The pod's end, and what its namespace has. */
  readonly link: Link | undefined
  readonly addresses: readonly Address[]
  readonly routes: readonly Route[]
}

/**
 * Says what of an attachment is not as it was made (CNI specification, "CHECK").
 * @throws CniFailure naming the first difference
 */
export function checkAttachment(found: FoundAttachment): void {
  const [difference] = [...hostDifferences(found), ...podDifferences(found)]
  if (difference !== undefined) throw new CniFailure(CNI_CODE.CHANGED, difference)
}

function* hostDifferences({ lease, bridge, host }: FoundAttachment): Generator<string> {
  const name = lease.hostInterface
  if (host === undefined) yield `the node has no link ${name}`
  else if (!host.up) yield `link ${name} of the node is down`
  else if (host.master !== bridge?.index) yield `link ${name} is no port of bridge ${bridge?.name ?? '(missing)'}`
  else if (host.port?.isolated !== true) yield `port ${name} is not isolated`
}

function* podDifferences(found: FoundAttachment): Generator<string> {
  const { lease, host, link, addresses } = found
  const { ifname, hostInterface } = lease
  if (link === undefined) {
    yield `the pod has no link ${ifname}`
    return
  }
  // A namespace away: each end tells the other's index.
  if (host !== undefined && (host.peerIndex !== link.index || link.peerIndex !== host.index))
    yield `link ${ifname} of the pod is not the other end of ${hostInterface}`
  if (!link.up) yield `link ${ifname} of the pod is down`
  if (link.mac !== lease.mac) yield `link ${ifname} of the pod has MAC address ${link.mac ?? 'none'}`
  for (const { address } of lease.addresses) {
    if (!addresses.some((other) => other.index === link.index && other.address === address))
      yield `${ifname} does not have address ${address}`
    yield* routeDifferences(found, link, address)
  }
}

/** The gateway is on the link, and everything goes through it. */
function* routeDifferences({ subnets, routes }: FoundAttachment, link: Link, address: string): Generator<string> {
  const gateway = gatewayFor(address, subnets)
  const family = familyOf(address)
  const own = routes.filter((route) => route.family === family && route.index === link.index && !route.dead)
  const toGateway = ({ destination, gateway: via }: Route): boolean =>
    via === undefined && destination.address === gateway && destination.prefix === family?.bits
  if (!own.some(toGateway)) yield `the pod has no route to its gateway ${gateway}`
  if (!own.some(({ destination, gateway: via }) => destination.prefix === 0 && via === gateway))
    yield `the pod has no default route through ${gateway}`
}
