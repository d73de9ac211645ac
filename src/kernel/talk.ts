import { asNetloomError, NetloomError } from '../base/errors.js'
import { decodeAcknowledgement, decodeDone, kernelError } from '../codec/error.js'
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
  /** It counts against {@link WINDOW} until it is answered. */
  readonly windowed: boolean
  interrupted: boolean
  /** Requests before it in its datagram, which are done when it is answered. */
  closes: readonly number[]
  readonly settle: (outcome: Outcome) => void
}

/** Requests that go out together, once there is room for their answers. */
interface Datagram {
  readonly bytes: Buffer
  readonly sequences: readonly number[]
}

/** A transaction in flight: its requests have consecutive sequence numbers from `first`. */
interface Batch {
  readonly first: number
  /** With the requests that open and close it. */
  readonly all: readonly Request[]
  readonly refusals: Refusal[]
  readonly messages: Message[]
  readonly settle: (outcome: Outcome) => void
}

export interface TalkOptions {
  /** Milliseconds after which an unanswered request fails; the kernel answers at once, so this guards our own bugs. */
  timeoutMs?: number
}

/** A dump that changes under our eyes is asked for again, up to this often. */
const DUMP_ATTEMPTS = 10
/** What changes under a dump are mostly our own transactions: after so many attempts they wait for it. */
const DUMP_ATTEMPTS_AT_ONCE = 3
const DEFAULT_TIMEOUT_MS = 30_000
/** Of nlmsg_flags in struct nlmsghdr. */
const FLAGS_OFFSET = 6
const MAX_SEQUENCE = 0xffff_fff0

/**
 * Requests of pipelines in flight at most, and in one datagram. The kernel answers all of a datagram before we can read
 * the first answer, and drops what does not fit into the socket's queue. Of its default size 90 answers about links
 * were too much (Linux 6.18); the queue that our sockets ask for has twice that size even where the limits are low.
 */
const WINDOW = 64
const REQUESTS_PER_DATAGRAM = 32

/**
 * A conversation with the kernel over one netlink socket: sequence numbers, acknowledgements, dumps, transactions.
 * Any number of requests may be asked for at a time; the kernel handles those of one kind in the order of the calls.
 */
export class Talk {
  readonly #transport: Transport
  readonly #pending = new Map<number, Pending>()
  readonly #batches: Batch[] = []
  readonly #timeoutMs: number
  #queue: Datagram[] = []
  #inFlight = 0
  #sequence = 0
  #dumps: Promise<unknown> = Promise.resolve()
  /** A dump that transactions wait for. */
  #undisturbed: Promise<unknown> | undefined
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

  /** Sends independent requests, many in one datagram. Never rejects: each outcome tells of its own request. */
  async pipeline(requests: readonly Request[]): Promise<Outcome[]> {
    const outcomes: Promise<Outcome>[] = []
    for (let at = 0; at < requests.length; at += REQUESTS_PER_DATAGRAM)
      outcomes.push(...this.#enqueue(requests.slice(at, at + REQUESTS_PER_DATAGRAM)))
    this.#pump()
    return this.#bounded(outcomes)
  }

  /**
   * Only the last request of a datagram asks for an acknowledgement: the kernel handles them one after the other and
   * always tells of an error, so what it has said nothing of by then was done. Each answer less is three system calls.
   */
  #enqueue(requests: readonly Request[]): Promise<Outcome>[] {
    const parts: Buffer[] = []
    const sequences: number[] = []
    const outcomes = requests.map(async (request): Promise<Outcome> => {
      const sequence = this.#nextSequence()
      try {
        parts.push(encode([request], () => ({ sequence, flags: 0 })))
      } catch (error) {
        return { messages: [], error: asNetloomError(error, request.operation) }
      }
      sequences.push(sequence)
      return this.#expect(sequence, request, true)
    })
    const last = parts.at(-1)
    const closing = this.#pending.get(sequences.at(-1) ?? 0)
    if (last === undefined || closing === undefined) return outcomes
    last.writeUInt16LE(last.readUInt16LE(FLAGS_OFFSET) | FLAG.ACK, FLAGS_OFFSET)
    closing.closes = sequences.slice(0, -1)
    this.#queue.push({ bytes: Buffer.concat(parts), sequences })
    return outcomes
  }

