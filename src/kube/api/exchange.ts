import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { asNetloomError, NetloomError } from '../../base/errors.js'

/** One HTTP request. */
export interface Question {
  readonly url: URL
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** Which connections it may use. */
  readonly agent: Agent
  /** Milliseconds until the answer has begun. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** An answer that has begun. */
export interface Answer {
  readonly status: number
  readonly retryAfter: string | undefined
  /** Decompressed. Whoever asked reads it to its end, or destroys it. */
  readonly body: Readable
}

/** Milliseconds of silence after which the kernel asks the other end whether it is still there. */
const KEEPALIVE_MS = 30_000

/** Bytes that are decompressed at once: pages are about a megabyte, and each piece costs a turn of the event loop. */
const PIECE_BYTES = 64 * 1024

/** Sends a request and answers when the answer begins. */
export async function exchange(question: Question): Promise<Answer> {
  const { method } = question
  try {
    return await attempt(question)
  } catch (error) {
    // The server closed a kept connection at the moment we used it. A question may be put twice, an order may not.
    if (method === 'GET' && error instanceof StaleConnection) return attempt(question)
    throw error
  }
}

class StaleConnection extends NetloomError {}

function attempt({ url, method, headers, body, agent, timeoutMs, signal }: Question): Promise<Answer> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const outgoing = send(url, { method, headers, agent })
    const timer = setTimeout(() => outgoing.destroy(late(timeoutMs)), timeoutMs)
    const onAbort = (): void => void outgoing.destroy(asNetloomError(signal?.reason))
    signal?.addEventListener('abort', onAbort, { once: true })
    outgoing.once('close', () => signal?.removeEventListener('abort', onAbort))
    outgoing.once('socket', (socket) => socket.setKeepAlive(true, KEEPALIVE_MS))
    outgoing.once('response', (incoming) => {
      clearTimeout(timer)
      resolve(answerOf(incoming))
    })
    outgoing.on('error', (error) => {
      clearTimeout(timer)
      reject(failure(error, outgoing))
    })
    outgoing.end(body)
  })
}

export const late = (ms: number): NetloomError =>
  new NetloomError('unavailable', `the API server did not answer within ${ms} ms`)

function answerOf(incoming: IncomingMessage): Answer {
  const { statusCode = 0, headers } = incoming
  return { status: statusCode, retryAfter: headers['retry-after'], body: decompressed(incoming) }
}

/** The server compresses what is worth it (lists from 128 KiB on), and only that. */
function decompressed(incoming: IncomingMessage): Readable {
  if (incoming.headers['content-encoding'] !== 'gzip') return incoming
  // An error of either is the error of what is read, so there is nothing left to do in the callback.
  return pipeline(incoming, createGunzip({ chunkSize: PIECE_BYTES }), () => undefined)
}

/** An error of the connection; errors of Node name the server's address and nothing that is secret. */
export function failure(error: unknown, outgoing?: ClientRequest): NetloomError {
  if (error instanceof NetloomError) return error
  const { errno, message } = asNetloomError(error)
  const reset = error instanceof Error && 'code' in error && error.code === 'ECONNRESET'
  const details = { errno, cause: error }
  return reset && outgoing?.reusedSocket === true
    ? new StaleConnection('unavailable', 'the API server closed the connection', details)
    : new NetloomError('unavailable', message === 'aborted' ? 'the connection broke off' : message, details)
}
