import { FAMILIES } from '../base/family.js'
import { BRIDGE, POD_ROUTE_PROTOCOL } from '../base/names.js'
import { type Bridge, type Surroundings } from '../cni/attach.js'
import { type FoundAttachment } from '../cni/check.js'
import { type FoundInterface, interfaceBefore } from '../cni/outcome.js'
import { type CniRequest } from '../cni/request.js'
import { type CniResult } from '../cni/result.js'
import { CNI_CODE, CniFailure } from '../cni/error.js'
import { type FoundOnBridge } from '../cni/sweep.js'
import { observeAddresses, observeFilters, observeLink, observeNeighbours, observeRoutes } from '../kernel/observe.js'
import { type Talk } from '../kernel/talk.js'
import { type Lease } from '../model/lease.js'
import { type Container } from './container.js'

export interface Sight {
  readonly surroundings: Surroundings
  /** The node's rtnetlink. */
  readonly route: Talk
  readonly container: Container
}

/** Looks at all that an attachment consists of, on both sides. */
export async function observeAttachment(lease: Lease, sight: Sight): Promise<FoundAttachment> {
  return {
    lease,
    surroundings: sight.surroundings,
    node: await observeNode(lease, sight),
    container: {
      link: await observeLink(sight.container.route, lease.ifname),
      addresses: await observeAddresses(sight.container.route),
      routes: await allRoutes(sight.container.route, {}),
    },
  }
}

async function observeNode(lease: Lease, { route, surroundings }: Sight): Promise<FoundAttachment['node']> {
  const link = lease.hostInterface === '' ? undefined : await observeLink(route, lease.hostInterface)
  const device = lease.mode === 'bridge' ? surroundings.bridge?.index : link?.index
  return {
    link,
    device,
    addresses: await observeAddresses(route),
    routes: await allRoutes(route, { protocol: POD_ROUTE_PROTOCOL }),
    neighbours: device === undefined ? [] : await allNeighbours(route, device),
    filters: link === undefined ? [] : await observeFilters(route, link.index),
  }
}

/** What the bridge knows of containers. */
export const observeOnBridge = async (route: Talk, { index }: Bridge): Promise<FoundOnBridge> => ({
  neighbours: await allNeighbours(route, index),
  routes: await allRoutes(route, { protocol: POD_ROUTE_PROTOCOL }),
})

const allNeighbours = async (route: Talk, device: number) =>
  (await Promise.all(FAMILIES.map((family) => observeNeighbours(route, family, device)))).flat()

const allRoutes = async (route: Talk, filter: Parameters<typeof observeRoutes>[2]) =>
  (await Promise.all(FAMILIES.map((family) => observeRoutes(route, family, filter)))).flat()

/**
 * The interface of the call where a plugin before us made it; undefined where we are to make it.
 * @throws CniFailure where it was told of and is not there
 */
export async function findBefore(
  previous: CniResult,
  request: CniRequest,
  { route, container }: Omit<Sight, 'surroundings'>,
): Promise<FoundInterface | undefined> {
  const position = interfaceBefore(previous, request)
  if (position === undefined) return undefined
  const link = await observeLink(container.route, request.ifname)
  if (link === undefined) {
    const field = `prevResult.interfaces[${position}]`
    throw new CniFailure(CNI_CODE.UNKNOWN_CONTAINER, `${field}: the container has no ${request.ifname}`, field)
  }
  const peer =
    link.peerIndex === undefined || link.kind !== 'veth' ? undefined : await observeLink(route, link.peerIndex)
  // An index of another namespace than the node's may be anybody's here: the two ends must name each other.
  const host = peer?.peerIndex === link.index ? peer.name : undefined
  return { position, mac: link.mac ?? '', mtu: link.mtu, hostInterface: host === BRIDGE ? undefined : host }
}
