import { type Family, familyOfAf } from '../../base/family.js'
import { formatCidr, type IpPrefix } from '../../base/ip.js'
import { Attributes } from '../attr.js'
import { type Request } from '../request.js'
import { FLAG, type Writer } from '../wire.js'
import { AF, IFA, IFA_F, RT_SCOPE, RTM } from './constants.js'
import { checkInteger, MAX_U32 } from './fields.js'
import { buildRequest, checkPayload } from './request.js'

/** Addresses of links: struct ifaddrmsg and its attributes, <linux/if_addr.h>. */

const IFADDRMSG_BYTES = 8

/** An address as the kernel has it. */
export interface Address extends IpPrefix {
  /** Index of the link. */
  readonly index: number
  /** RT_SCOPE. */
  readonly scope: number
  /** IFA_F_*, all 32 bits. */
  readonly flags: number
  /** It does not expire. */
  readonly permanent: boolean
  /** Duplicate address detection is not done with it: it cannot be used yet. */
  readonly tentative: boolean
  /** Duplicate address detection found another holder. */
  readonly dadFailed: boolean
  /** The other end's address, where the link was given one. */
  readonly peer?: string | undefined
  readonly broadcast?: string | undefined
  /** IPv4 only. */
  readonly label?: string | undefined
}

export interface AddressSpec extends IpPrefix {
  /** Index of the link. */
  readonly index: number
  /** RT_SCOPE; universe unless given, which is also all that IPv6 knows. */
  readonly scope?: number | undefined
  /** Skips duplicate address detection, so that an IPv6 address is usable at once. */
  readonly noDad?: boolean | undefined
  /** Leaves out the route to the address's own network. */
  readonly noPrefixRoute?: boolean | undefined
}

const ADDRESS_FLAGS = [
  ['noDad', IFA_F.NODAD],
  ['noPrefixRoute', IFA_F.NOPREFIXROUTE],
] as const

function writeAddress(writer: Writer, spec: AddressSpec): void {
  const flags = ADDRESS_FLAGS.reduce((sum, [name, flag]) => sum | (spec[name] === true ? flag : 0), 0)
  const wide = flags > 0xff // the struct has 8 bits for them
  writer
    .u8(spec.family.af)
    .u8(checkInteger(spec.prefix, spec.family.bits, 'prefix'))
    .u8(wide ? 0 : flags)
    .u8(checkInteger(spec.scope ?? RT_SCOPE.UNIVERSE, 0xff, 'scope'))
    .u32(checkInteger(spec.index, MAX_U32, 'index'))
  writer.attrIp(IFA.LOCAL, spec.address)
  if (wide) writer.attrU32(IFA.FLAGS, flags)
  writer.attrIp(IFA.ADDRESS, spec.address)
}

/** Puts an address on a link; EEXIST where it is there, unless `replace`. */
export const addAddress = (spec: AddressSpec, options: { replace?: boolean } = {}): Request =>
  buildRequest(
    {
      type: RTM.NEWADDR,
      flags: FLAG.CREATE | (options.replace === true ? FLAG.REPLACE : FLAG.EXCL),
      operation: `add address ${formatCidr(spec)} to link ${spec.index}`,
    },
    (writer) => writeAddress(writer, spec),
  )

/** Takes an address off a link; EADDRNOTAVAIL where it is not there. */
export const deleteAddress = (spec: IpPrefix & { readonly index: number }): Request =>
  buildRequest(
    { type: RTM.DELADDR, flags: 0, operation: `delete address ${formatCidr(spec)} of link ${spec.index}` },
    (writer) => writeAddress(writer, { ...spec, noDad: false, noPrefixRoute: false }),
  )

export interface AddressFilter {
  /** Index of a link; the kernel heeds it only on a socket with NETLINK_GET_STRICT_CHK. */
  readonly index?: number | undefined
}

/** Asks for all addresses of a family, or of both. */
export const dumpAddresses = (family?: Family, filter: AddressFilter = {}): Request =>
  buildRequest(
    {
      type: RTM.GETADDR,
      flags: 0,
      operation: family === undefined ? 'list addresses' : `list ${family.name} addresses`,
    },
    (writer) =>
      writer
        .u8(family?.af ?? AF.UNSPEC)
        .zeros(3)
        .u32(filter.index ?? 0),
  )

/**
 * Reads the payload of RTM_NEWADDR or RTM_DELADDR; undefined for a family that is neither IPv4 nor IPv6.
 * @throws NetloomError `invalid` where it is malformed.
 */
export function decodeAddress(payload: Buffer): Address | undefined {
  checkPayload(payload, 'ifaddrmsg', IFADDRMSG_BYTES)
  const family = familyOfAf(payload.readUInt8(0))
  if (family === undefined) return undefined
  const attributes = new Attributes(payload.subarray(IFADDRMSG_BYTES))
  // IFA_ADDRESS is the other end's address where IFA_LOCAL differs from it; IPv6 leaves IFA_LOCAL out without one.
  const far = attributes.ip(IFA.ADDRESS)
  const address = attributes.ip(IFA.LOCAL) ?? far
  if (address === undefined) return undefined
  const flags = attributes.u32(IFA.FLAGS) ?? payload.readUInt8(2)
  return {
    index: payload.readUInt32LE(4),
    family,
    address,
    prefix: payload.readUInt8(1),
    scope: payload.readUInt8(3),
    flags,
    permanent: (flags & IFA_F.PERMANENT) !== 0,
    tentative: (flags & IFA_F.TENTATIVE) !== 0,
    dadFailed: (flags & IFA_F.DADFAILED) !== 0,
    peer: far === address ? undefined : far,
    broadcast: attributes.ip(IFA.BROADCAST),
    label: attributes.string(IFA.LABEL),
  }
}
