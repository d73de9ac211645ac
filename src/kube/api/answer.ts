import { type ErrorCode, NetloomError } from '../../base/errors.js'
import { Cursor } from '../../model/cursor.js'

/** An answer of the API server that is no success. */
export class ApiError extends NetloomError {
  /** HTTP status. */
  readonly status: number
  /** Why, in the API's words (`Expired`, `AlreadyExists`); empty where it does not say. */
  readonly reason: string
  /** Reasons of `details.causes`. */
  readonly causes: readonly string[]
  /** Milliseconds for which the server does not want to be asked again. */
  readonly retryAfterMs: number | undefined

  constructor(status: number, { reason, message, fields, causes, retryAfterMs }: Verdict, operation?: string) {
    super(codeOf(status, reason), message, { operation, field: fields[0] })
    this.status = status
    this.reason = reason
    this.causes = causes
    this.retryAfterMs = retryAfterMs
  }
}

/** What a Status (meta/v1) says. */
interface Verdict {
  readonly reason: string
  readonly message: string
  readonly fields: readonly string[]
  readonly causes: readonly string[]
  readonly retryAfterMs: number | undefined
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid',
  401: 'denied',
  403: 'denied',
  404: 'not-found',
  405: 'unsupported',
  406: 'unsupported',
  408: 'unavailable',
  409: 'conflict',
  410: 'conflict',
  413: 'invalid',
  415: 'unsupported',
  422: 'invalid',
  429: 'unavailable',
}

function codeOf(status: number, reason: string): ErrorCode {
  if (reason === 'AlreadyExists') return 'exists'
  return CODES[status] ?? (status >= 500 ? 'unavailable' : 'unsupported')
}

/** Longest message that is repeated; some proxies answer with pages. */
const MOST_CHARACTERS = 1000

/** Longest wait that is believed: a proxy in maintenance must not silence an agent for a day. */
const MOST_RETRY_MS = 300_000

/** The parts of an HTTP answer that say why it is none. */
export interface Refusal {
  readonly status: number
  /** Header Retry-After. */
  readonly retryAfter: string | undefined
  /** The answer's text. */
  readonly text: string
}

/** What a refused call throws. */
export function errorOf({ status, retryAfter, text }: Refusal, operation?: string): ApiError {
  return errorOfStatus(parsed(text), { status, retryAfterMs: retryMs(retryAfter) }, operation)
}

/**
 * What a Status object says as an error; it may be anything, and what it leaves out is taken from the answer's head.
 * Never throws.
 */
export function errorOfStatus(
  value: unknown,
  head: { readonly status?: number; readonly retryAfterMs?: number | undefined } = {},
  operation?: string,
): ApiError {
  const place = new Cursor(isStatus(value) ? value : undefined)
  const details = mappingOr(place.field('details'))
  const causes = Array.isArray(details.field('causes').value) ? details.field('causes') : place.with(undefined)
  const listed = causes.list((cause) => mappingOr(cause)).filter((cause) => !cause.absent)
  const status = numberOf(place.field('code')) ?? head.status ?? 500
  const seconds = numberOf(details.field('retryAfterSeconds'))
  return new ApiError(
    status,
    {
      reason: textOf(place.field('reason')) ?? '',
      message: (textOf(place.field('message')) ?? `the API server answered with status ${status}`).slice(
        0,
        MOST_CHARACTERS,
      ),
      fields: listed.flatMap((cause) => textOf(cause.field('field')) ?? []),
      causes: listed.flatMap((cause) => textOf(cause.field('reason')) ?? []),
      retryAfterMs: head.retryAfterMs ?? (seconds === undefined ? undefined : bounded(seconds * 1000)),
    },
    operation,
  )
}

const isStatus = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status'

const mappingOr = (place: Cursor): Cursor =>
  typeof place.value === 'object' && !Array.isArray(place.value) ? place : place.with(undefined)

const numberOf = ({ value }: Cursor): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined

const textOf = ({ value }: Cursor): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // a page of a proxy, or nothing: the status has to do
  }
}

/** Seconds, or a date (RFC 9110, 10.2.3). */
function retryMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return Number.isNaN(ms) ? undefined : bounded(ms)
}

const bounded = (ms: number): number => Math.min(Math.max(0, ms), MOST_RETRY_MS)
