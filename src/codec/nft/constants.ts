/** Numbers of <linux/netfilter/nf_tables.h>, <linux/netfilter/nfnetlink.h> and <linux/netfilter.h>. */

const NFNL_SUBSYS_NFTABLES = 10

/** nfnetlink message types that bracket a transaction; their res_id is the subsystem. */
export const BATCH_BEGIN = 0x10
export const BATCH_END = 0x11
export const SUBSYSTEM = NFNL_SUBSYS_NFTABLES

const type = (message: number): number => (NFNL_SUBSYS_NFTABLES << 8) | message

/** enum nf_tables_msg_types. */
export const MESSAGE = {
  NEWTABLE: type(0),
  GETTABLE: type(1),
  DELTABLE: type(2),
  NEWCHAIN: type(3),
  GETCHAIN: type(4),
  DELCHAIN: type(5),
  NEWRULE: type(6),
  GETRULE: type(7),
  DELRULE: type(8),
  NEWSET: type(9),
  GETSET: type(10),
  DELSET: type(11),
  NEWSETELEM: type(12),
  GETSETELEM: type(13),
  DELSETELEM: type(14),
  NEWGEN: type(15),
  GETGEN: type(16),
} as const

/** NFNLGRP_NFTABLES: notifications of every change to any ruleset of the namespace. */
export const NFTABLES_GROUP = 7

/** Table families (NFPROTO_*). */
export const TABLE_FAMILY = { inet: 1, ip: 2, arp: 3, bridge: 7, ip6: 10 } as const
export type TableFamily = keyof typeof TABLE_FAMILY

/** enum nft_verdicts and enum nf_verdicts. */
export const VERDICT = { drop: 0, accept: 1, continue: -1, jump: -3, goto: -4, return: -5 } as const
export type VerdictName = keyof typeof VERDICT

/** Netfilter hooks of IP packets (enum nf_inet_hooks). */
export const HOOK = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4, ingress: 5 } as const
export type HookName = keyof typeof HOOK

/** The hooks that a family has: <linux/netfilter_arp.h> numbers its own, <linux/netfilter_bridge.h> as for IP. */
export const HOOKS: Readonly<Record<TableFamily, Readonly<Partial<Record<HookName, number>>>>> = {
  inet: HOOK,
  ip: HOOK,
  ip6: HOOK,
  arp: { input: 0, output: 1 },
  bridge: { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 },
}

export const TABLE_ATTR = { NAME: 1, FLAGS: 2, USE: 3, HANDLE: 4 } as const
export const CHAIN_ATTR = { TABLE: 1, HANDLE: 2, NAME: 3, HOOK: 4, POLICY: 5, USE: 6, TYPE: 7 } as const
export const HOOK_ATTR = { NUMBER: 1, PRIORITY: 2 } as const
export const RULE_ATTR = { TABLE: 1, CHAIN: 2, HANDLE: 3, EXPRESSIONS: 4, USERDATA: 7 } as const
export const LIST_ELEM = 1
export const EXPR_ATTR = { NAME: 1, DATA: 2 } as const
export const DATA_ATTR = { VALUE: 1, VERDICT: 2 } as const
export const VERDICT_ATTR = { CODE: 1, CHAIN: 2 } as const
export const SET_ATTR = {
  TABLE: 1,
  NAME: 2,
  FLAGS: 3,
  KEY_TYPE: 4,
  KEY_LEN: 5,
  DATA_TYPE: 6,
  DATA_LEN: 7,
  DESCRIPTION: 9,
  ID: 10,
  TIMEOUT: 11,
  USERDATA: 13,
} as const
export const ELEM_LIST_ATTR = { TABLE: 1, SET: 2, ELEMENTS: 3 } as const
/** enum nft_set_desc_attributes, and of each field of a concatenation (nft_set_field_attributes). */
export const SET_DESCRIPTION = { CONCATENATION: 2, FIELD_LENGTH: 1 } as const
export const ELEM_ATTR = { KEY: 1, DATA: 2, FLAGS: 3, KEY_END: 10 } as const
export const GEN_ATTR = { ID: 1 } as const

/** NFT_SET_*. */
export const SET_FLAG = { INTERVAL: 0x4, MAP: 0x8, CONCATENATION: 0x80 } as const
/**
 * NFT_SET_ELEM_INTERVAL_END: the element is the first address behind an interval. NFT_SET_ELEM_CATCHALL: it has no key
 * and stands for all keys that no other element has.
 */
export const ELEM_FLAG = { INTERVAL_END: 1, CATCHALL: 2 } as const
/** NFT_DATA_VERDICT: the data type of verdict maps. */
export const VERDICT_DATA_TYPE = 0xffffff00
