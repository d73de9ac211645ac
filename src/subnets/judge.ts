import { type Cidr, cidrsOverlap, formatCidr } from '../base/ip.js'

/** A network that a link of the host, which is not ours, is connected to. */
export interface HostNetwork {
  readonly cidr: Cidr
  readonly device: string
}

export interface SubnetQuestion {
  /** What the node works with now. */
  readonly current: readonly Cidr[]
  /** Those that pods have addresses of. */
  readonly inUse: readonly Cidr[]
  /** What the Node has, or claimed. */
  readonly desired: readonly Cidr[]
  readonly hostNetworks: readonly HostNetwork[]
}

export type SubnetVerdict =
  | { readonly verdict: 'accept'; readonly subnets: readonly Cidr[] }
  /** What there is stays as it is, and running pods with it. */
  | { readonly verdict: 'refuse'; readonly message: string }

/** Whether a node may work with the subnets it is given, and if not why, in words for whoever has to put it right. */
export function judgeSubnets(question: SubnetQuestion): SubnetVerdict {
  const problems = [...question.desired.flatMap((subnet) => overlapsOf(question, subnet)), ...changesOf(question)]
  if (problems.length === 0) return { verdict: 'accept', subnets: question.desired }
  const { current } = question
  const kept = current.length === 0 ? 'no pod gets a network' : `the node goes on with ${listOf(current)}`
  return { verdict: 'refuse', message: `${problems.join('; ')}. Until that is put right ${kept}.` }
}

/** The host would lose the way to one of the two; which one, depends on the longer prefix. */
function overlapsOf({ hostNetworks }: SubnetQuestion, subnet: Cidr): string[] {
  const hit = hostNetworks.find(({ cidr }) => cidr.prefix > 0 && cidrsOverlap(cidr, subnet))
  if (hit === undefined) return []
  return [
    `the node's pod subnet ${formatCidr(subnet)} overlaps ${formatCidr(hit.cidr)}, a network that its own ` +
      `${hit.device} is connected to: choose other networks for pods`,
  ]
}

/** An address cannot change while a pod runs. */
function changesOf({ inUse, desired }: SubnetQuestion): string[] {
  return inUse
    .filter((used) => !desired.some((subnet) => formatCidr(subnet) === formatCidr(used)))
    .map((used) => {
      const successor = desired.filter(({ family }) => family === used.family)
      const change = successor.length > 0 ? `it is now to use ${listOf(successor)}` : 'it is to use that no longer'
      return (
        `pods of the node have addresses of ${formatCidr(used)}, and ${change}: ` +
        `drain the node, or give ${formatCidr(used)} back to it`
      )
    })
}

const listOf = (cidrs: readonly Cidr[]): string => cidrs.map(formatCidr).join(', ')
