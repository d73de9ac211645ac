import { diff, keyBy } from '../base/diff.js'
import { IPV4 } from '../base/family.js'
import { type Cidr, type Ip, formatCidr, parseIp } from '../base/ip.js'
import { ROUTE_PROTOCOL } from '../base/names.js'
import { NUD, RT_TABLE, RTN } from '../codec/rtnl/constants.js'
import { type FdbEntry, type Neighbour } from '../codec/rtnl/neighbour.js'
import { type Route, type RouteSpec } from '../codec/rtnl/route.js'
import { type Op } from '../ops/op.js'
import { type PeerRoute } from './ways.js'

/** What leads to other nodes in a kernel: routes, and for tunnels the neighbour and the end that each goes through. */
export interface Ways {
  readonly routes: Map<string, WayRoute>
  readonly neighbours: Map<string, WayNeighbour>
  readonly vteps: Map<string, WayVtep>
}

/** `sound`: nothing about it is other than we would have made it, beside what can be compared. */
interface Found {
  readonly sound: boolean
}

export interface WayRoute extends Found {
  readonly route: RouteSpec & { readonly device?: string | undefined }
}

export interface WayNeighbour extends Ip {
  readonly device: string
  readonly mac: string
}

export interface WayVtep extends Found {
  readonly device: string
  readonly mac: string
  /** None of an entry that leads to several ends or to none. */
  readonly remote: string | undefined
}

/** Priority that a route gets which asks for none. */
const DEFAULT_PRIORITY = { ipv4: 0, ipv6: 1024 } as const

interface Place {
  readonly destination: Cidr
  readonly table?: number | undefined
  readonly priority?: number | undefined
}

/** Where a route stands: of those with the same place, the kernel keeps one. */
export const placeOf = ({ destination, table = RT_TABLE.MAIN, priority }: Place): string =>
  `${formatCidr(destination)} ${table} ${priority ?? DEFAULT_PRIORITY[destination.family.name]}`

export const neighbourKey = ({ device, address }: Pick<WayNeighbour, 'device' | 'address'>): string =>
  `${device} ${address}`
export const vtepKey = ({ device, mac }: Pick<WayVtep, 'device' | 'mac'>): string => `${device} ${mac}`

/** What routes need in the kernel. */
export function waysOf(routes: Iterable<PeerRoute>): Ways {
  const all = [...routes]
  const tunnels = all.filter((route) => route.kind === 'vxlan')
  return {
    routes: keyBy(all.map(wayRoute), ({ route }) => placeOf(route)),
    neighbours: keyBy(
      tunnels.map(({ device, gateway, mac }) => ({ ...parseIp(gateway), device, mac })),
      neighbourKey,
    ),
    vteps: keyBy(
      tunnels.map(({ device, mac, remote }) => ({ device, mac, remote, sound: true })),
      vtepKey,
    ),
  }
}

const wayRoute = (route: PeerRoute): WayRoute => ({
  sound: true,
  route: {
    destination: route.destination,
    gateway: route.gateway,
    protocol: ROUTE_PROTOCOL,
    ...(route.device === undefined ? {} : { device: route.device }),
    ...(route.source === undefined ? {} : { source: route.source }),
    // The gateway is in no network of the device; a link-local one always is.
    ...(route.kind === 'vxlan' && route.destination.family === IPV4 ? { onlink: true } : {}),
  },
})

/** What a kernel has, as it tells it. */
export interface ObservedWays {
  readonly routes: readonly Route[]
  /** Of our devices, by the index of which they are named. */
  readonly neighbours: readonly Neighbour[]
  readonly vteps: readonly FdbEntry[]
  /** Names of links by index: our devices, and those that routes are to leave by. */
  readonly names: ReadonlyMap<number, string>
}

/**
 * What of it is ours: routes and neighbours with our protocol number, whatever else, and of our devices every
 * forwarding entry, since these have no mark.
 */
export function observedWays({ routes, neighbours, vteps, names }: ObservedWays): Ways {
  return {
    routes: keyBy(
      routes.flatMap((route) => foundRoute(route, names) ?? []),
      ({ route }) => placeOf(route),
    ),
    neighbours: keyBy(
      neighbours.flatMap((neighbour) => foundNeighbour(neighbour, names) ?? []),
      neighbourKey,
    ),
    vteps: keyBy(
      vteps.flatMap((entry) => foundVtep(entry, names) ?? []),
      vtepKey,
    ),
  }
}

export function foundRoute(route: Route, names: ReadonlyMap<number, string>): WayRoute | undefined {
  const { destination, gateway, index, table, protocol, priority, source, onlink, mtu, advmss, type } = route
  if (protocol !== ROUTE_PROTOCOL || route.cloned) return undefined
  const device = index === undefined ? undefined : names.get(index)
  return {
    route: { destination, gateway, table, protocol, priority, source, onlink, device },
    sound: !route.multipath && !route.dead && mtu === undefined && advmss === undefined && type === RTN.UNICAST,
  }
}

