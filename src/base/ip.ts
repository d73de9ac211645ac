import { isIPv4, isIPv6 } from 'node:net'
import { Address4, Address6 } from 'ip-address'
import { invalid } from './errors.js'
import { type Family, IPV4, IPV6 } from './family.js'

/**
 * Addresses are kept as text in canonical form (RFC 5952 for IPv6), so that equal addresses are equal strings and
 * serve as map keys; bytes are made where they are written to the kernel.
 */
export interface Ip {
  readonly family: Family
  /** Canonical text. */
  readonly address: string
}

/** A network: the host bits of `address` are zero. */
export interface Cidr extends Ip {
  /** Length of the prefix in bits. */
  readonly prefix: number
}

/** An address with the prefix length of its network, host bits kept: what is put on an interface. */
export interface IpPrefix extends Ip {
  readonly prefix: number
}

/** The family of an address text, or undefined where it is no address at all. */
export const familyOf = (text: string): Family | undefined => (isIPv4(text) ? IPV4 : isIPv6(text) ? IPV6 : undefined)

/**
 * Parses one address.
 * @throws NetloomError `invalid`, naming `field`: not an address, or one with a zone.
 */
export function parseIp(text: string, field = ''): Ip {
  const family = familyOf(text)
  if (family === undefined || text.includes('%')) throw invalid(field, `'${text}' is not an IP address`)
  return { family, address: family === IPV4 ? text : new Address6(text).correctForm() }
}

/**
 * Parses ADDRESS/PREFIX and keeps the host bits.
 * @throws NetloomError `invalid`, naming `field`.
 */
export function parseIpPrefix(text: string, field = ''): IpPrefix {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text)
  const family = match?.[1] === undefined ? undefined : familyOf(match[1])
  const prefix = Number(match?.[2])
  if (match?.[1] === undefined || family === undefined || prefix > family.bits || match[1].includes('%'))
    throw invalid(field, `'${text}' is not ADDRESS/PREFIX`)
  return { ...parseIp(match[1], field), prefix }
}

/**
 * Parses a network; host bits that are set are cleared, as the kernel and the API server do.
 * @throws NetloomError `invalid`, naming `field`.
 */
export function parseCidr(text: string, field = ''): Cidr {
  const { family, address, prefix } = parseIpPrefix(text, field)
  return networkOf(family, address, prefix)
}

/** The network of `prefix` bits that holds an address. */
export function networkOf(family: Family, address: string, prefix: number): Cidr {
  const hostBits = BigInt(family.bits - prefix)
  return { family, address: bigIntToIp(family, (ipToBigInt(address) >> hostBits) << hostBits), prefix }
}

export const formatCidr = (cidr: { readonly address: string; readonly prefix: number }): string =>
  `${cidr.address}/${cidr.prefix}`

/** An address of family `family` as the number it is; the inverse of {@link ipToBigInt}. */
export function bigIntToIp(family: Family, value: bigint): string {
  const bytes = new Uint8Array(family.bytes)
  for (let at = family.bytes - 1; at >= 0; at--, value >>= 8n) bytes[at] = Number(value & 0xffn)
  return bytesToIp(bytes)
}

export function ipToBigInt(address: string): bigint {
  let value = 0n
  for (const byte of ipToBytes(address)) value = (value << 8n) | BigInt(byte)
  return value
}

/** Network-order bytes of a valid address: 4 or 16. */
export function ipToBytes(address: string): Uint8Array {
  const bytes = new Uint8Array(address.includes(':') ? 16 : 4)
  writeIp(bytes, 0, address)
  return bytes
}

/** Writes the network-order bytes of a valid address at `at`; the hot path of the codecs, so without allocation. */
export function writeIp(target: Uint8Array, at: number, address: string): void {
  if (address.includes(':')) writeIpv6(target, at, address)
  else writeIpv4(target, at, address)
}

function writeIpv4(target: Uint8Array, at: number, address: string): void {
  let octet = 0
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i)
    if (code === 0x2e) {
      target[at++] = octet
      octet = 0
    } else octet = octet * 10 + code - 0x30
  }
  target[at] = octet
}

function writeIpv6(target: Uint8Array, at: number, address: string): void {
  const end = at + 16
  const [head = '', tail] = address.split('::')
  const written = writeGroups(target, at, head)
  if (tail === undefined) return
  const scratch = new Uint8Array(16)
  const length = writeGroups(scratch, 0, tail)
  target.fill(0, written, end - length)
  target.set(scratch.subarray(0, length), end - length)
}

/** Writes `a:b:c` (the last may be dotted) and returns the position after it. */
function writeGroups(target: Uint8Array, at: number, groups: string): number {
  if (groups === '') return at
  for (const group of groups.split(':')) {
    if (group.includes('.')) {
      writeIpv4(target, at, group)
      at += 4
    } else {
      const value = Number.parseInt(group, 16)
      target[at++] = value >> 8
      target[at++] = value & 0xff
    }
  }
  return at
}

/** Canonical text of 4 or 16 network-order bytes. */
export function bytesToIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0))
  const zeros = longestZeroRun(groups)
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':')
  if (zeros.length < 2) return hex(groups)
  return `${hex(groups.slice(0, zeros.start))}::${hex(groups.slice(zeros.start + zeros.length))}`
}

/** The first longest run of zero groups, which RFC 5952 section 4.2 replaces by `::`. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  let start = 0
  groups.forEach((group, i) => {
    if (group !== 0) start = i + 1
    else if (i + 1 - start > best.length) best = { start, length: i + 1 - start }
  })
  return best
}

export const cidrContains = (cidr: Cidr, address: string): boolean =>
  familyOf(address) === cidr.family && networkOf(cidr.family, address, cidr.prefix).address === cidr.address

/** True where one of the two networks holds the other. */
export const cidrsOverlap = (a: Cidr, b: Cidr): boolean =>
  a.family === b.family && (a.prefix <= b.prefix ? cidrContains(a, b.address) : cidrContains(b, a.address))

/** First and last address of a network, as numbers. */
export function cidrRange(cidr: Cidr): { first: bigint; last: bigint } {
  const first = ipToBigInt(cidr.address)
  return { first, last: first + (1n << BigInt(cidr.family.bits - cidr.prefix)) - 1n }
}

/** Loopback, multicast, unspecified and broadcast can never be a pod's, a node's or an endpoint's address. */
export function isUnicast({ family, address }: Ip): boolean {
  const parsed = family === IPV4 ? new Address4(address) : new Address6(address)
  const unspecified = ipToBigInt(address) === 0n
  return !unspecified && !parsed.isMulticast() && !parsed.isLoopback() && address !== '255.255.255.255'
}
