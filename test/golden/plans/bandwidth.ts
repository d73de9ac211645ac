import { type BandwidthDesired, planBandwidth, planForgetBandwidth } from '../../../src/bandwidth/plan.js'
import { readBandwidthKeys } from '../../../src/model/bandwidth.js'
import { Cursor } from '../../../src/model/cursor.js'
import { type Attachment, hostInterfaceOf } from '../../../src/model/lease.js'
import { planText } from '../../../src/ops/text.js'
import { exampleLease, type LeaseFields } from '../../support/lease.js'
import { FakeTraffic } from '../../unit/bandwidth/fake-traffic.js'
import { type Planner, type Section } from './section.js'

interface Input {
  readonly title: string
  /** It is told by its container: a second document about it is about the same. */
  readonly lease: LeaseFields & Attachment
  /** As the runtime gives it; without it the attachment goes. */
  readonly bandwidth?: Readonly<Record<string, number>>
  readonly mtu: number
}

const BRIDGE = 'netloom0'

/** Each document is what happens next on one node. */
export const bandwidthPlans: Planner = (documents) => {
  const traffic = new FakeTraffic(BRIDGE)
  const attachments = new Map<string, BandwidthDesired>()
  const add = ({ lease: fields, bandwidth, mtu }: Input): string => {
    const limits = readBandwidthKeys(new Cursor({ bandwidth }).field('bandwidth'))
    const hostInterface = hostInterfaceOf(fields)
    const lease = exampleLease({ ...fields, hostInterface, ...(limits === undefined ? {} : { bandwidth: limits }) })
    const shared = lease.mode === 'bridge'
    const desired = { lease, mtu, caught: { device: shared ? BRIDGE : hostInterface, shared } }
    attachments.set(lease.containerId, desired)
    traffic.addLink(hostInterface, 'veth')
    const ops = planBandwidth(desired, traffic.actual(desired.caught.device))
    traffic.apply(ops)
    return planText(ops)
  }
  const remove = ({ lease: { containerId } }: Input): string => {
    const desired = attachments.get(containerId)
    if (desired === undefined) throw new Error(`no container ${containerId}`)
    const ops = planForgetBandwidth(desired, traffic.actual(desired.caught.device))
    traffic.apply(ops)
    return planText(ops)
  }
  return (documents as Input[]).map((input): Section => ({
    title: input.title,
    plan: input.bandwidth === undefined ? remove(input) : add(input),
  }))
}
