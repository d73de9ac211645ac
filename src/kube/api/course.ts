import { type NetloomError } from '../../base/errors.js'
import { ApiError } from './answer.js'

/** What is to be done next to know a kind. */
export type Step =
  /** Ask for all objects as they are now. */
  | { readonly do: 'list' }
  /** Ask for all objects as they were at a version, up to which a watch has told all: is it what is held? */
  | { readonly do: 'verify'; readonly at: string }
  /** Be told of all changes after a version. */
  | { readonly do: 'watch'; readonly from: string }

export const LIST: Step = { do: 'list' }

/** Refusals in a row after which a version is not tried again, whatever the server says is wrong with it. */
const FRUITLESS = 3

/** True where the server does not know a version: it is too old (410), or newer than a server from a backup is. */
export const isVersionLost = (error: NetloomError): boolean =>
  error instanceof ApiError && (error.status === 410 || error.causes.includes('ResourceVersionTooLarge'))

/**
 * The step after one that failed.
 * @param from the version up to which all is known
 * @param failures in a row, this one included
 */
export function afterFailure(step: Step, from: string, { error, failures }: Failure): Step {
  if (step.do === 'list' || isVersionLost(error)) return LIST
  if (step.do === 'verify') return step
  const unreadable = error.code === 'invalid'
  const refused = error instanceof ApiError && failures >= FRUITLESS
  return unreadable || refused ? LIST : { do: 'watch', from }
}

/**
 * True where a failure is worth telling people. That a connection ends is an everyday matter, also that the version is
 * too old when it is back; a refusal is none.
 */
export function isLasting({ error, failures }: Failure): boolean {
  if (isVersionLost(error)) return failures > FRUITLESS
  return failures > 1 || error.code !== 'unavailable'
}

export interface Failure {
  readonly error: NetloomError
  readonly failures: number
}
