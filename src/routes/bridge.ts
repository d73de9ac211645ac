import { type Family, IPV6 } from '../base/family.js'
import { type Cidr, type Ip, type IpPrefix } from '../base/ip.js'
import { type Address } from '../codec/rtnl/address.js'
import { ADDR_GEN_MODE } from '../codec/rtnl/constants.js'
import { type Link } from '../codec/rtnl/link.js'
import { gatewayMac, gatewayOf } from '../model/podnetwork.js'
import { NetloomError } from '../base/errors.js'
import { type Op } from '../ops/op.js'
import { planAddresses } from './addresses.js'
import { knownSysctls, planSysctls } from './sysctls.js'

/** The bridge that a node's pods are attached to, with the gateway's addresses on it. */
export interface BridgeDesired {
  readonly name: string
  /** The node's pod networks, one per family. */
  readonly subnets: readonly Cidr[]
  /** Gateways of containers from other networks: each is the node's, alone and without its network. */
  readonly gateways?: readonly Ip[]
  /** That of the gateway of the first network unless given. */
  readonly mac?: string
  /** Bytes. */
  readonly mtu: number
  /** Name of the link that carries the node's own address, where it is known. */
  readonly uplink?: string | undefined
}

export interface BridgeActual {
  readonly link: Link | undefined
  readonly addresses: readonly Address[]
  /** Values of the paths that {@link watchedSysctls} names, as far as the kernel has them. */
  readonly sysctls: ReadonlyMap<string, string>
}

const FORWARDING_V6 = 'net/ipv6/conf/all/forwarding'

/**
 * - forwarding: pods' packets pass the node.
 * - send_redirects off: pods of one node are all behind one link, and the node would tell them to talk directly,
 *   which isolated ports do not allow. The kernel redirects where the link's value or that of `all` says so.
 */
export const bridgeSysctls = (bridge: string): ReadonlyMap<string, string> =>
  new Map([...FORWARDING, [`net/ipv4/conf/${bridge}/send_redirects`, '0']])

const FORWARDING: ReadonlyMap<string, string> = new Map([
  ['net/ipv4/ip_forward', '1'],
  [FORWARDING_V6, '1'],
  ['net/ipv4/conf/all/send_redirects', '0'],
])

/** What a node without a bridge needs for its containers: the same, but for what is the bridge's. */
export const planForwarding = (families: readonly Family[], sysctls: ReadonlyMap<string, string>): Op[] =>
  planSysctls(new Map([...FORWARDING].filter(([path]) => sysctls.has(path))), sysctls, families)

/** The sysctls whose values {@link planForwarding} depends on. */
export const FORWARDING_SYSCTLS: readonly string[] = [...FORWARDING.keys()]

/** Whether a link takes its IPv6 routes from routers: 0 never, 1 unless the node forwards, 2 also then. */
const acceptRa = (link: string): string => `net/ipv6/conf/${link}/accept_ra`

/** The sysctls whose values a plan depends on. */
export const watchedSysctls = ({ name, uplink }: Pick<BridgeDesired, 'name' | 'uplink'>): string[] => [
  ...bridgeSysctls(name).keys(),
  ...(uplink === undefined ? [] : [acceptRa(uplink)]),
]

/**
 * A node that begins to forward IPv6 no longer listens to routers, and loses its own default route when that runs out.
 * Where it did listen, it is told to go on.
 */
function planUplink(desired: BridgeDesired, sysctls: ReadonlyMap<string, string>): Op[] {
  const { uplink } = desired
  const begins = sysctls.get(FORWARDING_V6) === '0' && familiesOf(desired).includes(IPV6)
  if (uplink === undefined || !begins || sysctls.get(acceptRa(uplink)) !== '1') return []
  return [{ kind: 'sysctl.set', path: acceptRa(uplink), value: '2' }]
}

/** What makes the bridge as wanted; nothing where it is so. */
export function planBridge(desired: BridgeDesired, { link, addresses, sysctls }: BridgeActual): Op[] {
  const { name } = desired
  if (link !== undefined && link.kind !== 'bridge')
    throw new NetloomError('exists', `link ${name} is there already, and is no bridge`, { operation: 'create bridge' })
  return [
    ...planLink(desired, link),
    ...planAddresses(
      name,
      gatewaysOf(desired),
      addresses.filter(({ index }) => index === link?.index),
    ),
    ...planUplink(desired, sysctls),
    ...planSysctls(knownSysctls(bridgeSysctls(name), sysctls, link), sysctls, familiesOf(desired)),
  ]
}

const familiesOf = ({ subnets, gateways = [] }: BridgeDesired): Family[] =>
  [...subnets, ...gateways].map(({ family }) => family)

function planLink({ name, subnets, mtu, mac = gatewayMac(subnets) }: BridgeDesired, link: Link | undefined): Op[] {
  // A bridge takes the lowest MAC address of its ports unless it is given one: pods' neighbour entries would go stale.
  if (link !== undefined) {
    const changes = {
      ...(link.up ? {} : { up: true }),
      ...(link.mtu === mtu ? {} : { mtu }),
      ...(link.mac === mac ? {} : { mac }),
    }
    return Object.keys(changes).length === 0 ? [] : [{ kind: 'link.set', name, changes }]
  }
  return [
    // Snooping would hold back neighbour discovery until a querier is heard, and there is none.
    { kind: 'link.add', link: { kind: 'bridge', name, mtu: mtu - 1, mac, bridge: { mcastSnooping: false } } },
    // Until its MTU is changed for the first time a bridge takes the smallest of its ports', and 1500 when the last one
    // goes (br_mtu_auto_adjust). One that it was made with does not count, hence the other above.
    { kind: 'link.set', name, changes: { mtu, addrGenMode: ADDR_GEN_MODE.NONE, up: true } },
  ]
}

/** The gateway's address in each network; addresses of networks that the node no longer has go. */
const gatewaysOf = ({ subnets, gateways = [] }: BridgeDesired): IpPrefix[] => [
  ...subnets.map((subnet) => ({ ...subnet, address: gatewayOf(subnet) })),
  ...gateways.map(({ family, address }) => ({ family, address, prefix: family.bits })),
]
