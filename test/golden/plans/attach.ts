import { parseCidr } from '../../../src/base/ip.js'
import { planForget, planHostSide, planPodSide, planReattach, planRedirection } from '../../../src/cni/attach.js'
import { type Attachment, hostInterfaceOf } from '../../../src/model/lease.js'
import { planText } from '../../../src/ops/text.js'
import { exampleLease, type LeaseFields } from '../../support/lease.js'
import { type Planner, type Section } from './section.js'

interface Input {
  readonly lease: LeaseFields & Attachment
  readonly bridge: { readonly name: string; readonly index: number; readonly mac: string }
  /** Networks of the bridge. */
  readonly covered: readonly string[]
  readonly redirect: boolean
  readonly sysctl?: Readonly<Record<string, string>>
}

/** The descriptor of the pod's namespace, as it would be open. */
const NETNS_FD = 9

export const attachPlans: Planner = ([document]) => {
  const { bridge, covered: texts, redirect, sysctl = {}, ...input } = document as Input
  const lease = exampleLease({ ...input.lease, hostInterface: hostInterfaceOf(input.lease) })
  const covered = texts.map((text) => parseCidr(text))
  const surroundings = { bridge, covered, redirect }
  const plans: Section[] = [
    { title: 'on the node', plan: planText(planHostSide(lease, surroundings, NETNS_FD)) },
    { title: 'in the pod', plan: planText(planPodSide(lease, new Map(Object.entries(sysctl)))) },
    { title: 'when the link is gone', plan: planText(planForget(lease, bridge.name, covered)) },
  ]
  if (lease.mode !== 'bridge') return plans
  const switched = { ...surroundings, redirect: !redirect }
  return [
    ...plans,
    { title: 'when the bridge was made anew', plan: planText(planReattach(lease, surroundings)) },
    { title: 'when br_netfilter was switched', plan: planText(planRedirection(lease, switched)) },
  ]
}
