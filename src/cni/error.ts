import { asNetloomError, type ErrorCode, NetloomError } from '../base/errors.js'

/**
 * Error codes of the CNI specification 1.1.0, section "Error", and from 100 on our own. Older versions knew fewer of
 * them (1 and 2 up to 0.3.1; no 50 and 51, as there was no STATUS), but every one had 0 to 99 set apart for them, and
 * libcni knows them all. So they are the same in every version.
 */
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
  LIMITED_CONNECTIVITY: 51,
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
  /** A {@link CniCode}, or one of another plugin's. */
  readonly code: number
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

/** What another plugin answered instead of a result. */
export interface ForeignError {
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** An error that another plugin answered with: its code and its words, and who said them. */
export class PluginFailure extends NetloomError {
  readonly plugin: string
  readonly foreign: ForeignError

  constructor(plugin: string, foreign: ForeignError) {
    const { code, msg, details } = foreign
    const text = [msg, details].filter((part) => part !== undefined && part !== '').join(': ')
    super(code === CNI_CODE.TRY_AGAIN ? 'unavailable' : 'io', `plugin ${plugin}: ${text} (code ${code})`)
    this.plugin = plugin
    this.foreign = foreign
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
  conflict: CNI_CODE.TRY_AGAIN,
  denied: CNI_CODE.IO,
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
  51: 'plugin not available, and containers may be cut off',
  100: 'refused by the kernel',
  101: 'exists already',
  102: 'no free address',
  103: 'attachment is not as it was made',
  104: 'internal error',
}

/** Where the specification wants the key with its value (2), or the variables (4), in the message itself. */
const TOLD_IN_MESSAGE: ReadonlySet<number> = new Set([CNI_CODE.UNSUPPORTED_FIELD, CNI_CODE.INVALID_ENVIRONMENT])

/** Whatever was thrown, as the specification wants it: `msg` says what kind of failure, `details` what and where. */
export function cniError(thrown: unknown, cniVersion: string): CniError {
  const error = asNetloomError(thrown)
  if (error instanceof PluginFailure)
    return { cniVersion, code: error.foreign.code, msg: error.foreign.msg, details: error.message }
  const general = isKernels(error) ? CNI_CODE.KERNEL : CODES[error.code]
  const code = error instanceof CniFailure ? error.cniCode : general
  const details = detailsOf(error)
  const msg = TOLD_IN_MESSAGE.has(code) ? `${MESSAGES[code]}: ${details}` : MESSAGES[code]
  return { cniVersion, code, msg, details }
}

/** The message, which names the field at fault also where whoever wrote it left that out. */
const detailsOf = ({ field = '', message }: NetloomError): string =>
  message.includes(field) ? message : `${field}: ${message}`
