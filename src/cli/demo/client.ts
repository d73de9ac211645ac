import { type Socket as UdpSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { asError } from '../../base/errors.js'
import { type Protocol } from '../../model/port.js'
import { failureOf, type Outcome, parseAnswer } from './outcome.js'
import { type Place } from './place.js'

/** Asks responders, with sockets of a pod's namespace. */

/** Long enough for one lost SYN, which the kernel repeats after a second. */
const TCP_TIMEOUT_MS = 2500
/** A datagram may be lost, so several are sent; together they wait as long as a connection does. */
const UDP_TIMEOUT_MS = 500
const UDP_ATTEMPTS = 5

/** Most characters of an answer: a responder's line is much shorter. */
const ANSWER_CHARACTERS = 4096

/** One attempt from a place to an address; never throws. */
export async function ask(place: Place, protocol: Protocol, address: string, port: number): Promise<Outcome> {
  const started = performance.now()
  const tried = await (protocol === 'UDP' ? askUdp : askTcp)(place, address, port)
  const ms = performance.now() - started
  if ('failure' in tried) return { failure: tried.failure, ms }
  const answer = parseAnswer(tried.line)
  return answer === undefined ? { failure: 'bad answer', ms } : { answer, ms }
}

type Tried = { readonly line: string } | { readonly failure: NonNullable<Outcome['failure']> }

function askTcp(place: Place, address: string, port: number): Promise<Tried> {
  return new Promise((resolve) => {
    const socket = place.connect(address, port)
    let line = ''
    const settle = (tried: Tried): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(tried)
    }
    const timer = setTimeout(() => settle({ failure: 'timeout' }), TCP_TIMEOUT_MS)
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      line += text
      if (line.length > ANSWER_CHARACTERS) settle({ failure: 'bad answer' })
    })
    socket.on('end', () => settle({ line }))
    socket.on('error', (error) => settle({ failure: failureOf(error) }))
  })
}

async function askUdp(place: Place, address: string, port: number): Promise<Tried> {
  let socket: UdpSocket
  try {
    socket = await place.bind(address.includes(':') ? 'udp6' : 'udp4', 0)
  } catch (error) {
    return { failure: failureOf(asError(error)) }
  }
  const answered = new Promise<Tried>((resolve) => {
    socket.on('message', (message) => resolve({ line: message.toString('utf8', 0, ANSWER_CHARACTERS) }))
    socket.on('error', (error) => resolve({ failure: failureOf(error) }))
  })
  const asked = new AbortController()
  const silence = repeat(socket, { address, port }, asked.signal)
  try {
    return await Promise.race([answered, silence])
  } finally {
    asked.abort()
    socket.close()
  }
}

/** Connected, so that a refusal by ICMP becomes an error of the socket. */
async function repeat(
  socket: UdpSocket,
  { address, port }: { address: string; port: number },
  signal: AbortSignal,
): Promise<Tried> {
  try {
    await new Promise<void>((resolve, reject) => {
      // Node's types leave out that the callback is told why it could not connect.
      socket.connect(port, address, (error?: Error) => (error === undefined ? resolve() : reject(error)))
    })
    for (let attempt = 0; attempt < UDP_ATTEMPTS && !signal.aborted; attempt++) {
      socket.send('who is there?', (error) => {
        if (error !== null && !signal.aborted) socket.emit('error', error)
      })
      await sleep(UDP_TIMEOUT_MS, undefined, { signal })
    }
  } catch (error) {
    if (!signal.aborted) return { failure: failureOf(asError(error)) }
  }
  return { failure: 'timeout' }
}
