import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NetloomError } from '../base/errors.js'
import { type Cidr, formatCidr } from '../base/ip.js'
import { type Logger } from '../base/log.js'
import { IFB_PREFIX, VETH_PREFIX } from '../base/names.js'
import { type FrameBody } from '../codec/frame.js'
import { type Journal } from '../ipam/journal-io.js'
import { Pool } from '../ipam/pool.js'
import { type Source } from '../kube/source.js'
import { DEFAULT_ROUTING, type Routing } from '../routes/routing.js'
import { Attachments } from './attachments.js'
import { type AgentStatus } from './client.js'
import { Cluster, type ClusterOptions, type ClusterView } from './cluster.js'
import { answerCni, answerEarly } from './cni.js'
import { type Companions, companions } from './companions.js'
import { Delegation } from './delegation.js'
import { FileLock } from '../kernel/lock.js'
import { Installation, type InstallationPlan } from './installation.js'
import { type Keeping } from './keeper.js'
import { Kernel } from './kernel.js'
import { NodeMemory } from './node-memory.js'
import { NodeNetwork } from './node-network.js'
import { routeText } from './peers.js'
import { LOCK, openJournal, salvagedText } from './leases.js'
import { type Handler, SocketServer } from './server.js'
import { Services } from './services.js'
import { VERSION } from './version.js'

export interface AgentOptions {
  /** Name of the Node object that this machine is. */
  readonly node: string
  readonly source: Source
  /** Path of the unix socket. */
  readonly socket: string
  readonly stateDir: string
  /** Destinations outside of the pod networks that pods reach with their own addresses. */
  readonly masqueradeExceptions: readonly Cidr[]
  /** How other nodes are reached; straight, by their InternalIPs, unless given. */
  readonly routing?: Routing
  /** What the runtime of this node gets; undefined where somebody else installs it. */
  readonly installation?: InstallationPlan | undefined
  /** What it says to the API server; undefined where there is none. */
  readonly cluster?: ClusterOptions | undefined
  readonly log: Logger
}

/** Milliseconds to wait for a call that is under way without an agent, or for an agent that is ending its last calls. */
const LOCK_MS = 15_000

/**
 * Milliseconds for a source of truth to say anything. Then the agent goes on with what the one before it knew, so that
 * pods come and go on a node that restarts its agent while the API server is away.
 */
const PATIENCE_MS = 5000

const STARTING = 'the agent is starting'
const UNINFORMED = 'nothing is known of the cluster yet; what the kernel holds stays as it is'

/** One node's agent: it wires the parts, and stops them in the opposite order. What it made stays when it stops. */
export class Agent {
  readonly #options: AgentOptions
  readonly #kernel: Kernel
  readonly #journal: Journal
  readonly #pool: Pool
  readonly #network: NodeNetwork
  readonly #services: Services
  readonly #attachments: Attachments
  readonly #companions: Companions
  readonly #server: SocketServer
  readonly #lock: FileLock
  readonly #installation: Installation | undefined
  readonly #memory: NodeMemory
  readonly #cluster: Cluster | undefined
  #notReady: string | undefined = STARTING
  /** The source has said everything once; until then the kernel holds what nobody may judge. */
  #informed = false

  /**
   * Starts an agent; answers when the node's network and its Services stand. Calls are answered before, with "try again
   * later". The socket comes first: where another agent has it, nothing of that agent's is touched.
   * @throws NetloomError
   */
  static async start(options: AgentOptions): Promise<Agent> {
    let agent: Agent | undefined
    const handler: Handler = async (body) => {
      const early = agent === undefined ? STARTING : agent.#notReady
      if (early !== undefined && body['method'] === 'cni') return answerEarly(body, early)
      if (agent === undefined) throw new NetloomError('unavailable', STARTING)
      return agent.#handle(body)
    }
    const server = new SocketServer(options.socket, handler, options.log)
    await server.listen()
    let lock: FileLock | undefined
    try {
      lock = await FileLock.take(join(options.stateDir, LOCK), { waitMs: LOCK_MS })
      agent = new Agent(options, server, lock)
      await agent.#start()
      return agent
    } catch (error) {
      await (agent?.stop() ?? server.close())
      lock?.release()
      throw error
    }
  }

