import { type Cidr, familyOf } from '../base/ip.js'
import { IPV4 } from '../base/family.js'
import { type NetworkConfig } from './request.js'
import { atLeast } from './version.js'

/** What ADD made, as the result tells it. */
export interface Attached {
  readonly hostInterface: string
  readonly hostMac: string
  readonly ifname: string
  readonly mac: string
  readonly netns: string
  readonly mtu: number
  readonly addresses: readonly { readonly address: string; readonly prefix: number; readonly gateway: string }[]
  readonly routes: readonly { readonly destination: Cidr; readonly gateway: string }[]
}

/**
 * The result of ADD in the shape of the configuration's version (CNI specification, "ADD Success"):
 * `ips[].version` up to 0.4.0; `interfaces[].mtu` from 1.1.0 on.
 */
export function addResult({ cniVersion, dns }: NetworkConfig, attached: Attached): object {
  const { hostInterface, hostMac, ifname, mac, netns } = attached
  const mtu = atLeast(cniVersion, '1.1.0') ? { mtu: attached.mtu } : {}
  return {
    cniVersion,
    interfaces: [
      { name: hostInterface, mac: hostMac, ...mtu },
      { name: ifname, mac, sandbox: netns, ...mtu },
    ],
    ips: attached.addresses.map(({ address, prefix, gateway }) => ({
      ...(atLeast(cniVersion, '1.0.0') ? {} : { version: familyOf(address) === IPV4 ? '4' : '6' }),
      interface: 1,
      address: `${address}/${prefix}`,
      gateway,
    })),
    routes: attached.routes.map(({ destination, gateway }) => ({
      dst: `${destination.address}/${destination.prefix}`,
      gw: gateway,
    })),
    dns: dns ?? {},
  }
}
