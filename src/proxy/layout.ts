import { type Family } from '../base/family.js'
import { PRIORITY, SERVICES_TABLE } from '../base/names.js'
import { type Chain } from '../codec/nft/chain.js'
import { type SetSpec } from '../codec/nft/set.js'
import {
  destinationAddress,
  destinationPort,
  type Field,
  PROTOCOL,
  randomBelow,
  sourceAddress,
  type Statement,
  transportProtocol,
} from '../codec/nft/statement.js'
import { type Table } from '../codec/nft/table.js'
import { TYPE } from '../codec/nft/types.js'
import { type ChainRules, type Ruleset } from '../ops/ruleset.js'

/**
 * The shape of the Services table of a family.
 *
 * A new flow's destination is looked up in `frontends`, which answers the chain for the number of endpoints that the
 * frontend has: `pick_3` draws one of three slots, and chain `slot_1` translates to what map `slot_1` has for this
 * frontend. Endpoint I of every frontend stands in map slot_I, so a changed endpoint is one element, and chains and
 * rules grow with the largest Service, never with the number of Services.
 *
 * Rejected: numgen as a part of the maps' key, which needs one map in all. The kernel takes it, but nft up to 1.0.6
 * aborts when it lists such a rule, and with it every tool on the host that lists rules.
 */

export const servicesTable = (family: Family): Table => ({ family: family.nft, name: SERVICES_TABLE })

const frontendTypes = (family: Family) => [TYPE[family.nftAddress], TYPE.inet_proto, TYPE.inet_service] as const

export const frontendsMap = (family: Family): SetSpec => ({
  name: 'frontends',
  key: frontendTypes(family),
  data: 'verdict',
})

export const SLOTS_MAP: SetSpec = { name: 'slots', key: [TYPE.numgen], data: 'verdict' }

export const slotMap = (family: Family, slot: number): SetSpec => ({
  name: slotName(slot),
  key: frontendTypes(family),
  data: [TYPE[family.nftAddress], TYPE.inet_service],
})

/** Addresses that belong to Services and to nothing else: what is still bound for one was not translated. */
export const addressesSet = (family: Family): SetSpec => ({ name: 'service_ips', key: [TYPE[family.nftAddress]] })

/** Pairs of one address: an endpoint that was sent to itself. */
export const hairpinSet = (family: Family): SetSpec => ({
  name: 'hairpin',
  key: [TYPE[family.nftAddress], TYPE[family.nftAddress]],
})

export const slotName = (slot: number): string => `slot_${slot}`
export const pickName = (endpoints: number): string => `pick_${endpoints}`

/** No Service has more endpoints: a slot's number beyond it is not ours. */
const MOST_SLOTS = 1 << 16

/** How many slots a table with these sets has: up to the highest, though one below it may be missing. */
export function slotsIn(sets: Iterable<string>): number {
  let slots = 0
  for (const name of sets) {
    const slot = Number(/^slot_(\d+)$/.exec(name)?.[1] ?? -1)
    if (slot >= slots && slot < MOST_SLOTS && slotName(slot) === name) slots = slot + 1
  }
  return slots
}

const flowKey = (family: Family): Field[] => [destinationAddress(family), transportProtocol, destinationPort]

/** The whole structure, for Services of up to `slots` endpoints. */
export function servicesRuleset(family: Family, slots: number): Ruleset {
  const numbers = Array.from({ length: slots }, (_, i) => i)
  return {
    table: servicesTable(family),
    sets: [
      addressesSet(family),
      hairpinSet(family),
      SLOTS_MAP,
      frontendsMap(family),
      ...numbers.map((slot) => slotMap(family, slot)),
    ],
    chains: [
      ...numbers.map((slot) => slotChain(family, slot)),
      ...numbers.map((slot) => pickChain(slot + 1)),
      ...baseChains(family),
    ],
  }
}

const slotChain = (family: Family, slot: number): ChainRules => ({
  chain: { name: slotName(slot) },
  rules: [[{ kind: 'dnat', family, fields: flowKey(family), map: slotName(slot) }]],
})

const pickChain = (endpoints: number): ChainRules => ({
  chain: { name: pickName(endpoints) },
  rules: [[{ kind: 'vmap', fields: [randomBelow(endpoints)], map: SLOTS_MAP.name }]],
})

function baseChains(family: Family): ChainRules[] {
  const translate: Statement = { kind: 'vmap', fields: flowKey(family), map: 'frontends' }
  const ofService: Statement = { kind: 'lookup', fields: [destinationAddress(family)], set: 'service_ips' }
  const hairpin: Statement = {
    kind: 'lookup',
    fields: [sourceAddress(family), destinationAddress(family)],
    set: 'hairpin',
  }
  // The protocol first: nft prints the reset without it, and puts it there when it loads the list again.
  const reject = [
    [
      { kind: 'match', field: transportProtocol, value: PROTOCOL.TCP },
      ofService,
      { kind: 'reject', family, with: 'tcp reset' },
    ],
    [ofService, { kind: 'reject', family, with: 'port-unreachable' }],
  ] as const
  return [
    { chain: base('prerouting', 'nat', PRIORITY.dstnat), rules: [[translate]] },
    { chain: base('output', 'nat', PRIORITY.dstnat), rules: [[translate]] },
    // The reply of an endpoint that was sent to itself has to come back through the node to be translated.
    { chain: base('postrouting', 'nat', PRIORITY.hairpin), rules: [[hairpin, { kind: 'masquerade' }]] },
    { chain: { ...base('forward', 'filter', PRIORITY.reject), name: 'reject_forward' }, rules: reject },
    { chain: { ...base('output', 'filter', PRIORITY.reject), name: 'reject_output' }, rules: reject },
  ]
}

type Hook = NonNullable<Chain['base']>['hook']

const base = (hook: Hook, type: 'nat' | 'filter', priority: number): Chain => ({
  name: hook,
  base: { type, hook, priority },
})
