/**
 * What capture.mjs runs, in order, in one new network namespace. A step with a name is kept: `type` is the nlmsg_type
 * of the request to keep (iproute2 sends others before it, to find indexes). Steps without one prepare the namespace.
 */
const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  NEWTFILTER: 44,
  DELTFILTER: 45,
  GETTFILTER: 46,
}

const step = (type) => (name, command) => ({ name, type, argv: command.split(' ') })
const prepare = (command) => ({ argv: command.split(' ') })
/** Keeps what `ip monitor` hears while the command runs. */
const heard = (name, monitor, command) => ({ name, monitor, argv: command.split(' ') })

const newLink = step(RTM.NEWLINK)
const newAddress = step(RTM.NEWADDR)
const newRoute = step(RTM.NEWROUTE)
const newNeighbour = step(RTM.NEWNEIGH)
const getRoute = step(RTM.GETROUTE)
const newQdisc = step(RTM.NEWQDISC)
const newFilter = step(RTM.NEWTFILTER)
const deleteFilter = step(RTM.DELTFILTER)
const redirect = (name, protocol, match) =>
  newFilter(
    name,
    `tc filter add dev v0 ingress protocol ${protocol} u32 ${match} action mirred ingress redirect dev br0`,
  )
const TBF = 'tc qdisc replace dev v0 root handle 6e6c: tbf'
const LIMIT4 = 'tc filter add dev v0 ingress protocol ip pref 5'
const LIMIT6 = 'tc filter add dev v0 ingress protocol ipv6 pref 17'
const SELF = '/proc/self/ns/net'

