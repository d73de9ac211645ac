import { type FamilyName } from './family.js'

/**
 * Every name, number and priority that netloom leaves in a kernel or on a disk. Whatever carries one of these is
 * ours; nothing else is ever changed, and `netloom uninstall` removes exactly these.
 */

/** The bridge that pods of a node are attached to. */
export const BRIDGE = 'netloom0'

/** Host ends of pods' veth pairs: this prefix and 11 hexadecimal digits, 15 characters in all (IFNAMSIZ less one). */
export const VETH_PREFIX = 'nlm-'

/** IFB devices that shape what a container sends: this prefix and 11 hexadecimal digits, as above. */
export const IFB_PREFIX = 'nli-'

/**
 * Own routing protocol number (`proto` of `ip route`). <linux/rtnetlink.h> leaves 5 to 255 to user space;
 * /etc/iproute2/rt_protos of iproute2 6.x knows no 110.
 */
export const ROUTE_PROTOCOL = 110

/** The same for the routes of a node to its own containers that are attached point to point. */
export const POD_ROUTE_PROTOCOL = 111

/**
 * VXLAN devices that carry pods' packets to nodes behind routers, by the family that carries them. All that is on them
 * is ours: forwarding entries have no mark of their own.
 */
export const TUNNELS: Readonly<Record<FamilyName, string>> = { ipv4: 'nlx4', ipv6: 'nlx6' }

/** Their network identifier and UDP port, unless told otherwise; the port is the registered one (RFC 7348). */
export const DEFAULT_VXLAN = { vni: 110, port: 4789 } as const

/** Link group into which links are put that one request is to delete; the kernel's default group is 0. */
export const DOOMED_LINK_GROUP = 0x6e6c6d

/**
 * Handle of the queueing disciplines that limit what a link sends (`tc qdisc ... handle 6e6c:`). The kernel itself
 * gives handles from 8000: up.
 */
export const LIMIT_QDISC = 0x6e6c

/**
 * Priorities of filters for what a link receives (`tc filter ... pref`), one for each family, since a priority belongs
 * to one protocol: those that let pods' packets arrive on the bridge, and those that send them through an IFB device.
 */
export const FILTER_PRIORITY: Readonly<Record<'redirect' | 'limit', Readonly<Record<FamilyName, number>>>> = {
  redirect: { ipv4: 4, ipv6: 16 },
  limit: { ipv4: 5, ipv6: 17 },
}

/** Hash tables of the latter, where many pods share a device (`tc filter ... handle 4: u32 divisor 256`). */
export const LIMIT_TABLE: Readonly<Record<FamilyName, number>> = { ipv4: 4, ipv6: 6 }

/** nftables tables: one for Services per family (`ip`, `ip6`), one for masquerade in `inet`. */
export const SERVICES_TABLE = 'netloom-services'
export const MASQUERADE_TABLE = 'netloom-masquerade'

/** Who may send as whom: in `bridge` for ports of the bridge, in `inet` and `arp` for links without one. */
export const ANTISPOOF_TABLE = 'netloom-antispoof'

/** Who may open connections to which containers (`ingressPolicy`), in `inet`. */
export const ISOLATION_TABLE = 'netloom-isolation'

/** Who may send to the node's tunnels, and what may come out of them, in `inet`. */
export const TUNNELS_TABLE = 'netloom-tunnels'

/** Ports of the node that lead to containers (`portMappings`), in `inet`. */
export const HOSTPORTS_TABLE = 'netloom-hostports'

/**
 * Chain priorities of nftables (<linux/netfilter_ipv4.h>, NF_IP_PRI_*).
 * - dstnat: the standard place of DNAT; kube-proxy uses it as well, and a packet that one of the two translated is
 *   left alone by the other, because conntrack allows one DNAT for a flow.
 * - srcnat: the standard place of masquerade. Services' hairpin goes first, so that the general rule for traffic
 *   that leaves the pod networks never judges a flow which has been masqueraded.
 * - raw: the standard place of what is not even to be followed; whatever translates comes behind it.
 * - filter: the standard place; packets for an unknown port of a Service are rejected before policies see them.
 * - isolate: the standard place of filters, since a drop there is final whatever others accept before or behind. It is
 *   behind all translation, and behind the rejections, so that an unknown port of a Service is refused to all alike.
 * - guardFrames, in `bridge` (<linux/netfilter_bridge.h>, NF_BR_PRI_*): before what rewrites frames (-300), so that they
 *   are judged as they were sent, and before br_netfilter (0), which shows them to the rules for packets.
 * - guardPackets: as early as a packet is whole: behind reassembly (-400), before connection tracking (-200).
 * - guardTunnels: before all filters. At the hooks that it is for, all translation of destinations is done: what a
 *   Service or a port of the node leads to a tunnel is judged as what it is then.
 * - guardArp: the only standard place of the family `arp`.
 */
