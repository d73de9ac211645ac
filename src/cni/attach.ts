import { FAMILIES, type Family, IPV6 } from '../base/family.js'
import { type Cidr, familyOf, ipToBigInt, parseCidr } from '../base/ip.js'
import { ADDR_GEN_MODE, RT_SCOPE, RTPROT } from '../codec/rtnl/constants.js'
import { type Lease, type LeasedAddress } from '../model/lease.js'
import { gatewayMac, gatewayOf } from '../model/podnetwork.js'
import { type Op } from '../ops/op.js'
import { NetloomError } from '../base/errors.js'

/** What an attachment is made of, beside its lease. */
export interface AttachmentPlan {
  readonly lease: Lease
  readonly bridge: { readonly name: string; readonly index: number }
  /** The node's pod networks, one per family. */
  readonly subnets: readonly Cidr[]
  /** Bytes. */
  readonly mtu: number
  /** The container has an interface of ours already, whose routes are to stay the better ones. */
  readonly further?: boolean
}

/**
 * A veth has a queue for each processor unless told otherwise, and each queue is an object in sysfs that takes its time
 * to make (a third of the whole on two processors). It has no use for them: it hands packets on where they are sent.
 */
const ONE_QUEUE = { numTxQueues: 1, numRxQueues: 1 } as const

/**
 * The node's side: a veth pair whose far end is made inside the pod's namespace, the near end a port of the bridge.
 *
 * Whatever the pod sends has to pass the node's IP stack, where Services and policies are. So its packets are taken
 * off the port as they come in and arrive on the bridge itself. Left to the bridge they would get there as well, but
 * where br_netfilter is loaded (for Docker, say) the bridge translates a Service's address itself and hands the packet
 * from port to port, past everything. Ports are isolated, so that nothing else (ARP, other protocols) is handed on
 * either; and since the bridge sees no packets to learn from, it is told where the pod is.
 * @param netnsFd open descriptor of the pod's namespace
 */
export function planHostSide({ lease, bridge, mtu, subnets }: AttachmentPlan, netnsFd: number): Op[] {
  const name = lease.hostInterface
  return [
    {
      kind: 'link.add',
      link: {
        kind: 'veth',
        name,
        mtu,
        // The gateway's: frames for it would count as another host's here, and be dropped behind the redirection.
        mac: gatewayMac(subnets),
        master: bridge.index,
        ...ONE_QUEUE,
        peer: { name: lease.ifname, mac: lease.mac, mtu, netnsFd, ...ONE_QUEUE },
      },
    },
    // The near end is a port and nothing else: without an address of its own it also sends no neighbour discovery.
    { kind: 'link.set', name, changes: { addrGenMode: ADDR_GEN_MODE.NONE, up: true } },
    ...planPort({ lease, bridge }),
  ]
}

/** Makes a link that is a port of the bridge one that hands all packets to it, as {@link planHostSide} says. */
function planPort({ lease, bridge }: Pick<AttachmentPlan, 'lease' | 'bridge'>): Op[] {
  const device = lease.hostInterface
  return [
    { kind: 'port.set', name: device, port: { isolated: true, learning: false, unicastFlood: false } },
    { kind: 'fdb.replace', device, mac: lease.mac },
    { kind: 'clsact.add', device },
    ...FAMILIES.map((family): Op => ({ kind: 'ingress.redirect', device, family, target: bridge.name })),
    ...neighbours({ lease, bridge }).map((neighbour): Op => ({ kind: 'neighbour.replace', neighbour })),
  ]
}

/** Brings an attachment to a bridge that was made anew: its port, and its redirection, led to the one before. */
export const planReattach = (lease: Lease, bridge: AttachmentPlan['bridge']): Op[] => [
  { kind: 'link.set', name: lease.hostInterface, changes: { master: bridge.index, up: true } },
  { kind: 'clsact.delete', device: lease.hostInterface },
  ...planPort({ lease, bridge }),
]

/** The node knows its pods' MAC addresses, and need not ask them. */
const neighbours = ({ lease, bridge }: Pick<AttachmentPlan, 'lease' | 'bridge'>) =>
  lease.addresses.map(({ address }) => ({
    family: familyOrThrow(address),
    address,
    device: bridge.name,
    mac: lease.mac,
  }))

/** What is left on the node when the link of an attachment is gone. */
export const planForget = (lease: Lease, { name }: { readonly name: string }): Op[] =>
  neighbours({ lease, bridge: { name, index: 0 } }).map((neighbour): Op => ({ kind: 'neighbour.delete', neighbour }))

/**
 * The pod's side, to be applied in its namespace: the address alone, without a network around it, and everything
 * through the gateway.
 */
export function planPodSide({ lease, subnets, further = false }: AttachmentPlan): Op[] {
  const device = lease.ifname
  return [
    ...sysctls(lease),
    { kind: 'link.set', name: device, changes: { up: true } },
    ...lease.addresses.map(({ address }): Op => {
      const family = familyOrThrow(address)
      return { kind: 'address.add', address: { family, address, prefix: family.bits, device, noDad: family === IPV6 } }
    }),
    ...lease.addresses.flatMap((address) =>
      podRoutes(address, gatewayFor(address.address, subnets), {
        device,
        ...(further ? { priority: priorityOf(address.address) } : {}),
      }),
    ),
  ]
}

/**
 * Where a container has several interfaces of ours, all routes lead to the same gateway, and the kernel keeps one of
 * those with the same priority: another for each address, behind the 0 and 1024 that routes have without asking.
 */
const priorityOf = (address: string): number => 2048 + Number(ipToBigInt(address) & 0xffffn)

function podRoutes(
  { address }: LeasedAddress,
  gateway: string,
  on: { readonly device: string; readonly priority?: number },
): Op[] {
  const family = familyOrThrow(address)
  const protocol = RTPROT.STATIC
  const onLink = { family, address: gateway, prefix: family.bits }
  return [
    { kind: 'route.replace', route: { destination: onLink, ...on, protocol, scope: linkScope(family) } },
    { kind: 'route.replace', route: { destination: parseCidr(family.everything), gateway, ...on, protocol } },
  ]
}

/** IPv6 routes have no scope. */
const linkScope = (family: Family): number => (family === IPV6 ? RT_SCOPE.UNIVERSE : RT_SCOPE.LINK)

/** Some runtimes make namespaces with IPv6 turned off; and a router that advertises itself in a pod is an attacker. */
const sysctls = ({ addresses, ifname }: Lease): Op[] =>
  addresses.some(({ address }) => familyOf(address) === IPV6)
    ? [
        { kind: 'sysctl.set', path: `net/ipv6/conf/${ifname}/disable_ipv6`, value: '0' },
        { kind: 'sysctl.set', path: `net/ipv6/conf/${ifname}/accept_ra`, value: '0' },
      ]
    : []

/** The gateway of the pod network that an address is from. */
export function gatewayFor(address: string, subnets: readonly Cidr[]): string {
  const subnet = subnets.find(({ family }) => family === familyOf(address))
  if (subnet === undefined) throw new NetloomError('internal', `no pod network for ${address}`)
  return gatewayOf(subnet)
}

function familyOrThrow(address: string): Family {
  const family = familyOf(address)
  if (family === undefined) throw new NetloomError('internal', `'${address}' is not an address`)
  return family
}
