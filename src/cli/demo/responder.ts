import { type Server, type Socket } from 'node:net'
import { type Socket as UdpSocket } from 'node:dgram'
import { asError } from '../../base/errors.js'
import { type Answer } from './outcome.js'
import { type Place } from './place.js'
import { type Listener } from './targets.js'

/** What runs in a pod: it answers on every port with the pod's name and the address that the client came from. */
export class Responder {
  readonly #place: Place
  readonly #identity: Pick<Answer, 'pod' | 'node'>
  readonly #sockets: (Server | UdpSocket)[] = []

  constructor(place: Place, identity: Pick<Answer, 'pod' | 'node'>) {
    this.#place = place
    this.#identity = identity
  }

  /** Opens the ports. @returns why one could not be opened, a line for each */
  async listen(ports: readonly Listener[]): Promise<string[]> {
    const problems = await Promise.all(ports.map((listener) => this.#open(listener)))
    return problems.filter((problem) => problem !== undefined)
  }

  async #open({ protocol, port }: Listener): Promise<string | undefined> {
    try {
      if (protocol === 'TCP') this.#sockets.push(await this.#place.listen(port, (socket) => this.#greet(socket, port)))
      else if (protocol === 'UDP') this.#sockets.push(await this.#udp(port))
      else return `${this.#identity.pod} cannot listen on ${protocol} port ${port}: Node has no such sockets`
      return undefined
    } catch (error) {
      return `${this.#identity.pod} cannot listen on ${protocol} port ${port}: ${asError(error).message}`
    }
  }

  #line(port: number, client: string): string {
    const answer: Answer = { ...this.#identity, port, client: client.replace(/^::ffff:(?=\d+\.)/, '') }
    return `${JSON.stringify(answer)}\n`
  }

  #greet(socket: Socket, port: number): void {
    // A client that is gone before its answer has nobody to report to.
    socket.on('error', () => socket.destroy())
    socket.resume().end(this.#line(port, socket.remoteAddress ?? ''))
  }

  async #udp(port: number): Promise<UdpSocket> {
    const socket = await this.#place.bind('udp6', port)
    socket.on('message', (_message, client) =>
      socket.send(this.#line(port, client.address), client.port, client.address),
    )
    // An answer that could not be sent is a lost datagram, and the client asks again.
    return socket.on('error', () => undefined)
  }

  close(): void {
    for (const socket of this.#sockets.splice(0)) socket.close()
  }
}
