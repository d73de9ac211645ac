import { keyBy } from '../base/diff.js'
import { FAMILIES, type Family } from '../base/family.js'
import { type Cidr } from '../base/ip.js'
import { MASQUERADE_TABLE, PRIORITY, TUNNELS } from '../base/names.js'
import { type Element } from '../codec/nft/element.js'
import { intervalKey, intervalsOf } from '../codec/nft/intervals.js'
import { type SetSpec } from '../codec/nft/set.js'
import {
  destinationAddress,
  networkProtocol,
  outputLink,
  sourceAddress,
  type Statement,
} from '../codec/nft/statement.js'
import { type Table } from '../codec/nft/table.js'
import { TYPE } from '../codec/nft/types.js'
import { type HeldElements, heldElements, planElements as planSets } from '../ops/elements.js'
import { type NftOp } from '../ops/op.js'
import { type ActualRuleset, planStructure, type Ruleset } from '../ops/ruleset.js'

/**
 * Masquerade of what leaves the pod networks: pods' addresses mean nothing outside. One inet table for both families.
 * Between pods nothing is translated, on whatever nodes they are. What the node itself sends into a tunnel takes the
 * tunnel's address: an answer to the node's own would go round the tunnel, through routers that know no pods.
 */
export interface MasqueradeDesired {
  /** Networks of this node's pods: their packets are masqueraded, */
  readonly sources: readonly Cidr[]
  /** unless they go here: all pod networks, and what the user excepts. */
  readonly exceptions: readonly Cidr[]
}

export interface MasqueradeActual {
  readonly structure: ActualRuleset
  /** Elements by the name of their set. */
  readonly elements: ReadonlyMap<string, readonly Element[]>
}

export const MASQUERADE: Table = { family: 'inet', name: MASQUERADE_TABLE }

const set = (name: string, family: Family): SetSpec => ({
  name: `${name}_${family.name}`,
  key: [TYPE[family.nftAddress]],
  interval: true,
})

/** Where packets come from that are masqueraded, and where those go that are not. */
export const MASQUERADE_SETS = FAMILIES.map((family) => ({
  family,
  sources: set('sources', family),
  exceptions: set('exceptions', family),
}))

const rule = ({ family, sources, exceptions }: (typeof MASQUERADE_SETS)[number]): Statement[] => [
  { kind: 'match', field: networkProtocol, value: family.nfproto },
  { kind: 'lookup', fields: [sourceAddress(family)], set: sources.name },
  { kind: 'lookup', fields: [destinationAddress(family)], set: exceptions.name, negate: true },
  { kind: 'masquerade' },
]

const tunnelRule = ({ family, sources }: (typeof MASQUERADE_SETS)[number], device: string): Statement[] => [
  { kind: 'match', field: outputLink, value: device },
  { kind: 'match', field: networkProtocol, value: family.nfproto },
  { kind: 'lookup', fields: [sourceAddress(family)], set: sources.name, negate: true },
  { kind: 'masquerade' },
]

/** Everything but elements. */
export const MASQUERADE_RULESET: Ruleset = {
  table: MASQUERADE,
  sets: MASQUERADE_SETS.flatMap(({ sources, exceptions }) => [sources, exceptions]),
  chains: [
    {
      chain: { name: 'postrouting', base: { type: 'nat', hook: 'postrouting', priority: PRIORITY.srcnat } },
      rules: [
        ...Object.values(TUNNELS).flatMap((device) => MASQUERADE_SETS.map((sets) => tunnelRule(sets, device))),
        ...MASQUERADE_SETS.map(rule),
      ],
    },
  ],
}

/** What each set is to hold. */
export type MasqueradeElements = HeldElements

export const masqueradeElements = (desired: MasqueradeDesired): MasqueradeElements =>
  new Map(
    MASQUERADE_SETS.flatMap(({ family, sources, exceptions }) => [
      [sources.name, keyBy(intervalsOf(family, desired.sources), intervalKey)] as const,
      [exceptions.name, keyBy(intervalsOf(family, desired.exceptions), intervalKey)] as const,
    ]),
  )

/** One transaction that makes the table as wanted; nothing where it is so. */
export function planMasquerade(elements: MasqueradeElements, actual: MasqueradeActual | undefined): NftOp[] {
  const { rebuild, before, after } = planStructure(MASQUERADE_RULESET, actual?.structure)
  return [...before, ...planElements(elements, heldElements(rebuild ? undefined : actual?.elements)), ...after]
}

/** What a table lacks that holds other elements, and is right otherwise: nobody has to look at it for that. */
export const planElements = (elements: MasqueradeElements, held: MasqueradeElements): NftOp[] =>
  planSets(MASQUERADE_RULESET, elements, held)
