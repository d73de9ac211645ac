import { FAMILIES, type Family, IPV6 } from '../base/family.js'
import { type Cidr, cidrContains, parseCidr } from '../base/ip.js'
import { NetloomError } from '../base/errors.js'
import { POD_ROUTE_PROTOCOL } from '../base/names.js'
import { IP_PROTOCOL } from '../codec/nft/types.js'
import { ADDR_GEN_MODE, RTPROT } from '../codec/rtnl/constants.js'
import { type PacketSource } from '../codec/rtnl/u32.js'
import { type Lease, type LeasedAddress, macOf } from '../model/lease.js'
import { type Op, type OpOf } from '../ops/op.js'
import { IFNAME_TOKEN } from './config.js'
import { familyOrThrow } from './routes.js'

/** The bridge that containers are attached to. */
export interface Bridge {
  readonly name: string
  readonly index: number
  readonly mac: string
}

/** What the node's side of an attachment depends on, beside its lease. */
export interface Surroundings {
  /** Needed by mode `bridge` alone. */
  readonly bridge: Bridge | undefined
  /** Networks of the bridge itself, to which the node has a route each; others' containers have a route of their own. */
  readonly covered: readonly Cidr[]
  /** br_netfilter translates inside of bridges. */
  readonly redirect: boolean
}

/**
 * A veth has a queue for each processor unless told otherwise, and each queue is an object in sysfs that takes its time
 * to make (a third of the whole on two processors). It has no use for them: it hands packets on where they are sent.
 */
const ONE_QUEUE = { numTxQueues: 1, numRxQueues: 1 } as const

/**
 * The node's side of an interface that we make.
 * @param netnsFd open descriptor of the container's namespace, in which the far end is made
 */
export const planHostSide = (lease: Lease, surroundings: Surroundings, netnsFd: number): Op[] =>
  lease.mode === 'ptp' ? planLink(lease, netnsFd) : planPort(lease, surroundings, netnsFd)

const veth = (lease: Lease, netnsFd: number, near: { readonly mac: string; readonly master?: number }): Op => ({
  kind: 'link.add',
  link: {
    kind: 'veth',
    name: lease.hostInterface,
    mtu: lease.mtu,
    ...near,
    ...ONE_QUEUE,
    peer: { name: lease.ifname, mac: lease.mac, mtu: lease.mtu, netnsFd, ...ONE_QUEUE },
  },
})

/**
 * A veth pair whose far end is made inside the container's namespace, the near end a port of the bridge.
 *
 * Whatever the container sends has to pass the node's IP stack, where Services and policies are. Ports are isolated, so
 * that the bridge hands nothing from one to another, and since it does not learn it is told where the container is.
 */
function planPort(lease: Lease, surroundings: Surroundings, netnsFd: number): Op[] {
  const bridge = bridgeOf(surroundings)
  return [
    // The bridge's: frames for it would count as another host's here, and be dropped behind the redirection.
    veth(lease, netnsFd, { mac: bridge.mac, master: bridge.index }),
    // The near end is a port and nothing else: without an address of its own it also sends no neighbour discovery.
    { kind: 'link.set', name: lease.hostInterface, changes: { addrGenMode: ADDR_GEN_MODE.NONE, up: true } },
    ...planBehind(lease, surroundings),
  ]
}

/** Makes a link that is a port of the bridge one that is ours. */
function planBehind(lease: Lease, surroundings: Surroundings): Op[] {
  const bridge = bridgeOf(surroundings)
  const device = lease.hostInterface
  return [
    { kind: 'port.set', name: device, port: { isolated: true, learning: false, unicastFlood: false } },
    { kind: 'fdb.replace', device, mac: lease.mac },
    ...(surroundings.redirect ? planRedirect(lease, bridge) : []),
    ...neighbours(lease, bridge.name).map((neighbour): Op => ({ kind: 'neighbour.replace', neighbour })),
    ...uncovered(lease, surroundings).map((address) => planHostRoute(address, bridge.name)),
  ]
}

/**
 * What the container sends is taken off the port as it comes in and arrives on the bridge itself. Left to the bridge it
 * would get there as well, but where br_netfilter calls iptables the bridge translates a Service's address itself and
 * hands the packet from port to port, past everything.
 */
