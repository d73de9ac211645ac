import { FAMILIES, type Family } from '../../src/base/family.js'
import { bigIntToIp, ipToBigInt } from '../../src/base/ip.js'
import { type Chain } from '../../src/codec/nft/chain.js'
import { type TableFamily } from '../../src/codec/nft/constants.js'
import { type Element } from '../../src/codec/nft/element.js'
import { type SetSpec } from '../../src/codec/nft/set.js'
import {
  connectionState,
  destinationAddress,
  destinationPort,
  networkProtocol,
  PROTOCOL,
  randomBelow,
  sourceAddress,
  type Statement,
  transportProtocol,
} from '../../src/codec/nft/statement.js'
import { type Table } from '../../src/codec/nft/table.js'
import { CONNECTION_STATE, TYPE } from '../../src/codec/nft/types.js'
import { type NftOp } from '../../src/ops/op.js'
import { LINK_SETS, linkRules } from '../support/link-rules.js'
import { PORT_RULES, portSets } from '../support/port-rules.js'
import { type ChainRules, planStructure, type Ruleset } from '../../src/ops/ruleset.js'

/** A table with everything in it that netloom writes, and its elements. */
export interface Everything {
  readonly ruleset: Ruleset
  readonly elements: readonly (readonly [SetSpec, readonly Element[]])[]
}

const hook = (
  name: string,
  type: 'nat' | 'filter',
  at: NonNullable<Chain['base']>['hook'],
  priority: number,
): Chain => ({
  name,
  base: { type, hook: at, priority },
})

/** The families whose packets a table of this family sees. */
const familiesOf = (table: TableFamily): readonly Family[] =>
  table === 'inet' ? FAMILIES : FAMILIES.filter(({ nft }) => nft === table)

export const everything = (family: TableFamily, name = 't'): Everything => {
  const table: Table = { family, name }
  const parts = [
    ...familiesOf(family).map((of) => partOf(of, family === 'inet')),
    ...linkPart(family),
    ...portPart(family),
  ]
  return {
    ruleset: {
      table,
      sets: [SLOTS, ...parts.flatMap(({ sets }) => sets)],
      chains: [...REGULAR, ...parts.flatMap(({ chains }) => chains)],
    },
    elements: [
      [SLOTS, [{ key: [0], data: { verdict: 'goto', chain: 'regular' } }]],
      ...parts.flatMap(({ elements }) => elements),
    ],
  }
}

const SLOTS: SetSpec = { name: 'slots', key: [TYPE.numgen], data: 'verdict' }

const verdict = (statement: Extract<Statement, { kind: 'verdict' }>['verdict']): Statement => ({
  kind: 'verdict',
  verdict: statement,
})

const REGULAR: readonly ChainRules[] = [
  { chain: { name: 'empty' }, rules: [] },
  {
    chain: { name: 'regular' },
    rules: [
      [{ kind: 'match', field: transportProtocol, value: PROTOCOL.UDP }, verdict({ verdict: 'return' })],
      [{ kind: 'match', field: transportProtocol, value: PROTOCOL.SCTP }, verdict({ verdict: 'jump', chain: 'empty' })],
      [{ kind: 'match', field: transportProtocol, value: 253 }, verdict({ verdict: 'drop' })],
      [verdict({ verdict: 'accept' })],
    ],
  },
]

interface Part {
  readonly sets: SetSpec[]
  readonly chains: ChainRules[]
  readonly elements: (readonly [SetSpec, readonly Element[]])[]
}

const SAMPLES = {
  ipv4: { vip: '10.96.0.1', pod: '10.0.1.5', net: '10.2.0.0', multicast: '224.0.0.0' },
  ipv6: { vip: 'fd00:96::1', pod: 'fd00:1::5', net: 'fd00:2::', multicast: 'ff00::' },
} as const

const PORT = 'nlm-0123456789a'
const MAC = '0a:58:0a:01:00:02'

/** What judges frames, and packets with the frame around them. */
function linkPart(family: TableFamily): Part[] {
  const hook = { bridge: 'prerouting', inet: 'prerouting', arp: 'input' } as const
  if (family === 'ip' || family === 'ip6') return []
  const { guarded, ipv4, ipv6, targets } = LINK_SETS
  const base = { type: 'filter', hook: hook[family], priority: family === 'bridge' ? -301 : 0 } as const
  return [
    {
      sets: [guarded, ipv4, ipv6, targets],
      chains: [
        { chain: { name: 'd' }, rules: [] },
        { chain: { name: 'links', base }, rules: Object.values(linkRules(family)) },
      ],
      elements: [
        [guarded, [{ key: [PORT] }]],
        [ipv4, [{ key: [PORT, MAC, SAMPLES.ipv4.pod] }]],
        [ipv6, [{ key: [PORT, MAC, SAMPLES.ipv6.pod] }]],
        [targets, [{ key: [PORT, SAMPLES.ipv6.pod] }]],
      ],
    },
  ]
}

