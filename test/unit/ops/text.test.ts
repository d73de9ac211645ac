import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseCidr, parseIp, parseIpPrefix } from '../../../src/base/ip.js'
import { type SetSpec } from '../../../src/codec/nft/set.js'
import { sourceAddress } from '../../../src/codec/nft/statement.js'
import { type Table } from '../../../src/codec/nft/table.js'
import { TYPE } from '../../../src/codec/nft/types.js'
import { ADDR_GEN_MODE, NTF, NUD, RT_SCOPE, RTN, RTPROT } from '../../../src/codec/rtnl/constants.js'
import { type Op, type OpOf } from '../../../src/ops/op.js'
import { opText, planText } from '../../../src/ops/text.js'

const table: Table = { family: 'ip', name: 'netloom-services' }
const set: SetSpec = { name: 'ips', key: [TYPE.ipv4_addr] }
const map: SetSpec = {
  name: 'frontends',
  key: [TYPE.ipv4_addr, TYPE.inet_proto, TYPE.inet_service],
  data: 'verdict',
}
const filter = { device: 'v0', family: IPV4, priority: 5 }
const MAC = '02:00:00:00:00:01'

type Fields<K extends Op['kind']> = Omit<OpOf<K>, 'kind'>

/** Every kind has its rows: what is to be done, and what a person would type for it. */
const TABLE: { readonly [K in Op['kind']]: readonly (readonly [Fields<K>, string])[] } = {
  'link.add': [
    [{ link: { kind: 'dummy', name: 'd0' } }, 'ip link add name d0 type dummy'],
    [{ link: { kind: 'ifb', name: 'i0', mtu: 1400 } }, 'ip link add name i0 mtu 1400 type ifb'],
    [
      {
        link: {
          kind: 'bridge',
          name: 'br0',
          mac: MAC,
          mtu: 1400,
          up: true,
          bridge: {
            forwardDelay: 0,
            ageingTime: 30000,
            stp: false,
            vlanFiltering: true,
            mcastSnooping: false,
            nfCallIptables: false,
            nfCallIp6tables: false,
            nfCallArptables: false,
          },
        },
      },
      `ip link add name br0 address ${MAC} mtu 1400 up type bridge forward_delay 0 ageing_time 30000 stp_state 0 ` +
        'vlan_filtering 1 mcast_snooping 0 nf_call_iptables 0 nf_call_ip6tables 0 nf_call_arptables 0',
    ],
    [
      {
        link: {
          kind: 'veth',
          name: 'v0',
          master: 4,
          group: 7,
          numTxQueues: 1,
          numRxQueues: 2,
          peer: { name: 'eth0', mac: MAC, mtu: 1400, netnsFd: 9 },
        },
      },
      'ip link add name v0 group 7 numtxqueues 1 numrxqueues 2 master if4 type veth ' +
        `peer name eth0 address ${MAC} mtu 1400 netns /proc/self/fd/9`,
    ],
    [
      {
        link: {
          kind: 'vxlan',
          name: 'x0',
          up: false,
          vxlan: {
            id: 7,
            group: '239.0.0.1',
            local: '192.0.2.1',
            link: 2,
            learning: false,
            port: 4789,
            udpChecksum: true,
          },
        },
      },
      'ip link add name x0 down type vxlan id 7 group 239.0.0.1 local 192.0.2.1 dev if2 nolearning dstport 4789 udpcsum',
    ],
  ],
  'link.set': [
    [
      { name: 'v0', changes: { up: true, mtu: 1400, mac: MAC, master: 4, group: 7 } },
      `ip link set dev v0 up mtu 1400 address ${MAC} master if4 group 7`,
    ],
    [
      { name: 'v0', changes: { up: false, master: 0, alias: "pod's", addrGenMode: ADDR_GEN_MODE.NONE, netnsFd: 9 } },
      `ip link set dev v0 down nomaster netns /proc/self/fd/9 alias 'pod'\\''s' addrgenmode none`,
    ],
    [{ name: 'v0', changes: { name: 'v1' } }, 'ip link set dev v0 name v1'],
    [{ name: 'v0.1', changes: { arpNotify: true } }, 'sysctl -w net.ipv4.conf.v0/1.arp_notify=1'],
    [
      { name: 'v0', changes: { arpNotify: false, addrGenMode: ADDR_GEN_MODE.EUI64 } },
      'ip link set dev v0 addrgenmode eui64 && sysctl -w net.ipv4.conf.v0.arp_notify=0',
    ],
  ],
  'link.delete': [[{ name: 'v0' }, 'ip link delete dev v0']],
  'vxlan.set': [
    [
      { name: 'x0', vxlan: { id: 7, local: '192.0.2.1', learning: false } },
      'ip link set dev x0 type vxlan id 7 local 192.0.2.1 nolearning',
    ],
  ],
  'port.set': [
    [
      {
        name: 'v0',
        port: {
          isolated: true,
          hairpin: false,
          bpduGuard: true,
          learning: false,
          unicastFlood: false,
          mcastFlood: true,
          bcastFlood: false,
          neighSuppress: true,
        },
      },
      'bridge link set dev v0 isolated on hairpin off guard on learning off flood off mcast_flood on bcast_flood off ' +
        'neigh_suppress on',
    ],
  ],
  'address.add': [
    [{ address: { ...parseIpPrefix('10.0.0.1/24'), device: 'br0' } }, 'ip address replace 10.0.0.1/24 dev br0'],
    [
      {
        address: {
          ...parseIpPrefix('fd00::1/64'),
          device: 'br0',
          scope: RT_SCOPE.LINK,
          noDad: true,
          noPrefixRoute: true,
        },
      },
      'ip address replace fd00::1/64 dev br0 scope 253 nodad noprefixroute',
    ],
  ],
  'address.delete': [
    [{ address: { ...parseIpPrefix('10.0.0.1/24'), device: 'br0' } }, 'ip address delete 10.0.0.1/24 dev br0'],
  ],
  'route.replace': [
    [
      { route: { destination: parseCidr('10.1.0.0/24'), gateway: '192.0.2.2', device: 'eth0', protocol: 110 } },
      'ip route replace 10.1.0.0/24 via 192.0.2.2 dev eth0 proto 110',
    ],
    [
      {
        route: {
          destination: parseCidr('0.0.0.0/0'),
          gateway: 'fe80::1',
          device: 'eth0',
          protocol: RTPROT.STATIC,
          scope: RT_SCOPE.UNIVERSE,
          source: '10.0.0.5',
          priority: 100,
          table: 1000,
          mtu: 1400,
          advmss: 1360,
          onlink: true,
        },
      },
      'ip route replace 0.0.0.0/0 via inet6 fe80::1 dev eth0 proto 4 scope 0 src 10.0.0.5 metric 100 table 1000 ' +
        'mtu 1400 advmss 1360 onlink',
    ],
    [
      { route: { destination: parseCidr('10.0.0.0/16'), type: RTN.BLACKHOLE, protocol: 110 } },
      'ip route replace blackhole 10.0.0.0/16 proto 110',
    ],
    [
      { route: { destination: parseCidr('fd00:1::/64'), gateway: 'fd00::2', index: 3, protocol: 110 } },
      'ip route replace fd00:1::/64 via fd00::2 dev if3 proto 110',
    ],
  ],
  'route.delete': [
    [
      { route: { destination: parseCidr('10.1.0.0/24'), gateway: '192.0.2.2', protocol: 110, type: RTN.UNICAST } },
      'ip route delete 10.1.0.0/24 via 192.0.2.2 proto 110',
    ],
  ],
  'neighbour.replace': [
    [
      { neighbour: { ...parseIp('10.0.0.9'), device: 'br0', mac: MAC } },
      `ip neighbour replace 10.0.0.9 dev br0 lladdr ${MAC} nud permanent`,
    ],
    [
      {
        neighbour: {
          ...parseIp('fd00::9'),
          device: 'br0',
          mac: MAC,
          state: NUD.REACHABLE,
          flags: NTF.ROUTER,
          protocol: 110,
        },
      },
      `ip neighbour replace fd00::9 dev br0 lladdr ${MAC} nud reachable router proto 110`,
    ],
  ],
  'neighbour.delete': [
    [{ neighbour: { ...parseIp('10.0.0.9'), device: 'br0', mac: MAC } }, 'ip neighbour delete 10.0.0.9 dev br0'],
  ],
  'fdb.replace': [[{ device: 'v0', mac: MAC }, `bridge fdb replace ${MAC} dev v0 master static`]],
  'vtep.replace': [[{ device: 'x0', mac: MAC, remote: 'fd00::2' }, `bridge fdb replace ${MAC} dev x0 dst fd00::2`]],
  'vtep.delete': [[{ device: 'x0', mac: MAC, remote: '192.0.2.2' }, `bridge fdb delete ${MAC} dev x0 dst 192.0.2.2`]],
  'clsact.add': [[{ device: 'v0' }, 'tc qdisc add dev v0 clsact']],
  'clsact.delete': [[{ device: 'v0' }, 'tc qdisc delete dev v0 clsact']],
  'ingress.redirect': [
    [
      { device: 'v0', family: IPV4, target: 'br0' },
      'tc filter add dev v0 ingress protocol ip pref 4 u32 match u32 0 0 action mirred ingress redirect dev br0',
    ],
    [
      { device: 'v0', family: IPV6, target: 'br0' },
      'tc filter add dev v0 ingress protocol ipv6 pref 16 u32 match u32 0 0 action mirred ingress redirect dev br0',
    ],
    [
      { device: 'v0', family: IPV4, target: 'br0', source: { mac: MAC, address: '10.0.0.9' } },
      'tc filter add dev v0 ingress protocol ip pref 4 u32 match ip src 10.0.0.9/32 ' +
        `match ether src ${MAC} action mirred ingress redirect dev br0`,
    ],
    [
      { device: 'v0', family: IPV6, target: 'br0', source: { address: 'fe80::9' } },
      'tc filter add dev v0 ingress protocol ipv6 pref 16 u32 match ip6 src fe80::9/128 ' +
        'action mirred ingress redirect dev br0',
    ],
  ],
  'limit.replace': [
    [
      { device: 'v0', handle: 0x6e6c, rate: 1_000_000, burst: 20_000, limit: 45_000 },
      'tc qdisc replace dev v0 root handle 6e6c: tbf rate 8000000bit burst 20000b limit 45000b',
    ],
  ],
  'limit.delete': [[{ device: 'v0', handle: 0x6e6c }, 'tc qdisc delete dev v0 root handle 6e6c:']],
  'filter.add': [
    [
      { ...filter, to: 'egress', target: 'ifb0' },
      'tc filter add dev v0 ingress protocol ip pref 5 u32 match u32 0 0 action mirred egress redirect dev ifb0',
    ],
    [
      {
        ...filter,
        handle: { table: 4, bucket: 0xfe, node: 0x1b },
        source: { address: '10.0.26.254' },
        to: 'egress',
        target: 'ifb0',
      },
      'tc filter add dev v0 ingress protocol ip pref 5 handle 4:fe:1b u32 ht 4:fe: match ip src 10.0.26.254/32 ' +
        'action mirred egress redirect dev ifb0',
    ],
  ],
  'filter.delete': [
    [filter, 'tc filter delete dev v0 ingress protocol ip pref 5'],
    [
      { ...filter, handle: { table: 4, bucket: 0xfe, node: 0x1b } },
      'tc filter delete dev v0 ingress protocol ip pref 5 handle 4:fe:1b u32',
    ],
  ],
  'filter.table': [
    [
      { ...filter, tableId: 0x1a, buckets: 256 },
      'tc filter add dev v0 ingress protocol ip pref 5 handle 1a: u32 divisor 256',
    ],
  ],
  'filter.link': [
    [
      { ...filter, tableId: 0x1a, hash: { offset: 12, mask: 0xff } },
      'tc filter add dev v0 ingress protocol ip pref 5 u32 link 1a: hashkey mask 0x000000ff at 12 match u32 0 0',
    ],
  ],
  'sysctl.set': [
    [{ path: 'net/ipv4/ip_forward', value: '1' }, 'sysctl -w net.ipv4.ip_forward=1'],
    [{ path: 'net/ipv6/conf/eth0.100/accept_ra', value: '0' }, 'sysctl -w net.ipv6.conf.eth0/100.accept_ra=0'],
  ],
  'flows.delete': [
    [
      { family: IPV4, protocol: 17, port: 53, address: '192.0.2.1', target: { address: '10.1.0.5', port: 5353 } },
      'conntrack -D -f ipv4 -p udp --orig-dst 192.0.2.1 --orig-port-dst 53 --reply-src 10.1.0.5 --reply-port-src 5353',
    ],
    [
      { family: IPV4, protocol: 132, port: 53, address: '192.0.2.1' },
      'conntrack -D -f ipv4 -p sctp --orig-dst 192.0.2.1 --orig-port-dst 53 --reply-src 192.0.2.1 --reply-port-src 53',
    ],
    [{ family: IPV4, protocol: 17, port: 53 }, 'conntrack -D -f ipv4 -p udp --orig-port-dst 53 --reply-port-src 53'],
  ],
  'table.add': [[{ table }, 'nft add table ip netloom-services']],
  'table.delete': [[{ table }, 'nft delete table ip netloom-services']],
  'chain.add': [
    [{ table, chain: { name: 'pick_2' } }, 'nft add chain ip netloom-services pick_2'],
    [
      { table, chain: { name: 'prerouting', base: { type: 'nat', hook: 'prerouting', priority: -100 } } },
      "nft add chain ip netloom-services prerouting '{ type nat hook prerouting priority dstnat; policy accept; }'",
    ],
  ],
  'chain.delete': [[{ table, chain: 'pick_2' }, 'nft delete chain ip netloom-services pick_2']],
  'rules.flush': [[{ table, chain: 'pick_2' }, 'nft flush chain ip netloom-services pick_2']],
  'rule.add': [
    [
      {
        table,
        chain: 'postrouting',
        rule: [{ kind: 'lookup', fields: [sourceAddress(IPV4)], set: 'ips', negate: true }, { kind: 'masquerade' }],
      },
      'nft add rule ip netloom-services postrouting ip saddr != @ips masquerade fully-random',
    ],
  ],
  'set.add': [
    [{ table, set }, "nft add set ip netloom-services ips '{ type ipv4_addr; }'"],
    [
      { table, set: map },
      "nft add map ip netloom-services frontends '{ type ipv4_addr . inet_proto . inet_service : verdict; }'",
    ],
  ],
  'set.delete': [
    [{ table, set: 'ips' }, 'nft delete set ip netloom-services ips'],
    [{ table, set: 'frontends', map: true }, 'nft delete map ip netloom-services frontends'],
  ],
  'set.flush': [
    [{ table, set: 'ips' }, 'nft flush set ip netloom-services ips'],
    [{ table, set: 'frontends', map: true }, 'nft flush map ip netloom-services frontends'],
  ],
  'elements.add': [
    [
      {
        table,
        set: map,
        elements: [
          { key: ['10.96.0.1', 6, 80], data: { verdict: 'goto', chain: 'pick_2' } },
          { key: ['10.96.0.1', 17, 53], data: { verdict: 'drop' } },
        ],
      },
      'nft add element ip netloom-services frontends ' +
        '{ 10.96.0.1 . tcp . 80 : goto pick_2, 10.96.0.1 . udp . 53 : drop }',
    ],
  ],
  'elements.delete': [
    [{ table, set, elements: [{ key: ['10.96.0.1'] }] }, 'nft delete element ip netloom-services ips { 10.96.0.1 }'],
    [
      { table, set: map, elements: [{ key: ['10.96.0.1', 6, 80] }] },
      'nft delete element ip netloom-services frontends { 10.96.0.1 . tcp . 80 }',
    ],
  ],
}

const rows = Object.entries(TABLE).flatMap(([kind, cases]) =>
  cases.map(([fields, text]): [Op, string] => [{ kind, ...fields } as Op, text]),
)

t.test('every operation is told as the command that does the same', async (t) => {
  for (const [op, text] of rows) t.equal(opText(op), text)
})

t.test('a plan is its operations, a line each', async (t) => {
  t.equal(planText(rows.map(([op]) => op)), rows.map(([, text]) => `${text}\n`).join(''))
  t.equal(planText([]), '')
})
