import { type Family } from '../base/family.js'
import { type Cidr, cidrContains, cidrsOverlap, formatCidr } from '../base/ip.js'
import { freeSubnets, takenOf } from './candidates.js'
import { type Claim, type Claimant } from './claim.js'
import { type ClusterNetwork, familiesOf, sizeOf } from './networks.js'

/** A Node as claims see it. */
export interface NodeSubnet {
  readonly name: string
  readonly uid: string
  readonly podCIDRs: readonly Cidr[]
}

/** All that decides what a node does about its claims. */
export interface Situation {
  readonly networks: readonly ClusterNetwork[]
  readonly claims: readonly Claim[]
  /** All Nodes; only looked at where something is {@link lacking}. */
  readonly nodes: readonly NodeSubnet[]
  readonly self: Claimant
  /** Subnets that pods of this node have addresses of. */
  readonly inUse: readonly Cidr[]
  /** What must not be claimed besides what is taken: networks of the host, names that others hold. */
  readonly avoid: readonly Cidr[]
  readonly now: number
}

/** What is to be done next. */
export type Step =
  /** Own and acquired, or to be acquired now: it is the node's from then on. */
  | { readonly do: 'renew'; readonly claim: Claim }
  | { readonly do: 'claim'; readonly subnet: Cidr }
  | { readonly do: 'take over'; readonly claim: Claim }
  | { readonly do: 'withdraw'; readonly claim: Claim; readonly why: string }

export interface ClaimPlan {
  readonly steps: readonly Step[]
  /** What a person has to know, or to do. */
  readonly problems: readonly string[]
  /** A message for each family of which this node can get no subnet. */
  readonly exhausted: readonly string[]
}

/** Families in which this node has no claim that it can keep: the Nodes are needed to choose one. */
export const lacking = (situation: Omit<Situation, 'nodes'>): Family[] =>
  familiesOf(situation.networks).filter((family) => keptOf(situation, family) === undefined)

/**
 * What a node does about its claims. A function of what is there and of nothing else, so that an agent which died in the
 * middle goes on where it was: after `claim` and `take over` the claims are to be listed and planned anew.
 */
export function planClaims(situation: Situation): ClaimPlan {
  const steps: Step[] = []
  const problems: string[] = []
  const exhausted: string[] = []
  const kept = new Set<Claim>()
  for (const family of familiesOf(situation.networks)) {
    const claim = keptOf(situation, family)
    if (claim !== undefined) {
      kept.add(claim)
      steps.push({ do: 'renew', claim })
      problems.push(...problemsOf(situation, claim))
      continue
    }
    const step = chosen(situation, family)
    if (step === undefined) exhausted.push(exhaustion(situation, family))
    else steps.push(step)
  }
  for (const claim of ownClaims(situation))
    if (!kept.has(claim) && !(claim.acquired && isUsed(situation, claim.subnet)))
      steps.push({ do: 'withdraw', claim, why: reasonToWithdraw(situation, claim) })
  return { steps, problems, exhausted }
}

type Known = Omit<Situation, 'nodes'>

const ownClaims = ({ claims, self }: Known): Claim[] => claims.filter(({ holder }) => holder === self.name)

const isUsed = ({ inUse }: Known, subnet: Cidr): boolean => inUse.some((used) => cidrsOverlap(used, subnet))

/** The own claim of a family that stays: one in use before all others, then the oldest. */
function keptOf(situation: Known, family: Family): Claim | undefined {
  const [first] = ownClaims(situation)
    .filter((claim) => claim.subnet.family === family && isTenable(situation, claim))
    .sort(
      (a, b) =>
        Number(isUsed(situation, b.subnet)) - Number(isUsed(situation, a.subnet)) ||
        Number(b.acquired) - Number(a.acquired) ||
        a.created - b.created ||
        (a.name < b.name ? -1 : 1),
    )
  return first
}

/** A claim that has not been acquired gives way to whatever overlaps it; both of two may. */
function isTenable(situation: Known, claim: Claim): boolean {
  if (!claim.acquired) return rivalOf(situation, claim) === undefined
  return isUsed(situation, claim.subnet) || isConfigured(situation, claim.subnet)
}

