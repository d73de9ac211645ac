/** IPv4 and IPv6 as data, so that one code path serves both. */
export type FamilyName = 'ipv4' | 'ipv6'

export interface Family {
  readonly name: FamilyName
  /** Address family of <sys/socket.h>: AF_INET, AF_INET6. */
  readonly af: 2 | 10
  /** Bytes of an address. */
  readonly bytes: 4 | 16
  /** Bits of an address, and so the length of a host's prefix. */
  readonly bits: 32 | 128
  /** Netfilter's family of <linux/netfilter.h> (NFPROTO_*). */
  readonly nfproto: 2 | 10
  /** In Ethernet frames (ETH_P_IP, ETH_P_IPV6 of <linux/if_ether.h>). */
  readonly etherType: 0x0800 | 0x86dd
  /** What nft calls the header and the table family. */
  readonly nft: 'ip' | 'ip6'
  /** nft's name for the address type. */
  readonly nftAddress: 'ipv4_addr' | 'ipv6_addr'
  /** Offset of source and destination address in the network header, in bytes (RFC 791, RFC 8200). */
  readonly sourceOffset: 12 | 8
  readonly destinationOffset: 16 | 24
  /** The folder below /proc/sys/net. */
  readonly sysctl: 'ipv4' | 'ipv6'
  /** What Kubernetes calls it in Service.spec.ipFamilies and EndpointSlice.addressType. */
  readonly kubernetes: 'IPv4' | 'IPv6'
  /** The route to everything. */
  readonly everything: '0.0.0.0/0' | '::/0'
}

export const IPV4: Family = {
  name: 'ipv4',
  af: 2,
  bytes: 4,
  bits: 32,
  nfproto: 2,
  etherType: 0x0800,
  nft: 'ip',
  nftAddress: 'ipv4_addr',
  sourceOffset: 12,
  destinationOffset: 16,
  sysctl: 'ipv4',
  kubernetes: 'IPv4',
  everything: '0.0.0.0/0',
}

export const IPV6: Family = {
  name: 'ipv6',
  af: 10,
  bytes: 16,
  bits: 128,
  nfproto: 10,
  etherType: 0x86dd,
  nft: 'ip6',
  nftAddress: 'ipv6_addr',
  sourceOffset: 8,
  destinationOffset: 24,
  sysctl: 'ipv6',
  kubernetes: 'IPv6',
  everything: '::/0',
}

export const FAMILIES: readonly Family[] = [IPV4, IPV6]

/** The family of a kernel AF_ number; undefined for one that is neither IPv4 nor IPv6. */
export const familyOfAf = (af: number): Family | undefined => FAMILIES.find((family) => family.af === af)