export const PRIORITY = {
  raw: -300,
  dstnat: -100,
  hairpin: 99,
  srcnat: 100,
  reject: -1,
  isolate: 0,
  guardFrames: -301,
  guardPackets: -300,
  guardTunnels: -300,
  guardArp: 0,
} as const

/** Where the agent listens, unless told otherwise. */
export const DEFAULT_SOCKET = '/run/netloom/agent.sock'

/**
 * Where leases are kept. Below /run because a lease lives as long as the network namespace of its pod: it survives
 * the agent and goes with the boot, as the namespaces do.
 */
export const DEFAULT_STATE_DIR = '/run/netloom/state'

/** File in it: what the agent knew of its own node. */
export const NODE_MEMORY = 'node.json'

/** What netloom leaves at objects of the Kubernetes API: prefix of its labels and annotations. */
export const API_PREFIX = 'netloom.dev'

/** Who made an object (`app.kubernetes.io/managed-by`), field manager of its writes, and source of its Events. */
export const API_MANAGER = 'netloom'

/** Label by which our own objects are found: its value is {@link API_MANAGER}. */
export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by'

/** Annotation of a Lease that claims a node's subnet: ADDRESS/PREFIX. The holder of the Lease is the node. */
export const SUBNET_ANNOTATION = `${API_PREFIX}/subnet`

/** Annotation of a Node: the addresses that other nodes reach it by, separated by commas, where InternalIPs are not. */
export const NODE_ADDRESSES_ANNOTATION = `${API_PREFIX}/node-addresses`

/**
 * Taint that an administrator lets nodes come with (`kubelet --register-with-taints`), so that no pod is put on a node
 * before it has a network; whatever its value and its effect, the agent takes it away when it is ready.
 */
export const NOT_READY_TAINT = `${API_PREFIX}/agent-not-ready`

/** Why a Node's condition NetworkUnavailable is as the agent sets it. */
export const READY_REASON = 'NetloomReady'

/** Who reports Events (`reportingController`); which one of the agents is their `reportingInstance`. */
export const EVENT_CONTROLLER = `${API_PREFIX}/agent`

/** Reasons of Events, for people to search and for alerts to match: none changes its meaning. */
export const EVENT_REASONS = [
  'AddressPoolExhausted',
  'SubnetRefused',
  'SubnetClaimFailed',
  'PortConflict',
  'PolicyNotCompilable',
  'ObjectNotUnderstood',
] as const
export type EventReason = (typeof EVENT_REASONS)[number]

/** Variables of the environment that are ours begin with this: `NETLOOM_ROUTE_MODE` is the setting `route-mode`. */
export const VARIABLE_PREFIX = 'NETLOOM_'

/** Variables of ours that are no settings of the agent: they are for the CNI executable, the demo and the tests. */
export const OTHER_VARIABLES: readonly string[] = [
  'NETLOOM_TIMEOUT_MS',
  'NETLOOM_WAIT',
  'NETLOOM_PROGRAM',
  'NETLOOM_INSIDE',
  'NETLOOM_FUZZ_SECONDS',
]

/** The CNI executable, and the plugin's `type` in a configuration. */
export const PLUGIN_TYPE = 'netloom'

/** The list of plugins that an agent installs. Runtimes take the first by name. */
export const DEFAULT_CONFLIST = '10-netloom.conflist'

/** Where runtimes look for plugins and for lists of them, unless told otherwise. */
export const DEFAULT_CNI_BIN_DIR = '/opt/cni/bin'
export const DEFAULT_CNI_CONF_DIR = '/etc/cni/net.d'

/**
 * The node's own settings where the agent is in a container, whose own /proc/sys is read-only: a mount of the node's,
 * which the kernel answers for the network of whoever asks.
 */
export const HOST_SYSCTLS = '/host/proc/sys'

/**
 * Where the agent of a cluster answers probes. On loopback, since probes of a pod in the node's network come from there,
 * and next to the ports of Kubernetes' own components (10248 to 10259), where nobody looks for anything else; below the
 * ports of NodePorts (30000) and those that the kernel gives away by itself (32768).
 */
export const DEFAULT_HEALTH_PORT = 10_247

/** Leases that claim subnets: this prefix and the subnet (src/subnets/claim.ts). */
export const CLAIM_PREFIX = 'netloom-'
