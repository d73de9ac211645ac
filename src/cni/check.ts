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

function* podDifferences({ lease, subnets, link, addresses, routes }: FoundAttachment): Generator<string> {
  const { ifname } = lease
  if (link === undefined) {
    yield `the pod has no link ${ifname}`
    return
  }
  if (!link.up) yield `link ${ifname} of the pod is down`
  for (const address of lease.addresses) {
    if (!addresses.some((other) => other.index === link.index && other.address === address))
      yield `${ifname} does not have address ${address}`
    const gateway = gatewayFor(address, subnets)
    const family = familyOf(address)
    if (!routes.some((route) => route.family === family && route.destination.prefix === 0 && route.gateway === gateway))
      yield `the pod has no default route through ${gateway}`
  }
}