  /** Sends what there is room for. */
  #pump(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      const { bytes, sequences } = next
      if (this.#inFlight > 0 && this.#inFlight + sequences.length > WINDOW) return
      this.#queue.shift()
      this.#inFlight += sequences.length
      this.#send(bytes, (error) => sequences.forEach((sequence) => this.#fail(sequence, error)))
    }
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
      const dump = this.#dumpOnce(request)
      if (attempt >= DUMP_ATTEMPTS_AT_ONCE) this.#undisturbed = dump.catch(() => undefined)
      try {
        const answer = await dump
        if (answer !== undefined) return answer
      } finally {
        this.#undisturbed = undefined
      }
    }
    throw new NetloomError('unavailable', `${request.operation}: changed during each of ${DUMP_ATTEMPTS} dumps`, {
      operation: request.operation,
    })
  }

  async #dumpOnce(request: Request): Promise<readonly Message[] | undefined> {
    const sequence = this.#nextSequence()
    const bytes = encode([request], () => ({ sequence, flags: FLAG.DUMP }))
    const expected = this.#expect(sequence, request, false)
    const pending = this.#pending.get(sequence)
    this.#send(bytes, (error) => this.#fail(sequence, error))
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
    while (this.#undisturbed !== undefined) await this.#undisturbed
    const all = [begin, ...requests, end]
    const first = this.#nextSequence(all.length)
    // Kernels before 6.11 do not acknowledge the end of a batch, so the last request in it asks for the answer. The
    // number of the generation is echoed to who asks for it in the first: the opening one is not looked at.
    const flags = (i: number): number => (i === all.length - 2 ? FLAG.ACK : 0) | (i === 1 ? FLAG.ECHO : 0)
    const bytes = encode(all, (i) => ({ sequence: first + i, flags: flags(i) }))
    const refusals: Refusal[] = []
    const done = new Promise<Outcome>((settle) => {
      const batch = { first, all, refusals, messages: [], settle }
      this.#batches.push(batch)
      this.#send(bytes, (error) => this.#failBatch(batch, error))
    })
    const [outcome] = await this.#bounded([done])
    if (outcome?.error !== undefined) throw outcome.error
    return { refusals, messages: outcome?.messages ?? [] }
  }

  /** Fails what is in flight as `unavailable`, and whatever is asked for later. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#failAll(CLOSED())
    this.#transport.close()
  }

  #nextSequence(count = 1): number {
    if (this.#sequence + count > MAX_SEQUENCE) this.#sequence = 0
    const first = this.#sequence + 1
    this.#sequence += count
    return first
  }

  #expect(sequence: number, request: Request, windowed: boolean): Promise<Outcome> {
    return new Promise((settle) => {
      this.#pending.set(sequence, { request, messages: [], windowed, interrupted: false, closes: [], settle })
    })
  }

  #send(datagram: Buffer, failed: (error: NetloomError) => void): void {
    if (this.#closed) failed(CLOSED())
    else this.#transport.send(datagram, failed)
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
      this.#failAll(asNetloomError(error))
    }
    this.#pump()
  }

  #dispatch(message: Message): void {
    const { sequence } = message
    const pending = this.#pending.get(sequence)
    const batch = this.#batches.find(({ first, all }) => sequence >= first && sequence < first + all.length)
    if (pending !== undefined) this.#answer(pending, message)
    else if (batch !== undefined) this.#answerBatch(batch, message)
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
    // An error of the opening request is one of the whole batch: not permitted, say. Where the kernel cannot commit, it
    // tells that as an error of the first request, and acknowledges the last one all the same.
    if (at === batch.all.length - 2 || (refused && at === 0)) {
      this.#batches.splice(this.#batches.indexOf(batch), 1)
      batch.settle({ messages: batch.messages })
    }
  }

  #answer(pending: Pending, message: Message): void {
    if ((message.flags & FLAG.DUMP_INTR) !== 0) pending.interrupted = true
    if (message.type === CONTROL.ERROR || message.type === CONTROL.DONE) {
      const decode = message.type === CONTROL.DONE ? decodeDone : decodeAcknowledgement
      const acknowledgement = decode(message)
      const failed = acknowledgement.errno !== 0
      for (const sequence of pending.closes) this.#settle(sequence, undefined)
      this.#settle(message.sequence, failed ? kernelError(pending.request.operation, acknowledgement) : undefined)
    } else if (message.type !== CONTROL.NOOP) pending.messages.push(message)
  }

  #settle(sequence: number, error: NetloomError | undefined): void {
    const pending = this.#pending.get(sequence)
    if (pending === undefined) return
    this.#pending.delete(sequence)
    if (pending.windowed) this.#inFlight--
    pending.settle({ messages: pending.messages, ...(error === undefined ? {} : { error }) })
  }

  #fail(sequence: number, error: NetloomError): void {
    const operation = this.#pending.get(sequence)?.request.operation
    if (operation !== undefined) this.#settle(sequence, failure(operation, error))
  }

  #failBatch(batch: Batch, error: NetloomError): void {
    const at = this.#batches.indexOf(batch)
    if (at === -1) return
    this.#batches.splice(at, 1)
    batch.settle({ messages: batch.messages, error: failure('commit transaction', error) })
  }

  /** Replies may be lost: whoever waits has to look at the kernel again before asking anew. */
  #failAll(error: NetloomError): void {
    this.#queue = []
    for (const sequence of [...this.#pending.keys()]) this.#fail(sequence, error)
    for (const batch of [...this.#batches]) this.#failBatch(batch, error)
    this.#inFlight = 0
  }
}

const CLOSED = (): NetloomError => new NetloomError('unavailable', 'netlink socket closed')

const failure = (operation: string, cause: NetloomError): NetloomError =>
  new NetloomError(cause.code === 'io' ? 'kernel' : cause.code, `${operation}: ${cause.message}`, {
    operation,
    errno: cause.errno,
    cause,
  })

/** The requests as the messages of one datagram; `head` answers what is not theirs to say. */
function encode(requests: readonly Request[], head: (at: number) => { sequence: number; flags: number }): Buffer {
  const writer = new Writer(256 * Math.min(requests.length, 256))
  requests.forEach((request, i) => {
    const { sequence, flags } = head(i)
    const mark = writer.message(request.type, request.flags | flags | FLAG.REQUEST, sequence)
    request.body(writer)
    writer.endMessage(mark)
  })
  return writer.bytes()
}
