import { FAMILIES, type Family, IPV6 } from '../base/family.js'
import { ANTISPOOF_TABLE, PRIORITY } from '../base/names.js'
import { type Chain } from '../codec/nft/chain.js'
import { type Rule } from '../codec/nft/rule.js'
import { type SetSpec } from '../codec/nft/set.js'
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
  sourceAddress,
  type Statement,
  transportProtocol,
} from '../codec/nft/statement.js'
import { type Table } from '../codec/nft/table.js'
import { ETHER_TYPE, ICMPV6_TYPE, IP_PROTOCOL, LINK_TYPE, TYPE } from '../codec/nft/types.js'
import { type Ruleset } from '../ops/ruleset.js'

/**
 * A container sends as itself: what comes from a guarded link passes where link, MAC address and address belong
 * together. Three tables, since no family of tables sees all of it: frames that a bridge takes in (`bridge`), packets
 * that the node itself takes in (`inet`), and the ARP packets that it takes in (`arp`).
 *
 * A link is guarded in all three, but its senders stand only where its packets belong. So nothing at all comes in by
 * the other ways: a bridge hands frames for some group addresses (01:80:c2:00:00:0e and others of 802.1D) to the node
 * as if the port were no port, past the hooks of bridges and into its IP stack.
 *
 * A netdev table would see everything in one place, but hooks each link by a chain or a list of its own, which is
 * written anew for each link that comes or goes.
 */

/** Links whose senders are checked. */
export const GUARDED: SetSpec = { name: 'guarded', key: [TYPE.ifname] }

/** Who sends by which link, by the family of the address: link, MAC address, address. */
export const senders = ({ name, nftAddress }: Family): SetSpec => ({
  name,
  key: [TYPE.ifname, TYPE.ether_addr, TYPE[nftAddress]],
})

/** The IPv6 addresses that may be advertised by a link as being there. */
export const ADVERTISED: SetSpec = { name: 'advertised', key: [TYPE.ifname, TYPE.nd_target] }

const [IPV4_SENDERS, IPV6_SENDERS] = FAMILIES.map(senders) as [SetSpec, SetSpec]

const match = (field: Field, value: number): Statement => ({ kind: 'match', field, value })
const DROP: Statement = { kind: 'verdict', verdict: { verdict: 'drop' } }
const ACCEPT: Statement = { kind: 'verdict', verdict: { verdict: 'accept' } }

/** Where DHCP clients listen (RFC 2131, RFC 8415). */
const DHCP_CLIENT_PORTS = [68, 546]

/**
 * What a container never says, not even as itself: that it is a router, or knows a better one; that an address is here
 * which is not; and anything to a DHCP client. By the client's port, because servers may choose theirs, and because
 * relays, which a container may well serve, are spoken to at another.
 *
 * The address in an advertisement stands where it is looked for only behind no extension headers: others are dropped.
 */
function claims(ipv6: Rule): Rule[] {
  const icmpv6 = [...ipv6, match(transportProtocol, IP_PROTOCOL.icmpv6)]
  const advertisement = [...icmpv6, match(icmpv6Type, ICMPV6_TYPE['nd-neighbor-advert'])]
  return [
    [...icmpv6, match(icmpv6Type, ICMPV6_TYPE['nd-router-advert']), DROP],
    [...icmpv6, match(icmpv6Type, ICMPV6_TYPE['nd-redirect']), DROP],
    [...advertisement, { kind: 'match', field: nextHeader, value: IP_PROTOCOL.icmpv6, negate: true }, DROP],
    [
      ...advertisement,
      { kind: 'lookup', fields: [inputLink, advertisedAddress], set: ADVERTISED.name, negate: true },
      DROP,
    ],
    ...DHCP_CLIENT_PORTS.map((port): Rule => [
      match(transportProtocol, IP_PROTOCOL.udp),
      match(destinationPort, port),
      DROP,
    ]),
  ]
}

const sender = (mac: Field, address: Field, { name }: SetSpec): Statement => ({
  kind: 'lookup',
  fields: [inputLink, mac, address],
  set: name,
})

/** Packets of known senders pass; `of` are the statements by which nft knows of which family they are. */
const packets = (of: (family: Family) => Rule): Rule[] =>
  FAMILIES.map((family) => [...of(family), sender(frameSource, sourceAddress(family), senders(family)), ACCEPT])

/** ARP passes where the frame comes from who it says it is from: switches and bridges believe the one, ARP the other. */
const arp = (of: Rule): Rule => [
  ...of,
  sender(frameSource, arpSenderAddress, IPV4_SENDERS),
  sender(arpSenderMac, arpSenderAddress, IPV4_SENDERS),
  ACCEPT,
]

/** Frames with a VLAN tag: the kernel has put it aside, so that the rules for packets would see what is behind it. */
const TAGS: Rule[] = (['8021q', '8021ad'] as const).map((tag) => [match(frameType, ETHER_TYPE[tag]), DROP])

type Base = NonNullable<Chain['base']>

/** A table in which guarded links pass these rules and are dropped behind the last; other links are left alone. */
const tableOf = (
  family: Table['family'],
  { base, sets, rules }: { base: Omit<Base, 'type'>; sets: readonly SetSpec[]; rules: readonly Rule[] },
): Ruleset => ({
  table: { family, name: ANTISPOOF_TABLE },
  sets: [GUARDED, ...sets],
  chains: [
    { chain: { name: 'sender' }, rules: [...rules, [DROP]] },
    {
      chain: { name: base.hook, base: { type: 'filter', ...base } },
      rules: [
        [
          { kind: 'lookup', fields: [inputLink], set: GUARDED.name },
          { kind: 'verdict', verdict: { verdict: 'goto', chain: 'sender' } },
        ],
      ],
    },
  ],
})

/** Frames from ports of bridges. */
const FRAMES = tableOf('bridge', {
  base: { hook: 'prerouting', priority: PRIORITY.guardFrames },
  sets: [IPV4_SENDERS, IPV6_SENDERS, ADVERTISED],
  rules: [
    ...TAGS,
    ...claims([match(frameType, ETHER_TYPE.ip6)]),
    ...packets(({ etherType }) => [match(frameProtocol, etherType)]),
    arp([match(frameType, ETHER_TYPE.arp)]),
  ],
})

/** Packets from links without a bridge. */
const PACKETS = tableOf('inet', {
  base: { hook: 'prerouting', priority: PRIORITY.guardPackets },
  sets: [IPV4_SENDERS, IPV6_SENDERS, ADVERTISED],
  rules: [
    ...claims([match(networkProtocol, IPV6.nfproto)]),
    ...packets(({ etherType }) => [match(inputLinkType, LINK_TYPE.ether), match(frameType, etherType)]),
  ],
})

/** ARP from links without a bridge. */
const ARP = tableOf('arp', {
  base: { hook: 'input', priority: PRIORITY.guardArp },
  sets: [IPV4_SENDERS],
  rules: [arp([match(inputLinkType, LINK_TYPE.ether)])],
})

/** Everything but elements. */
export const ANTISPOOF: readonly Ruleset[] = [FRAMES, PACKETS, ARP]

export const ANTISPOOF_TABLES: readonly Table[] = ANTISPOOF.map(({ table }) => table)
