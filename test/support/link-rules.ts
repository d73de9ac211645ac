import { FAMILIES, type Family, IPV6 } from '../../src/base/family.js'
import { type TableFamily } from '../../src/codec/nft/constants.js'
import { type Rule } from '../../src/codec/nft/rule.js'
import {
  advertisedAddress,
  arpSenderAddress,
  arpSenderMac,
  destinationPort,
  type Field,
  frameProtocol,
  frameSource,
  frameType,
  icmpv6Type,
  inputLink,
  inputLinkType,
  networkProtocol,
  nextHeader,
  PROTOCOL,
  sourceAddress,
  type Statement,
  transportProtocol,
} from '../../src/codec/nft/statement.js'
import { type SetSpec } from '../../src/codec/nft/set.js'
import { ETHER_TYPE, ICMPV6_TYPE, IP_PROTOCOL, LINK_TYPE, TYPE } from '../../src/codec/nft/types.js'

/** Sets of links, and of who is behind which. */
export const LINK_SETS = {
  guarded: { name: 'guarded', key: [TYPE.ifname] },
  ipv4: { name: 'ipv4', key: [TYPE.ifname, TYPE.ether_addr, TYPE.ipv4_addr] },
  ipv6: { name: 'ipv6', key: [TYPE.ifname, TYPE.ether_addr, TYPE.ipv6_addr] },
  targets: { name: 'targets', key: [TYPE.ifname, TYPE.nd_target] },
} as const satisfies Record<string, SetSpec>

const match = (field: Field, value: number): Statement => ({ kind: 'match', field, value })
const lookup = (fields: readonly Field[], set: string, negate?: true): Statement => ({
  kind: 'lookup',
  fields,
  set,
  ...(negate === undefined ? {} : { negate }),
})
const verdict = (word: 'accept' | 'drop'): Statement => ({ kind: 'verdict', verdict: { verdict: word } })

/** What says of which protocol a frame is, in each table that has frames of it. */
const ofFamily: Partial<Record<TableFamily, (family: Family) => Rule>> = {
  bridge: ({ etherType }) => [match(frameProtocol, etherType)],
  inet: ({ etherType }) => [match(inputLinkType, LINK_TYPE.ether), match(frameType, etherType)],
}
const ofArp: Partial<Record<TableFamily, Rule>> = {
  bridge: [match(frameType, ETHER_TYPE.arp)],
  arp: [match(inputLinkType, LINK_TYPE.ether)],
}
const ofIcmpv6: Partial<Record<TableFamily, Rule>> = {
  bridge: [match(frameType, IPV6.etherType)],
  inet: [match(networkProtocol, IPV6.nfproto)],
}

/** A table's rules about links and frames by their names; chain `d` is the one that they lead to. */
export function linkRules(table: TableFamily): Readonly<Record<string, Rule>> {
  const [ip, arp, icmpv6] = [ofFamily[table], ofArp[table], ofIcmpv6[table]]
  return {
    'guarded link': [lookup([inputLink], 'guarded'), { kind: 'verdict', verdict: { verdict: 'goto', chain: 'd' } }],
    ...(ip === undefined ? {} : ipRules(ip)),
    ...(arp === undefined ? {} : arpRules(arp)),
    ...(icmpv6 === undefined ? {} : icmpv6Rules([...icmpv6, match(transportProtocol, IP_PROTOCOL.icmpv6)])),
    ...(table === 'bridge'
      ? {
          'VLAN tag': [match(frameType, ETHER_TYPE['8021q']), verdict('drop')],
          'outer tag': [match(frameType, ETHER_TYPE['8021ad']), verdict('drop')],
        }
      : {}),
  }
}

const ipRules = (of: (family: Family) => Rule): Record<string, Rule> =>
  Object.fromEntries(
    FAMILIES.map((family) => [
      `${family.kubernetes} source`,
      [...of(family), lookup([inputLink, frameSource, sourceAddress(family)], family.name), verdict('accept')],
    ]),
  )

const arpRules = (of: Rule): Record<string, Rule> => ({
  'ARP sender': [
    ...of,
    lookup([inputLink, frameSource, arpSenderAddress], 'ipv4'),
    lookup([inputLink, arpSenderMac, arpSenderAddress], 'ipv4'),
    verdict('accept'),
  ],
})

const icmpv6Rules = (of: Rule): Record<string, Rule> => ({
  router: [...of, match(icmpv6Type, ICMPV6_TYPE['nd-router-advert']), verdict('drop')],
  redirect: [...of, match(icmpv6Type, ICMPV6_TYPE['nd-redirect']), verdict('drop')],
  'advertised address': [
    ...of,
    match(icmpv6Type, ICMPV6_TYPE['nd-neighbor-advert']),
    lookup([inputLink, advertisedAddress], 'targets', true),
    verdict('drop'),
  ],
  'advertised behind more headers': [
    ...of,
    match(icmpv6Type, ICMPV6_TYPE['nd-neighbor-advert']),
    { kind: 'match', field: nextHeader, value: IP_PROTOCOL.icmpv6, negate: true },
    verdict('drop'),
  ],
  'to port': [match(transportProtocol, PROTOCOL.UDP), match(destinationPort, 68), verdict('drop')],
})
