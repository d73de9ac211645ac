import { bigIntToIp, type Cidr, cidrRange, cidrsOverlap } from '../base/ip.js'
import { type ClusterNetwork, sizeOf } from './networks.js'

/** Subnets of a network by their number in it, both ends included. */
interface Span {
  readonly first: bigint
  readonly last: bigint
}

/**
 * All free subnets of a network. They begin at a place that follows from the node's name, so that nodes that start
 * together rarely want the same, and a node that lost everything wants what it had. What is taken is stepped over in
 * one go and nothing is listed in advance: an IPv6 network may have 2^64 subnets.
 * @param taken of any size, inside or outside
 */
export function* freeSubnets(network: ClusterNetwork, nodeName: string, taken: readonly Cidr[]): Generator<Cidr> {
  const size = sizeOf(network)
  const spans = spansOf(network, taken)
  const start = hash(nodeName) % size
  yield* free(network, spans, { first: start, last: size - 1n })
  yield* free(network, spans, { first: 0n, last: start - 1n })
}

/** Those of `within`, where `spans` are in order. */
function* free(network: ClusterNetwork, spans: readonly Span[], { first, last }: Span): Generator<Cidr> {
  let at = first
  for (const span of spans) {
    for (; at < span.first && at <= last; at++) yield subnetAt(network, at)
    if (at <= span.last) at = span.last + 1n
  }
  for (; at <= last; at++) yield subnetAt(network, at)
}

function subnetAt({ cidr, nodePrefix }: ClusterNetwork, number: bigint): Cidr {
  const address = cidrRange(cidr).first + (number << BigInt(cidr.family.bits - nodePrefix))
  return { family: cidr.family, address: bigIntToIp(cidr.family, address), prefix: nodePrefix }
}

/** What is taken of a network, in order. */
function spansOf({ cidr, nodePrefix }: ClusterNetwork, taken: readonly Cidr[]): Span[] {
  const bounds = cidrRange(cidr)
  const hostBits = BigInt(cidr.family.bits - nodePrefix)
  return taken
    .filter((other) => cidrsOverlap(cidr, other))
    .map((other) => {
      const { first, last } = cidrRange(other)
      const [from, to] = [first < bounds.first ? bounds.first : first, last > bounds.last ? bounds.last : last]
      return { first: (from - bounds.first) >> hostBits, last: (to - bounds.first) >> hostBits }
    })
    .sort((a, b) => (a.first < b.first ? -1 : 1))
}

/** How many subnets of a network are taken. */
export function takenOf(network: ClusterNetwork, taken: readonly Cidr[]): bigint {
  let count = 0n
  let next = 0n
  for (const { first, last } of spansOf(network, taken)) {
    const from = first > next ? first : next
    if (last >= from) count += last - from + 1n
    if (last >= next) next = last + 1n
  }
  return count
}

/** FNV-1a of 64 bits: spreads names that differ in a digit (`node-1`, `node-2`), and needs no more than that. */
function hash(text: string): bigint {
  let value = 0xcbf29ce484222325n
  for (const byte of Buffer.from(text)) value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n)
  return value ^ (value >> 32n)
}
