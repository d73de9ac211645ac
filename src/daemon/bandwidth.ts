import { BRIDGE } from '../base/names.js'
import {
  type BandwidthActual,
  bandwidthDifferences,
  type BandwidthDesired,
  planBandwidth,
  planForgetBandwidth,
  planSweepBandwidth,
} from '../bandwidth/plan.js'
import { type Filter } from '../codec/rtnl/filter.js'
import { observeFilters, observeLink, observeLinks, observeQdiscs, observeTraffic } from '../kernel/observe.js'
import { type Lease } from '../model/lease.js'
import { type Op } from '../ops/op.js'
import { type Kept } from './keeper.js'
import { type Kernel } from './kernel.js'

/** What there is of limits, with the filters of each device by its name. */
export interface BandwidthSeen extends Omit<BandwidthActual, 'filters'> {
  readonly filters: ReadonlyMap<string, readonly Filter[]>
}

/** How fast containers may receive and send, as a {@link Kept} feature. */
export const bandwidth = ({ route }: Pick<Kernel, 'route'>): Kept<BandwidthSeen> => {
  const observe = (): Promise<BandwidthSeen> => see(route)
  const around = (lease: Lease): Promise<BandwidthActual> => seeAround(route, lease)
  return {
    name: 'bandwidth',
    tables: [],
    observe,
    planAll: (leases, seen) => planAll(leases, seen),
    planAdd: async (lease) => (isLimited(lease) ? planBandwidth(desiredOf(lease), await around(lease)) : []),
    planRemove: async (lease) =>
      isLimited(lease) ? withoutLinks(planForgetBandwidth(desiredOf(lease), await around(lease))) : [],
    differences: (lease, seen) => bandwidthDifferences(desiredOf(lease), actualFor(lease, seen)),
  }
}

const isLimited = ({ bandwidth: limits }: Lease): boolean => limits !== undefined

/** On a bridge all containers' packets arrive on one device. */
const desiredOf = (lease: Lease): BandwidthDesired => ({
  lease,
  mtu: lease.mtu,
  caught: lease.mode === 'bridge' ? { device: BRIDGE, shared: true } : { device: lease.hostInterface, shared: false },
})

const actualFor = (lease: Lease, seen: BandwidthSeen): BandwidthActual => ({
  ...seen,
  filters: seen.filters.get(desiredOf(lease).caught.device) ?? [],
})

/** The IFB device goes with the container's link: two at a time cost the kernel no more than one. */
const withoutLinks = (ops: readonly Op[]): Op[] => ops.filter(({ kind }) => kind !== 'link.delete')

/**
 * What a plan for one lease has to know; never the links of all the node's containers. Where there are filters there is
 * a place for them, so that the queues, which can only be listed all together, are looked at for the first of them only.
 */
async function seeAround(route: Kernel['route'], lease: Lease): Promise<BandwidthActual> {
  const { device } = desiredOf(lease).caught
  if (lease.mode === 'chained') return observeTraffic(route, device)
  const bridge = lease.mode === 'bridge' ? await observeLink(route, device) : undefined
  // A link of the container's own was made just now.
  if (bridge === undefined) return { links: new Map(), qdiscs: [], filters: [] }
  const filters = await observeFilters(route, bridge.index)
  const qdiscs = filters.length === 0 ? await observeQdiscs(route) : []
  return { links: new Map([[device, bridge]]), qdiscs, filters }
}

async function see(route: Kernel['route']): Promise<BandwidthSeen> {
  const links = await observeLinks(route)
  const qdiscs = await observeQdiscs(route)
  const filtering = [...links.values()].filter(({ index }) =>
    qdiscs.some((qdisc) => qdisc.index === index && (qdisc.kind === 'clsact' || qdisc.kind === 'ingress')),
  )
  const filters = new Map<string, readonly Filter[]>()
  for (const { name, index } of filtering) filters.set(name, await observeFilters(route, index))
  return { links, qdiscs, filters }
}

/** Plans about the shared device one behind the other, each on top of the one before. */
function planAll(leases: readonly Lease[], seen: BandwidthSeen): readonly Op[] {
  const ops: Op[] = []
  const filters = new Map(seen.filters)
  if (seen.links.has(BRIDGE))
    ops.push(...planSweepBandwidth(leases, BRIDGE, { ...seen, filters: filters.get(BRIDGE) ?? [] }))
  const swept = ops.some(({ kind }) => kind === 'clsact.delete')
  if (swept) filters.delete(BRIDGE)
  for (const lease of leases) {
    if (!isLimited(lease)) continue
    const { device } = desiredOf(lease).caught
    const plan = planBandwidth(desiredOf(lease), actualFor(lease, { ...seen, filters }))
    filters.set(device, [...(filters.get(device) ?? []), ...plan.flatMap(asFilter)])
    ops.push(...plan)
  }
  return ops
}

/** A filter as it would be read back, as far as the next plan looks at it. */
function asFilter(op: Op): Filter[] {
  if (op.kind === 'filter.add' && op.handle !== undefined)
    return [{ index: 0, family: op.family, priority: op.priority, kind: 'u32', handle: op.handle, source: op.source }]
  if (op.kind === 'filter.table')
    return [
      {
        index: 0,
        family: op.family,
        priority: op.priority,
        kind: 'u32',
        handle: { table: op.tableId, bucket: 0, node: 0 },
        buckets: op.buckets,
      },
    ]
  if (op.kind === 'filter.link')
    return [
      {
        index: 0,
        family: op.family,
        priority: op.priority,
        kind: 'u32',
        handle: { table: 0x800, bucket: 0, node: 1 },
        leadsTo: op.tableId,
      },
    ]
  return []
}
