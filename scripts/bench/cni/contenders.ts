/** Who is compared, by the names that the figures have. */

export const NETLOOM = 'netloom'

export interface Peer {
  readonly name: string
  readonly masquerade: boolean
}

/** The one that does the same work, and goals are set against. */
export const PEER: Peer = { name: 'bridge + host-local, ipMasq', masquerade: true }

/** The one that does less: its pods cannot leave the node. */
export const LESSER_PEER: Peer = { name: 'bridge + host-local', masquerade: false }

export const PEERS: readonly Peer[] = [PEER, LESSER_PEER]

/** Programs that bound what can be reached: each does a part of what an ADD does. */
export const FLOOR = {
  /** Starting any process, as container runtimes and this benchmark do it. */
  START: '/bin/true',
  /** The CNI executable, which answers VERSION itself. */
  EXECUTABLE: 'netloom VERSION',
  /** The executable, the socket, and an agent that has nothing to do. */
  TRANSPORT: 'netloom STATUS',
} as const

/** Name of the measurements of the CPU time, by that of those of the time. */
export const cpuOf = (sample: string): string => `${sample} CPU`
