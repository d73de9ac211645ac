import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger } from 'pino'

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** For people, at a terminal; loading it takes as long as a good part of a CNI call. */
const pretty = process.stderr.isTTY ? (await import('pino-pretty')).default : undefined

/** JSON lines on standard error, or readable lines where that is a terminal. */
export function createLog(level: LogLevel, name: string): Logger {
  const options = { level, name, serializers: { err: serializeError } }
  if (pretty === undefined) return pino(options, pino.destination(2))
  return pino(options, pretty({ destination: 2, sync: true, ignore: 'pid,hostname' }) as DestinationStream)
}

/** pino's own serializer with the fields of NetloomError, all the way down the causes. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack, cause, ...fields } = error as Error & Record<string, unknown>
  return { name, message, ...fields, stack, ...(cause === undefined ? {} : { cause: serializeError(cause) }) }
}
