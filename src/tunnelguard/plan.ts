import { keyBy } from '../base/diff.js'
import { type Cidr, type Ip } from '../base/ip.js'
import { type Element } from '../codec/nft/element.js'
import { intervalKey, intervalsOf } from '../codec/nft/intervals.js'
import { type HeldElements, heldElements, planElements } from '../ops/elements.js'
import { type NftOp } from '../ops/op.js'
import { type ActualRuleset, planStructure, type Ruleset } from '../ops/ruleset.js'
import { TUNNEL_GUARD, TUNNEL_GUARD_SETS } from './layout.js'

/** Who has to do with this node's tunnels. */
export interface TunnelParties {
  /** Addresses of this node that others may know as its end. */
  readonly own: readonly Ip[]
  /** Addresses of other nodes, whether a tunnel leads to them or not: of two only one may have found the other's link. */
  readonly peers: readonly Ip[]
  /** Networks of their pods. */
  readonly pods: readonly Cidr[]
}

export interface TunnelGuardActual {
  readonly structure: ActualRuleset
  /** Elements by the name of their set. */
  readonly elements: ReadonlyMap<string, readonly Element[]>
}

export const tunnelGuardElements = ({ own, peers, pods }: TunnelParties): HeldElements =>
  new Map(
    TUNNEL_GUARD_SETS.flatMap(({ family, ...sets }) => {
      const ofFamily = (ips: readonly Ip[]): Element[] =>
        ips.filter((ip) => ip.family === family).map(({ address }) => ({ key: [address] }))
      return [
        [sets.own.name, keyBy(ofFamily(own), intervalKey)] as const,
        [sets.peers.name, keyBy(ofFamily(peers), intervalKey)] as const,
        [sets.pods.name, keyBy(intervalsOf(family, pods), intervalKey)] as const,
      ]
    }),
  )

/** One transaction that makes the table as wanted; nothing where it is so, and no table where there are no tunnels. */
export function planTunnelGuard(
  ruleset: Ruleset,
  elements: HeldElements | undefined,
  actual: TunnelGuardActual | undefined,
): NftOp[] {
  if (elements === undefined) return actual === undefined ? [] : [{ kind: 'table.delete', table: TUNNEL_GUARD }]
  const { rebuild, before, after } = planStructure(ruleset, actual?.structure)
  return [...before, ...planElements(ruleset, elements, heldElements(rebuild ? undefined : actual?.elements)), ...after]
}
