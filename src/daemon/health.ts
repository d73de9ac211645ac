import { createServer, type RequestListener, type Server } from 'node:http'
import { asError, NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import { type ListenAddress, listenText } from './setting-kind.js'

/** Why pods cannot be attached; undefined when they can. */
export type Readiness = () => string | undefined

/**
 * Answers the kubelet's probes by HTTP: a connection on loopback each, where a probe that is a command would start a
 * process in the container. `/livez` says that this process still does its work, `/readyz` that pods can be attached.
 */
export class Health {
  readonly #server: Server
  readonly #address: ListenAddress

  private constructor(server: Server, address: ListenAddress) {
    this.#server = server
    this.#address = address
  }

  /**
   * @throws NetloomError `io` where it cannot listen: whoever has the port would answer the kubelet in our place
   */
  static async listen(address: ListenAddress, readiness: Readiness, log: Logger): Promise<Health> {
    const server = createServer({ requestTimeout: REQUEST_MS, keepAliveTimeout: KEEP_MS }, answering(readiness))
    server.on('clientError', (_error, socket) => socket.destroy())
    const health = new Health(server, address)
    await health.#listen()
    server.on('error', (error) => log.error({ err: error }, 'probes are no longer answered'))
    return health
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#address
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => {
        const message = `health-address: cannot listen on ${listenText(this.#address)}: ${asError(error).message}`
        reject(new NetloomError('io', message, { field: 'health-address', cause: error }))
      })
      this.#server.listen(port, host, resolve)
    })
    this.#server.removeAllListeners('error')
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
  }
}

/** Milliseconds for a whole request, and between two on one connection. */
const REQUEST_MS = 5000
const KEEP_MS = 5000

interface Answer {
  readonly status: 200 | 404 | 503
  readonly text: string
}

const CHECKS: Readonly<Record<string, (readiness: Readiness) => Answer>> = {
  '/livez': () => ({ status: 200, text: 'ok' }),
  '/readyz': (readiness) => {
    const reason = readiness()
    return reason === undefined ? { status: 200, text: 'ok' } : { status: 503, text: reason }
  },
}

const answering = (readiness: Readiness): RequestListener => {
  return ({ url = '' }, response) => {
    const [path = ''] = url.split('?')
    const check = Object.hasOwn(CHECKS, path) ? CHECKS[path] : undefined
    const { status, text } = check?.(readiness) ?? {
      status: 404,
      text: `there is ${Object.keys(CHECKS).join(' and ')}`,
    }
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
  }
}
