import { IFB_PREFIX } from '../base/names.js'
import { ADDR_GEN_MODE } from '../codec/rtnl/constants.js'
import { ifbOf, type Lease } from '../model/lease.js'
import { type Op } from '../ops/op.js'
import {
  type ActualDetours,
  type CatchPoint,
  detourFaults,
  detoursOf,
  planDetourRemoval,
  planOwnDetourRemoval,
} from './detour.js'
import { type Fault } from './fault.js'
import { limitFaults, limitRemoval } from './limit.js'

export type { CatchPoint } from './detour.js'

/**
 * How fast a container may receive and send (CNI conventions, "bandwidth").
 *
 * What it receives is what the node's end of its link sends: a token bucket there. What it sends comes in to the node,
 * and there are no queues for that. So a filter sends it to an IFB device, which hands it back behind a token bucket of
 * its own.
 *
 * What an IFB device hands back passes no filter a second time. On a bridge, packets are therefore not caught on the
 * container's port, where another filter may lead them past the bridge, but behind that, on the bridge device itself,
 * by the container's addresses.
 */
export interface BandwidthDesired {
  readonly lease: Lease
  readonly caught: CatchPoint
  /** Of the container's link, in bytes. */
  readonly mtu: number
}

/**
 * What there is; links and queueing disciplines that have nothing to do with it may be left out. Of a shared device the
 * filters have to be known, and no other plan about them be under way.
 */
export type BandwidthActual = ActualDetours

const NOTHING: BandwidthActual = { links: new Map(), qdiscs: [], filters: [] }

/** Makes the limits of an attachment, or puts right what is not as it should be; nothing where all is. */
export const planBandwidth = (desired: BandwidthDesired, actual: BandwidthActual = NOTHING): Op[] =>
  [...faults(desired, actual)].flatMap(({ repair }) => repair)

/** What of the limits is not as it was made (CNI specification, "CHECK"). */
export const bandwidthDifferences = (desired: BandwidthDesired, actual: BandwidthActual): string[] =>
  [...faults(desired, actual)].map(({ text }) => text)

function* faults({ lease, caught, mtu }: BandwidthDesired, actual: BandwidthActual): Generator<Fault> {
  const { ingress, egress } = lease.bandwidth ?? {}
  yield* limitFaults({ device: lease.hostInterface, limit: ingress, mtu }, actual)
  const through = ifbOf(lease)
  if (egress === undefined) yield* leftovers({ lease, caught }, actual)
  else {
    yield* ifbFaults(through, mtu, actual)
    yield* limitFaults({ device: through, limit: egress, mtu }, actual)
    yield* detourFaults({ caught, through, addresses: addressesOf(lease) }, actual)
  }
}

const addressesOf = ({ addresses }: Lease): string[] => addresses.map(({ address }) => address)

function* ifbFaults(name: string, mtu: number, { links }: BandwidthActual): Generator<Fault> {
  const link = links.get(name)
  // It speaks for nobody, neighbour discovery included.
  const raise: Op = { kind: 'link.set', name, changes: { addrGenMode: ADDR_GEN_MODE.NONE, up: true } }
  if (link === undefined)
    yield { text: `there is no link ${name}`, repair: [{ kind: 'link.add', link: { kind: 'ifb', name, mtu } }, raise] }
  else if (!link.up) yield { text: `link ${name} is down`, repair: [raise] }
}

/** A filter that was left behind would send the packets of whoever has the address now to a device that is gone. */
function* leftovers(desired: Forgotten, actual: BandwidthActual): Generator<Fault> {
  const { lease, caught } = desired
  const stale = detoursOf(actual.filters, (address) => addressesOf(lease).includes(address))
  if (!caught.shared || stale.length === 0) return
  yield {
    text: `packets of ${addressesOf(lease).join(' and ')} are led away from ${caught.device}`,
    repair: planForgetBandwidth(desired, actual),
  }
}

type Forgotten = Pick<BandwidthDesired, 'lease' | 'caught'>

/**
 * What is left when the attachment's link is gone, or is to be left as it was where it is another plugin's: the IFB
 * device, and filters. Before its addresses are given to another.
 */
export function planForgetBandwidth({ lease, caught }: Forgotten, actual: BandwidthActual): Op[] {
  const { ingress, egress } = lease.bandwidth ?? {}
  const addresses = new Set(addressesOf(lease))
  const through = ifbOf(lease)
  const foreign = lease.mode === 'chained'
  return [
    ...(foreign && ingress !== undefined ? [limitRemoval(lease.hostInterface)] : []),
    ...(caught.shared ? planDetourRemoval(caught.device, actual.filters, (address) => addresses.has(address)) : []),
    ...(foreign && !caught.shared && egress !== undefined ? planOwnDetourRemoval(caught.device) : []),
    ...(egress !== undefined || actual.links.has(through) ? [{ kind: 'link.delete', name: through } as const] : []),
  ]
}

/**
 * What attachments that are gone have left, after a crash say.
 * @param leases all that there are
 * @param device the one that containers share
 */
export function planSweepBandwidth(leases: readonly Lease[], device: string, actual: BandwidthActual): Op[] {
  const limited = leases.filter(({ bandwidth }) => bandwidth?.egress !== undefined)
  const addresses = new Set(limited.filter(({ mode }) => mode === 'bridge').flatMap(addressesOf))
  const devices = new Set(limited.map(ifbOf))
  return [
    ...planDetourRemoval(device, actual.filters, (address) => !addresses.has(address)),
    ...[...actual.links.values()]
      .filter(({ name, kind }) => kind === 'ifb' && name.startsWith(IFB_PREFIX) && !devices.has(name))
      .map(({ name }): Op => ({ kind: 'link.delete', name })),
  ]
}
