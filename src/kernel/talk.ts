import { NetloomError } from '../base/errors.js'
import { decodeAcknowledgement, kernelError } from '../codec/error.js'
import { type Request } from '../codec/request.js'
import { CONTROL, FLAG, type Message, messages, Writer } from '../codec/wire.js'
import { type OpenTransport, type Transport } from './socket.js'

/** What became of one request: the kernel's messages, and its refusal if there was one. */
export interface Outcome {
  readonly messages: readonly Message[]
  readonly error?: NetloomError
}

/** A transaction that the kernel refused, with the requests it named. Nothing of it was done. */
export interface Refusal {
  readonly request: Request
  readonly error: NetloomError
}

export interface TransactionOutcome {
  /** What the kernel refused; empty for a transaction that was done. */
  readonly refusals: readonly Refusal[]
  /** What the kernel echoed. */
  readonly messages: readonly Message[]
}

interface Pending {
  readonly request: Request
  readonly messages: Message[]
  interrupted: boolean
  readonly settle: (outcome: Outcome) => void
}

/** A transaction in flight: its requests have consecutive sequence numbers from `first`. */
interface Batch {
  readonly first: number
  /** With the requests that open and close it. */
  readonly all: readonly Request[]
  readonly refusals: Refusal[]
  readonly messages: Message[]
  settle: (outcome: Outcome) => void
}

export interface TalkOptions {
  /** Milliseconds after which an unanswered request fails; the kernel answers at once, so this guards our own bugs. */
  timeoutMs?: number
}

/** A dump that changes under our eyes is asked for again, up to this often. */
const DUMP_ATTEMPTS = 10
const DEFAULT_TIMEOUT_MS = 30_000
const MAX_SEQUENCE = 0xffff_fff0

/**
 * A conversation with the kernel over one netlink socket: sequence numbers, acknowledgements, dumps, transactions.
 * Any number of requests may be in flight; the kernel handles them in the order in which they were sent.
 */
