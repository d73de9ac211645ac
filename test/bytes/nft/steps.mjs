/**
 * What capture.mjs feeds to nft, in order, in one new network namespace for each noun. A step with a name is kept: all
 * messages of its transaction. Steps without one prepare the namespace.
 */
const keep = (name, text) => ({ name, text })
const prepare = (...lines) => ({ text: lines.join('\n') })
/** Keeps what the kernel answers to nft's request of this type (NFT_MSG_*) while it lists the ruleset. */
const listing = (name, type) => ({ name, listing: type })

const NFT_MSG = { GETTABLE: 1, GETCHAIN: 4, GETRULE: 7, GETSET: 10, GETSETELEM: 13 }

/** The two tables that stand for all of what netloom writes, one for each family. */
const SERVICES = {
  ip: { table: 'ip t', type: 'ipv4_addr', address: 'ip', vip: '10.96.0.1', pod: '10.0.1.5', icmp: 'icmp' },
  ip6: { table: 'ip6 t', type: 'ipv6_addr', address: 'ip6', vip: 'fd00:96::1', pod: 'fd00:1::5', icmp: 'icmpv6' },
}
const FAMILIES = Object.values(SERVICES)

const sets = ({ table, type }) => [
  prepare(`add table ${table}`),
  keep(`${table}: set`, `add set ${table} ips { type ${type}; }`),
  keep(`${table}: set of pairs`, `add set ${table} pairs { type ${type} . ${type}; }`),
  keep(`${table}: interval set`, `add set ${table} nets { type ${type}; flags interval; }`),
  keep(`${table}: verdict map`, `add map ${table} frontends { type ${type} . inet_proto . inet_service : verdict; }`),
  keep(`${table}: verdict map of numgen`, `add map ${table} slots { typeof numgen inc mod 2 : verdict; }`),
  keep(
    `${table}: map to address and port`,
    `add map ${table} slot_0 { type ${type} . inet_proto . inet_service : ${type} . inet_service; }`,
  ),
  keep(`${table}: map to port`, `add map ${table} ports { type inet_proto . inet_service : inet_service; }`),
]

const elements = ({ table, vip, pod }) => {
  const frontend = `${vip} . tcp . 80`
  const [first, last] = vip.includes(':')
    ? ['ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']
    : ['224.0.0.0', '255.255.255.255']
  const [net, next] = vip.includes(':') ? ['fd00:2::/64', 'fd00:2:0:1::/64'] : ['10.2.0.0/24', '10.2.1.0/24']
  return [
    prepare(`add chain ${table} pick_2`, `add chain ${table} slot_0`),
    keep(`${table}: add address`, `add element ${table} ips { ${vip} }`),
    keep(`${table}: add pair`, `add element ${table} pairs { ${pod} . ${pod} }`),
    keep(`${table}: add intervals side by side`, `add element ${table} nets { ${net}, ${next} }`),
    keep(`${table}: add interval with open end`, `add element ${table} nets { ${first}-${last} }`),
    keep(`${table}: add single address to intervals`, `add element ${table} nets { ${pod} }`),
    keep(`${table}: add goto`, `add element ${table} frontends { ${frontend} : goto pick_2 }`),
    keep(`${table}: add drop`, `add element ${table} frontends { ${vip} . udp . 53 : drop }`),
    keep(`${table}: add number`, `add element ${table} slots { 1 : goto slot_0 }`),
    keep(`${table}: add address and port`, `add element ${table} slot_0 { ${frontend} : ${pod} . 8080 }`),
    keep(`${table}: add port`, `add element ${table} ports { tcp . 80 : 8080 }`),
    keep(`${table}: add catch-all`, `add element ${table} frontends { * : drop }`),
    keep(`${table}: delete interval`, `delete element ${table} nets { ${net} }`),
    keep(`${table}: delete address and port`, `delete element ${table} slot_0 { ${frontend} }`),
    keep(`${table}: delete catch-all`, `delete element ${table} frontends { * : drop }`),
    keep(`${table}: flush set`, `flush set ${table} ips`),
    keep(`${table}: flush map`, `flush map ${table} slots`),
  ]
}

