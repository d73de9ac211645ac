import { formatCidr } from '../base/ip.js'
import { RT_TABLE } from '../codec/rtnl/constants.js'
import { type Address } from '../codec/rtnl/address.js'
import { type Filter } from '../codec/rtnl/filter.js'
import { type Link } from '../codec/rtnl/link.js'
import { type Neighbour } from '../codec/rtnl/neighbour.js'
import { type Route } from '../codec/rtnl/route.js'
import { type Lease, type LeasedRoute } from '../model/lease.js'
import { type Bridge, deviceOf, linkMac, type Redirected, redirected, type Surroundings, uncovered } from './attach.js'
import { CNI_CODE, CniFailure } from './error.js'

/** An attachment as it should be and as it is found. */
export interface FoundAttachment {
  readonly lease: Lease
  readonly surroundings: Surroundings
  readonly node: FoundNode
  readonly container: FoundContainer
}

export interface FoundNode {
  /** The node's end. */
  readonly link: Link | undefined
  /** Index of the device by which the node reaches the container: the bridge, or the node's end. */
  readonly device: number | undefined
  readonly addresses: readonly Address[]
  /** Those to containers. */
  readonly routes: readonly Route[]
  /** Of that device. */
  readonly neighbours: readonly Neighbour[]
  /** Of what the node's end receives. */
  readonly filters: readonly Filter[]
}

export interface FoundContainer {
  /** The container's end. */
  readonly link: Link | undefined
  readonly addresses: readonly Address[]
  readonly routes: readonly Route[]
}

/**
 * Says what of an attachment is not as it was made (CNI specification, "CHECK").
 * @throws CniFailure naming the first difference
 */
export function checkAttachment(found: FoundAttachment): void {
  const [difference] = differences(found)
  if (difference !== undefined) throw new CniFailure(CNI_CODE.CHANGED, difference)
}

/** What another plugin made is that plugin's to check, except that it is there. */
export function differences(found: FoundAttachment): string[] {
  if (found.lease.mode === 'chained') return [...ownLink(found)]
  return [...nodeDifferences(found), ...containerDifferences(found)]
}

function* nodeDifferences(found: FoundAttachment): Generator<string> {
  const { lease, node } = found
  const name = lease.hostInterface
  if (node.link === undefined) {
    yield `the node has no link ${name}`
    return
  }
  if (!node.link.up) yield `link ${name} of the node is down`
  yield* lease.mode === 'bridge' ? portDifferences(found, node.link) : linkDifferences(found, node.link)
  yield* reachDifferences(found)
}

function* portDifferences({ lease, surroundings, node }: FoundAttachment, link: Link): Generator<string> {
  const { bridge, redirect } = surroundings
  const name = lease.hostInterface
  if (link.master !== bridge?.index) yield `link ${name} is no port of bridge ${bridge?.name ?? '(missing)'}`
  else if (link.port?.isolated !== true) yield `port ${name} is not isolated`
  if (!redirect) return
  for (const packets of redirected(lease))
    if (!node.filters.some((filter) => isRedirect(packets, filter, bridge)))
      yield `port ${name} does not redirect ${packetsText(packets)} to the bridge`
}

function* linkDifferences({ lease, node }: FoundAttachment, link: Link): Generator<string> {
  const name = lease.hostInterface
  if (link.master !== undefined) yield `link ${name} of the node is a port of link ${link.master}`
  if (link.mac !== linkMac(lease)) yield `link ${name} of the node has MAC address ${link.mac ?? 'none'}`
  for (const { gateway } of lease.addresses)
    if (gateway !== undefined && !hasAddress(node.addresses, link.index, gateway))
      yield `link ${name} of the node does not have the gateway's address ${gateway}`
}

function isRedirect({ family, source }: Redirected, filter: Filter, bridge: Bridge | undefined): boolean {
  const { redirect, source: matched } = filter
  const there = redirect?.to === 'ingress' && redirect.target === bridge?.index && filter.family === family
  return there && matched !== undefined && SOURCE_KEYS.every((key) => matched[key] === source[key])
}

const SOURCE_KEYS = ['mac', 'address', 'protocol'] as const

const packetsText = ({ family, source: { address, protocol } }: Redirected): string =>
  [family.kubernetes, address && `from ${address}`, protocol && `of protocol ${protocol}`].filter(Boolean).join(' ')

/** The node knows where the container is. */
function* reachDifferences({ lease, surroundings, node }: FoundAttachment): Generator<string> {
  const device = deviceOf(lease, surroundings.bridge?.name ?? '(missing)')
  const routed = lease.mode === 'bridge' ? uncovered(lease, surroundings) : lease.addresses
  for (const { address } of routed)
    if (!node.routes.some((route) => route.destination.address === address && route.index === node.device))
      yield `the node has no route to ${address} by ${device}`
  for (const { address } of lease.addresses) {
    const known = node.neighbours.find((neighbour) => neighbour.address === address)
    if (known?.mac !== lease.mac) yield `the node takes ${address} on ${device} for ${known?.mac ?? "nobody's"}`
  }
}

function* containerDifferences(found: FoundAttachment): Generator<string> {
  const { lease, node, container } = found
  const { ifname, hostInterface } = lease
  const { link } = container
  // A namespace away: each end tells the other's index.
  if (
    link !== undefined &&
    node.link !== undefined &&
    (node.link.peerIndex !== link.index || link.peerIndex !== node.link.index)
  )
    yield `link ${ifname} of the container is not the other end of ${hostInterface}`
  yield* ownLink(found)
  if (link === undefined) return
  if (link.mac !== lease.mac) yield `link ${ifname} of the container has MAC address ${link.mac ?? 'none'}`
  if (link.mtu !== lease.mtu) yield `link ${ifname} of the container has MTU ${link.mtu} and not ${lease.mtu}`
  for (const { address } of lease.addresses)
    if (!hasAddress(container.addresses, link.index, address)) yield `${ifname} does not have address ${address}`
  for (const route of lease.routes)
    if (!container.routes.some((other) => isRoute(route, other, link))) yield `the container has no ${routeText(route)}`
}

function* ownLink({ lease, container }: FoundAttachment): Generator<string> {
  if (container.link === undefined) yield `the container has no link ${lease.ifname}`
  else if (!container.link.up) yield `link ${lease.ifname} of the container is down`
}

const hasAddress = (addresses: readonly Address[], index: number, address: string): boolean =>
  addresses.some((other) => other.index === index && other.address === address)

function isRoute(
  { destination, gateway, table = RT_TABLE.MAIN, ...wanted }: LeasedRoute,
  route: Route,
  link: Link,
): boolean {
  const same = formatCidr(route.destination) === destination && route.gateway === gateway && route.table === table
  const metric = wanted.priority === undefined || route.priority === wanted.priority
  const sizes = wanted.mtu === undefined || route.mtu === wanted.mtu
  return same && metric && sizes && route.index === link.index && !route.dead
}

const routeText = ({ destination, gateway, table }: LeasedRoute): string =>
  [`route to ${destination}`, gateway && `through ${gateway}`, table && `in table ${table}`].filter(Boolean).join(' ')
