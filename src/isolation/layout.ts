import { createHash } from 'node:crypto'
import { type Family, FAMILIES } from '../base/family.js'
import { ISOLATION_TABLE, PRIORITY } from '../base/names.js'
import { type Rule } from '../codec/nft/rule.js'
import { sameSet, type SetFacts, setFacts, type SetSpec } from '../codec/nft/set.js'
import {
  connectionState,
  destinationAddress,
  networkProtocol,
  sourceAddress,
  type Statement,
} from '../codec/nft/statement.js'
import { type Table } from '../codec/nft/table.js'
import { CONNECTION_STATE, TYPE, type Verdict } from '../codec/nft/types.js'
import { type IngressPolicy } from '../model/lease.js'
import { type ChainRules, type Ruleset } from '../ops/ruleset.js'

/**
 * Who of this node's containers may open connections to which (`ingressPolicy`). What a container sends to another is
 * looked up by the receiver's address in `policies`, which answers the chain of its network or that of the isolated, and
 * there by the sender's: three look-ups at most for a packet of a new connection, however many networks there are. The node
 * itself and whatever is outside is not in `containers`, and passes.
 *
 * Judged are addresses behind all translation, as the packet is forwarded: ports of the node and Services open no way
 * around it. By addresses and not by links, because containers of many networks come in by one bridge; so a container
 * that may send with addresses of others (`spoofCheck`: false) can pass for one of theirs, as far as no answer is needed.
 *
 * A network that has a policy is closed to all containers of others. The reference plugin says the same, but its rules
 * drop only what goes between two networks that both have one: a container escapes it by being in a network that has
 * none. Whoever asks for protection hardly means to depend on what others ask for.
 *
 * Another plugin's bridge shows the node only what it routes, unless br_netfilter is on: `isolated` counts between two
 * containers of one such bridge no sooner, as with the reference plugin.
 */
export const ISOLATION: Table = { family: 'inet', name: ISOLATION_TABLE }

/** All containers of the node, whether their networks have policies or not. */
export const containers = ({ name, nftAddress }: Family): SetSpec => ({
  name: `containers_${name}`,
  key: [TYPE[nftAddress]],
})

/** Receivers with a policy, and the chain of those who may send to them. */
export const policies = ({ name, nftAddress }: Family): SetSpec => ({
  name: `policies_${name}`,
  key: [TYPE[nftAddress]],
  data: 'verdict',
})

/** Isolated containers, each with itself: it may reach itself by a Service or by its port of the node. */
export const themselves = ({ name, nftAddress }: Family): SetSpec => ({
  name: `themselves_${name}`,
  key: [TYPE[nftAddress], TYPE[nftAddress]],
})

const membersPrefix = ({ name }: Family): string => `members_${name}_`

/** All containers of a network. */
export const members = (family: Family, network: string): SetSpec => ({
  name: membersPrefix(family) + identifierOf(network),
  key: [TYPE[family.nftAddress]],
})

/** nft's own names may be longer, but not as long as those of CNI networks. */
const LONGEST_IDENTIFIER = 64

/**
 * A network's name where nft is to know it. Of letters, digits and `_.-` are both made (CNI specification, "Section 1"),
 * behind a prefix of ours no word is one of nft's grammar, and people find the network that they look for. One that is
 * too long is cut and told from others by its digest; longer than all that are not cut, so that it is never one of them.
 */
export function identifierOf(network: string): string {
  if (network.length <= LONGEST_IDENTIFIER) return network
  return `${network.slice(0, LONGEST_IDENTIFIER)}_${createHash('sha256').update(network).digest('hex').slice(0, 32)}`
}

const chainOf = (network: string): string => `network_${identifierOf(network)}`
const ISOLATED = 'isolated'

/** What becomes of what containers send to one with this policy. */
export const VERDICTS: Readonly<Record<IngressPolicy, (network: string) => Verdict>> = {
  'same-network': (network) => ({ verdict: 'goto', chain: chainOf(network) }),
  isolated: () => ({ verdict: 'goto', chain: ISOLATED }),
}

const ACCEPT: Statement = { kind: 'verdict', verdict: { verdict: 'accept' } }
const DROP: Statement = { kind: 'verdict', verdict: { verdict: 'drop' } }

const each = (ruleOf: (family: Family) => Rule): Rule[] =>
  FAMILIES.map((family) => [{ kind: 'match', field: networkProtocol, value: family.nfproto }, ...ruleOf(family)])

/** Replies, and errors about what was sent: whoever may open a connection may be answered. */
const ANSWERS: Rule = [
  { kind: 'bits', field: connectionState, bits: CONNECTION_STATE.established | CONNECTION_STATE.related },
  ACCEPT,
]

const FORWARD: ChainRules = {
  chain: { name: 'forward', base: { type: 'filter', hook: 'forward', priority: PRIORITY.isolate } },
  rules: [
    ANSWERS,
    ...each((family) => [
      { kind: 'lookup', fields: [sourceAddress(family)], set: containers(family).name },
      { kind: 'vmap', fields: [destinationAddress(family)], map: policies(family).name },
    ]),
  ],
}

const ONLY_THEMSELVES: ChainRules = {
  chain: { name: ISOLATED },
  rules: [
    ...each((family) => [
      {
        kind: 'lookup',
        fields: [sourceAddress(family), destinationAddress(family)],
        set: themselves(family).name,
      },
      ACCEPT,
    ]),
    [DROP],
  ],
}

const membersChain = (network: string): ChainRules => ({
  chain: { name: chainOf(network) },
  rules: [
    ...each((family) => [
      { kind: 'lookup', fields: [sourceAddress(family)], set: members(family, network).name },
      ACCEPT,
    ]),
    [DROP],
  ],
})

const COMMON_SETS = FAMILIES.flatMap((family) => [containers(family), policies(family), themselves(family)])

/** The whole structure, where these networks admit their own. */
export const isolationRuleset = (networks: Iterable<string>): Ruleset => ({
  table: ISOLATION,
  sets: [...COMMON_SETS, ...[...networks].flatMap((network) => FAMILIES.map((family) => members(family, network)))],
  chains: [FORWARD, ONLY_THEMSELVES, ...[...networks].map(membersChain)],
})

/** Those sets of a table that are ours, of whatever networks. */
export function setsAmong(there: ReadonlyMap<string, SetFacts>): SetSpec[] {
  const ofNetworks = FAMILIES.flatMap((family) =>
    [...there.keys()]
      .filter((name) => name.startsWith(membersPrefix(family)))
      .map((name): SetSpec => ({ name, key: [TYPE[family.nftAddress]] })),
  )
  return [...COMMON_SETS, ...ofNetworks].filter((set) => {
    const facts = there.get(set.name)
    return facts !== undefined && sameSet(setFacts(set), facts)
  })
}