function planRedirect(lease: Lease, bridge: Bridge): Op[] {
  const device = lease.hostInterface
  const target = bridge.name
  return [
    { kind: 'clsact.add', device },
    ...redirected(lease).map((packets): Op => ({ kind: 'ingress.redirect', device, target, ...packets })),
  ]
}

/** Packets that are redirected. */
export interface Redirected {
  readonly family: Family
  readonly source: PacketSource
}

/**
 * Of a container that is free to send as whom it likes: all. Else what it sends as itself; the rest goes on to the
 * bridge, whose rules drop it. Neighbour discovery is for those rules to judge as well, and so of IPv6 only what can be
 * translated is redirected.
 */
export function redirected({ addresses, mac, spoofCheck }: Lease): Redirected[] {
  if (!spoofCheck) return FAMILIES.map((family) => ({ family, source: {} }))
  return addresses.flatMap(({ address }) => {
    const family = familyOrThrow(address)
    const source = { mac, address }
    return family === IPV6
      ? TRANSLATED.map((protocol) => ({ family, source: { ...source, protocol } }))
      : [{ family, source }]
  })
}

/** Protocols that have ports, by which Services are found. */
const TRANSLATED: readonly number[] = [IP_PROTOCOL.tcp, IP_PROTOCOL.udp, IP_PROTOCOL.sctp]

/** Brings the redirection of a port that stands in line with what br_netfilter does by now. */
export const planRedirection = (lease: Lease, surroundings: Surroundings): Op[] => [
  { kind: 'clsact.delete', device: lease.hostInterface },
  ...(surroundings.redirect ? planRedirect(lease, bridgeOf(surroundings)) : []),
]

/** Brings an attachment to a bridge that was made anew: its port, and its redirection, led to the one before. */
export const planReattach = (lease: Lease, surroundings: Surroundings): Op[] => [
  {
    kind: 'link.set',
    name: lease.hostInterface,
    changes: { master: bridgeOf(surroundings).index, mac: bridgeOf(surroundings).mac, up: true },
  },
  { kind: 'clsact.delete', device: lease.hostInterface },
  ...planBehind(lease, surroundings),
]

/**
 * A veth pair without a bridge: the near end has the gateway's addresses, and the node's routes lead to it. Nothing is on
 * this link but the two.
 */
function planLink(lease: Lease, netnsFd: number): Op[] {
  const name = lease.hostInterface
  return [
    veth(lease, netnsFd, { mac: linkMac(lease) }),
    // A container that talks to itself by a Service's address comes back by the link it came from, as it should.
    { kind: 'sysctl.set', path: `net/ipv4/conf/${name}/send_redirects`, value: '0' },
    ...ipv6(lease, [{ kind: 'sysctl.set', path: `net/ipv6/conf/${name}/accept_ra`, value: '0' }]),
    { kind: 'link.set', name, changes: { addrGenMode: ADDR_GEN_MODE.NONE, up: true } },
    ...neighbours(lease, name).map((neighbour): Op => ({ kind: 'neighbour.replace', neighbour })),
    ...lease.addresses.flatMap((address) => planGateway(address, name)),
  ]
}

/** The MAC address of the node's end of a link without a bridge: that of the gateway. */
export const linkMac = ({ addresses: [first] }: Lease): string => macOf(first?.gateway ?? first?.address ?? '')

/** The node answers for the gateway's address on a link, and knows that the container is there. */
function planGateway(leased: LeasedAddress, device: string): Op[] {
  const { gateway } = leased
  return [...(gateway === undefined ? [] : [gatewayAddress(gateway, device)]), planHostRoute(leased, device)]
}

/** Alone, without a network around it: the way to the others of that network is theirs. */
function gatewayAddress(address: string, device: string): Op {
  const family = familyOrThrow(address)
  return { kind: 'address.add', address: { family, address, prefix: family.bits, device, noDad: family === IPV6 } }
}

/** The node's route to a container, who knows the way back to its gateway: that is who the node speaks as. */
export function planHostRoute({ address, gateway }: LeasedAddress, device: string): OpOf<'route.replace'> {
  const family = familyOrThrow(address)
  const destination = { family, address, prefix: family.bits }
  const route = { destination, device, protocol: POD_ROUTE_PROTOCOL }
  return { kind: 'route.replace', route: gateway === undefined ? route : { ...route, source: gateway } }
}

