import { lstatSync, mkdirSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { asNetloomError, invalid, NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import { encodeFrame, FRAME_KIND, type FrameBody, FrameDecoder } from '../codec/frame.js'

/** Answers the body of a request with the body of the reply. What it throws becomes an error reply. */
export type Handler = (body: FrameBody) => Promise<FrameBody>

/** Room in struct sockaddr_un, less the terminating NUL; Node cuts off what exceeds it, and listens elsewhere. */
const MAX_PATH_BYTES = 107
/** Connections at one time; a node attaches some 200 pods at once at worst. */
const MAX_CONNECTIONS = 1024
/** Milliseconds that a client may be silent before its connection is closed. */
const IDLE_MS = 60_000
/** Milliseconds that calls under way get to end in when the agent stops. */
const DRAIN_MS = 5000

/** The agent's unix socket: for root only, one reply for each request, in their order. */
export class SocketServer {
  readonly #path: string
  readonly #log: Logger
  readonly #handler: Handler
  /** Connections, and when all that they asked so far is answered. */
  readonly #connections = new Map<Socket, Promise<void>>()
  #server: Server | undefined

  constructor(path: string, handler: Handler, log: Logger) {
    this.#path = path
    this.#handler = handler
    this.#log = log
  }

  /**
   * Starts to listen. A socket file that nobody listens on any more is replaced.
   * @throws NetloomError `exists` where another agent listens, or something else has that name; `invalid` for a path that is
   * too long; `io`
   */
  async listen(): Promise<void> {
    if (Buffer.byteLength(this.#path) > MAX_PATH_BYTES)
      throw invalid('socket', `the path ${this.#path} is longer than ${MAX_PATH_BYTES} bytes`)
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 })
      await makeRoom(this.#path)
    } catch (error) {
      throw asNetloomError(error, `listen on ${this.#path}`)
    }
    // Who has nothing more to ask may say so, and still wants the replies.
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    server.maxConnections = MAX_CONNECTIONS
    await listenFor(server, this.#path)
    this.#server = server
  }

  #accept(socket: Socket): void {
    const decoder = new FrameDecoder()
    this.#connections.set(socket, Promise.resolve())
    const then = (work: () => Promise<void> | void): void => {
      this.#connections.set(socket, (this.#connections.get(socket) ?? Promise.resolve()).then(work))
    }
    socket.setTimeout(IDLE_MS, () => socket.destroy())
    socket.on('close', () => this.#connections.delete(socket))
    socket.on('error', (error) => this.#log.debug({ err: error }, 'client connection failed'))
    socket.on('end', () => then(() => void socket.end()))
    socket.on('data', (chunk) => {
      try {
        for (const { kind, body } of decoder.push(chunk)) {
          if (kind !== FRAME_KIND.REQUEST) throw new NetloomError('invalid', 'kind: not a request', { field: 'kind' })
          then(() => this.#answer(socket, body))
        }
      } catch (error) {
        // What follows cannot be told apart any more, and is not read.
        socket.removeAllListeners('data').pause()
        this.#log.warn({ err: error }, 'a client sent a bad frame')
        then(() => {
          this.#reply(socket, errorBody(error))
          socket.destroySoon()
        })
      }
    })
  }

  async #answer(socket: Socket, body: FrameBody): Promise<void> {
    try {
      this.#reply(socket, await this.#handler(body))
    } catch (error) {
      this.#log.warn({ err: error, method: body['method'] }, 'call failed')
      this.#reply(socket, errorBody(error))
    }
  }

  #reply(socket: Socket, body: FrameBody): void {
    const frame = encodeFrame(FRAME_KIND.REPLY, body)
    if (socket.writable) socket.write(frame)
  }

  /**
   * Stops listening, which takes the socket away at once: the next agent may have put its own there by the time that the
   * last calls have ended. Answers when the calls under way have ended, or were cut off for taking too long. */
  async close(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of this.#connections.keys()) socket.pause()
    const late = new AbortController()
    await Promise.race([
      Promise.all(this.#connections.values()).then(() => late.abort()),
      sleep(DRAIN_MS, undefined, { signal: late.signal }).catch(() => undefined),
    ])
    for (const socket of this.#connections.keys()) socket.destroySoon()
    await closed
  }
}

/** The file is made with the rights that it is to keep: between listen and chmod somebody could connect. */
async function listenFor(server: Server, path: string): Promise<void> {
  const listening = new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(asNetloomError(error, `listen on ${path}`)))
    server.once('listening', resolve)
  })
  const mask = process.umask(0o177)
  try {
    server.listen(path)
  } finally {
    process.umask(mask)
  }
  await listening
}

/** Removes a socket that a dead agent left. */
async function makeRoom(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (there === undefined) return
  if (!there.isSocket()) throw new NetloomError('exists', `${path} is there already, and is no socket`)
  if (await isAlive(path)) throw new NetloomError('exists', `another agent listens on ${path}`)
  rmSync(path, { force: true })
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

/** False only where it is certain that nobody listens: one who is too busy to accept is alive. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path)
    probe.on('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'))
  })
}
