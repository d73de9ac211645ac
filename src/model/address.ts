import { FAMILIES, type Family, type FamilyName } from '../base/family.js'
import { type Cidr, type Ip, parseCidr, parseIp } from '../base/ip.js'
import { type Cursor } from './cursor.js'

/**
 * Addresses that can be no endpoint's and no Service's, by their canonical text: unspecified, loopback, link-local,
 * multicast, broadcast, and IPv4 addresses in IPv6 form, which would slip past checks made for IPv4. The API server
 * refuses the same ones (ValidateNonSpecialIP), except for wider multicast, that no translation can reach.
 */
const SPECIAL: Record<FamilyName, RegExp> = {
  ipv4: /^(0\.0\.0\.0$|127\.|169\.254\.|2(2[4-9]|3\d)\.|255\.255\.255\.255$)/,
  ipv6: /^(::1?$|::ffff:|fe[89ab][0-9a-f]:|ff[0-9a-f]{2}:)/,
}

export const readIp = (place: Cursor): Ip => place.address(parseIp)

/** An address that packets can be sent to from another node. */
export function readUnicastIp(place: Cursor): Ip {
  const ip = readIp(place)
  if (SPECIAL[ip.family.name].test(ip.address)) throw place.error(`${place.quoted} cannot be reached from other nodes`)
  return ip
}

export const readCidr = (place: Cursor): Cidr => place.address(parseCidr)

/** A network of pods: neither everything nor within the special ranges. */
export function readPodCidr(place: Cursor): Cidr {
  const cidr = readCidr(place)
  if (cidr.prefix === 0 || SPECIAL[cidr.family.name].test(cidr.address))
    throw place.error(`${place.quoted} cannot be a network of pods`)
  return cidr
}

/** `IPv4` or `IPv6`. */
export function readFamily(place: Cursor): Family {
  const name = place.oneOf(['IPv4', 'IPv6'])
  const family = FAMILIES.find(({ kubernetes }) => kubernetes === name)
  if (family === undefined) throw place.error('is not one of IPv4, IPv6')
  return family
}

/** Refuses a second address, network or name of one family. */
export function refuseSecondOfFamily(place: Cursor, families: readonly Family[]): void {
  for (const [i, family] of families.entries())
    if (families.indexOf(family) !== i) throw place.error(`has more than one entry for ${family.kubernetes}`)
}

/** A list, or the one value of the field it replaced; where both are there they must agree. */
export function readListOrLegacy<T>(
  list: Cursor,
  legacy: Cursor,
  read: (place: Cursor) => T,
  text: (item: T) => string = String,
): readonly T[] {
  const items = list.list(read)
  const single = legacy.value === '' ? undefined : legacy.optional(read)
  if (single === undefined) return items
  const first = items[0]
  if (first === undefined) return [single]
  if (text(first) !== text(single)) throw legacy.error(`${legacy.quoted} differs from ${list.path}[0]`)
  return items
}