export function foundNeighbour(neighbour: Neighbour, names: ReadonlyMap<number, string>): WayNeighbour | undefined {
  const { family, address, mac = '', index, protocol, state } = neighbour
  const device = names.get(index)
  // The last that the kernel tells of one that is deleted is that it has failed.
  if (device === undefined || protocol !== ROUTE_PROTOCOL || (state & NUD.PERMANENT) === 0) return undefined
  return { family, address, device, mac }
}

export function foundVtep(entry: FdbEntry, names: ReadonlyMap<number, string>): WayVtep | undefined {
  const { mac, index, destination, port, vni, state } = entry
  const device = names.get(index)
  if (device === undefined) return undefined
  const sound = port === undefined && vni === undefined && (state & NUD.PERMANENT) !== 0
  return { device, mac, remote: destination, sound }
}

/**
 * What turns the ways that are there into the wanted ones. What a route needs comes before it, and goes after it, so
 * that no packet finds a route that leads nowhere.
 */
export function planWays(want: Ways, have: Ways): Op[] {
  const routes = diff(want.routes, have.routes, sameRoute)
  const neighbours = diff(want.neighbours, have.neighbours, sameNeighbour)
  const vteps = diff(want.vteps, have.vteps, sameVtep)
  return [
    ...[...vteps.added, ...vteps.changed].map(([, vtep]) => vtepOp('vtep.replace', vtep)),
    ...[...neighbours.added, ...neighbours.changed].map(([, neighbour]) => neighbourOp('neighbour.replace', neighbour)),
    ...routes.removed.map(([, { route }]): Op => ({ kind: 'route.delete', route: deletable(route) })),
    ...[...routes.added, ...routes.changed].map(([, { route }]): Op => ({ kind: 'route.replace', route: spec(route) })),
    ...neighbours.removed.map(([, neighbour]) => neighbourOp('neighbour.delete', neighbour)),
    ...vteps.removed.map(([, vtep]) => vtepOp('vtep.delete', vtep)),
  ]
}

const sameRoute = ({ route: want }: WayRoute, { route: have, sound }: WayRoute): boolean =>
  sound &&
  want.gateway === have.gateway &&
  (want.device === undefined || want.device === have.device) &&
  want.source === have.source &&
  (want.onlink ?? false) === (have.onlink ?? false)

const sameNeighbour = (want: WayNeighbour, have: WayNeighbour): boolean => want.mac === have.mac
const sameVtep = (want: WayVtep, have: WayVtep): boolean => have.sound && want.remote === have.remote

type DeviceRoute = RouteSpec & { readonly device?: string }

function spec({ device, ...route }: WayRoute['route']): DeviceRoute {
  return { ...route, ...(device === undefined ? {} : { device }) }
}

/** By what tells it from others to the same destination. */
const deletable = ({ destination, gateway, table, protocol, priority }: WayRoute['route']): DeviceRoute => ({
  destination,
  gateway,
  table,
  protocol,
  priority,
})

const vtepOp = (kind: 'vtep.replace' | 'vtep.delete', { device, mac, remote }: WayVtep): Op => ({
  kind,
  device,
  mac,
  remote,
})

const neighbourOp = (kind: 'neighbour.replace' | 'neighbour.delete', way: WayNeighbour): Op => {
  const { family, address, device, mac } = way
  return { kind, neighbour: { family, address, device, mac, state: NUD.PERMANENT, protocol: ROUTE_PROTOCOL } }
}

/** Turns what is held into what is held then; both are parts of the whole. */
export function replaceWays(held: Ways, before: Ways, after: Ways): void {
  for (const part of ['routes', 'neighbours', 'vteps'] as const) {
    const whole = held[part] as Map<string, unknown>
    for (const key of before[part].keys()) whole.delete(key)
    for (const [key, way] of after[part]) whole.set(key, way)
  }
}

/** What a kernel tells of one thing that changed, whoever changed it. */
export type WayEvent = { readonly gone: boolean } & (
  | { readonly kind: 'route'; readonly route: Route }
  | { readonly kind: 'neighbour'; readonly neighbour: Neighbour }
  | { readonly kind: 'fdb'; readonly entry: FdbEntry }
)

/** True where it is not as held: one of ours that is gone or another, or somebody else's in the place of one. */
export function differsFrom(held: Ways, event: WayEvent, names: ReadonlyMap<number, string>): boolean {
  switch (event.kind) {
    case 'route': {
      const { route } = event
      return differs(event, held.routes.get(placeOf(route)), foundRoute(route, names), sameRoute)
    }
    case 'neighbour': {
      const { neighbour } = event
      const place = { ...neighbour, device: names.get(neighbour.index) ?? '' }
      return differs(event, held.neighbours.get(neighbourKey(place)), foundNeighbour(neighbour, names), sameNeighbour)
    }
    case 'fdb': {
      const { entry } = event
      const place = { ...entry, device: names.get(entry.index) ?? '' }
      return differs(event, held.vteps.get(vtepKey(place)), foundVtep(entry, names), sameVtep)
    }
  }
}

/** @param found undefined where it is somebody else's */
function differs<T>(
  { gone }: WayEvent,
  want: T | undefined,
  found: T | undefined,
  same: (want: T, found: T) => boolean,
): boolean {
  if (gone) return want !== undefined && found !== undefined
  return want === undefined || found === undefined ? want !== found : !same(want, found)
}
