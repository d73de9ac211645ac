import { type Cidr, cidrsOverlap, formatCidr } from '../base/ip.js'
import { diff, keyBy } from '../base/diff.js'
import { ROUTE_PROTOCOL } from '../base/names.js'
import { RT_TABLE } from '../codec/rtnl/constants.js'
import { type Route } from '../codec/rtnl/route.js'
import { type Node } from '../model/node.js'
import { type Op } from '../ops/op.js'

/** A route to a pod network of another node, straight to that node (mode `direct`: all nodes on one link). */
export interface PeerRoute {
  readonly node: string
  readonly destination: Cidr
  readonly gateway: string
}

export interface PeerRoutes {
  readonly routes: readonly PeerRoute[]
  /** Networks that cannot be reached, a line each, for people. */
  readonly problems: readonly string[]
}

/**
 * Routes to the pod networks of all nodes but `self`. Of two nodes that claim overlapping networks the first by name
 * has it: a route that may lead to the wrong pods is worse than none.
 */
export function desiredRoutes(nodes: Iterable<Node>, self: string): PeerRoutes {
  const routes: PeerRoute[] = []
  const problems: string[] = []
  const taken: { node: string; cidr: Cidr }[] = []
  const ordered = [...nodes].sort((a, b) => (a.name === self ? -1 : b.name === self ? 1 : a.name < b.name ? -1 : 1))
  for (const { name: node, podCIDRs, internalIPs } of ordered) {
    for (const cidr of podCIDRs) {
      const other = overlapping(taken, cidr)
      if (other !== undefined) {
        problems.push(
          `node ${node}: pod network ${formatCidr(cidr)} overlaps ${formatCidr(other.cidr)} of node ${other.node}`,
        )
        continue
      }
      taken.push({ node, cidr })
      if (node === self) continue
      const gateway = internalIPs.find(({ family }) => family === cidr.family)
      if (gateway === undefined)
        problems.push(`node ${node}: no InternalIP of ${cidr.family.kubernetes} for pod network ${formatCidr(cidr)}`)
      else routes.push({ node, destination: cidr, gateway: gateway.address })
    }
  }
  return { routes, problems }
}

const overlapping = <T extends { readonly cidr: Cidr }>(taken: readonly T[], cidr: Cidr): T | undefined =>
  taken.find((other) => cidrsOverlap(other.cidr, cidr))

/**
 * What turns our routes in the kernel into the wanted ones.
 * @param actual routes of our protocol number only; nobody else's are looked at
 */
export function planPeerRoutes(desired: readonly PeerRoute[], actual: readonly Route[]): Op[] {
  const ours = actual.filter(({ protocol, cloned }) => protocol === ROUTE_PROTOCOL && !cloned)
  const { added, changed, removed } = diff(
    keyBy(desired, ({ destination }) => placeOf({ destination, table: RT_TABLE.MAIN })),
    keyBy(ours, placeOf),
    (want, have) => want.gateway === have.gateway && !have.multipath && !have.dead,
  )
  return [
    ...removed.map(([, route]): Op => ({ kind: 'route.delete', route: asSpec(route) })),
    ...[...added, ...changed].map(([, { destination, gateway }]): Op => ({
      kind: 'route.replace',
      route: { destination, gateway, protocol: ROUTE_PROTOCOL },
    })),
  ]
}

/** Priority that a route gets which asks for none. */
const DEFAULT_PRIORITY = { ipv4: 0, ipv6: 1024 } as const

/** Where a route stands: of those with the same place, the kernel keeps one. */
const placeOf = ({ destination, table, priority }: Pick<Route, 'destination' | 'table' | 'priority'>): string =>
  `${formatCidr(destination)} ${table} ${priority ?? DEFAULT_PRIORITY[destination.family.name]}`

const asSpec = ({ destination, gateway, table, protocol, priority }: Route) => ({
  destination,
  gateway,
  table,
  protocol,
  priority,
})
