import { closeSync } from 'node:fs'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { connect, createServer, type LookupFunction, type Server, type Socket } from 'node:net'
import { asNetloomError } from '../../base/errors.js'
import { inNamespace, openNamespace } from '../../kernel/netns.js'

/**
 * A network namespace that sockets are opened in.
 *
 * A socket stays in the namespace in which the system call made it, so one thread serves the pods of all namespaces:
 * it steps in, opens, and steps out, which takes 5 microseconds. (A thread for each pod takes 30 to 50 milliseconds
 * and 8 MB each, measured with 200 of them.) Node makes the system call while `listen`, `bind` or `connect` runs
 * only where the address needs no waiting for; hence the look-up functions below, which answer at once.
 */
export class Place {
  /** Open file of the namespace. */
  readonly namespace: number

  /** @param path the namespace's file; it is kept open until {@link close} */
  constructor(path: string) {
    this.namespace = openNamespace(path)
  }

  close(): void {
    closeSync(this.namespace)
  }

  /** Runs something synchronous in the namespace; processes started there stay there too. */
  run<T>(work: () => T): T {
    return inNamespace(this.namespace, work)
  }

  /** Listens on a TCP port of all addresses of both families. */
  listen(port: number, serve: (socket: Socket) => void): Promise<Server> {
    return new Promise((resolve, reject) => {
      const server = createServer(serve)
      server.once('error', (error) => reject(asNetloomError(error, `listen on TCP port ${port}`)))
      server.once('listening', () => resolve(server))
      this.run(() => server.listen({ port }))
    })
  }

  /** A UDP socket; `port` 0 is any. */
  bind(type: 'udp4' | 'udp6', port: number): Promise<UdpSocket> {
    return new Promise((resolve, reject) => {
      const socket = createSocket({ type, lookup: atOnce(type === 'udp4' ? 4 : 6) })
      const fail = (error: Error): void => reject(asNetloomError(error, `bind UDP port ${port}`))
      socket.once('error', fail)
      socket.once('listening', () => {
        socket.removeListener('error', fail)
        resolve(socket)
      })
      this.run(() => socket.bind({ port, address: type === 'udp4' ? '0.0.0.0' : '::', exclusive: true }))
    })
  }

  /** A TCP connection on its way. */
  connect(address: string, port: number): Socket {
    const family = address.includes(':') ? 6 : 4
    // A name that is no address makes Node ask the look-up at once; for an address it would come back to it later.
    const lookup: LookupFunction = (_name, options, answer) => atOnce(family)(address, options, answer)
    return this.run(() => connect({ host: 'address.invalid', port, lookup, autoSelectFamily: false }))
  }
}

type Answer = (error: null, address: string, family: number) => void

/** Answers with the address that was asked for: to callers of dns.lookup with options and without. */
const atOnce = (family: number) => {
  return (address: string, options: unknown, answer?: Answer): void => {
    const callback = (answer ?? options) as Answer
    callback(null, address, family)
  }
}
