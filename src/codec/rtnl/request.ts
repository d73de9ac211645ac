import { NetloomError } from '../../base/errors.js'
import { type Request } from '../request.js'
import { Writer } from '../wire.js'

/**
 * A request whose body is encoded at once: bad input throws where it was given, and not later out of a batch that
 * holds other people's requests too.
 */
export function buildRequest(head: Omit<Request, 'body'>, write: (writer: Writer) => void): Request {
  const writer = new Writer(256)
  write(writer)
  const bytes = writer.bytes()
  return { ...head, body: (target) => target.raw(bytes) }
}

/**
 * Makes sure that a payload holds its fixed struct.
 * @throws NetloomError `invalid`.
 */
export function checkPayload(payload: Buffer, struct: string, bytes: number): void {
  if (payload.length < bytes) throw new NetloomError('invalid', `${struct} has ${payload.length} bytes, needs ${bytes}`)
}
