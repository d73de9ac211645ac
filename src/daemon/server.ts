import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { asNetloomError, NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import { encodeFrame, FRAME_KIND, type FrameBody, FrameDecoder } from '../codec/frame.js'

/** Answers the body of a request with the body of the reply. What it throws becomes an error reply. */
export type Handler = (body: FrameBody) => Promise<FrameBody>

/** Connections at one time; a node attaches some 200 pods at once at worst. */
const MAX_CONNECTIONS = 1024
/** Milliseconds that a client may be silent before its connection is closed. */
const IDLE_MS = 60_000

/** The agent's unix socket: for root only, one reply for each request, in their order. */
export class SocketServer {
  readonly #path: string
  readonly #log: Logger
  readonly #handler: Handler
  readonly #connections = new Set<Socket>()
  #server: Server | undefined

  constructor(path: string, handler: Handler, log: Logger) {
    this.#path = path
    this.#handler = handler
    this.#log = log
  }

  /**
   * Starts to listen. A socket file that nobody listens on any more is replaced.
   * @throws NetloomError `exists` where another agent listens
   */
  async listen(): Promise<void> {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 })
    if (await isAlive(this.#path)) throw new NetloomError('exists', `another agent listens on ${this.#path}`)
    rmSync(this.#path, { force: true })
    const server = createServer((socket) => this.#accept(socket))
    server.maxConnections = MAX_CONNECTIONS
    this.#server = server
    // The file is made with the rights that it is to keep: between listen and chmod somebody could connect.
    const mask = process.umask(0o177)
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', (error) => reject(asNetloomError(error, `listen on ${this.#path}`)))
        server.listen(this.#path, resolve)
      })
    } finally {
      process.umask(mask)
    }
    chmodSync(this.#path, 0o600)
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket)
    const decoder = new FrameDecoder()
    let answered: Promise<unknown> = Promise.resolve()
    socket.setTimeout(IDLE_MS, () => socket.destroy())
    socket.on('close', () => this.#connections.delete(socket))
    socket.on('error', (error) => this.#log.debug({ err: error }, 'client connection failed'))
    socket.on('data', (chunk) => {
      try {
        for (const { kind, body } of decoder.push(chunk)) {
          if (kind !== FRAME_KIND.REQUEST) throw new NetloomError('invalid', 'kind: not a request', { field: 'kind' })
          answered = answered.then(() => this.#answer(socket, body))
        }
      } catch (error) {
        this.#log.warn({ err: error }, 'a client sent a bad frame')
        socket.end(encodeFrame(FRAME_KIND.REPLY, errorBody(error)))
      }
    })
  }

  async #answer(socket: Socket, body: FrameBody): Promise<void> {
    let reply: FrameBody
    try {
      reply = await this.#handler(body)
    } catch (error) {
      this.#log.warn({ err: error, method: body['method'] }, 'call failed')
      reply = errorBody(error)
    }
    if (!socket.destroyed) socket.write(encodeFrame(FRAME_KIND.REPLY, reply))
  }

  /** Stops listening, and answers when the calls under way have been cut off. */
  async close(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of this.#connections) socket.destroy()
    })
    rmSync(this.#path, { force: true })
  }
}

function errorBody(thrown: unknown): FrameBody {
  const { code, message, field, operation } = asNetloomError(thrown)
  return {
    ok: false,
    error: {
      code,
      message,
      ...(field === undefined ? {} : { field }),
      ...(operation === undefined ? {} : { operation }),
    },
  }
}

/** True where somebody accepts connections on the socket. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path)
    probe.on('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.on('error', () => resolve(false))
  })
}
