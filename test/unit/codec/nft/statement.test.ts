import t from 'tap'
import { FAMILIES, IPV4, IPV6 } from '../../../../src/base/family.js'
import { parseCidr } from '../../../../src/base/ip.js'
import {
  advertisedAddress,
  arpSenderAddress,
  arpSenderMac,
  connectionState,
  destinationAddress,
  destinationKind,
  destinationPort,
  type Field,
  flowStatus,
  frameProtocol,
  frameSource,
  frameType,
  icmpv6Type,
  inputLink,
  inputLinkType,
  inputLinkIndex,
  lower,
  networkProtocol,
  nextHeader,
  PROTOCOL,
  randomBelow,
  sourceAddress,
  type Statement,
  statementText,
  transportProtocol,
  vxlanNetwork,
} from '../../../../src/codec/nft/statement.js'
import { ADDRESS_KIND, FLOW_STATUS, LOOPBACK_INDEX } from '../../../../src/codec/nft/types.js'

const registers = (fields: readonly Field[]): unknown[] =>
  lower({ kind: 'lookup', fields, set: 's' })
    .slice(0, -1)
    .map(({ values }) => values['dreg'])

t.test(
  'parts of a key lie side by side: whole registers of 16 bytes by their old numbers, else those of 4',
  async (t) => {
    const flow = [transportProtocol, destinationPort]
    t.strictSame(registers([destinationAddress(IPV4), ...flow]), [1, 9, 10])
    t.strictSame(registers([destinationAddress(IPV6), ...flow]), [1, 2, 13])
    t.strictSame(registers([sourceAddress(IPV4), destinationAddress(IPV4)]), [1, 9])
    t.strictSame(registers([sourceAddress(IPV6), destinationAddress(IPV6)]), [1, 2])
    t.strictSame(registers([inputLink, frameSource, sourceAddress(IPV6)]), [1, 2, 14])
  },
)

t.test('addresses are read from where the family has them', async (t) => {
  const offsets = FAMILIES.map((family) =>
    [sourceAddress(family), destinationAddress(family)].map((field) => field.load(1).values['offset']),
  )
  t.strictSame(offsets, [
    [12, 16], // RFC 791
    [8, 24], // RFC 8200
  ])
})

t.test('a value is compared in the size of its field', async (t) => {
  const compared = (field: Field, value: number): unknown => {
    const [, cmp] = lower({ kind: 'match', field, value })
    return Buffer.from(cmp?.values['data'] as Uint8Array).toString('hex')
  }
  t.equal(compared(transportProtocol, PROTOCOL.TCP), '06')
  t.equal(compared(networkProtocol, IPV6.nfproto), '0a')
  t.equal(compared(frameType, 0x0806), '0806')
  t.equal(compared(inputLinkType, 1), '0100', 'in host order')
  t.equal(compared(destinationPort, 80), '0050')
  t.equal(compared(vxlanNetwork, 0x6e0001), '6e0001')
  t.throws(() => compared(vxlanNetwork, 2 ** 24), { code: 'invalid' })
  t.throws(() => compared(destinationPort, 65536), { code: 'invalid' })
})

t.test('a match asks for the value, a negated one for any other', async (t) => {
  const operators = [{}, { negate: false }, { negate: true }].map(
    (negate) => lower({ kind: 'match', field: destinationPort, value: 80, ...negate })[1]?.values['op'],
  )
  t.strictSame(operators, [0, 0, 1])
})

t.test('translation takes the port from behind the address', async (t) => {
  const ports = FAMILIES.map((family) => {
    const fields = [destinationAddress(family), transportProtocol, destinationPort]
    return lower({ kind: 'dnat', family, fields, map: 'slot_0' }).at(-1)?.values['portMin']
  })
  t.strictSame(ports, [9, 2])
})

