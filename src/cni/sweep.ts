import { POD_ROUTE_PROTOCOL } from '../base/names.js'
import { NUD } from '../codec/rtnl/constants.js'
import { type Neighbour } from '../codec/rtnl/neighbour.js'
import { type Route } from '../codec/rtnl/route.js'
import { type Lease } from '../model/lease.js'
import { type Op } from '../ops/op.js'
import { type Bridge } from './attach.js'

/** What leads to containers by the bridge. */
export interface FoundOnBridge {
  readonly neighbours: readonly Neighbour[]
  readonly routes: readonly Route[]
}

/** Takes off the bridge what it knows of containers that no lease tells of any more: the state directory was lost. */
export function planSweep(leases: Iterable<Lease>, { name: device, index }: Bridge, found: FoundOnBridge): Op[] {
  const attached = [...leases].filter(({ mode }) => mode === 'bridge')
  const known = new Set(attached.flatMap(({ addresses }) => addresses.map(({ address }) => address)))
  const stale = found.neighbours.filter(({ state, address }) => state === NUD.PERMANENT && !known.has(address))
  const lost = found.routes.filter(
    ({ protocol, index: by, destination }) =>
      protocol === POD_ROUTE_PROTOCOL && by === index && !known.has(destination.address),
  )
  return [
    ...stale.flatMap(({ family, address, mac }): Op[] =>
      mac === undefined ? [] : [{ kind: 'neighbour.delete', neighbour: { family, address, device, mac } }],
    ),
    ...lost.map(({ destination }): Op => ({
      kind: 'route.delete',
      route: { destination, device, protocol: POD_ROUTE_PROTOCOL },
    })),
  ]
}
