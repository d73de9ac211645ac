import { type Socket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Place } from '../../src/cli/demo/place.js'
import { setSocketOption } from '../../src/kernel/libc.js'

/** Datagrams that nobody on their way may cut (DF): <linux/in.h>, <linux/in6.h>. */
const MTU_DISCOVER = { udp4: { level: 0, name: 10 }, udp6: { level: 41, name: 23 } } as const
const DO = 2
/** Bytes of the IP and the UDP header. */
const HEADERS = { udp4: 28, udp6: 48 } as const

/** Long enough for a packet on a loaded machine. */
const PATIENCE_MS = 5000
/** An answer that a packet is too large is on its way for less than this. */
const PAUSE_MS = 100

export type Fate = 'arrived' | 'too large' | 'lost'

/** A place that datagrams are sent to. */
export class Target {
  readonly #socket: Socket
  readonly #arrived = new Set<string>()

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (message) => this.#arrived.add(message.toString('latin1', 0, message.indexOf(0))))
  }

  static async at(place: Place, port: number): Promise<Target> {
    return new Target(await place.bind('udp6', port))
  }

  get port(): number {
    return this.#socket.address().port
  }

  has(mark: string): boolean {
    return this.#arrived.has(mark)
  }

  close(): void {
    this.#socket.close()
  }
}

/** Node tells nobody but itself. */
function descriptorOf(socket: Socket): number {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol')
  const state = symbol && (socket as unknown as Record<symbol, { readonly handle: { readonly fd: number } }>)[symbol]
  if (state === undefined) throw new Error('a socket without a descriptor')
  return state.handle.fd
}

let marks = 0

/**
 * Sends packets of so many bytes, headers included, until one arrives or the kernel refuses to send them: the first
 * ones may be lost where the sender has to learn on the way what is too large.
 */
export async function sendWhole(from: Place, target: Target, address: string, bytes: number): Promise<Fate> {
  const type = address.includes(':') ? 'udp6' : 'udp4'
  const socket = await from.bind(type, 0)
  setSocketOption(descriptorOf(socket), MTU_DISCOVER[type].level, MTU_DISCOVER[type].name, DO)
  const mark = `mark-${marks++}`
  const payload = Buffer.alloc(bytes - HEADERS[type])
  payload.write(mark)
  try {
    for (const end = performance.now() + PATIENCE_MS; performance.now() < end;) {
      const refused = await new Promise<boolean>((resolve) =>
        socket.send(payload, target.port, address, (error) => resolve(error !== null)),
      )
      if (refused) return 'too large'
      await sleep(PAUSE_MS)
      if (target.has(mark)) return 'arrived'
    }
    return 'lost'
  } finally {
    socket.close()
  }
}
