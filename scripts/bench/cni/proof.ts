import { type Server } from 'node:net'
import { NetloomError } from '../../../src/base/errors.js'
import { type DemoNode } from '../../../src/cli/demo/layout.js'
import { type Place } from '../../../src/cli/demo/place.js'
import { CONTAINER_PORT, hostPortOf, LIMIT } from './call.js'
import { type Capability } from './contenders.js'
import { type PodNamespace } from './namespaces.js'

/** Makes sure that what is compared does the same work: by packets, not by what anybody says. */

export interface Subject {
  readonly pod: PodNamespace
  /** Of the pod. */
  readonly address: string
  readonly node: DemoNode
  readonly place: Place
  /** A machine beside the node. */
  readonly outside: Place
}

/** What a pod sends to whoever connects: so much that its limit is noticed. */
const BYTES = 512 * 1024

/** The least that it takes at the limit; half of it is taken for limited, and a pod without one takes milliseconds. */
const LEAST_MS = ((BYTES * 8 - LIMIT.burst) / LIMIT.rate) * 1000

const TIMEOUT_MS = 10_000

/** @throws NetloomError saying what an attached pod lacks */
export async function proveWork(capabilities: readonly Capability[], subject: Subject): Promise<void> {
  const { pod, address, node, place, outside } = subject
  const server = await pod.place.listen(CONTAINER_PORT, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.end(Buffer.alloc(BYTES))
  })
  try {
    const mapped = capabilities.includes('portMappings')
    const ms = mapped
      ? await download(outside, node.addresses[0]?.address ?? '', hostPortOf(pod))
      : await download(place, address, CONTAINER_PORT)
    if (capabilities.includes('bandwidth') && ms < LEAST_MS / 2)
      throw lack(`sends ${BYTES} bytes in ${Math.round(ms)} ms`)
  } finally {
    await closed(server)
  }
}

const lack = (what: string): NetloomError => new NetloomError('unavailable', `an attached pod ${what}`)

/** @returns how long it took, in milliseconds */
function download(from: Place, address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const socket = from.connect(address, port)
    let bytes = 0
    const settle = (problem: string | undefined): void => {
      socket.destroy()
      if (problem === undefined) resolve(performance.now() - started)
      else reject(lack(`does not answer at port ${port} of ${address}: ${problem}`))
    }
    socket.setTimeout(TIMEOUT_MS, () => settle('timeout'))
    socket.on('data', (chunk) => (bytes += chunk.length))
    socket.on('error', (error) => settle(error.message))
    socket.on('end', () => settle(bytes === BYTES ? undefined : `${bytes} bytes`))
  })
}

const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()))
