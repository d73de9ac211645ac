/** Who is compared, by the names that the figures have. */

/** CNI conventions: what a runtime gives for one pod. */
export type Capability = 'portMappings' | 'bandwidth'

/** What a pod gets beside its address and its way out: the same from netloom and from a chain of reference plugins. */
export interface Work {
  /** In figures, behind the verb. */
  readonly title: string
  readonly capabilities: readonly Capability[]
  /** netloom's name where it does this. */
  readonly own: string
  /** The chain's name. */
  readonly peer: string
  /** The plugins of the chain, the one that gives addresses included. */
  readonly plugins: readonly string[]
  /** Measured with many pods at once as well. */
  readonly bursts: boolean
}

export const NETLOOM = 'netloom'

/** netloom without its agent: each call is a process that does the whole work. */
export const STANDALONE = 'netloom without agent'

const BRIDGE = ['bridge', 'host-local']

/** The peers masquerade (ipMasq), as netloom does of itself. */
export const WORKS: readonly [Work, ...Work[]] = [
  { title: '', capabilities: [], own: NETLOOM, peer: 'bridge + host-local', plugins: BRIDGE, bursts: false },
  {
    title: ' with a port',
    capabilities: ['portMappings'],
    own: `${NETLOOM} with a port`,
    peer: 'bridge + host-local + portmap',
    plugins: [...BRIDGE, 'portmap'],
    bursts: true,
  },
  {
    title: ' with a port and bandwidth',
    capabilities: ['portMappings', 'bandwidth'],
    own: `${NETLOOM} with a port and bandwidth`,
    peer: 'bridge + host-local + portmap + bandwidth',
    plugins: [...BRIDGE, 'portmap', 'bandwidth'],
    bursts: true,
  },
]

/** Programs that bound what can be reached: each does a part of what an ADD does. */
export const FLOOR = {
  /** Starting any process, as container runtimes and this benchmark do it. */
  START: '/bin/true',
  /** The CNI executable, which answers VERSION itself. */
  EXECUTABLE: 'netloom VERSION',
  /** From the start of the CNI executable to the first byte that its agent gets. */
  FIRST_BYTE: 'netloom first byte',
  /** The executable, the socket, and an agent that has nothing to do. */
  TRANSPORT: 'netloom STATUS',
} as const

/** Name of the measurements of the CPU time, by that of those of the time. */
export const cpuOf = (sample: string): string => `${sample} CPU`
