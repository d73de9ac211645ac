import { invalid } from '../../base/errors.js'
import { FAMILIES, type Family, type FamilyName, IPV4 } from '../../base/family.js'
import { bigIntToIp, type Cidr, ipToBigInt, parseCidr } from '../../base/ip.js'
import { Cursor } from '../../model/cursor.js'
import { keyOf } from '../../model/meta.js'
import { readService, type Service } from '../../model/service.js'
import { type Manifest, reading } from './manifests.js'

/** Addresses for Services, as the API server gives them out. */

/** Networks that addresses of Services are taken from (`--service-cluster-ip-range`). */
export const SERVICE_CIDRS: Readonly<Record<FamilyName, Cidr>> = {
  ipv4: parseCidr('10.96.0.0/16'),
  ipv6: parseCidr('fd00:96::/112'),
}

/** Lower ones are those that clusters give to `kubernetes` and DNS. */
const FIRST = 16n

/** A Service as it is after the API server has seen it. */
export interface AllocatedService {
  readonly service: Service
  readonly value: Readonly<Record<string, unknown>>
}

/**
 * Gives every Service that translates the addresses it lacks, in the order of names. Those that manifests ask for are
 * kept and given to nobody else.
 * @throws NetloomError `invalid` with file, line and field: an address that two ask for, or families that clash.
 */
export function allocateServices(manifests: readonly Manifest[]): AllocatedService[] {
  const parsed = manifests.map((manifest) => ({ manifest, service: reading(manifest, readService) }))
  const taken = new Map<string, string>()
  for (const { manifest, service } of parsed) reading(manifest, (object) => claim(service, object, taken))
  const pools = new Map(FAMILIES.map((family) => [family, new Pool(family, taken)]))
  return parsed
    .sort((a, b) => (keyOf(a.service) < keyOf(b.service) ? -1 : 1))
    .map(({ manifest, service }) =>
      reading(manifest, (object) => {
        if (service.headless || service.type === 'ExternalName') return { service, value: manifest.value }
        const families = wantedFamilies(service, object.field('spec'))
        const addresses = families.map((family) => addressOf(service, family) ?? pools.get(family)?.next() ?? '')
        const value = withAddresses(manifest.value, service, families, addresses)
        return { service: readService(new Cursor(value)), value }
      }),
    )
}

function claim(service: Service, object: Cursor, taken: Map<string, string>): void {
  for (const { address } of service.clusterIPs) {
    const holder = taken.get(address)
    if (holder !== undefined)
      throw object.field('spec').field('clusterIP').error(`${address} is the address of Service ${holder} already`)
    taken.set(address, keyOf(service))
  }
}

const addressOf = (service: Service, family: Family): string | undefined =>
  service.clusterIPs.find((ip) => ip.family === family)?.address

/** KEP-563: the families of a Service from its policy, its families and the addresses that it names. */
function wantedFamilies({ ipFamilies, ipFamilyPolicy, clusterIPs }: Service, spec: Cursor): Family[] {
  const primary = ipFamilies[0] ?? clusterIPs[0]?.family ?? IPV4
  const named = Math.max(ipFamilies.length, clusterIPs.length)
  const policy = ipFamilyPolicy ?? (named > 1 ? 'RequireDualStack' : 'SingleStack')
  if (policy === 'SingleStack' && named > 1)
    throw spec.field('ipFamilyPolicy').error('"SingleStack" allows one family, the Service names two')
  const both = [primary, ...FAMILIES.filter((family) => family !== primary)]
  return policy === 'SingleStack' ? [primary] : both
}

class Pool {
  readonly #family: Family
  readonly #taken: ReadonlyMap<string, string>
  #next: bigint

  constructor(family: Family, taken: ReadonlyMap<string, string>) {
    this.#family = family
    this.#taken = taken
    this.#next = ipToBigInt(SERVICE_CIDRS[family.name].address) + FIRST
  }

  next(): string {
    const cidr = SERVICE_CIDRS[this.#family.name]
    const end = ipToBigInt(cidr.address) + (1n << BigInt(this.#family.bits - cidr.prefix)) - 1n
    for (; this.#next < end;) {
      const address = bigIntToIp(this.#family, this.#next++)
      if (!this.#taken.has(address)) return address
    }
    throw invalid('spec.clusterIP', `no address is left in ${cidr.address}/${cidr.prefix}`)
  }
}

function withAddresses(
  value: Manifest['value'],
  { ipFamilyPolicy }: Service,
  families: readonly Family[],
  addresses: readonly string[],
): Manifest['value'] {
  return {
    ...value,
    spec: {
      ...(value['spec'] as Record<string, unknown>),
      clusterIP: addresses[0],
      clusterIPs: addresses,
      ipFamilies: families.map(({ kubernetes }) => kubernetes),
      ipFamilyPolicy: ipFamilyPolicy ?? (families.length > 1 ? 'RequireDualStack' : 'SingleStack'),
    },
  }
}
