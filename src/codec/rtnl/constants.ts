/** Numbers of rtnetlink, as the kernel's user-space headers give them; each table names its header. */

/** Address families that appear in message headers: <sys/socket.h>. */
export const AF = { UNSPEC: 0, INET: 2, BRIDGE: 7, INET6: 10, PACKET: 17 } as const

/** nlmsg_type: <linux/rtnetlink.h>. */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
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
} as const

/** Multicast groups to join for notifications (NETLINK_ADD_MEMBERSHIP): <linux/rtnetlink.h>. */
export const RTNLGRP = {
  LINK: 1,
  NEIGH: 3,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
} as const

/** Link flags of ifinfomsg: <linux/if.h>. */
export const IFF = { UP: 0x1, LOOPBACK: 0x8, RUNNING: 0x40, NOARP: 0x80, LOWER_UP: 0x10000 } as const

/** Attributes of a link: <linux/if_link.h>. */
export const IFLA = {
  ADDRESS: 1,
  BROADCAST: 2,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  PROTINFO: 12,
  TXQLEN: 13,
  OPERSTATE: 16,
  LINKINFO: 18,
  NET_NS_PID: 19,
  IFALIAS: 20,
  AF_SPEC: 26,
  GROUP: 27,
  NET_NS_FD: 28,
  EXT_MASK: 29,
  NUM_TX_QUEUES: 31,
  NUM_RX_QUEUES: 32,
  LINK_NETNSID: 37,
} as const

/** IFLA_LINKINFO: <linux/if_link.h>. */
export const IFLA_INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const

/** IFLA_AF_SPEC for AF_INET: <linux/if_link.h>. */
export const IFLA_INET = { CONF: 1 } as const

/** IFLA_INET_CONF: the sysctls of net.ipv4.conf by number, <linux/ip.h>. */
export const IPV4_DEVCONF = { ARP_NOTIFY: 22 } as const

/** IFLA_AF_SPEC for AF_INET6: <linux/if_link.h>. */
export const IFLA_INET6 = { ADDR_GEN_MODE: 8 } as const

/** How the kernel makes link-local IPv6 addresses, enum in6_addr_gen_mode: <linux/if_link.h>. */
export const ADDR_GEN_MODE = { EUI64: 0, NONE: 1, STABLE_PRIVACY: 2, RANDOM: 3 } as const

/** IFLA_EXT_MASK: <linux/rtnetlink.h>. */
export const RTEXT_FILTER = { VF: 1, SKIP_STATS: 8 } as const

/** IFLA_INFO_DATA of a veth: <linux/veth.h>. */
export const VETH_INFO = { PEER: 1 } as const

/** IFLA_INFO_DATA of a bridge: <linux/if_link.h>. */
export const IFLA_BR = {
  FORWARD_DELAY: 1,
  AGEING_TIME: 4,
  STP_STATE: 5,
  VLAN_FILTERING: 7,
  MCAST_SNOOPING: 23,
  NF_CALL_IPTABLES: 36,
  NF_CALL_IP6TABLES: 37,
  NF_CALL_ARPTABLES: 38,
} as const

/** IFLA_INFO_SLAVE_DATA (or IFLA_PROTINFO) of a bridge port: <linux/if_link.h>. */
export const IFLA_BRPORT = {
  STATE: 1,
  MODE: 4,
  GUARD: 5,
  FAST_LEAVE: 7,
  LEARNING: 8,
  UNICAST_FLOOD: 9,
  PROXYARP: 10,
  MCAST_FLOOD: 27,
  BCAST_FLOOD: 30,
  NEIGH_SUPPRESS: 32,
  ISOLATED: 33,
} as const

/** IFLA_INFO_DATA of a VXLAN device: <linux/if_link.h>. */
export const IFLA_VXLAN = {
  ID: 1,
  GROUP: 2,
  LINK: 3,
  LOCAL: 4,
  TTL: 5,
  LEARNING: 7,
  PORT: 15,
  GROUP6: 16,
  LOCAL6: 17,
  UDP_CSUM: 18,
} as const

/** Attributes of an address: <linux/if_addr.h>. */
export const IFA = { ADDRESS: 1, LOCAL: 2, LABEL: 3, BROADCAST: 4, CACHEINFO: 6, FLAGS: 8, PROTO: 11 } as const