  private constructor(options: AgentOptions, server: SocketServer, lock: FileLock) {
    const {
      node,
      source,
      stateDir,
      log,
      masqueradeExceptions,
      routing = DEFAULT_ROUTING,
      installation,
      cluster,
    } = options
    const { store } = source
    this.#options = options
    this.#journal = openJournal(stateDir, log)
    this.#pool = new Pool([], this.#journal.leases, this.#journal.released)
    this.#memory = new NodeMemory(stateDir, node, log)
    const kernel = new Kernel()
    this.#kernel = kernel
    this.#network = new NodeNetwork({
      kernel,
      store,
      node,
      log,
      masqueradeExceptions,
      routing,
      former: this.#memory.node?.podCIDRs ?? [],
      standIn: () => (this.#informed ? undefined : this.#memory.node),
      onSubnets: (subnets, self) => {
        this.#pool.subnets = subnets
        if (subnets.length > 0) this.#memory.keep(subnets, self)
      },
      leases: () => this.#pool.leases.values(),
      onBridge: async (surroundings) => {
        await this.#attachments.reattach(surroundings)
        // What was on the former bridge went with it.
        if (this.#notReady !== undefined) return
        for (const { reconciler } of this.#companions.onBridge) reconciler.trigger()
      },
      onRedirect: (surroundings) => this.#attachments.redirect(surroundings),
      onPodRoute: (destination) => this.#attachments.restoreRoute(destination),
    })
    this.#companions = companions({ kernel, leases: () => this.#pool.leases.values(), log })
    this.#services = new Services({ kernel, store, node, log })
    this.#attachments = new Attachments({
      kernel,
      ground: this.#network,
      pool: this.#pool,
      journal: this.#journal,
      delegation: new Delegation(log),
      ...this.#companions,
      log,
    })
    this.#server = server
    this.#lock = lock
    const isReady = (): boolean => this.whyNotReady() === undefined
    this.#installation = installation && new Installation({ ...installation, isReady, log })
    this.#cluster = cluster && new Cluster(node, cluster, this.#view(isReady), log)
  }

  #view(ready: () => boolean): ClusterView {
    const network = this.#network
    return {
      ready,
      published: () => network.published,
      subnets: () => network.subnets,
      inUse: () => network.inUse,
      hostNetworks: () => network.hostNetworks(),
      refusal: () => network.refusal,
      flaws: () => this.#options.source.problems(),
    }
  }

  async #start(): Promise<void> {
    const { source, log, node } = this.#options
    this.#installation?.start()
    this.#kernel.watch({
      network: (event) => this.#network.observed(event),
      neighboursOf: (index) => this.#network.peers.isDevice(index),
      ruleset: (table) => {
        if (this.#informed) {
          this.#network.drifted(table)
          this.#services.drifted(table)
        }
        for (const keeper of this.#keepers) keeper.drifted(table)
      },
    })
    source.subscribe((changes) => {
      this.#informed = true
      this.#network.update(changes)
      this.#services.update(changes)
      this.#cluster?.update(changes)
    })
    this.#cluster?.start()
    const informed = source.start()
    const standIn = this.#memory.node !== undefined && !(await settles(informed, PATIENCE_MS))
    if (!standIn) await informed
    this.#informed = !standIn
    await this.#network.start()
    this.#network.watch()
    if (this.#journal.salvaged !== undefined) await this.#attachments.adopt()
    await this.#attachments.recover((name) => name.startsWith(VETH_PREFIX) || name.startsWith(IFB_PREFIX))
    for (const keeper of this.#keepers) await keeper.start()
    if (standIn) await this.#standIn(informed)
    await this.#services.reconciler.now()
    this.#notReady = undefined
    this.#installation?.look()
    this.#cluster?.becameReady()
    log.info({ node, version: VERSION, subnets: this.#network.subnets.map(formatCidr) }, 'agent is ready')
  }

  /** Attaches pods with what is remembered until the source of truth has said everything. */
  async #standIn(informed: Promise<void>): Promise<void> {
    const { log } = this.#options
    log.warn('nothing is known of the cluster yet; pods are attached with what the last agent knew of this node')
    this.#notReady = undefined
    await informed
    this.#informed = true
    await this.#network.start()
  }

  get #keepers(): readonly Keeping[] {
    return [...this.#companions.guards, ...this.#companions.extras]
  }

  /** Why pods cannot be attached; undefined when they can. */
  whyNotReady(): string | undefined {
    if (this.#notReady !== undefined) return this.#notReady
    const network = this.#network
    if (network.bridge === undefined)
      return network.problems()[0] ?? network.reconciler.error?.message ?? "the node's bridge does not stand yet"
    if (!this.#informed) return undefined
    if (this.#cluster?.incomplete !== undefined) return this.#cluster.incomplete
    if (this.#services.stand) return undefined
    return this.#services.reconciler.error?.message ?? 'the Services are not in the kernel yet'
  }

  async #handle(body: FrameBody): Promise<FrameBody> {
    switch (body['method']) {
      case 'cni': {
        const { log } = this.#options
        const notReady = (): string | undefined => this.whyNotReady()
        const onFailure = (pod: string, error: NetloomError): void => this.#tellFailure(pod, error)
        return answerCni(body, { attachments: this.#attachments, notReady, onFailure, log })
      }
      case 'status':
        return { ok: true, result: this.status() }
      default:
        throw new NetloomError('unsupported', `method: '${String(body['method'])}' is unknown`, { field: 'method' })
    }
  }

  /** What an administrator has to put right, as pods cannot come before: told at the pod. */
  #tellFailure(pod: string, { code, errno, field, message }: NetloomError): void {
    const [namespace = '', name = ''] = pod.split('/')
    const exhausted = code === 'exhausted' && errno === undefined
    const taken = code === 'exists' && field?.includes('portMappings') === true
    if (!exhausted && !taken) return
    this.#cluster?.failed({ namespace, name }, exhausted ? 'AddressPoolExhausted' : 'PortConflict', message)
  }

  status(): AgentStatus {
    const { node, source } = this.#options
    return {
      node,
      version: VERSION,
      ready: this.whyNotReady() === undefined,
      subnets: this.#network.subnets.map(formatCidr),
      routes: this.#network.routes.map(routeText),
      pods: [...this.#attachments.leases].map(({ containerId, ifname, addresses, pod }) => ({
        containerId,
        ifname,
        addresses: addresses.map(({ address }) => address),
        ...(pod === undefined ? {} : { pod }),
      })),
      services: this.#services.counts(),
      problems: [
        ...this.#network.problems(),
        ...this.#services.problems(),
        ...(this.#informed ? [] : [UNINFORMED]),
        ...(this.#cluster?.problems() ?? []),
        ...(this.#installation?.problems() ?? []),
        ...(this.#journal.rewriteError === undefined ? [] : [this.#journal.rewriteError.message]),
        ...(this.#journal.salvaged === undefined ? [] : [salvagedText(this.#journal.salvaged)]),
        ...[this.#network, this.#network.peers, this.#services, ...this.#keepers].flatMap(
          ({ reconciler }) => reconciler.error?.message ?? [],
        ),
        ...source
          .problems()
          .map(({ file, line, message }) =>
            line === undefined ? `${file}: ${message}` : `${file}:${line}: ${message}`,
          ),
      ],
    }
  }

  /** Stops. Links, routes and rules stay, and traffic with them. */
  async stop(): Promise<void> {
    this.#installation?.close()
    await this.#server.close()
    await this.#cluster?.close()
    await this.#options.source.close()
    const reconcilers = [this.#services, ...this.#keepers].map(({ reconciler }) => reconciler)
    await Promise.all([this.#network.close(), ...reconcilers.map((reconciler) => reconciler.close())])
    this.#kernel.close()
    this.#journal.close()
    this.#lock.release()
  }
}

/** Whether something ends within some time, well or not. */
async function settles(ending: Promise<unknown>, ms: number): Promise<boolean> {
  const ended = ending.then(
    () => true,
    () => true,
  )
  const timer = new AbortController()
  const late = sleep(ms, false, { signal: timer.signal }).catch(() => false)
  const answer = await Promise.race([ended, late])
  timer.abort()
  return answer
}
