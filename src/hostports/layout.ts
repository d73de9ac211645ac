import { FAMILIES, type Family, type FamilyName, IPV4, IPV6 } from '../base/family.js'
import { HOSTPORTS_TABLE, PRIORITY } from '../base/names.js'
import { type BaseChain, type Chain } from '../codec/nft/chain.js'
import { type Rule } from '../codec/nft/rule.js'
import { type SetSpec } from '../codec/nft/set.js'
import {
  destinationAddress,
  destinationKind,
  destinationPort,
  flowStatus,
  inputLinkIndex,
  networkProtocol,
  sourceAddress,
  type Statement,
  transportProtocol,
} from '../codec/nft/statement.js'
import { type Table } from '../codec/nft/table.js'
import { ADDRESS_KIND, FLOW_STATUS, LOOPBACK_INDEX, TYPE } from '../codec/nft/types.js'
import { type ChainRules, type Ruleset } from '../ops/ruleset.js'
import { LOOPBACK } from './hostport.js'

/**
 * The shape of the table of host ports, for both families.
 *
 * What is for an address of the node itself is looked up in `at_address`, then in `anywhere`, and translated to the
 * container. Nothing else is looked at: a mapping to an address that the node does not have, which anybody may ask for,
 * must not catch what only passes the node. Services' table has the same hooks and priority, and it does not matter
 * which of the two is first: addresses of Services are no addresses of the node.
 *
 * Clients keep their addresses, but for those in `nearby`, which the container would answer past the node.
 *
 * The node itself may use 127.0.0.1. For this the container's link has to let packets from 127.0.0.0/8 pass
 * (route_localnet), and with that the node would take them from any neighbour there, as if it had sent them itself
 * (CVE-2020-8558). So they are dropped where they come in, before anybody translates them: on the wire there are none,
 * because answers to the node's own are still for the address that it was masqueraded with.
 *
 * ::1 cannot be used: IPv6 drops what comes back for it behind a translation, and has no setting like the above. It is
 * left alone, so that a client which tries both is refused there at once.
 */
export const HOSTPORTS: Table = { family: 'inet', name: HOSTPORTS_TABLE }

/** The sets of a family. */
export interface FamilySets {
  /** Ports at one address of the node. */
  readonly atAddress: SetSpec
  /** Ports at all addresses of the node. */
  readonly anywhere: SetSpec
  /** Networks of clients that are masqueraded on the way to a container, each with the container's address. */
  readonly nearby: SetSpec
}

const familySets = (family: Family): FamilySets => {
  const address = TYPE[family.nftAddress]
  const port = [TYPE.inet_proto, TYPE.inet_service]
  const data = [address, TYPE.inet_service]
  return {
    atAddress: { name: `at_address_${family.name}`, key: [address, ...port], data },
    anywhere: { name: `anywhere_${family.name}`, key: port, data },
    nearby: { name: `nearby_${family.name}`, key: [address, address], interval: true },
  }
}

export const SETS: Readonly<Record<FamilyName, FamilySets>> = { ipv4: familySets(IPV4), ipv6: familySets(IPV6) }

/** All sets, for whoever observes the table. */
export const HOSTPORT_SETS: readonly SetSpec[] = FAMILIES.flatMap(({ name }) => {
  const { atAddress, anywhere, nearby } = SETS[name]
  return [atAddress, anywhere, nearby]
})

const ofFamily = ({ nfproto }: Family): Statement => ({ kind: 'match', field: networkProtocol, value: nfproto })
const verdict = (word: 'drop' | 'return'): Statement => ({ kind: 'verdict', verdict: { verdict: word } })

/** Addresses of the node that are never translated. */
const UNTRANSLATABLE: Readonly<Partial<Record<FamilyName, string>>> = { ipv6: '::1' }

function translation(family: Family): Rule[] {
  const { atAddress, anywhere } = SETS[family.name]
  const loopback = UNTRANSLATABLE[family.name]
  const destination = destinationAddress(family)
  const port = [transportProtocol, destinationPort]
  return [
    ...(loopback === undefined
      ? []
      : [[ofFamily(family), { kind: 'match', field: destination, value: loopback }, verdict('return')] as const]),
    [ofFamily(family), { kind: 'dnat', family, fields: [destination, ...port], map: atAddress.name }],
    [ofFamily(family), { kind: 'dnat', family, fields: port, map: anywhere.name }],
  ]
}

const masquerade = (family: Family): Rule => [
  { kind: 'bits', field: flowStatus, bits: FLOW_STATUS.dnat },
  ofFamily(family),
  { kind: 'lookup', fields: [sourceAddress(family), destinationAddress(family)], set: SETS[family.name].nearby.name },
  { kind: 'masquerade' },
]

/** Of packets from outside that pretend to be the node's own, both ways. */
const MARTIANS: readonly Rule[] = [destinationAddress(IPV4), sourceAddress(IPV4)].map((field) => [
  { kind: 'match', field: inputLinkIndex, value: LOOPBACK_INDEX, negate: true },
  ofFamily(IPV4),
  { kind: 'within', field, network: LOOPBACK },
  verdict('drop'),
])

const TO_NODE: Rule = [
  { kind: 'match', field: destinationKind, value: ADDRESS_KIND.local },
  { kind: 'verdict', verdict: { verdict: 'jump', chain: 'translate' } },
]

const at = (name: string, type: BaseChain['type'], hook: BaseChain['hook'], priority: number): Chain => ({
  name,
  base: { type, hook, priority },
})

const CHAINS: readonly ChainRules[] = [
  { chain: at('martians', 'filter', 'prerouting', PRIORITY.raw), rules: MARTIANS },
  { chain: { name: 'translate' }, rules: FAMILIES.flatMap(translation) },
  { chain: at('prerouting', 'nat', 'prerouting', PRIORITY.dstnat), rules: [TO_NODE] },
  { chain: at('output', 'nat', 'output', PRIORITY.dstnat), rules: [TO_NODE] },
  { chain: at('postrouting', 'nat', 'postrouting', PRIORITY.hairpin), rules: FAMILIES.map(masquerade) },
]

export const HOSTPORTS_RULESET: Ruleset = { table: HOSTPORTS, sets: HOSTPORT_SETS, chains: CHAINS }