const rules = ({ table, address, icmp }) => {
  const flow = `${address} daddr . meta l4proto . th dport`
  const rule = (name, text) => keep(`${table}: ${name}`, `add rule ${table} c ${text}`)
  return [
    prepare(
      `add chain ${table} c`,
      `add chain ${table} n { type nat hook prerouting priority dstnat; policy accept; }`,
    ),
    prepare(`add chain ${table} s { type nat hook postrouting priority srcnat; policy accept; }`),
    prepare(`add chain ${table} f { type filter hook forward priority filter; policy accept; }`),
    rule('match protocol', 'meta l4proto tcp'),
    rule('match port', 'th dport 80'),
    rule('match state', 'ct state established,related'),
    rule('look up address', `${address} daddr @ips`),
    rule('look up pair', `${address} saddr . ${address} daddr @pairs`),
    rule('look up intervals, negated', `${address} saddr @nets ${address} daddr != @nets`),
    rule('verdict map', `${flow} vmap @frontends`),
    rule('verdict map of numgen', 'numgen random mod 3 vmap @slots'),
    keep(`${table}: dnat`, `add rule ${table} n dnat ${address} to ${flow} map @slot_0`),
    keep(`${table}: masquerade`, `add rule ${table} s masquerade fully-random`),
    keep(`${table}: reject tcp`, `add rule ${table} f meta l4proto tcp reject with tcp reset`),
    keep(`${table}: reject`, `add rule ${table} f reject with ${icmp} port-unreachable`),
    prepare(`add chain ${table} d`),
    rule('jump', 'jump d'),
    rule('goto', 'goto d'),
    rule('return', 'return'),
    rule('drop', 'drop'),
    rule('accept', 'accept'),
    keep(`${table}: flush chain`, `flush chain ${table} c`),
  ]
}

const chains = (table) => [
  prepare(`add table ${table}`),
  keep(`${table}: regular`, `add chain ${table} c`),
  keep(`${table}: nat`, `add chain ${table} n { type nat hook prerouting priority dstnat; policy accept; }`),
  keep(`${table}: before srcnat`, `add chain ${table} s { type nat hook postrouting priority 99; policy accept; }`),
  keep(`${table}: filter that drops`, `add chain ${table} f { type filter hook forward priority -1; policy drop; }`),
  keep(`${table}: route`, `add chain ${table} r { type route hook output priority 0; policy accept; }`),
  keep(`${table}: delete`, `delete chain ${table} c`),
]

/** Tables that judge frames, and packets with the frame around them. */
const LINK = { guarded: 'ifname', ipv4: 'ifname . ether_addr . ipv4_addr', ipv6: 'ifname . ether_addr . ipv6_addr' }
const PORT = '"nlm-0123456789a"'
const MAC = '0a:58:0a:01:00:02'

const linkSets = (table) => [
  prepare(`add table ${table}`),
  ...Object.entries(LINK).map(([name, type]) =>
    keep(`${table}: ${name}`, `add set ${table} ${name} { type ${type}; }`),
  ),
  keep(`${table}: targets`, `add set ${table} targets { typeof iifname . @nh,384,128; }`),
]

const linkElements = (table) => {
  const add = (set, element) => keep(`${table}: add to ${set}`, `add element ${table} ${set} { ${element} }`)
  return [
    add('guarded', PORT),
    add('ipv4', `${PORT} . ${MAC} . 10.1.0.2`),
    add('ipv6', `${PORT} . ${MAC} . fd00:1::2`),
    add('targets', `${PORT} . 0xfd000001000000000000000000000002`),
    keep(`${table}: delete from ipv4`, `delete element ${table} ipv4 { ${PORT} . ${MAC} . 10.1.0.2 }`),
  ]
}

/** What says of which protocol a frame is, in the words that nft itself puts before fields of that protocol. */
const ETHER = 'meta iiftype ether'
const OF_PROTOCOL = {
  bridge: { ip: 'meta protocol ip', ip6: 'meta protocol ip6', arp: 'ether type arp', icmpv6: 'ether type ip6' },
  inet: { ip: `${ETHER} ether type ip`, ip6: `${ETHER} ether type ip6`, icmpv6: 'meta nfproto ipv6' },
  arp: { arp: ETHER },
}

const source = (address) => `iifname . ether saddr . ${address}`

