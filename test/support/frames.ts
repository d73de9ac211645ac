import { ipToBytes } from '../../src/base/ip.js'
import { macToBytes } from '../../src/codec/rtnl/mac.js'
import { ETHER_TYPE, IP_PROTOCOL } from '../../src/codec/nft/types.js'

/** Frames by hand: what of them is wrong is up to the caller, checksums and lengths are right. */

export interface Ends {
  readonly source: string
  readonly destination: string
}

export const BROADCAST = 'ff:ff:ff:ff:ff:ff'

const be16 = (value: number): number[] => [value >> 8, value & 0xff]

export const ethernet = ({ source, destination }: Ends, type: number, payload: Uint8Array): Buffer =>
  Buffer.concat([macToBytes(destination), macToBytes(source), Buffer.of(...be16(type)), payload])

/** What stands behind the addresses of a frame with a VLAN tag. */
export const tagged = (vlan: number, type: number, payload: Uint8Array): Buffer =>
  Buffer.concat([Buffer.of(...be16(vlan), ...be16(type)), payload])

/** The Internet checksum (RFC 1071). */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

/** With the checksum over `over` and itself written at `at`. */
function summed(packet: Buffer, at: number, over: Buffer = Buffer.alloc(0)): Buffer {
  packet.writeUInt16BE(checksum(Buffer.concat([over, packet])), at)
  return packet
}

/** What a transport's checksum covers beside its packet (RFC 768, RFC 8200). */
function pseudoHeader({ source, destination }: Ends, protocol: number, length: number): Buffer {
  const about = source.includes('.') ? [0, protocol, ...be16(length)] : [0, 0, ...be16(length), 0, 0, 0, protocol]
  return Buffer.concat([ipToBytes(source), ipToBytes(destination), Buffer.of(...about)])
}

export interface Transport {
  readonly protocol: number
  readonly bytes: Buffer
  /** Where in it the checksum stands. */
  readonly checksumAt: number
}

export const udp = (sourcePort: number, destinationPort: number, data: string | Buffer = 'netloom'): Transport => {
  const length = 8 + data.length
  const header = Buffer.of(...be16(sourcePort), ...be16(destinationPort), ...be16(length), 0, 0)
  return {
    protocol: IP_PROTOCOL.udp,
    bytes: Buffer.concat([header, typeof data === 'string' ? Buffer.from(data) : data]),
    checksumAt: 6,
  }
}

/** An ICMPv6 packet with `body` behind type, code and checksum. */
export const icmpv6 = (type: number, ...body: readonly Uint8Array[]): Transport => ({
  protocol: IP_PROTOCOL.icmpv6,
  bytes: Buffer.concat([Buffer.of(type, 0, 0, 0), ...body]),
  checksumAt: 2,
})

const transportBytes = (ends: Ends, { protocol, bytes, checksumAt }: Transport): Buffer =>
  summed(Buffer.from(bytes), checksumAt, pseudoHeader(ends, protocol, bytes.length))

export function ipv4(ends: Ends, transport: Transport): Buffer {
  const payload = transportBytes(ends, transport)
  const header = Buffer.of(0x45, 0, ...be16(20 + payload.length), 0, 0, 0, 0, 64, transport.protocol, 0, 0)
  const whole = Buffer.concat([header, ipToBytes(ends.source), ipToBytes(ends.destination)])
  return Buffer.concat([summed(whole, 10), payload])
}

/** @param extension the protocol's number and bytes of an extension header in front of the transport's packet */
export function ipv6(ends: Ends, transport: Transport, extension?: Extension): Buffer {
  const payload = Buffer.concat([
    ...(extension === undefined ? [] : [Buffer.of(transport.protocol), extension.rest]),
    transportBytes(ends, transport),
  ])
  // Neighbours believe only what no router has handed on (RFC 4861): hop limit 255.
  const header = Buffer.of(0x60, 0, 0, 0, ...be16(payload.length), extension?.protocol ?? transport.protocol, 255)
  return Buffer.concat([header, ipToBytes(ends.source), ipToBytes(ends.destination), payload])
}

export interface Extension {
  readonly protocol: number
  /** All but its first byte, which tells what follows. */
  readonly rest: Buffer
}

/** Hop-by-hop options: one that holds `bytes`, so that they stand where a transport's body would. */
export function hopByHop(bytes: Uint8Array): Extension {
  const length = Math.ceil((4 + bytes.length) / 8) * 8
  const rest = Buffer.alloc(length - 1)
  rest[0] = length / 8 - 1
  // For experiments (RFC 4727), and skipped by those who do not know it; padding has to be zeros.
  rest[1] = 0x1e
  rest[2] = length - 4
  rest.set(bytes, 3)
  return { protocol: 0, rest }
}

export interface ArpPacket {
  /** 1 asks, 2 answers. */
  readonly operation: 1 | 2
  readonly senderMac: string
  readonly sender: string
  readonly target: string
}

export const arp = ({ operation, senderMac, sender, target }: ArpPacket): Buffer =>
  Buffer.concat([
    Buffer.of(...be16(1), ...be16(ETHER_TYPE.ip), 6, 4, ...be16(operation)),
    macToBytes(senderMac),
    ipToBytes(sender),
    Buffer.alloc(6),
    ipToBytes(target),
  ])
