import { type Request } from '../../../../src/codec/request.js'
import { type Message, messages, Writer } from '../../../../src/codec/wire.js'

/** A request as the message that a kernel would get; the kernel's own notifications have the same form. */
export function messageOf(request: Request): Message {
  const writer = new Writer()
  const mark = writer.message(request.type, request.flags, 0)
  request.body(writer)
  const [message] = messages(Buffer.from(writer.endMessage(mark).bytes()))
  if (message === undefined) throw new Error(`${request.operation} is no message`)
  return message
}

/** A message with bytes of one's own in the place of the attributes. */
export const withAttributes = (request: Request, attributes: Buffer): Message => {
  const message = messageOf(request)
  return { ...message, payload: Buffer.concat([message.payload.subarray(0, 4), attributes]) }
}
