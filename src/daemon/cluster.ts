import { type Cidr, formatCidr } from '../base/ip.js'
import { type Logger } from '../base/log.js'
import { type EventReason } from '../base/names.js'
import { type ApiClient } from '../kube/api/client.js'
import { type Problem } from '../kube/source.js'
import { type Change } from '../kube/store.js'
import { type ClusterNetwork } from '../subnets/networks.js'
import { Events, type EventReport, type Regarding } from './events.js'
import { NodeReport } from './node-report.js'
import { SubnetClaims } from './subnet-claims.js'

export interface ClusterOptions {
  readonly client: ApiClient
  /** What subnets are claimed from; nothing where the cluster allocates them. */
  readonly networks: readonly ClusterNetwork[]
  /** Where the Leases of claims are. */
  readonly claimNamespace: string
}

/** What the rest of the agent knows. */
export interface ClusterView {
  /** Pods can be attached. */
  readonly ready: () => boolean
  /** Addresses for other nodes; undefined where the InternalIPs will do. */
  readonly published: () => readonly string[] | undefined
  /** Subnets that this node works with. */
  readonly subnets: () => readonly Cidr[]
  /** Those of them, or of the agent before this one, that containers have addresses of. */
  readonly inUse: () => readonly Cidr[]
  /** Networks that the node itself is connected to. */
  readonly hostNetworks: () => Promise<readonly Cidr[]>
  /** Why its subnets are refused. */
  readonly refusal: () => string | undefined
  /** What is wrong with objects of the source. */
  readonly flaws: () => readonly Problem[]
}

/** Milliseconds between two looks at what is to be told. */
const LOOK_MS = 1000

/** What is told of while it is so, once each time that it comes. */
type Trouble = Omit<EventReport, 'type'>

/**
 * What the agent of a cluster does beyond what every agent does: it claims its node's subnets where nobody allocates
 * them, says in the API that the node's network stands, and tells administrators there what they must know.
 */
export class Cluster {
  readonly #node: string
  readonly #view: ClusterView
  readonly #report: NodeReport
  readonly #events: Events
  readonly #claims: SubnetClaims | undefined
  readonly #log: Logger
  /** Subnets that were claimed and that the source has not told of yet. */
  #awaited: readonly Cidr[] | undefined
  /** The node has had all of its subnets once: what changes later is judged by itself. */
  #complete = false
  #told: ReadonlySet<string> = new Set()
  #timer: NodeJS.Timeout | undefined

  constructor(node: string, { client, networks, claimNamespace }: ClusterOptions, view: ClusterView, log: Logger) {
    this.#node = node
    this.#view = view
    this.#log = log
    this.#report = new NodeReport({ client, node, log })
    this.#events = new Events({ client, node, log })
    if (networks.length === 0) return
    this.#claims = new SubnetClaims({
      client,
      node,
      namespace: claimNamespace,
      networks,
      inUse: view.inUse,
      avoid: view.hostNetworks,
      log,
    })
  }

  /** Begins to claim, and to tell. The subnets arrive as all else does: by the source. */
  start(): void {
    this.#claims?.start().then(
      (subnets) => (this.#awaited = subnets),
      (error: unknown) => this.#log.debug({ err: error }, 'no subnets were claimed'),
    )
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  /** Why a pod would get fewer addresses than it is to have: what is claimed comes one family after the other. */
  get incomplete(): string | undefined {
    if (this.#claims === undefined || this.#complete) return undefined
    const subnets = new Set(this.#view.subnets().map(formatCidr))
    const missing = this.#awaited?.filter((subnet) => !subnets.has(formatCidr(subnet)))
    this.#complete = missing?.length === 0
    return this.#complete ? undefined : 'the node has not claimed its subnets yet'
  }

  /** Pods can be attached now. */
  becameReady(): void {
    this.#look()
  }

  update(changes: readonly Change[]): void {
    if (changes.some(({ kind, key }) => kind === 'Node' && key === this.#node)) this.#report.look()
    if (changes.some(({ kind, before }) => kind === 'SubnetClaim' && before !== undefined)) this.#claims?.check()
  }

  /** A pod could not be attached. */
  failed(pod: { readonly namespace: string; readonly name: string }, reason: EventReason, message: string): void {
    const regarding = { kind: 'Pod', ...pod } as const
    this.#events.report({ type: 'Warning', reason, message, action: 'AttachPod', regarding })
  }

  problems(): string[] {
    const report = this.#report.problem()
    return [...(this.#claims?.problems() ?? []), ...(report === undefined ? [] : [report])]
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([this.#claims?.close(), this.#report.close(), this.#events.close()])
  }

  /** Which addresses are to be published is known when pods can be attached. */
  #look(): void {
    const { ready, published } = this.#view
    if (ready()) this.#report.update({ ready: true, addresses: published() })
    const troubles = this.#troubles()
    for (const trouble of troubles)
      if (!this.#told.has(textOf(trouble))) this.#events.report({ type: 'Warning', ...trouble })
    this.#told = new Set(troubles.map(textOf))
  }

  #troubles(): Trouble[] {
    const regarding = { kind: 'Node', name: this.#node } as const
    const refusal = this.#view.refusal()
    const claims = this.#claims?.problems() ?? []
    return [
      ...(refusal === undefined
        ? []
        : [{ reason: 'SubnetRefused', message: refusal, action: 'UseSubnets', regarding } as const]),
      ...claims.map(
        (message) => ({ reason: 'SubnetClaimFailed', message, action: 'ClaimSubnets', regarding }) as const,
      ),
      ...this.#view.flaws().flatMap(notUnderstood),
    ]
  }
}

const textOf = ({ reason, message, regarding }: Trouble): string =>
  [reason, regarding.kind, regarding.namespace, regarding.name, message].join('\n')

/** Kinds that an Event can be about, as the API source names the objects at fault: `Service shop/web`. */
const OBJECT = /^(Node|Namespace|Pod|Service|EndpointSlice|NetworkPolicy) (?:([^/ ]+)\/)?([^/ ]+)$/

function notUnderstood({ file, message }: Problem): Trouble[] {
  const [, kind, namespace, name] = OBJECT.exec(file) ?? []
  if (kind === undefined || name === undefined) return []
  const regarding: Regarding = { kind: kind as Regarding['kind'], namespace, name }
  return [{ reason: 'ObjectNotUnderstood', message, action: 'ReadObject', regarding }]
}