t.test("statements are told in nft's grammar", async (t) => {
  const flow = [destinationAddress(IPV6), transportProtocol, destinationPort]
  const table: { readonly [K in Statement['kind']]: readonly (readonly [Statement & { kind: K }, string])[] } = {
    match: [
      [{ kind: 'match', field: transportProtocol, value: PROTOCOL.SCTP }, 'meta l4proto sctp'],
      [{ kind: 'match', field: networkProtocol, value: IPV4.nfproto }, 'meta nfproto ipv4'],
      [{ kind: 'match', field: networkProtocol, value: IPV6.nfproto }, 'meta nfproto ipv6'],
      [{ kind: 'match', field: networkProtocol, value: 7 }, 'meta nfproto 7'],
      [{ kind: 'match', field: destinationPort, value: 53 }, 'th dport 53'],
      [{ kind: 'match', field: inputLinkIndex, value: LOOPBACK_INDEX, negate: true }, 'iif != "lo"'],
      [{ kind: 'match', field: destinationKind, value: ADDRESS_KIND.local }, 'fib daddr type local'],
      [{ kind: 'match', field: nextHeader, value: 58, negate: true }, 'ip6 nexthdr != icmpv6'],
      [{ kind: 'match', field: frameType, value: 0x8100 }, 'ether type 8021q'],
      [{ kind: 'match', field: frameProtocol, value: 0x88b5 }, 'meta protocol 34997'],
      [{ kind: 'match', field: inputLinkType, value: 1 }, 'meta iiftype ether'],
      [{ kind: 'match', field: vxlanNetwork, value: 110 }, '@th,96,24 0x6e'],
      [{ kind: 'match', field: icmpv6Type, value: 137 }, 'icmpv6 type nd-redirect'],
    ],
    bits: [
      [{ kind: 'bits', field: flowStatus, bits: FLOW_STATUS.dnat }, 'ct status dnat'],
      [{ kind: 'bits', field: connectionState, bits: 6 }, 'ct state established,related'],
      [{ kind: 'bits', field: connectionState, bits: 2 }, 'ct state established'],
      [{ kind: 'bits', field: connectionState, bits: 10 }, 'ct state 0xa'],
    ],
    begins: [[{ kind: 'begins', field: inputLink, prefix: 'nlm-' }, 'iifname "nlm-*"']],
    within: [
      [{ kind: 'within', field: destinationAddress(IPV4), network: parseCidr('127.0.0.0/8') }, 'ip daddr 127.0.0.0/8'],
    ],
    lookup: [
      [{ kind: 'lookup', fields: [sourceAddress(IPV4)], set: 's' }, 'ip saddr @s'],
      [{ kind: 'lookup', fields: [sourceAddress(IPV6)], set: 's', negate: true }, 'ip6 saddr != @s'],
      [
        { kind: 'lookup', fields: [inputLink, arpSenderMac, arpSenderAddress], set: 's' },
        'iifname . arp saddr ether . arp saddr ip @s',
      ],
      [
        { kind: 'lookup', fields: [inputLink, advertisedAddress], set: 's', negate: true },
        'iifname . @nh,384,128 != @s',
      ],
    ],
    vmap: [
      [{ kind: 'vmap', fields: flow, map: 'm' }, 'ip6 daddr . meta l4proto . th dport vmap @m'],
      [{ kind: 'vmap', fields: [randomBelow(7)], map: 'slots' }, 'numgen random mod 7 vmap @slots'],
    ],
    dnat: [
      [
        { kind: 'dnat', family: IPV6, fields: flow, map: 'm' },
        'dnat ip6 to ip6 daddr . meta l4proto . th dport map @m',
      ],
    ],
    masquerade: [[{ kind: 'masquerade' }, 'masquerade fully-random']],
    reject: [
      [{ kind: 'reject', family: IPV4, with: 'tcp reset' }, 'reject with tcp reset'],
      [{ kind: 'reject', family: IPV4, with: 'port-unreachable' }, 'reject with icmp port-unreachable'],
      [{ kind: 'reject', family: IPV6, with: 'port-unreachable' }, 'reject with icmpv6 port-unreachable'],
    ],
    verdict: [[{ kind: 'verdict', verdict: { verdict: 'jump', chain: 'c' } }, 'jump c']],
  }
  for (const rows of Object.values(table)) for (const [statement, text] of rows) t.equal(statementText(statement), text)
})

t.test('a network is compared in as many bytes as it has', async (t) => {
  const within = (network: string): unknown[] =>
    lower({ kind: 'within', field: sourceAddress(IPV4), network: parseCidr(network) }).map(({ values }) => values)
  t.match(within('127.0.0.0/8'), [{ offset: 12, length: 1 }, { data: Buffer.of(127) }])
  t.match(within('10.1.0.0/16'), [{ length: 2 }, { data: Buffer.of(10, 1) }])
  t.throws(() => within('10.0.0.0/9'), { code: 'internal' })
})