/** Addresses that are from no network of the bridge's own: those of another network, or of another plugin's IPAM. */
export const uncovered = ({ addresses }: Lease, { covered }: Pick<Surroundings, 'covered'>): LeasedAddress[] =>
  addresses.filter(({ address }) => !covered.some((network) => cidrContains(network, address)))

/** The device by which the node's packets reach a container. */
export const deviceOf = (lease: Lease, bridge: string): string =>
  lease.mode === 'bridge' ? bridge : lease.hostInterface

/** The node knows its containers' MAC addresses, and need not ask them. */
const neighbours = (lease: Lease, device: string) =>
  lease.addresses.map(({ address }) => ({ family: familyOrThrow(address), address, device, mac: lease.mac }))

/** What is left on the bridge when the link of an attachment is gone. */
export const planForget = (lease: Lease, bridge: string, covered: readonly Cidr[]): Op[] =>
  lease.mode !== 'bridge'
    ? []
    : [
        ...neighbours(lease, bridge).map((neighbour): Op => ({ kind: 'neighbour.delete', neighbour })),
        ...uncovered(lease, { covered }).map((address): Op => ({
          kind: 'route.delete',
          route: planHostRoute(address, bridge).route,
        })),
      ]

/**
 * The container's side, to be applied in its namespace: the address alone, without a network around it, and everything
 * else by routes. Addresses come before the link is up, so that the kernel announces them (gratuitous ARP, unsolicited
 * neighbour advertisement) when it is: somebody may remember who had them before.
 */
export function planPodSide(lease: Lease, sysctls: ReadonlyMap<string, string> = new Map()): Op[] {
  const device = lease.ifname
  return [
    ...podSysctls(lease),
    ...lease.addresses.map(({ address }): Op => {
      const family = familyOrThrow(address)
      return { kind: 'address.add', address: { family, address, prefix: family.bits, device, noDad: family === IPV6 } }
    }),
    // Not with the next: what is up already announces nothing, and has its link-local address.
    { kind: 'link.set', name: device, changes: { arpNotify: true, ...linkLocal(lease) } },
    { kind: 'link.set', name: device, changes: { up: true } },
    ...lease.routes.map(({ destination, ...route }): Op => ({
      kind: 'route.replace',
      route: { ...route, destination: parseCidr(destination), device, protocol: RTPROT.STATIC },
    })),
    ...[...sysctls].map(([path, value]): Op => ({ kind: 'sysctl.set', path: ofInterface(path, device), value })),
  ]
}

/** A path with the interface's name in the place of the word that stands for it. */
const ofInterface = (path: string, ifname: string): string =>
  path
    .split('/')
    .map((part) => (part === IFNAME_TOKEN ? ifname : part))
    .join('/')

/** Made from the MAC address, whatever the machine's default: others are not let through. */
const linkLocal = (lease: Lease): { addrGenMode?: number } =>
  hasIpv6(lease) ? { addrGenMode: ADDR_GEN_MODE.EUI64 } : {}

/** Some runtimes make namespaces with IPv6 turned off; and a router that advertises itself in a pod is an attacker. */
const podSysctls = (lease: Lease): Op[] =>
  ipv6(lease, [
    { kind: 'sysctl.set', path: `net/ipv6/conf/${lease.ifname}/disable_ipv6`, value: '0' },
    { kind: 'sysctl.set', path: `net/ipv6/conf/${lease.ifname}/accept_ra`, value: '0' },
    { kind: 'sysctl.set', path: `net/ipv6/conf/${lease.ifname}/ndisc_notify`, value: '1' },
  ])

const hasIpv6 = ({ addresses }: Lease): boolean => addresses.some(({ address }) => familyOrThrow(address) === IPV6)
const ipv6 = (lease: Lease, ops: Op[]): Op[] => (hasIpv6(lease) ? ops : [])

function bridgeOf({ bridge }: Surroundings): Bridge {
  if (bridge === undefined) throw new NetloomError('unavailable', "the node's bridge does not stand yet")
  return bridge
}
