import { type Evenness } from './statistics.js'

/** The result of a demo: what `--json` prints. Names are stable; fields may be added. */
export interface Report {
  readonly kind: 'netloom-demo'
  /** Of this shape. */
  readonly version: 1
  /** Nothing in `failures`. */
  readonly ok: boolean
  /** The manifests: a path, or `shop`. */
  readonly source: string
  readonly nodes: readonly NodeReport[]
  readonly pods: readonly PodReport[]
  readonly services: readonly ServiceReport[]
  readonly reachability: ReachabilityReport
  readonly direct: DirectReport
  readonly hairpin: HairpinReport
  readonly phases: readonly PhaseReport[]
  /** What a person should know about these manifests. */
  readonly notes: readonly string[]
  /** What is not as it should be; each a line. */
  readonly failures: readonly string[]
}

export interface NodeReport {
  readonly name: string
  readonly addresses: readonly string[]
  /** Networks of its pods, as its agent reports them. */
  readonly subnets: readonly string[]
  /** Routes to the other nodes' pods, as its agent reports them. */
  readonly routes: readonly { readonly destination: string; readonly gateway: string; readonly node: string }[]
  readonly pods: number
}

export interface PodReport {
  /** `namespace/name`. */
  readonly pod: string
  /** `Deployment/web`. */
  readonly workload: string
  readonly node: string
  readonly addresses: readonly string[]
  readonly hostNetwork: boolean
  /** What it listens on: `TCP 8080`. */
  readonly ports: readonly string[]
  /** Name of its network namespace. */
  readonly namespace: string
}

/** One port of a Service. */
export interface ServiceReport {
  /** `namespace/name`. */
  readonly service: string
  readonly type: string
  readonly portName: string
  readonly port: number
  readonly protocol: string
  readonly clusterIPs: readonly string[]
  readonly endpoints: readonly EndpointReport[]
  /** Answers had when many connections asked for it. */
  readonly answers: number
  /** Null where there are no answers to judge, or where clients stay with an endpoint. */
  readonly evenness: Evenness | null
  /** Probability that equal chances give shares at least as uneven; null as `evenness` is. */
  readonly probability: number | null
  /** Why its ClusterIP was not asked; null where it was. */
  readonly unprobed: string | null
}

export interface EndpointReport {
  readonly pod: string
  readonly port: number
  readonly answers: number
  /** Of all answers: 0 to 1. */
  readonly share: number
}

/** `ok`: reached. `refused`: no endpoints, and refused at once, as it should be. `failed`: see `failures`. */
export type Cell = 'ok' | 'refused' | 'failed'

/** Every pod asked every port of every Service, in each family. */
export interface ReachabilityReport {
  readonly attempts: number
  readonly reached: number
  readonly refused: number
  readonly failed: number
  /** `service:port/protocol`, in the order of the cells. */
  readonly columns: readonly string[]
  readonly rows: readonly { readonly pod: string; readonly cells: readonly Cell[] }[]
}

/** Pods asked pods by their own addresses, and the servers told whom they saw. */
export interface DirectReport {
  readonly attempts: number
  /** Servers that saw the client's own address. */
  readonly unchanged: number
  readonly sameNode: number
  readonly acrossNodes: number
  readonly ipv4: number
  readonly ipv6: number
}

/** Pods that asked their own Service until they answered themselves. */
export interface HairpinReport {
  readonly attempts: number
  readonly reached: number
}

export interface PhaseReport {
  readonly name: string
  readonly ms: number
}