export class Talk {
  readonly #transport: Transport
  readonly #pending = new Map<number, Pending>()
  readonly #batches: Batch[] = []
  readonly #timeoutMs: number
  #sequence = 0
  #dumps: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(open: OpenTransport, options: TalkOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.#transport = open({
      datagram: (bytes) => this.#receive(bytes),
      failed: (error) => this.#failAll(error),
    })
  }

  /** Asks for one thing and answers the kernel's messages, none where the request has no answer but its success. */
  async ask(request: Request): Promise<readonly Message[]> {
    const [outcome] = await this.pipeline([request])
    if (outcome?.error !== undefined) throw outcome.error
    return outcome?.messages ?? []
  }

  /** Sends several independent requests in one datagram. Never rejects: each outcome tells of its own request. */
  async pipeline(requests: readonly Request[]): Promise<Outcome[]> {
    if (requests.length === 0) return []
    const writer = new Writer(256 * requests.length)
    const outcomes = requests.map((request) => {
      const sequence = this.#nextSequence()
      writeRequest(writer, request, sequence, FLAG.ACK)
      return this.#expect(sequence, request)
    })
    this.#send(writer.bytes())
    return this.#bounded(outcomes)
  }

  /** All messages of a dump. One that was interrupted by a change is asked for again. */
  async dump(request: Request): Promise<readonly Message[]> {
    // The kernel runs one dump at a time for a socket, and answers EBUSY to a second.
    const turn = this.#dumps.then(() => this.#dumpAgain(request))
    this.#dumps = turn.catch(() => undefined)
    return turn
  }

  async #dumpAgain(request: Request): Promise<readonly Message[]> {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const answer = await this.#dumpOnce(request)
      if (answer !== undefined) return answer
    }
    throw new NetloomError('unavailable', `${request.operation}: changed during each of ${DUMP_ATTEMPTS} dumps`, {
      operation: request.operation,
    })
  }

  async #dumpOnce(request: Request): Promise<readonly Message[] | undefined> {
    const sequence = this.#nextSequence()
    const writer = new Writer(256)
    writeRequest(writer, request, sequence, FLAG.DUMP)
    const expected = this.#expect(sequence, request)
    const pending = this.#pending.get(sequence)
    this.#send(writer.bytes())
    const [outcome] = await this.#bounded([expected])
    if (pending?.interrupted === true) return undefined
    if (outcome?.error !== undefined) throw outcome.error
    return outcome?.messages ?? []
  }

  /**
   * Sends requests between `begin` and `end` as one transaction of nfnetlink: all of it is done, or nothing.
   * @throws NetloomError where no answer can be had; a refusal is part of the answer.
   */
  async transaction(begin: Request, requests: readonly Request[], end: Request): Promise<TransactionOutcome> {
    if (requests.length === 0) return { refusals: [], messages: [] }
    const all = [begin, ...requests, end]
    const batch: Batch = {
      first: this.#nextSequence(all.length),
      all,
      refusals: [],
      messages: [],
      settle: () => undefined,
    }
    const writer = new Writer(64 * 1024)
    all.forEach((request, i) => {
      // Kernels before 6.11 do not acknowledge the end of a batch, so the last request in it asks for the answer.
      // The number of the generation is echoed to whoever asks for echo in the first: the opening one is not looked at.
      const flags = (i === all.length - 2 ? FLAG.ACK : 0) | (i === 1 ? FLAG.ECHO : 0)
      writeRequest(writer, request, batch.first + i, flags)
    })
    const done = new Promise<Outcome>((settle) => {
      batch.settle = settle
    })
    this.#batches.push(batch)
    this.#send(writer.bytes())
    const [outcome] = await this.#bounded([done])
    if (outcome?.error !== undefined) throw outcome.error
    return { refusals: batch.refusals, messages: batch.messages }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#failAll(new NetloomError('unavailable', 'netlink socket closed'))
    this.#transport.close()
  }

  #nextSequence(count = 1): number {
    if (this.#sequence + count > MAX_SEQUENCE) this.#sequence = 0
    const first = this.#sequence + 1
    this.#sequence += count
    return first
  }

  #expect(sequence: number, request: Request): Promise<Outcome> {
    return new Promise((settle) => {
      this.#pending.set(sequence, { request, messages: [], interrupted: false, settle })
    })
  }

  #send(datagram: Buffer): void {
    if (this.#closed) this.#failAll(new NetloomError('unavailable', 'netlink socket closed'))
    else this.#transport.send(datagram)
  }

  async #bounded(outcomes: Promise<Outcome>[]): Promise<Outcome[]> {
    const timer = setTimeout(() => {
      this.#failAll(new NetloomError('unavailable', `the kernel did not answer within ${this.#timeoutMs} ms`))
    }, this.#timeoutMs)
    try {
      return await Promise.all(outcomes)
    } finally {
      clearTimeout(timer)
    }
  }

  #receive(datagram: Buffer): void {
    try {
      for (const message of messages(datagram)) this.#dispatch(message)
    } catch (error) {
      this.#failAll(error instanceof NetloomError ? error : new NetloomError('internal', String(error)))
    }
  }

  #dispatch(message: Message): void {
    const { sequence } = message
    const pending = this.#pending.get(sequence)
    if (pending !== undefined) return this.#answer(pending, message)
    const batch = this.#batches.find(({ first, all }) => sequence >= first && sequence < first + all.length)
    if (batch !== undefined) this.#answerBatch(batch, message)
  }

  #answerBatch(batch: Batch, message: Message): void {
    if (message.type !== CONTROL.ERROR) {
      batch.messages.push(message)
      return
    }
    const at = message.sequence - batch.first
    const request = batch.all[at]
    const acknowledgement = decodeAcknowledgement(message)
    const refused = acknowledgement.errno !== 0
    if (refused && request !== undefined)
      batch.refusals.push({ request, error: kernelError(request.operation, acknowledgement) })
    // An error of the opening request is one of the whole batch: not permitted, or not committed.
    if (at === batch.all.length - 2 || (refused && at === 0)) {
      this.#batches.splice(this.#batches.indexOf(batch), 1)
      batch.settle({ messages: batch.messages })
    }
  }

  #answer(pending: Pending, message: Message): void {
    if ((message.flags & FLAG.DUMP_INTR) !== 0) pending.interrupted = true
    if (message.type === CONTROL.ERROR || message.type === CONTROL.DONE) {
      this.#pending.delete(message.sequence)
      const acknowledgement = decodeAcknowledgement(message)
      const failed = acknowledgement.errno !== 0
      const error = failed ? { error: kernelError(pending.request.operation, acknowledgement) } : {}
      pending.settle({ messages: pending.messages, ...error })
    } else if (message.type !== CONTROL.NOOP) pending.messages.push(message)
  }

  /** Replies may be lost: whoever waits has to look at the kernel again before asking anew. */
  #failAll(error: NetloomError): void {
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { request, messages, settle } of pending) settle({ messages, error: failure(request.operation, error) })
    for (const { messages, settle } of this.#batches.splice(0))
      settle({ messages, error: failure('commit transaction', error) })
  }
}

const failure = (operation: string, cause: NetloomError): NetloomError =>
  new NetloomError(cause.code === 'io' ? 'kernel' : cause.code, `${operation}: ${cause.message}`, {
    operation,
    errno: cause.errno,
    cause,
  })

function writeRequest(writer: Writer, request: Request, sequence: number, flags: number): void {
  const mark = writer.message(request.type, request.flags | flags | FLAG.REQUEST, sequence)
  request.body(writer)
  writer.endMessage(mark)
}
