import { type Family } from '../base/family.js'
import { type Cidr, type Ip, networkOf } from '../base/ip.js'
import { type Lease, type LeasedAddress } from '../model/lease.js'
import { uncovered } from './attach.js'
import { familyOrThrow } from './routes.js'

/** What the node has to do for containers whose addresses are from none of its own networks. */
export interface FurtherNetworks {
  /** Addresses that the bridge answers for. */
  readonly gateways: readonly Ip[]
  /** Containers whose packets take the node's address when they leave, */
  readonly masqueraded: readonly Cidr[]
  /** and the networks that they reach with their own. */
  readonly networks: readonly Cidr[]
}

/** @param covered the node's own networks */
export function furtherNetworks(leases: Iterable<Lease>, covered: readonly Cidr[]): FurtherNetworks {
  const further = [...leases]
    .filter(({ mode }) => mode !== 'chained')
    .flatMap((lease) => uncovered(lease, { covered }).map((leased) => ({ lease, leased })))
  return {
    gateways: unique(further.flatMap(({ lease, leased }) => (lease.mode === 'bridge' ? gatewayOf(leased) : []))),
    masqueraded: further.filter(({ lease }) => lease.masquerade).map(({ leased }) => hostOf(leased)),
    networks: further.map(({ leased: { address, prefix } }) => networkOf(familyOrThrow(address), address, prefix)),
  }
}

const gatewayOf = ({ gateway }: LeasedAddress): Ip[] =>
  gateway === undefined ? [] : [{ family: familyOrThrow(gateway), address: gateway }]

const hostOf = ({ address }: LeasedAddress): Cidr => {
  const family: Family = familyOrThrow(address)
  return { family, address, prefix: family.bits }
}

const unique = (ips: readonly Ip[]): Ip[] => [...new Map(ips.map((ip) => [ip.address, ip])).values()]