/** Flags of an address: <linux/if_addr.h>. */
export const IFA_F = {
  SECONDARY: 0x1,
  NODAD: 0x2,
  OPTIMISTIC: 0x4,
  DADFAILED: 0x8,
  DEPRECATED: 0x20,
  TENTATIVE: 0x40,
  PERMANENT: 0x80,
  NOPREFIXROUTE: 0x200,
} as const

/** Attributes of a route: <linux/rtnetlink.h>. */
export const RTA = {
  DST: 1,
  SRC: 2,
  IIF: 3,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  MULTIPATH: 9,
  TABLE: 15,
  MARK: 16,
  VIA: 18,
  ENCAP_TYPE: 21,
  UID: 25,
  NH_ID: 30,
} as const

/** RTA_METRICS: <linux/rtnetlink.h>. */
export const RTAX = { LOCK: 1, MTU: 2, ADVMSS: 8 } as const

/** Types of routes: <linux/rtnetlink.h>. */
export const RTN = {
  UNSPEC: 0,
  UNICAST: 1,
  LOCAL: 2,
  BROADCAST: 3,
  ANYCAST: 4,
  MULTICAST: 5,
  BLACKHOLE: 6,
  UNREACHABLE: 7,
  PROHIBIT: 8,
  THROW: 9,
} as const

/** Who made a route: <linux/rtnetlink.h>; /etc/iproute2/rt_protos has the names of daemons. */
export const RTPROT = { UNSPEC: 0, REDIRECT: 1, KERNEL: 2, BOOT: 3, STATIC: 4, RA: 9, DHCP: 16 } as const

/** How far the destination of an IPv4 route or address is: <linux/rtnetlink.h>. */
export const RT_SCOPE = { UNIVERSE: 0, SITE: 200, LINK: 253, HOST: 254, NOWHERE: 255 } as const

/** Routing tables: <linux/rtnetlink.h>. */
export const RT_TABLE = { UNSPEC: 0, COMPAT: 252, DEFAULT: 253, MAIN: 254, LOCAL: 255 } as const

/** Flags of a next hop, also in rtm_flags: <linux/rtnetlink.h>. */
export const RTNH_F = { DEAD: 0x1, ONLINK: 0x4, LINKDOWN: 0x10 } as const

/** Flags of a route message beyond the next hop's: <linux/rtnetlink.h>. */
export const RTM_F = { CLONED: 0x200, LOOKUP_TABLE: 0x1000, FIB_MATCH: 0x2000 } as const

/** Attributes of a neighbour: <linux/neighbour.h>. */
export const NDA = {
  DST: 1,
  LLADDR: 2,
  CACHEINFO: 3,
  VLAN: 5,
  PORT: 6,
  VNI: 7,
  IFINDEX: 8,
  MASTER: 9,
  PROTOCOL: 12,
} as const

/** States of a neighbour: <linux/neighbour.h>. */
export const NUD = {
  NONE: 0,
  INCOMPLETE: 0x1,
  REACHABLE: 0x2,
  STALE: 0x4,
  DELAY: 0x8,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const

/** Flags of a neighbour: <linux/neighbour.h>. */
export const NTF = { USE: 0x1, SELF: 0x2, MASTER: 0x4, PROXY: 0x8, EXT_LEARNED: 0x10, ROUTER: 0x80 } as const

/** Places of queueing disciplines and filters (tcm_parent): <linux/pkt_sched.h>. */
export const TC_H = {
  ROOT: 0xffff_ffff,
  /** Where clsact and its older brother, ingress, hang. */
  CLSACT: 0xffff_fff1,
  /** Filters for what the link receives: TC_H_CLSACT and TC_H_MIN_INGRESS. */
  INGRESS: 0xffff_fff2,
} as const

/** Attributes of queueing disciplines and filters: <linux/rtnetlink.h>. */
export const TCA = { KIND: 1, OPTIONS: 2 } as const

/** TCA_OPTIONS of tbf: <linux/pkt_sched.h>. */
export const TCA_TBF = { PARMS: 1, RATE64: 4, BURST: 6 } as const

/** TCA_OPTIONS of u32: <linux/pkt_cls.h>. */
export const TCA_U32 = { HASH: 2, LINK: 3, DIVISOR: 4, SELECTOR: 5, ACTIONS: 7 } as const

/** An action: <linux/pkt_cls.h>. */
export const TCA_ACT = { KIND: 1, OPTIONS: 2 } as const

/** What mirred does with a packet: <linux/tc_act/tc_mirred.h>. */
export const MIRRED = { EGRESS_REDIRECT: 1, INGRESS_REDIRECT: 3 } as const
