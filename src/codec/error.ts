import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import { type ErrorCode, NetloomError } from '../base/errors.js'
import { Attributes } from './attr.js'
import { FLAG, HEADER_BYTES, type Message } from './wire.js'

/** NLMSG_ERROR and NLMSG_DONE: how the kernel acknowledges or refuses a request, <linux/netlink.h>. */

/** NLMSGERR_ATTR_*: attributes of the extended acknowledgement (NETLINK_EXT_ACK, since Linux 4.12). */
const NLMSGERR = { MSG: 1, OFFS: 2, MISS_TYPE: 5, MISS_NEST: 6 } as const

const ERRNO_BYTES = 4

export interface Acknowledgement {
  /** Positive errno of <errno.h>; 0 acknowledges. */
  readonly errno: number
  /** The kernel's own words: why it refused, or a warning where it did not. */
  readonly message?: string | undefined
  /** Where the attribute at fault stands: bytes from the start of the request's header. */
  readonly offset?: number | undefined
  /** Type of the attribute that is missing (since Linux 6.1). */
  readonly missingType?: number | undefined
  /** Offset of the nest that it is missing from; none where that is the message itself. */
  readonly missingNest?: number | undefined
}

/**
 * Reads an NLMSG_ERROR message.
 * @throws NetloomError `invalid` where it is malformed.
 */
export const decodeAcknowledgement = (message: Message): Acknowledgement => decode(message, tlvOffset)

/**
 * Reads an NLMSG_DONE message, the end of a dump. It has the same number and attributes, but holds no request.
 * @throws NetloomError `invalid` where it is malformed.
 */
export const decodeDone = (message: Message): Acknowledgement => decode(message, () => ERRNO_BYTES)

function decode({ flags, payload }: Message, offsetOf: typeof tlvOffset): Acknowledgement {
  if (payload.length < ERRNO_BYTES)
    throw new NetloomError('invalid', `netlink acknowledgement has ${payload.length} bytes, needs ${ERRNO_BYTES}`)
  const errno = Math.abs(payload.readInt32LE(0))
  if ((flags & FLAG.ACK_TLVS) === 0) return { errno }
  const attributes = new Attributes(payload.subarray(offsetOf(payload, flags)))
  return {
    errno,
    message: attributes.string(NLMSGERR.MSG),
    offset: attributes.u32(NLMSGERR.OFFS),
    missingType: attributes.u32(NLMSGERR.MISS_TYPE),
    missingNest: attributes.u32(NLMSGERR.MISS_NEST),
  }
}

/** Behind the number stands the request's header, and the whole request unless it was cut off to its header. */
function tlvOffset(payload: Buffer, flags: number): number {
  if (payload.length < ERRNO_BYTES + HEADER_BYTES)
    throw new NetloomError('invalid', `nlmsgerr has ${payload.length} bytes, needs ${ERRNO_BYTES + HEADER_BYTES}`)
  const request = (flags & FLAG.CAPPED) === 0 ? payload.readUInt32LE(ERRNO_BYTES) : HEADER_BYTES
  const offset = ERRNO_BYTES + ((request + 3) & ~3)
  if (request < HEADER_BYTES || offset > payload.length)
    throw new NetloomError('invalid', `nlmsgerr holds a request of ${request} bytes in ${payload.length}`)
  return offset
}

const { errno: E } = constants

/**
 * What callers react to, by errno. `ENODEV` is a link, `ENOENT` a table, rule or neighbour, `ESRCH` a route, and
 * `EADDRNOTAVAIL` an address that is not there. `ENOSPC`, `ENFILE` and `ENOBUFS` say that a set, table or cache is full.
 */
const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [E.EEXIST, 'exists'],
  [E.ENOENT, 'not-found'],
  [E.ENODEV, 'not-found'],
  [E.ESRCH, 'not-found'],
  [E.EADDRNOTAVAIL, 'not-found'],
  [E.ENOSPC, 'exhausted'],
  [E.ENFILE, 'exhausted'],
  [E.ENOBUFS, 'exhausted'],
  [E.EAGAIN, 'unavailable'],
  [E.EINTR, 'unavailable'],
  [E.EOPNOTSUPP, 'unsupported'],
  [E.EAFNOSUPPORT, 'unsupported'],
  [E.EPROTONOSUPPORT, 'unsupported'],
])

/** Of several names of a number, the one that the kernel's sources use. */
const KERNEL_NAMES: ReadonlyMap<number, string> = new Map([[E.EOPNOTSUPP, 'EOPNOTSUPP']])

/** `file already exists (EEXIST)`; `errno 117` for one that Node has no name of. */
export function errnoText(errno: number): string {
  const [name, text] = getSystemErrorMap().get(-errno) ?? []
  const known = KERNEL_NAMES.get(errno) ?? name ?? Object.entries(E).find(([, number]) => number === errno)?.[0]
  if (known === undefined) return `errno ${errno}`
  return text === undefined ? known : `${text} (${known})`
}

/**
 * A refusal as an error; `exists`, `not-found`, `exhausted`, `unavailable` or `unsupported` where the number says so,
 * else `kernel`. Reads like `create link veth0: file already exists (EEXIST): Device name already in use`.
 */
export function kernelError(operation: string, { errno, message, missingType }: Acknowledgement): NetloomError {
  const why = message ?? (missingType === undefined ? undefined : `attribute ${missingType} is missing`)
  const parts = [operation, errnoText(errno), ...(why === undefined || why === '' ? [] : [why])]
  return new NetloomError(CODES.get(errno) ?? 'kernel', parts.join(': '), { operation, errno })
}
