import { asNetloomError, type ErrorCode, NetloomError } from '../base/errors.js'

/** Error codes of the CNI specification 1.1.0, section "Error", and from 100 on our own. */
export const CNI_CODE = {
  INCOMPATIBLE_VERSION: 1,
  UNSUPPORTED_FIELD: 2,
  UNKNOWN_CONTAINER: 3,
  INVALID_ENVIRONMENT: 4,
  IO: 5,
  DECODE: 6,
  INVALID_CONFIG: 7,
  TRY_AGAIN: 11,
  NOT_AVAILABLE: 50,
  KERNEL: 100,
  EXISTS: 101,
  EXHAUSTED: 102,
  CHANGED: 103,
  INTERNAL: 104,
} as const
export type CniCode = (typeof CNI_CODE)[keyof typeof CNI_CODE]

/** What a plugin prints instead of a result. */
export interface CniError {
  readonly cniVersion: string
  readonly code: CniCode
  readonly msg: string
  readonly details: string
}

/** An error that knows its CNI code, where the kind of failure does not tell it. */
export class CniFailure extends NetloomError {
  readonly cniCode: CniCode

  constructor(cniCode: CniCode, message: string, field?: string) {
    super('invalid', message, { field })
    this.cniCode = cniCode
  }
}

/**
 * Codes 2 and 3 promise something to the runtime: that a key of the configuration is at fault, and that there is
 * nothing to clean up. Only those who know that say so, with {@link CniFailure}.
 */
const CODES: Readonly<Record<ErrorCode, CniCode>> = {
  invalid: CNI_CODE.INVALID_CONFIG,
  'not-found': CNI_CODE.KERNEL,
  exists: CNI_CODE.EXISTS,
  exhausted: CNI_CODE.EXHAUSTED,
  kernel: CNI_CODE.KERNEL,
  io: CNI_CODE.IO,
  unavailable: CNI_CODE.TRY_AGAIN,
  unsupported: CNI_CODE.KERNEL,
  internal: CNI_CODE.INTERNAL,
}

/** The kernel's own lack of room is no lack of addresses. */
const isKernels = ({ code, errno }: NetloomError): boolean => code === 'exhausted' && errno !== undefined

const MESSAGES: Readonly<Record<CniCode, string>> = {
  1: 'incompatible CNI version',
  2: 'unsupported field in network configuration',
  3: 'unknown or missing container',
  4: 'invalid environment variable',
  5: 'I/O failure',
  6: 'failed to decode content',
  7: 'invalid network configuration',
  11: 'try again later',
  50: 'plugin not available',
  100: 'refused by the kernel',
  101: 'exists already',
  102: 'no free address',
  103: 'attachment is not as it was made',
  104: 'internal error',
}

/** Whatever was thrown, as the specification wants it: `msg` says what kind of failure, `details` what and where. */
export function cniError(thrown: unknown, cniVersion: string): CniError {
  const error = asNetloomError(thrown)
  const general = isKernels(error) ? CNI_CODE.KERNEL : CODES[error.code]
  const code = error instanceof CniFailure ? error.cniCode : general
  return { cniVersion, code, msg: MESSAGES[code], details: error.message }
}
