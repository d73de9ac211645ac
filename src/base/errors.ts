/** What went wrong, for programs: stable words, one per way a caller may want to react. */
export type ErrorCode =
  | 'invalid' // input that is malformed or out of range; `field` names the place
  | 'not-found'
  | 'exists' // asked to create what is there already, or to take what another holds
  | 'conflict' // somebody else changed it in between: read it again, then try again
  | 'denied' // not allowed, or not known who asks
  | 'exhausted' // a pool or table is full
  | 'kernel' // a netlink request or system call was refused; `errno` says how
  | 'io' // a file or socket failed
  | 'unavailable' // try again later
  | 'unsupported'
  | 'internal'

export interface ErrorDetails {
  /** What was being done, in the user's terms: `create link veth0`. */
  operation?: string | undefined
  /** Positive errno of `errno.h`, where the kernel gave one. */
  errno?: number | undefined
  /** Path of the input's field at fault: `spec.ports[0].port`. */
  field?: string | undefined
  cause?: unknown
}

/** The only error class netloom throws: text is for people, `code`, `operation`, `errno`, `field` are for programs. */
export class NetloomError extends Error {
  readonly code: ErrorCode
  readonly operation: string | undefined
  readonly errno: number | undefined
  readonly field: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'NetloomError'
    this.code = code
    this.operation = details.operation
    this.errno = details.errno
    this.field = details.field
  }
}

/** An error about one field of an input; the field leads the message. */
export const invalid = (field: string, problem: string, cause?: unknown): NetloomError =>
  new NetloomError('invalid', field === '' ? problem : `${field}: ${problem}`, { field, cause })

/** Whatever was thrown, as an Error; what is not one already is wrapped, never lost. */
export const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new NetloomError('internal', String(thrown), { cause: thrown })

/** Whatever was thrown, as a NetloomError; system errors of Node keep their errno. */
export function asNetloomError(thrown: unknown, operation?: string): NetloomError {
  if (thrown instanceof NetloomError) return thrown
  const error = asError(thrown)
  const errno = 'errno' in error && typeof error.errno === 'number' ? Math.abs(error.errno) : undefined
  const code: ErrorCode = errno === undefined ? 'internal' : 'io'
  return new NetloomError(code, error.message, { operation, errno, cause: error })
}
