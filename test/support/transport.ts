import { type NetloomError } from '../../src/base/errors.js'
import { CONTROL, FLAG, HEADER_BYTES, type Message, messages, Writer } from '../../src/codec/wire.js'
import { type OpenTransport, type TransportHandlers } from '../../src/kernel/socket.js'

/** A conversation with a kernel that says what the test has it say: requests go in, replies come out, no socket. */
export class ScriptedTransport {
  /** Messages of each datagram that was sent, in order. */
  readonly sent: Message[][] = []
  closed = false
  /** Called with each datagram; what it answers comes back as one datagram each, after the send. */
  answer: (datagram: readonly Message[]) => readonly Buffer[] = () => []
  /** Instead: each send fails with this. */
  sendError: NetloomError | undefined
  #handlers: TransportHandlers | undefined

  readonly open: OpenTransport = (handlers) => {
    this.#handlers = handlers
    return {
      send: (bytes, failed) => {
        const datagram = [...messages(bytes)]
        this.sent.push(datagram)
        if (this.sendError !== undefined) failed(this.sendError)
        const answers = this.answer(datagram)
        if (answers.length > 0) setImmediate(() => answers.forEach((reply) => this.deliver(reply)))
      },
      close: () => {
        this.closed = true
      },
    }
  }

  /** All requests in the order in which they were sent. */
  get requests(): Message[] {
    return this.sent.flat()
  }

  /** One datagram from the kernel. */
  deliver(...parts: readonly Buffer[]): void {
    this.#handlers?.datagram(Buffer.concat(parts))
  }

  fail(error: NetloomError): void {
    this.#handlers?.failed(error)
  }
}

interface Reply {
  readonly type: number
  readonly flags?: number
  readonly sequence: number
  readonly body?: (writer: Writer) => void
}

/** Any message as the kernel would send it. */
export function reply({ type, flags = 0, sequence, body }: Reply): Buffer {
  const writer = new Writer()
  const mark = writer.message(type, flags, sequence)
  body?.(writer)
  return Buffer.from(writer.endMessage(mark).bytes())
}

export interface Verdict {
  readonly errno?: number
  /** Text of the extended acknowledgement. */
  readonly text?: string
}

const NLMSGERR_MSG = 1

/** NLMSG_ERROR with the request cut off to its header, as the kernel sends it to who asked for NETLINK_CAP_ACK. */
export const acknowledgement = (sequence: number, { errno = 0, text }: Verdict = {}): Buffer =>
  reply({
    type: CONTROL.ERROR,
    flags: FLAG.CAPPED | (text === undefined ? 0 : FLAG.ACK_TLVS),
    sequence,
    body: (writer) => {
      writer
        .u32(-errno >>> 0)
        .u32(HEADER_BYTES)
        .zeros(HEADER_BYTES - 4)
      if (text !== undefined) writer.attrString(NLMSGERR_MSG, text)
    },
  })

/** NLMSG_DONE, the end of a dump: the number alone, or with the text behind it. */
export const done = (sequence: number, { errno = 0, text, flags = 0 }: Verdict & { flags?: number } = {}): Buffer =>
  reply({
    type: CONTROL.DONE,
    flags: FLAG.MULTI | flags | (text === undefined ? 0 : FLAG.ACK_TLVS),
    sequence,
    body: (writer) => {
      writer.u32(-errno >>> 0)
      if (text !== undefined) writer.attrString(NLMSGERR_MSG, text)
    },
  })

/** A part of a dump whose payload is the number. */
export const part = (sequence: number, value: number, flags = 0): Buffer =>
  reply({ type: 0x10, flags: FLAG.MULTI | flags, sequence, body: (writer) => writer.u32(value) })
