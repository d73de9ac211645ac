import { type Family } from '../base/family.js'
import { familyOf, formatCidr, ipToBigInt, networkOf, parseCidr } from '../base/ip.js'
import { type LeasedAddress, type LeasedRoute } from '../model/lease.js'
import { NetloomError } from '../base/errors.js'
import { type ResultRoute } from './result.js'

export interface RouteWishes {
  readonly addresses: readonly LeasedAddress[]
  /** What the configuration asks for, or another plugin's IPAM. */
  readonly routes: readonly LeasedRoute[]
  /** Everything goes by this interface. */
  readonly defaultRoute: boolean
  /** The container has an interface already, whose routes are to stay the better ones. */
  readonly further: boolean
}

/**
 * The routes of a container. It has its address alone, so the way to its gateway is a route, and so is the way to
 * everything else: all of it, or the rest of the address's own network.
 */
export const routesOf = (wishes: RouteWishes): LeasedRoute[] => [
  ...wishes.addresses.flatMap((address) => addressRoutes(address, wishes)),
  ...wishes.routes.flatMap((route) => askedRoute(route, wishes)),
]

function addressRoutes(leased: LeasedAddress, { routes, defaultRoute, further }: RouteWishes): LeasedRoute[] {
  const { address, prefix, gateway } = leased
  if (gateway === undefined) return []
  const family = familyOrThrow(address)
  const priority = further ? { priority: priorityOf(address) } : {}
  const onLink = { destination: `${gateway}/${family.bits}`, ...priority }
  const asked = routes.some(({ destination, table }) => destination === family.everything && table === undefined)
  if (defaultRoute && !asked) return [onLink, { destination: family.everything, gateway, ...priority }]
  const network = networkOf(family, address, prefix)
  return prefix === family.bits ? [onLink] : [onLink, { destination: formatCidr(network), gateway, ...priority }]
}

/** A route as it was asked for, or as another plugin's IPAM told it. */
export const leasedRoute = ({ destination, ...rest }: ResultRoute): LeasedRoute => ({
  destination: formatCidr(destination),
  ...rest,
})

/** One without a gateway leads through that of its family; one of a family that the container has not is left out. */
function askedRoute(route: LeasedRoute, { addresses }: RouteWishes): LeasedRoute[] {
  if (route.gateway !== undefined) return [route]
  const { family } = parseCidr(route.destination)
  const through = addresses.find(({ address }) => familyOf(address) === family)?.gateway
  return through === undefined ? [] : [{ ...route, gateway: through }]
}

/**
 * Where a container has several interfaces of ours, all routes may lead to the same gateway, and the kernel keeps one of
 * those with the same priority: another for each address, behind the 0 and 1024 that routes have without asking.
 */
const priorityOf = (address: string): number => 2048 + Number(ipToBigInt(address) & 0xffffn)

/** @throws NetloomError `internal` for what is no address */
export function familyOrThrow(address: string): Family {
  const family = familyOf(address)
  if (family === undefined) throw new NetloomError('internal', `'${address}' is not an address`)
  return family
}