const linkRules = (family) => {
  const table = `${family} t`
  const { ip, ip6, arp, icmpv6 } = OF_PROTOCOL[family]
  const rule = (name, text) => keep(`${table}: ${name}`, `add rule ${table} c ${text}`)
  const advertisement = `${icmpv6} meta l4proto icmpv6 icmpv6 type nd-neighbor-advert`
  return [
    prepare(`add chain ${table} c`, `add chain ${table} d`),
    rule('guarded link', 'iifname @guarded goto d'),
    ...(ip === undefined ? [] : [rule('IPv4 source', `${ip} ${source('ip saddr')} @ipv4 accept`)]),
    ...(ip6 === undefined ? [] : [rule('IPv6 source', `${ip6} ${source('ip6 saddr')} @ipv6 accept`)]),
    ...(arp === undefined
      ? []
      : [
          rule(
            'ARP sender',
            `${arp} ${source('arp saddr ip')} @ipv4 iifname . arp saddr ether . arp saddr ip @ipv4 accept`,
          ),
        ]),
    ...(icmpv6 === undefined
      ? []
      : [
          rule('router', `${icmpv6} meta l4proto icmpv6 icmpv6 type nd-router-advert drop`),
          rule('redirect', `${icmpv6} meta l4proto icmpv6 icmpv6 type nd-redirect drop`),
          rule('advertised address', `${advertisement} iifname . @nh,384,128 != @targets drop`),
          rule('advertised behind more headers', `${advertisement} ip6 nexthdr != icmpv6 drop`),
          rule('to port', 'meta l4proto udp th dport 68 drop'),
        ]),
    ...(family === 'bridge'
      ? [rule('VLAN tag', 'ether type 8021q drop'), rule('outer tag', 'ether type 8021ad drop')]
      : []),
  ]
}

const LINK_FAMILIES = Object.keys(OF_PROTOCOL)
const linkTables = (steps) => LINK_FAMILIES.flatMap((family) => steps(`${family} t`))

/** Ports of the node that lead elsewhere: both families in one table. */
const PORTS = [
  { family: 'ipv4', nft: 'ip', type: 'ipv4_addr', pod: '10.1.0.5', other: '10.1.0.6', net: '10.1.0.0/24' },
  { family: 'ipv6', nft: 'ip6', type: 'ipv6_addr', pod: 'fd00:1::5', other: 'fd00:1::6', net: 'fd00:1::/64' },
]
const ofPorts = (steps) => PORTS.flatMap(steps)

const portSets = ({ family, type }) => [
  keep(
    `inet h: anywhere_${family}`,
    `add map inet h anywhere_${family} { type inet_proto . inet_service : ${type} . inet_service; }`,
  ),
  keep(`inet h: nearby_${family}`, `add set inet h nearby_${family} { type ${type} . ${type}; flags interval; }`),
]

const portElements = ({ family, pod, other, net }) => [
  keep(`inet h: add to anywhere_${family}`, `add element inet h anywhere_${family} { udp . 53 : ${pod} . 5353 }`),
  keep(`inet h: add to nearby_${family}`, `add element inet h nearby_${family} { ${net} . ${pod} }`),
  keep(`inet h: add one to nearby_${family}`, `add element inet h nearby_${family} { ${other} . ${other} }`),
  keep(`inet h: delete from nearby_${family}`, `delete element inet h nearby_${family} { ${net} . ${pod} }`),
]

const portRules = ({ family, nft }) => {
  const ofFamily = `meta nfproto ${family}`
  return [
    keep(`inet h: dnat anywhere_${family}`, `add rule inet h t ${ofFamily} dnat ${nft} to meta l4proto . th dport map @anywhere_${family}`),
    keep(`inet h: nearby_${family}`, `add rule inet h p ct status dnat ${ofFamily} ${nft} saddr . ${nft} daddr @nearby_${family} masquerade fully-random`),
  ]
} // prettier-ignore

const PORT_TABLE = prepare(
  'add table inet h',
  'add chain inet h t',
  'add chain inet h n { type nat hook prerouting priority dstnat; policy accept; }',
  'add chain inet h p { type nat hook postrouting priority 99; policy accept; }',
  'add chain inet h r { type filter hook prerouting priority raw; policy accept; }',
)

