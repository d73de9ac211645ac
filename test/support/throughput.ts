import { once } from 'node:events'
import { type Socket } from 'node:net'
import { type Place } from '../../src/cli/demo/place.js'

export interface Transfer {
  readonly from: Place
  readonly to: Place
  /** Of the receiver. */
  readonly address: string
  readonly bytes: number
}

let lastPort = 20_000

/** Sends so many bytes over one TCP connection. @returns bits per second between the first byte and the last */
export async function throughput({ from, to, address, bytes }: Transfer): Promise<number> {
  const port = ++lastPort
  let accepted: (socket: Socket) => void = () => undefined
  const arrival = new Promise<Socket>((resolve) => (accepted = resolve))
  const server = await to.listen(port, (socket) => accepted(socket))
  const sender = from.connect(address, port)
  try {
    await once(sender, 'connect')
    sender.end(Buffer.alloc(bytes))
    return await receive(await arrival, bytes)
  } finally {
    sender.destroy()
    server.close()
  }
}

/** The first bytes may have been saved up for, and do not count. */
async function receive(socket: Socket, bytes: number): Promise<number> {
  let [received, before, start] = [0, 0, 0]
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
    if (start !== 0 || received < bytes / 10) return
    start = performance.now()
    before = received
  })
  await once(socket, 'end')
  const seconds = (performance.now() - start) / 1000
  if (received !== bytes) throw new Error(`${received} bytes arrived of ${bytes}`)
  return ((received - before) * 8) / seconds
}