export const STEPS = {
  link: [
    newLink(
      'create bridge',
      'ip link add name br0 address 02:00:00:00:00:01 mtu 1400 up type bridge forward_delay 0 ageing_time 30000 ' +
        'stp_state 0 mcast_snooping 0',
    ),
    newLink(
      'create bridge with options that this kernel lacks',
      'ip link add name br1 type bridge vlan_filtering 0 nf_call_iptables 0 nf_call_ip6tables 0 nf_call_arptables 0',
    ),
    newLink('create dummy, which this kernel lacks', 'ip link add name d0 type dummy'),
    newLink(
      'create veth pair with peer in a namespace',
      'ip link add name v0 address 02:00:00:00:00:02 mtu 1400 master br0 group 7 numtxqueues 1 numrxqueues 1 up ' +
        `type veth peer name p0 address 02:00:00:00:00:03 mtu 1400 netns ${SELF}`,
    ),
    newLink('create link with a name that is taken', 'ip link add name v0 type veth peer name p9'),
    prepare('ip link add name v1 address 02:00:00:00:00:04 group 9 type veth peer name p1 address 02:00:00:00:00:05'),
    prepare('ip link set dev p0 up'),
    newLink(
      'create vxlan',
      'ip link add name vx0 address 02:00:00:00:00:07 type vxlan id 100 local 192.0.2.1 dev br0 nolearning ' +
        'dstport 4789 udpcsum',
    ),
    newLink(
      'create vxlan over IPv6',
      'ip link add name vx1 address 02:00:00:00:00:08 type vxlan id 101 local 2001:db8::1 dev br0 dstport 4790',
    ),
    newLink('set up', 'ip link set dev v1 up'),
    newLink('set down', 'ip link set dev v1 down'),
    newLink('set mtu and mac', 'ip link set dev v1 address 02:00:00:00:00:06 mtu 1300'),
    newLink('set master', 'ip link set dev v1 master br0'),
    newLink(
      'set bridge port',
      'ip link set dev v1 type bridge_slave hairpin on guard on learning off flood off mcast_flood off ' +
        'bcast_flood off neigh_suppress on isolated on',
    ),
    newLink('set bridge', 'ip link set dev br0 type bridge ageing_time 20000 mcast_snooping 1'),
    newLink('set alias', 'ip link set dev v1 alias hello'),
    newLink('set address generation', 'ip link set dev v1 addrgenmode none'),
    step(RTM.GETLINK)('get link', 'ip link show dev v1'),
    step(RTM.GETLINK)('get link that is not there', 'ip link show dev nope'),
    step(RTM.GETLINK)('list links', 'ip -d link show'),
    step(RTM.GETLINK)('list ports of a bridge', 'ip link show master br0'),
    step(RTM.GETLINK)('list links of a kind', 'ip link show type vxlan'),
    heard('hear that a port leaves', 'link', 'ip link set dev v1 nomaster'),
    newLink('set no master', 'ip link set dev v1 nomaster'),
    newLink('set group', 'ip link set dev v1 group 11'),
    newLink('rename', 'ip link set dev v1 name w1'),
    newLink('move to a namespace', `ip link set dev w1 netns ${SELF}`),
    newLink('set vxlan', 'ip link set dev vx0 type vxlan id 100 local 192.0.2.7 nolearning'),
    step(RTM.DELLINK)('delete link', 'ip link delete dev w1'),
    step(RTM.DELLINK)('delete group', 'ip link delete group 7'),
    newLink('create ifb', 'ip link add name i0 mtu 1400 type ifb'),
  ],
  address: [
    prepare('ip link set lo up'),
    prepare('ip link add name br0 address 02:00:00:00:00:01 type bridge'),
    newAddress('add IPv4', 'ip address add 192.0.2.1/24 dev br0'),
    newAddress('add IPv4 that is there', 'ip address add 192.0.2.1/24 dev br0'),
    newAddress('replace IPv4', 'ip address replace 192.0.2.1/24 dev br0'),
    newAddress('add IPv4 of scope link', 'ip address add 169.254.1.1/32 dev br0 scope link'),
    newAddress('add IPv6 without detection', 'ip address add 2001:db8::1/64 dev br0 nodad'),
    newAddress('add IPv6 without route', 'ip address add 2001:db8:1::1/64 dev br0 nodad noprefixroute'),
    prepare('ip address add 192.0.2.9 peer 192.0.2.10/32 dev br0'),
    prepare('ip address add 2001:db8:9::9 peer 2001:db8:9::10/128 dev br0 nodad'),
    prepare('ip address add 198.51.100.1/24 brd + dev br0 label br0:x valid_lft 3600 preferred_lft 3600'),
    prepare('ip link set dev br0 up'),
    prepare('ip address add 2001:db8:2::1/64 dev br0'),
    step(RTM.GETADDR)('list IPv4', 'ip -4 address show'),
    step(RTM.GETADDR)('list IPv6', 'ip -6 address show'),
    step(RTM.DELADDR)('delete IPv4', 'ip address delete 192.0.2.1/24 dev br0'),
    step(RTM.DELADDR)('delete IPv6', 'ip address delete 2001:db8::1/64 dev br0'),
    step(RTM.DELADDR)('delete address that is not there', 'ip address delete 192.0.2.1/24 dev br0'),
  ],
  route: [
    prepare('ip link set lo up'),
    prepare('ip link add name br0 address 02:00:00:00:00:01 type bridge'),
    prepare('ip link add name v0 master br0 type veth peer name p0'),
    prepare('ip link set dev br0 up'),
    prepare('ip link set dev v0 up'),
    prepare('ip link set dev p0 up'),
    prepare('ip address add 192.0.2.1/24 dev br0'),
    prepare('ip address add 2001:db8::1/64 dev br0 nodad'),
    newRoute('IPv4 through a gateway', 'ip route add 10.1.0.0/16 via 192.0.2.2 dev br0 proto 110'),
    newRoute('IPv4 on the link', 'ip route add 10.2.0.0/24 dev br0 proto 110'),
    newRoute('IPv4 host with source and metric', 'ip route add 10.3.0.1/32 dev br0 proto 110 metric 5 src 192.0.2.1'),
    newRoute('IPv4 default onlink', 'ip route add default via 169.254.1.1 dev br0 proto 110 onlink'),
    newRoute('IPv4 in a large table', 'ip route add 10.4.0.0/16 via 192.0.2.2 dev br0 table 1000 proto 110'),
    newRoute('IPv4 metrics', 'ip route add 10.5.0.0/16 dev br0 proto 110 mtu 1400 advmss 1300'),
    newRoute('IPv4 through an IPv6 gateway', 'ip route add 10.6.0.0/16 via inet6 2001:db8::2 dev br0 proto 110'),
    newRoute('IPv4 blackhole', 'ip route add blackhole 10.7.0.0/16 proto 110'),
    newRoute('IPv4 local', 'ip route add local 10.8.0.0/16 dev lo table 100 proto 110'),
    newRoute('IPv4 replaced', 'ip route replace 10.1.0.0/16 via 192.0.2.3 dev br0 proto 110'),
    newRoute('IPv4 that is there', 'ip route add 10.1.0.0/16 via 192.0.2.3 dev br0 proto 110'),
    newRoute('IPv6 through a gateway', 'ip route add 2001:db8:1::/48 via 2001:db8::2 dev br0 proto 110'),
    newRoute('IPv6 on the link', 'ip route add 2001:db8:2::1/128 dev br0 proto 110 metric 5'),
    newRoute('IPv6 default onlink', 'ip route add default via fe80::1 dev br0 proto 110 onlink'),
    newRoute('IPv6 unreachable', 'ip route add unreachable 2001:db8:3::/48 proto 110'),
    prepare(
      'ip route add 10.9.0.0/16 proto 111 nexthop via 192.0.2.2 dev br0 weight 2 nexthop via inet6 2001:db8::3 dev br0',
    ),
    prepare(
      'ip route add 2001:db8:9::/48 proto 111 nexthop via 2001:db8::2 dev br0 nexthop via 2001:db8::3 dev br0 weight 3',
    ),
    prepare('ip nexthop add id 42 via 192.0.2.2 dev br0'),
    prepare('ip route add 10.10.0.0/16 nhid 42 proto 111'),
    prepare('ip route add 2001:db8:10::/48 from 2001:db8:ff::/48 dev br0 proto 111'),
    getRoute('list IPv4', 'ip -4 route show table all'),
    getRoute('list IPv6', 'ip -6 route show table all'),
    getRoute('list IPv4 of a protocol', 'ip -4 route show table all proto 110'),
    getRoute('list IPv4 of a table', 'ip -4 route show table 1000'),
    getRoute('look up IPv4', 'ip route get 10.1.2.3'),
    getRoute('look up IPv4 from and by', 'ip route get 10.1.2.3 from 192.0.2.1 oif br0 mark 7'),
    getRoute('look up IPv4 that comes in', 'ip route get 10.1.2.3 from 192.0.2.77 iif br0'),
    getRoute('look up IPv6', 'ip -6 route get 2001:db8:1::5'),
    getRoute('look up IPv4, as configured', 'ip route get fibmatch 10.1.2.3'),
    getRoute('look up IPv4 that a blackhole takes', 'ip route get 10.7.0.1'),
    step(RTM.DELROUTE)('delete IPv4', 'ip route delete 10.1.0.0/16 via 192.0.2.3 dev br0 proto 110'),
    step(RTM.DELROUTE)('delete IPv4 that is not there', 'ip route delete 10.1.0.0/16 via 192.0.2.3 dev br0 proto 110'),
    step(RTM.DELROUTE)('delete IPv6', 'ip route delete 2001:db8:1::/48 via 2001:db8::2 dev br0 proto 110'),
    step(RTM.DELROUTE)('delete IPv4 in a large table', 'ip route delete 10.4.0.0/16 table 1000 proto 110'),
  ],
  neighbour: [
    prepare('ip link add name br0 address 02:00:00:00:00:01 type bridge'),
    prepare('ip link add name vx0 up type vxlan id 100 local 192.0.2.1 dev br0 nolearning dstport 4789'),
    prepare('ip link set dev br0 up'),
    prepare('ip address add 192.0.2.1/24 dev br0'),
    newNeighbour('add IPv4', 'ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:22 dev br0'),
    newNeighbour('add IPv4 that is there', 'ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:22 dev br0'),
    newNeighbour('replace IPv4', 'ip neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:23 dev br0 protocol 110'),
    newNeighbour('add IPv6', 'ip neighbour add 2001:db8::2 lladdr 02:00:00:00:00:24 dev br0 nud reachable router'),
    prepare('ip neighbour add 2001:db8::3 lladdr 02:00:00:00:00:25 dev br0 nud noarp'),
    newNeighbour('add fdb', 'bridge fdb add 02:00:00:00:00:33 dev vx0 dst 192.0.2.3 self permanent'),
    newNeighbour('append fdb', 'bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.4 self permanent'),
    newNeighbour('replace fdb', 'bridge fdb replace 02:00:00:00:00:33 dev vx0 dst 192.0.2.5 self permanent'),
    prepare('bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.6 port 4790 vni 7 self permanent'),
    step(RTM.GETNEIGH)('list IPv4', 'ip -4 neighbour show nud all'),
    step(RTM.GETNEIGH)('list IPv6', 'ip -6 neighbour show nud all'),
    step(RTM.GETNEIGH)('list of a link', 'ip -4 neighbour show dev br0'),
    step(RTM.GETNEIGH)('list fdb', 'bridge fdb show'),
    step(RTM.GETNEIGH)('list fdb of a link', 'bridge fdb show dev vx0'),
    step(RTM.DELNEIGH)('delete fdb', 'bridge fdb delete 02:00:00:00:00:33 dev vx0 dst 192.0.2.5 self permanent'),
    step(RTM.DELNEIGH)('delete IPv4', 'ip neighbour delete 192.0.2.2 dev br0'),
    step(RTM.DELNEIGH)('delete neighbour that is not there', 'ip neighbour delete 192.0.2.99 dev br0'),
  ],
  traffic: [
    prepare('ip link add name br0 type bridge'),
    prepare('ip link add name v0 type veth peer name p0'),
    prepare('ip link add name i0 type ifb'),
    newQdisc('add clsact', 'tc qdisc add dev v0 clsact'),
    newQdisc('add clsact that is there', 'tc qdisc add dev v0 clsact'),
    redirect('redirect IPv4', 'ip pref 4', 'match u32 0 0'),
    redirect('redirect IPv6', 'ipv6 pref 16', 'match u32 0 0'),
    redirect(
      'redirect IPv4 of one source',
      'ip pref 4',
      'match ip src 10.244.1.5/32 match ether src 0a:58:0a:f4:01:05',
    ),
    redirect(
      'redirect IPv6 of one source',
      'ipv6 pref 16',
      'match ip6 src fd00:244:1::5/128 match ether src 0a:58:0a:f4:01:05',
    ),
    newFilter('add hash table', `${LIMIT4} handle 4: u32 divisor 256`),
    newFilter('add hash table that is there', `${LIMIT4} handle 4: u32 divisor 256`),
    newFilter('lead to hash table', `${LIMIT4} u32 link 4: hashkey mask 0x000000ff at 12 match u32 0 0`),
    newFilter(
      'limit IPv4 of one source',
      `${LIMIT4} handle 4:5:f42 u32 ht 4:5: match ip src 10.244.1.5/32 action mirred egress redirect dev i0`,
    ),
    newFilter(
      'limit a source that is there',
      `${LIMIT4} handle 4:5:f42 u32 ht 4:5: match ip src 10.244.1.5/32 action mirred egress redirect dev i0`,
    ),
    newFilter('limit IPv6', `${LIMIT6} u32 match u32 0 0 action mirred egress redirect dev i0`),
    step(RTM.GETTFILTER)('list filters', 'tc filter show dev v0 ingress'),
    deleteFilter('delete filter', 'tc filter delete dev v0 ingress protocol ip pref 5 handle 4:5:f42 u32'),
    deleteFilter(
      'delete filter that is not there',
      'tc filter delete dev v0 ingress protocol ip pref 5 handle 4:5:f42 u32',
    ),
    deleteFilter('delete filters of a priority', 'tc filter delete dev v0 ingress protocol ipv6 pref 17'),
    newQdisc('limit', `${TBF} rate 8mbit burst 20000b limit 45000b`),
    newQdisc('limit to more than 32 bits', `${TBF} rate 80gbit burst 1000000b limit 5000000b`),
    step(RTM.GETQDISC)('list qdiscs', 'tc qdisc show'),
    step(RTM.DELQDISC)('delete limit', 'tc qdisc delete dev v0 root handle 6e6c:'),
    step(RTM.DELQDISC)('delete limit that is not there', 'tc qdisc delete dev v0 root handle 6e6c:'),
    step(RTM.DELQDISC)('delete clsact', 'tc qdisc delete dev v0 clsact'),
    step(RTM.DELQDISC)('delete clsact that is not there', 'tc qdisc delete dev v0 clsact'),
    deleteFilter('delete filters where none can be', 'tc filter delete dev v0 ingress protocol ip pref 5'),
  ],
}
