import { networkOf, parseCidr } from '../base/ip.js'
import { type Lease, type LeasedAddress, type LeasedRoute, macOf } from '../model/lease.js'
import { gatewayOf } from '../model/podnetwork.js'
import { type Bridge, linkMac } from './attach.js'
import { type InterfaceConfig } from './config.js'
import { CNI_CODE, CniFailure } from './error.js'
import { attachmentOf, type CniRequest } from './request.js'
import { type CniResult, type Dns, type ResultIp, type ResultRoute } from './result.js'
import { familyOrThrow } from './routes.js'

/** Between leases and results: what other plugins tell us, and what we tell the runtime. */

/** The interface of the call in the result of the plugins before us; undefined where none of them made it. */
export function interfaceBefore(previous: CniResult, { ifname }: Pick<CniRequest, 'ifname'>): number | undefined {
  const at = previous.interfaces.findIndex(({ name, sandbox }) => name === ifname && (sandbox ?? '') !== '')
  return at === -1 ? undefined : at
}

/** An interface that another plugin made, as the kernel has it. */
export interface FoundInterface {
  /** Where it is in that plugin's result. */
  readonly position: number
  readonly mac: string
  /** Bytes. */
  readonly mtu: number
  /** The node's end, where it has one on this node. */
  readonly hostInterface: string | undefined
}

/** What we keep of an interface that another plugin made: all but its links and routes, which are that plugin's. */
export function chainedLease(
  request: CniRequest,
  wanted: InterfaceConfig,
  { previous, found }: { readonly previous: CniResult; readonly found: FoundInterface },
): Lease {
  const own = previous.ips.filter(({ interface: at }) => at === undefined || at === found.position)
  return {
    ...common(request, wanted),
    addresses: own.map(({ address: { address, prefix }, gateway }) => ({
      address,
      prefix,
      ...(gateway === undefined ? {} : { gateway }),
    })),
    mode: 'chained',
    hostInterface: found.hostInterface ?? '',
    mac: found.mac,
    mtu: found.mtu,
    routes: [],
    spoofCheck: wanted.spoofCheck ?? false,
  }
}

/** The part of a lease that is asked for. */
export const common = (request: CniRequest, wanted: InterfaceConfig) => ({
  ...attachmentOf(request),
  netns: request.netns,
  masquerade: wanted.masquerade,
  ports: wanted.ports,
  aliases: wanted.aliases,
  ...(wanted.ingressPolicy === undefined ? {} : { ingressPolicy: wanted.ingressPolicy }),
  ...(wanted.bandwidth === undefined ? {} : { bandwidth: wanted.bandwidth }),
  ...(request.args.pod === undefined ? {} : { pod: request.args.pod }),
})

/**
 * What the runtime believes of an attachment and is not so: it hands back at CHECK what ADD answered.
 * @returns a line for each address that only one of the two knows
 */
export function resultDifferences(lease: Lease, previous: CniResult): string[] {
  const position = interfaceBefore(previous, lease)
  if (position === undefined) return [`prevResult.interfaces: the container's ${lease.ifname} is not among them`]
  const told = previous.ips.filter(({ interface: at }) => at === undefined || at === position)
  const tell = new Set(told.map(({ address }) => address.address))
  const hold = new Set(lease.addresses.map(({ address }) => address))
  return [
    ...[...hold].filter((one) => !tell.has(one)).map((one) => `prevResult.ips: ${one} is not among them`),
    ...[...tell].filter((one) => !hold.has(one)).map((one) => `prevResult.ips: ${one} is not ${lease.ifname}'s`),
  ]
}

/**
 * The addresses that another plugin's IPAM gave. Where it names no gateway, it is the first address of the network, as
 * the reference plugins have it.
 * @throws CniFailure where there is no address, or no room for a gateway
 */
export function leasedOf(type: string, { ips }: CniResult): LeasedAddress[] {
  if (ips.length === 0) throw new CniFailure(CNI_CODE.INTERNAL, `ipam ${type} gave no address`, 'ipam.type')
  return ips.map((ip, i) => ({
    address: ip.address.address,
    prefix: ip.address.prefix,
    gateway: ip.gateway ?? firstOf(type, ip, i),
  }))
}

function firstOf(type: string, { address: { family, address, prefix } }: ResultIp, at: number): string {
  const gateway = prefix === family.bits ? undefined : gatewayOf(networkOf(family, address, prefix))
  if (gateway !== undefined && gateway !== address) return gateway
  throw new CniFailure(CNI_CODE.INVALID_CONFIG, `ipam ${type}: ips[${at}] has no gateway`, `ips[${at}].gateway`)
}

/** Unless somebody asked for another one: that of the first address. */
export const macFor = ([first]: readonly LeasedAddress[]): string => macOf(first?.address ?? '')

export interface Told {
  readonly bridge: Bridge | undefined
  readonly dns: Dns
  /** Of plugins before us, which made other interfaces. */
  readonly previous: CniResult | undefined
}

/** What ADD answers for an interface that we made; behind what plugins before us answered. */
export function resultOf(lease: Lease, { bridge, dns, previous }: Told): CniResult {
  const before = previous ?? { interfaces: [], ips: [], routes: [], dns: {} }
  const { hostInterface, ifname, mac, mtu, netns: sandbox } = lease
  const near = lease.mode === 'bridge' && bridge !== undefined ? bridge.mac : linkMac(lease)
  const index = before.interfaces.length + 1
  return {
    interfaces: [...before.interfaces, { name: hostInterface, mac: near, mtu }, { name: ifname, mac, mtu, sandbox }],
    ips: [...before.ips, ...lease.addresses.map((leased) => resultIp(leased, index))],
    routes: [...before.routes, ...lease.routes.flatMap(resultRoute)],
    dns: { ...before.dns, ...dns },
  }
}

function resultIp({ address, gateway }: LeasedAddress, index: number): ResultIp {
  const family = familyOrThrow(address)
  return {
    interface: index,
    address: { family, address, prefix: family.bits },
    ...(gateway === undefined ? {} : { gateway }),
  }
}

/** Those to the gateways themselves are how we do it, and of no use to others. */
const resultRoute = ({ destination, ...rest }: LeasedRoute): ResultRoute[] =>
  rest.gateway === undefined ? [] : [{ destination: parseCidr(destination), ...rest }]
