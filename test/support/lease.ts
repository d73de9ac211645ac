import { familyOf, networkOf } from '../../src/base/ip.js'
import { type Lease, type LeasedAddress, type LeasedRoute, macOf } from '../../src/model/lease.js'
import { gatewayOf } from '../../src/model/podnetwork.js'
import { IPV4, IPV6 } from '../../src/base/family.js'

/** An address as the pool gives it from a network of a size that is usual for its family. */
export function leased(address: string): LeasedAddress {
  const family = familyOf(address) === IPV4 ? IPV4 : IPV6
  const prefix = family === IPV4 ? 24 : 64
  return { address, prefix, gateway: gatewayOf(networkOf(family, address, prefix)) }
}

/** The gateway on the link, and everything through it. */
function routesOf({ address, gateway = '' }: LeasedAddress): LeasedRoute[] {
  const family = familyOf(address) === IPV4 ? IPV4 : IPV6
  return [{ destination: `${gateway}/${family.bits}` }, { destination: family.everything, gateway }]
}

export type LeaseFields = Partial<Omit<Lease, 'addresses'>> & { readonly addresses?: readonly string[] }

/** A lease of interface eth0 of container c1 on the bridge, unless the fields say otherwise. */
export function exampleLease({ addresses = ['10.1.0.2', 'fd00:1::2'], ...fields }: LeaseFields = {}): Lease {
  const [first = '10.1.0.2'] = addresses
  return {
    network: 'pods',
    containerId: 'c1',
    ifname: 'eth0',
    netns: '/run/netns/a',
    addresses: addresses.map(leased),
    mode: 'bridge',
    hostInterface: 'nlm-1',
    mac: macOf(first),
    mtu: 1450,
    routes: addresses.map(leased).flatMap(routesOf),
    masquerade: true,
    spoofCheck: true,
    ports: [],
    aliases: [],
    ...fields,
  }
}
