import { FAMILIES, type Family } from '../base/family.js'
import { BRIDGE, PRIORITY, TUNNELS, TUNNELS_TABLE, VETH_PREFIX } from '../base/names.js'
import { type Rule } from '../codec/nft/rule.js'
import { type SetSpec } from '../codec/nft/set.js'
import {
  destinationAddress,
  destinationPort,
  flowStatus,
  inputLink,
  networkProtocol,
  PROTOCOL,
  sourceAddress,
  type Statement,
  transportProtocol,
  vxlanNetwork,
} from '../codec/nft/statement.js'
import { type Table } from '../codec/nft/table.js'
import { FLOW_STATUS, TYPE } from '../codec/nft/types.js'
import { type ChainRules, type Ruleset } from '../ops/ruleset.js'

/**
 * VXLAN takes whatever comes to its port for a frame of another node, and what was inside comes in by a link where
 * nobody asks a container whether it is who it says. So who may send there is asked here, on both sides.
 *
 * - The receiver takes tunnels from the addresses of nodes alone, to its own addresses as nodes know them.
 * - A container that sends to another node comes with its node's address where it is masqueraded, and looks like that
 *   node. So each node keeps its own containers, and those outside that send through it, from the ports of the others:
 *   at those addresses that the others take tunnels at. What nodes themselves send to each other through it may pass.
 * - What comes out of a tunnel comes from pods of other nodes, or from their gateways: never from this node's own pods,
 *   from a node, or from outside.
 *
 * Only our own network's packets are judged: other programs may have tunnels at the same port.
 *
 * Whoever can send with a node's address on the network between the nodes is not told from it, nor is a pod in the
 * node's own network (hostNetwork): that takes encryption, and trust.
 */
export const TUNNEL_GUARD: Table = { family: 'inet', name: TUNNELS_TABLE }

const addresses = (name: string, { name: family, nftAddress }: Family): SetSpec => ({
  name: `${name}_${family}`,
  key: [TYPE[nftAddress]],
})

/** `peers`: addresses of other nodes; `own`: of this one; `pods`: networks of the others' pods. */
export const TUNNEL_GUARD_SETS = FAMILIES.map((family) => ({
  family,
  peers: addresses('peers', family),
  own: addresses('own', family),
  pods: { ...addresses('pods', family), interval: true } satisfies SetSpec,
}))

type FamilySets = (typeof TUNNEL_GUARD_SETS)[number]

const DROP: Statement = { kind: 'verdict', verdict: { verdict: 'drop' } }
const goto = (chain: string): Statement => ({ kind: 'verdict', verdict: { verdict: 'goto', chain } })

const each = (ruleOf: (sets: FamilySets) => Rule): Rule[] =>
  TUNNEL_GUARD_SETS.map((sets) => [
    { kind: 'match', field: networkProtocol, value: sets.family.nfproto },
    ...ruleOf(sets),
  ])

const [INSIDE, HERE, ELSEWHERE, SENDER] = ['inside', 'here', 'elsewhere', 'sender'] as const

/** What tells our tunnels from others at the same port. */
export interface TunnelNetwork {
  readonly port: number
  readonly vni: number
}

/** Whatever is no VXLAN pays for two comparisons at most. */
const chainAt = (hook: 'input' | 'forward', { port, vni }: TunnelNetwork, judge: string): ChainRules => ({
  chain: { name: hook, base: { type: 'filter', hook, priority: PRIORITY.guardTunnels } },
  rules: [
    [
      { kind: 'match', field: transportProtocol, value: PROTOCOL.UDP },
      { kind: 'match', field: destinationPort, value: port },
      { kind: 'match', field: vxlanNetwork, value: vni },
      goto(judge),
    ],
  ],
})

const PREROUTING: ChainRules = {
  chain: { name: 'prerouting', base: { type: 'filter', hook: 'prerouting', priority: PRIORITY.guardPackets } },
  rules: Object.values(TUNNELS).map((device) => [{ kind: 'match', field: inputLink, value: device }, goto(INSIDE)]),
}

const JUDGES: readonly ChainRules[] = [
  {
    chain: { name: INSIDE },
    rules: each(({ family, pods }) => [
      { kind: 'lookup', fields: [sourceAddress(family)], set: pods.name, negate: true },
      DROP,
    ]),
  },
  {
    chain: { name: HERE },
    rules: [
      ...each(({ family, own }) => [
        { kind: 'lookup', fields: [destinationAddress(family)], set: own.name, negate: true },
        DROP,
      ]),
      [goto(SENDER)],
    ],
  },
  {
    chain: { name: ELSEWHERE },
    rules: each(({ family, peers }) => [
      { kind: 'lookup', fields: [destinationAddress(family)], set: peers.name },
      goto(SENDER),
    ]),
  },
  {
    chain: { name: SENDER },
    rules: [
      // Also one that may send with addresses of others (`spoofCheck`: false).
      [{ kind: 'match', field: inputLink, value: BRIDGE }, DROP],
      [{ kind: 'begins', field: inputLink, prefix: VETH_PREFIX }, DROP],
      // A Service or a port of a node that leads here; the node that it was sent by may stand for anybody.
      [{ kind: 'bits', field: flowStatus, bits: FLOW_STATUS.dnat }, DROP],
      ...each(({ family, peers }) => [
        { kind: 'lookup', fields: [sourceAddress(family)], set: peers.name, negate: true },
        DROP,
      ]),
    ],
  },
]

/** Everything but elements. */
export const tunnelGuardRuleset = (network: TunnelNetwork): Ruleset => ({
  table: TUNNEL_GUARD,
  sets: TUNNEL_GUARD_SETS.flatMap(({ peers, own, pods }) => [peers, own, pods]),
  chains: [PREROUTING, chainAt('input', network, HERE), chainAt('forward', network, ELSEWHERE), ...JUDGES],
})