const rivalOf = ({ claims, self }: Known, { name, subnet }: Claim): Claim | undefined =>
  claims.find((other) => other.name !== name && other.holder !== self.name && cidrsOverlap(other.subnet, subnet))

const isConfigured = ({ networks }: Known, { family, address, prefix }: Cidr): boolean =>
  networks.some(({ cidr }) => cidr.family === family && cidr.prefix <= prefix && cidrContains(cidr, address))

function problemsOf(situation: Known, claim: Claim): string[] {
  const subnet = formatCidr(claim.subnet)
  const rival = rivalOf(situation, claim)
  const problems: string[] = []
  if (!isConfigured(situation, claim.subnet))
    problems.push(`${subnet} is outside of cluster-networks; it is kept while pods use it`)
  if (rival?.acquired === true)
    problems.push(`${subnet} overlaps ${formatCidr(rival.subnet)}, which ${rival.holder ?? 'nobody'} holds as well`)
  return problems
}

function reasonToWithdraw(situation: Known, claim: Claim): string {
  const rival = claim.acquired ? undefined : rivalOf(situation, claim)
  if (rival !== undefined) return `overlaps ${formatCidr(rival.subnet)} of ${rival.holder ?? 'nobody'}`
  return isConfigured(situation, claim.subnet) ? 'another one is kept' : 'is outside of cluster-networks'
}

/** What pods have addresses of already, else the first free one, else one whose node is gone. */
function chosen(situation: Situation, family: Family): Step | undefined {
  const taken = [...takenBy(situation), ...situation.avoid]
  const used = situation.inUse
    .filter((cidr) => cidr.family === family && isConfigured(situation, cidr))
    .find((cidr) => !taken.some((other) => cidrsOverlap(other, cidr)))
  if (used !== undefined) return { do: 'claim', subnet: used }
  for (const network of networksOf(situation, family)) {
    const [first] = freeSubnets(network, situation.self.name, taken)
    if (first !== undefined) return { do: 'claim', subnet: first }
  }
  const claim = situation.claims.find(
    (candidate) => candidate.subnet.family === family && isOrphan(situation, candidate),
  )
  return claim && { do: 'take over', claim }
}

/** Every claim counts, also those that are expired: only their deletion, or taking them over, makes them free. */
const takenBy = ({ claims, nodes }: Situation): Cidr[] => [
  ...claims.map(({ subnet }) => subnet),
  ...nodes.flatMap(({ podCIDRs }) => podCIDRs),
]

const networksOf = ({ networks }: Known, family: Family): ClusterNetwork[] =>
  networks.filter(({ cidr }) => cidr.family === family)

/**
 * Expired, of a Node that is neither there by its name nor by its uid, and free to be used. Where the Node is there,
 * its agent may be down and its pods still run; a new Node of the name finds the claim as its own.
 */
function isOrphan(situation: Situation, claim: Claim): boolean {
  const { nodes, claims, now, avoid } = situation
  return (
    isConfigured(situation, claim.subnet) &&
    claim.expires < now &&
    !nodes.some(({ name, uid }) => name === claim.holder || uid === claim.owner) &&
    !nodes.some(({ podCIDRs }) => podCIDRs.some((cidr) => cidrsOverlap(cidr, claim.subnet))) &&
    !avoid.some((cidr) => cidrsOverlap(cidr, claim.subnet)) &&
    !claims.some((other) => other !== claim && cidrsOverlap(other.subnet, claim.subnet))
  )
}

function exhaustion(situation: Situation, family: Family): string {
  const taken = [...takenBy(situation), ...situation.avoid]
  const pools = networksOf(situation, family).map((network) => {
    const { cidr, nodePrefix } = network
    return `${takenOf(network, taken)} of ${sizeOf(network)} of /${nodePrefix} in ${formatCidr(cidr)} are taken`
  })
  return `no ${family.kubernetes} subnet is free for this node: ${pools.join(', ')}; add a network to cluster-networks`
}