const COMMON_PORT_RULES = [
  keep('inet h: local', 'add rule inet h n fib daddr type local jump t'),
  keep('inet h: loopback from elsewhere', 'add rule inet h r iif != "lo" meta nfproto ipv4 ip daddr 127.0.0.0/8 drop'),
  keep('inet h: one address', 'add rule inet h t meta nfproto ipv6 ip6 daddr ::1 return'),
]

export const STEPS = {
  table: ['ip', 'ip6', 'inet', 'arp', 'bridge'].flatMap((family) => [
    keep(`${family}: create`, `add table ${family} t`),
    keep(`${family}: delete`, `delete table ${family} t`),
  ]),
  chain: [
    ...['ip t', 'ip6 t'].flatMap(chains),
    prepare(...LINK_FAMILIES.map((family) => `add table ${family} t`)),
    keep('bridge t: prerouting', 'add chain bridge t p { type filter hook prerouting priority -301; policy accept; }'),
    keep('inet t: prerouting', 'add chain inet t p { type filter hook prerouting priority raw; policy accept; }'),
    keep('arp t: input', 'add chain arp t i { type filter hook input priority filter; policy accept; }'),
  ],
  set: [
    ...FAMILIES.flatMap(sets),
    ...FAMILIES.flatMap(({ table }) => [
      keep(`${table}: delete set`, `delete set ${table} ips`),
      keep(`${table}: delete map`, `delete map ${table} slots`),
    ]),
    ...linkTables(linkSets),
    PORT_TABLE,
    ...ofPorts(portSets),
  ],
  element: [
    ...FAMILIES.flatMap((family) => [prepare(...sets(family).map(({ text }) => text)), ...elements(family)]),
    ...linkTables((table) => [prepare(...linkSets(table).map(({ text }) => text)), ...linkElements(table)]),
    PORT_TABLE,
    prepare(...ofPorts(portSets).map(({ text }) => text)),
    ...ofPorts(portElements),
  ],
  rule: [
    ...FAMILIES.flatMap((family) => [prepare(...sets(family).map(({ text }) => text)), ...rules(family)]),
    prepare('add table inet t', 'add chain inet t s { type nat hook postrouting priority srcnat; policy accept; }'),
    keep('inet t: match family', 'add rule inet t s meta nfproto ipv6 masquerade fully-random'),
    ...LINK_FAMILIES.flatMap((family) => [
      prepare(...linkSets(`${family} t`).map(({ text }) => text)),
      ...linkRules(family),
    ]),
    PORT_TABLE,
    prepare(...ofPorts(portSets).map(({ text }) => text)),
    ...COMMON_PORT_RULES,
    ...ofPorts(portRules),
  ],
  listing: [
    ...FAMILIES.flatMap((family) => [
      prepare(...sets(family).map(({ text }) => text)),
      ...[...elements(family).slice(0, 12), ...rules(family).slice(0, -1)].map(({ text }) => prepare(text)),
    ]),
    ...LINK_FAMILIES.flatMap((family) => [
      prepare(...linkSets(`${family} t`).map(({ text }) => text)),
      ...[...linkElements(`${family} t`).slice(0, 4), ...linkRules(family)].map(({ text }) => prepare(text)),
    ]),
    PORT_TABLE,
    ...[...ofPorts(portSets), ...COMMON_PORT_RULES, ...ofPorts(portRules)].map(({ text }) => prepare(text)),
    ...ofPorts((ports) => portElements(ports).slice(0, 3)).map(({ text }) => prepare(text)),
    // One chain of each kind that is not ours, and what others may do to a chain and a rule of ours.
    prepare('add chain ip t theirs { type route hook output priority mangle; policy drop; }'),
    prepare('add rule ip t n dnat ip to ip daddr . meta l4proto . th dport map @slot_0 persistent'),
    prepare(
      'add rule ip t c meta mark set 1',
      'add rule ip t c ip daddr set 10.9.9.9',
      'add rule ip t c limit rate 1/second',
    ),
    listing('tables', NFT_MSG.GETTABLE),
    listing('chains', NFT_MSG.GETCHAIN),
    listing('rules', NFT_MSG.GETRULE),
    listing('sets', NFT_MSG.GETSET),
    listing('elements', NFT_MSG.GETSETELEM),
  ],
}
