import { parseCidr } from '../../../src/base/ip.js'
import { type AttachmentPlan, planForget, planHostSide, planPodSide, planReattach } from '../../../src/cni/attach.js'
import { type Attachment, hostInterfaceOf } from '../../../src/model/lease.js'
import { planText } from '../../../src/ops/text.js'
import { exampleLease, type LeaseFields } from '../../support/lease.js'
import { type Planner } from './section.js'

interface Input {
  readonly lease: LeaseFields & Attachment
  readonly bridge: AttachmentPlan['bridge']
  readonly subnets: readonly string[]
  readonly mtu: number
}

/** The descriptor of the pod's namespace, as it would be open. */
const NETNS_FD = 9

export const attachPlans: Planner = ([document]) => {
  const { bridge, subnets, mtu, ...input } = document as Input
  const lease = exampleLease({ ...input.lease, hostInterface: hostInterfaceOf(input.lease) })
  const plan = { lease, bridge, mtu, subnets: subnets.map((text) => parseCidr(text)) }
  return [
    { title: 'on the node', plan: planText(planHostSide(plan, NETNS_FD)) },
    { title: 'in the pod', plan: planText(planPodSide(plan)) },
    { title: 'when the bridge was made anew', plan: planText(planReattach(lease, bridge)) },
    { title: 'when the link is gone', plan: planText(planForget(lease, bridge)) },
  ]
}
