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

export const STEPS = {
  table: ['ip', 'ip6', 'inet', 'bridge'].flatMap((family) => [
    keep(`${family}: create`, `add table ${family} t`),
    keep(`${family}: delete`, `delete table ${family} t`),
  ]),
  chain: ['ip t', 'ip6 t'].flatMap(chains),
  set: [
    ...FAMILIES.flatMap(sets),
    ...FAMILIES.flatMap(({ table }) => [
      keep(`${table}: delete set`, `delete set ${table} ips`),
      keep(`${table}: delete map`, `delete map ${table} slots`),
    ]),
  ],
  element: FAMILIES.flatMap((family) => [prepare(...sets(family).map(({ text }) => text)), ...elements(family)]),
  rule: [
    ...FAMILIES.flatMap((family) => [prepare(...sets(family).map(({ text }) => text)), ...rules(family)]),
    prepare('add table inet t', 'add chain inet t s { type nat hook postrouting priority srcnat; policy accept; }'),
    keep('inet t: match family', 'add rule inet t s meta nfproto ipv6 masquerade fully-random'),
  ],
  listing: [
    ...FAMILIES.flatMap((family) => [
      prepare(...sets(family).map(({ text }) => text)),
      ...[...elements(family).slice(0, 12), ...rules(family).slice(0, -1)].map(({ text }) => prepare(text)),
    ]),
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