/** What translates ports of the node; both families in one table. */
function portPart(family: TableFamily): Part[] {
  if (family !== 'inet') return []
  const parts = FAMILIES.map(portSets)
  const chain = (name: string): Chain => PORT_CHAINS[name] ?? { name }
  const rulesOf = (name: string): ChainRules => ({
    chain: chain(name),
    rules: Object.values(PORT_RULES).flatMap(([at, rule]) => (at === name ? [rule] : [])),
  })
  return [
    {
      sets: parts.flatMap(({ anywhere, nearby }) => [anywhere, nearby]),
      chains: ['t', 'n', 'p', 'r'].map(rulesOf),
      elements: parts.flatMap(({ anywhere, nearby, elements }) => [
        [anywhere, [elements.port]] as const,
        [nearby, [elements.net, elements.one]] as const,
      ]),
    },
  ]
}

const PORT_CHAINS: Readonly<Record<string, Chain>> = {
  n: hook('n', 'nat', 'prerouting', -100),
  p: hook('p', 'nat', 'postrouting', 99),
  r: hook('r', 'filter', 'prerouting', -300),
}

const after = (family: Family, address: string, count: bigint): string =>
  bigIntToIp(family, ipToBigInt(address) + count - 1n)

function partOf(family: Family, both: boolean): Part {
  const named = (name: string): string => (both ? `${name}_${family.name}` : name)
  const address = TYPE[family.nftAddress]
  const frontend = [address, TYPE.inet_proto, TYPE.inet_service]
  const flow = [destinationAddress(family), transportProtocol, destinationPort]
  const ips: SetSpec = { name: named('ips'), key: [address] }
  const pairs: SetSpec = { name: named('pairs'), key: [address, address] }
  const nets: SetSpec = { name: named('nets'), key: [address], interval: true }
  const frontends: SetSpec = { name: named('frontends'), key: frontend, data: 'verdict' }
  const slot: SetSpec = { name: named('slot'), key: frontend, data: [address, TYPE.inet_service] }
  const { vip, pod, net, multicast } = SAMPLES[family.name]
  const host = 1n << 8n
  // Without it nft prints what follows as bytes of a header that it does not know, and cannot load that again.
  const ofFamily: Statement[] = both ? [{ kind: 'match', field: networkProtocol, value: family.nfproto }] : []
  const rules: ChainRules[] = [
    { chain: { name: named('slot') }, rules: [[...ofFamily, { kind: 'dnat', family, fields: flow, map: slot.name }]] },
    { chain: { name: named('pick') }, rules: [[{ kind: 'vmap', fields: [randomBelow(1)], map: SLOTS.name }]] },
    {
      chain: hook(named('prerouting'), 'nat', 'prerouting', -100),
      rules: [[...ofFamily, { kind: 'vmap', fields: flow, map: frontends.name }]],
    },
    {
      chain: hook(named('postrouting'), 'nat', 'postrouting', 99),
      rules: [
        [
          ...ofFamily,
          { kind: 'lookup', fields: [sourceAddress(family), destinationAddress(family)], set: pairs.name },
          { kind: 'masquerade' },
        ],
        [
          ...ofFamily,
          { kind: 'lookup', fields: [sourceAddress(family)], set: nets.name },
          { kind: 'lookup', fields: [destinationAddress(family)], set: nets.name, negate: true },
          { kind: 'masquerade' },
        ],
      ],
    },
    {
      chain: hook(named('forward'), 'filter', 'forward', -1),
      rules: [
        [
          { kind: 'bits', field: connectionState, bits: CONNECTION_STATE.established | CONNECTION_STATE.related },
          verdict({ verdict: 'accept' }),
        ],
        [
          { kind: 'match', field: transportProtocol, value: PROTOCOL.TCP },
          ...ofFamily,
          { kind: 'lookup', fields: [destinationAddress(family)], set: ips.name },
          { kind: 'reject', family, with: 'tcp reset' },
        ],
        [
          ...ofFamily,
          { kind: 'lookup', fields: [destinationAddress(family)], set: ips.name },
          { kind: 'match', field: destinationPort, value: 80 },
          { kind: 'reject', family, with: 'port-unreachable' },
        ],
      ],
    },
  ]
  return {
    sets: [ips, pairs, nets, frontends, slot],
    chains: rules,
    elements: [
      [ips, [{ key: [vip] }]],
      [pairs, [{ key: [pod, pod] }]],
      [
        nets,
        [
          { key: [pod], last: pod },
          { key: [net], last: after(family, net, host) },
          { key: [after(family, net, host + 1n)], last: after(family, net, 2n * host) },
          { key: [multicast], last: bigIntToIp(family, (1n << BigInt(family.bits)) - 1n) },
        ],
      ],
      [frontends, [{ key: [vip, PROTOCOL.TCP, 80], data: { verdict: 'goto', chain: named('pick') } }]],
      [slot, [{ key: [vip, PROTOCOL.TCP, 80], data: [pod, 8080] }]],
    ],
  }
}

/** What makes it of nothing: one transaction. */
export const creation = ({ ruleset, elements }: Everything): NftOp[] => [
  ...planStructure(ruleset, undefined).before,
  ...elements.map(([set, list]): NftOp => ({ kind: 'elements.add', table: ruleset.table, set, elements: list })),
]
