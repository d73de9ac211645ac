import { FAMILIES, type Family, IPV4, IPV6 } from '../../src/base/family.js'
import { parseCidr } from '../../src/base/ip.js'
import { type Element } from '../../src/codec/nft/element.js'
import { type Rule } from '../../src/codec/nft/rule.js'
import { type SetSpec } from '../../src/codec/nft/set.js'
import {
  destinationAddress,
  destinationKind,
  destinationPort,
  flowStatus,
  inputLinkIndex,
  networkProtocol,
  PROTOCOL,
  sourceAddress,
  type Statement,
  transportProtocol,
} from '../../src/codec/nft/statement.js'
import { ADDRESS_KIND, FLOW_STATUS, LOOPBACK_INDEX, TYPE } from '../../src/codec/nft/types.js'

/** What translates ports of the node, for both families in one inet table. */

const SAMPLES = {
  ipv4: { pod: '10.1.0.5', other: '10.1.0.6', net: '10.1.0.0', netEnd: '10.1.0.255' },
  ipv6: { pod: 'fd00:1::5', other: 'fd00:1::6', net: 'fd00:1::', netEnd: 'fd00:1::ffff:ffff:ffff:ffff' },
} as const

interface PortSets {
  readonly anywhere: SetSpec
  readonly nearby: SetSpec
  readonly elements: Readonly<Record<'port' | 'net' | 'one', Element>>
}

export function portSets(family: Family): PortSets {
  const address = TYPE[family.nftAddress]
  const { pod, other, net, netEnd } = SAMPLES[family.name]
  return {
    anywhere: {
      name: `anywhere_${family.name}`,
      key: [TYPE.inet_proto, TYPE.inet_service],
      data: [address, TYPE.inet_service],
    },
    nearby: { name: `nearby_${family.name}`, key: [address, address], interval: true },
    elements: {
      port: { key: [PROTOCOL.UDP, 53], data: [pod, 5353] },
      net: { key: [net, pod], upTo: [netEnd, pod] },
      one: { key: [other, other] },
    },
  }
}

const ofFamily = (family: Family): Statement => ({ kind: 'match', field: networkProtocol, value: family.nfproto })

/** Rules by their names, each with the chain that it is in; chain `t` is the one that `local` leads to. */
export const PORT_RULES: Readonly<Record<string, readonly [chain: string, Rule]>> = {
  local: [
    'n',
    [
      { kind: 'match', field: destinationKind, value: ADDRESS_KIND.local },
      { kind: 'verdict', verdict: { verdict: 'jump', chain: 't' } },
    ],
  ],
  'loopback from elsewhere': [
    'r',
    [
      { kind: 'match', field: inputLinkIndex, value: LOOPBACK_INDEX, negate: true },
      ofFamily(IPV4),
      { kind: 'within', field: destinationAddress(IPV4), network: parseCidr('127.0.0.0/8') },
      { kind: 'verdict', verdict: { verdict: 'drop' } },
    ],
  ],
  'one address': [
    't',
    [
      ofFamily(IPV6),
      { kind: 'match', field: destinationAddress(IPV6), value: '::1' },
      { kind: 'verdict', verdict: { verdict: 'return' } },
    ],
  ],
  ...Object.fromEntries(
    FAMILIES.flatMap((family): [string, readonly [string, Rule]][] => [
      [
        `dnat anywhere_${family.name}`,
        [
          't',
          [
            ofFamily(family),
            {
              kind: 'dnat',
              family,
              fields: [transportProtocol, destinationPort],
              map: portSets(family).anywhere.name,
            },
          ],
        ],
      ],
      [
        `nearby_${family.name}`,
        [
          'p',
          [
            { kind: 'bits', field: flowStatus, bits: FLOW_STATUS.dnat },
            ofFamily(family),
            {
              kind: 'lookup',
              fields: [sourceAddress(family), destinationAddress(family)],
              set: portSets(family).nearby.name,
            },
            { kind: 'masquerade' },
          ],
        ],
      ],
    ]),
  ),
}
