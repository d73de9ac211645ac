/** Numbers of <linux/netfilter/nfnetlink_conntrack.h> and <linux/netfilter/nfnetlink.h>. */

const NFNL_SUBSYS_CTNETLINK = 1

const type = (message: number): number => (NFNL_SUBSYS_CTNETLINK << 8) | message

/** enum cntl_msg_types. */
export const MESSAGE = { NEW: type(0), GET: type(1), DELETE: type(2) } as const

/** enum ctattr_type. */
export const FLOW_ATTR = { ORIGINAL: 1, REPLY: 2, STATUS: 3, ID: 12, ZONE: 18, FILTER: 25 } as const

/** enum ctattr_tuple, ctattr_ip (by family) and ctattr_l4proto. */
export const TUPLE_ATTR = { IP: 1, PROTOCOL: 2 } as const
export const IP_ATTR = {
  ipv4: { source: 1, destination: 2 },
  ipv6: { source: 3, destination: 4 },
} as const
export const PROTOCOL_ATTR = { NUMBER: 1, SOURCE_PORT: 2, DESTINATION_PORT: 3 } as const

/** enum ctattr_filter; its flags say which parts of a tuple are compared: bit N for part N of the kernel's own list. */
export const FILTER_ATTR = { ORIGINAL: 1, REPLY: 2 } as const
export const FILTER_PART = { PROTOCOL: 1 << 3, DESTINATION_PORT: 1 << 5 } as const
