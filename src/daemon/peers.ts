import { asError } from '../base/errors.js'
import { FAMILIES } from '../base/family.js'
import { type Cidr, formatCidr } from '../base/ip.js'
import { type Logger } from '../base/log.js'
import { ROUTE_PROTOCOL, TUNNELS } from '../base/names.js'
import { type Table } from '../codec/nft/table.js'
import { type Link } from '../codec/rtnl/link.js'
import { type NetworkEvent } from '../kernel/monitor.js'
import {
  observeAddresses,
  observeFdb,
  observeLink,
  observeNeighbours,
  observeRoutes,
  observeSysctls,
} from '../kernel/observe.js'
import { type Change } from '../kube/store.js'
import { type Op } from '../ops/op.js'
import { PeerCatalog } from '../routes/peers.js'
import { type PeerRoute } from '../routes/ways.js'
import { differsFrom, observedWays, planWays, replaceWays, type Ways, waysOf } from '../routes/plan.js'
import { type Routing } from '../routes/routing.js'
import { desiredTunnels, planLeftovers, planTunnel, type TunnelDesired, tunnelSysctls } from '../routes/tunnel.js'
import { type Underlay } from '../routes/underlay.js'
import { type AgentStatus } from './client.js'
import { type Kernel } from './kernel.js'
import { LinkWatch } from './link-watch.js'
import { Reconciler } from './reconciler.js'
import { TunnelGuard } from './tunnelguard.js'

export interface PeersOptions {
  readonly kernel: Kernel
  /** Name of this node. */
  readonly node: string
  readonly routing: Routing
  readonly log: Logger
}

/** From where this node looks at the others. */
export interface Standpoint {
  readonly subnets: readonly Cidr[]
  readonly underlays: readonly Underlay[]
}

/** Milliseconds to gather events of the kernel. What happens to Nodes together, their source has gathered already. */
const GATHER_MS = 20

/** Milliseconds after which all is read, though nobody told of a change. */
const READ_MS = 60_000

const TUNNEL_NAMES = FAMILIES.map(({ name }) => TUNNELS[name])

/**
 * Keeps what leads to the other nodes' pods: tunnel devices and their guard, routes, neighbours, forwarding entries. What a Node object
 * changes is written without a look at the rest; all is read at the start, where somebody else has been at it, and once
 * in a while.
 */
export class Peers {
  readonly reconciler: Reconciler
  readonly #options: PeersOptions
  readonly #catalog: PeerCatalog
  readonly #guard: TunnelGuard
  readonly #links: LinkWatch
  #standpoint: Standpoint | undefined
  /** Whether the guard has to look at all nodes: what is this node's own is nobody else's. */
  #moved = true
  /** Nodes whose routes may be others than those in the kernel. */
  #pending = new Set<string>()
  /** Routes to each node as they were written. */
  #written = new Map<string, readonly PeerRoute[]>()
  /** The same for the kernel: by these, what it tells is judged. */
  #ways: Ways = waysOf([])
  /** Our devices by their index. */
  #devices: ReadonlyMap<number, TunnelDesired> = new Map()
  /** The other way round, so that nobody has to ask for them. */
  #indexes: ReadonlyMap<string, number> = new Map()
  /** Names by index of links that ways lead by. */
  #names: ReadonlyMap<number, string> = new Map()
  /** False until all has been read, and again when somebody else or a failure may have changed it. */
  #known = false
  /** Changes by others so far. */
  #drifts = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: PeersOptions) {
    const { kernel, log, node, routing } = options
    this.#options = options
    this.#catalog = new PeerCatalog(node)
    this.#guard = new TunnelGuard(kernel, routing.vxlan)
    this.reconciler = new Reconciler({ name: 'routes', log, gatherMs: GATHER_MS, run: () => this.#run() })
    this.#links = new LinkWatch({ kernel, log, onChange: () => this.drifted() })
  }

  /** Routes to other nodes as they are wanted. */
  get routes(): readonly PeerRoute[] {
    return this.#catalog.routes()
  }

  problems(): readonly string[] {
    return this.#catalog.problems()
  }

  /** Networks and hosts that this node's pods reach with their own addresses. */
  known(): Iterable<Cidr> {
    return this.#catalog.known()
  }

  /** Takes over what changed. @returns whether any of it concerns the nodes */
  update(changes: readonly Change[]): boolean {
    const nodes = changes.filter((change) => change.kind === 'Node')
    for (const { key, after } of nodes) {
      // An answer that is missing says nothing about the pods that run: what this node has stays its own.
      if (key === this.#options.node && (after === undefined || after.podCIDRs.length === 0)) continue
      if (key === this.#options.node) this.#moved = true
      for (const name of this.#catalog.set(key, after)) this.#pending.add(name)
    }
    if ((this.#pending.size > 0 || this.#moved) && this.#standpoint !== undefined)
      this.reconciler.trigger(this.#known ? 0 : GATHER_MS)
    return nodes.length > 0
  }

  /** This node is somewhere, perhaps elsewhere than before. */
  follow(standpoint: Standpoint): void {
    if (JSON.stringify(standpoint) === JSON.stringify(this.#standpoint)) return
    this.#standpoint = standpoint
    this.#moved = true
    this.#catalog.move({ mode: this.#options.routing.mode, ...standpoint })
    this.drifted()
  }

  /** Begins to look after our devices, and to read all once in a while. */
  watch(): void {
    this.#links.start()
    this.#timer = setInterval(() => this.drifted(), READ_MS)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#links.close()
    await this.reconciler.close()
  }

  /** Whether a link is one of our devices; by its index. */
  isDevice(index: number): boolean {
    return this.#devices.has(index)
  }

  /** Something changed in the kernel: looked at only where it is ours and not as we left it. */
  observed(event: NetworkEvent): void {
    if (this.#isDrift(event)) this.drifted()
  }

  /** Anything may have changed: all is to be read again. */
  drifted(): void {
    this.#known = false
    this.#drifts++
    if (this.#standpoint !== undefined) this.reconciler.trigger()
  }

  /** A table was changed by somebody else; undefined where it may be any. */
  tableDrifted(table: Table | undefined): void {
    if (!this.#guard.drifted(table)) return
    if (table !== undefined)
      this.#options.log.warn({ table }, 'the table that guards tunnels was changed by another program')
    if (this.#standpoint !== undefined) this.reconciler.trigger()
  }

  #isDrift(event: NetworkEvent): boolean {
    switch (event.kind) {
      case 'address': {
        const { index, address } = event.address
        const wanted = this.#devices.get(index)?.addresses
        return wanted !== undefined && event.gone === wanted.some((own) => own.address === address)
      }
      case 'lost':
        return true
      default:
        return differsFrom(this.#ways, event, this.#names)
    }
  }

  async #run(): Promise<void> {
    const standpoint = this.#standpoint
    if (standpoint === undefined) return
    const [known, drifts, pending] = [this.#known, this.#drifts, this.#pending]
    this.#pending = new Set()
    // Until all is applied nobody knows what the kernel holds; a failure leaves it to be read again.
    this.#known = false
    if (known) await this.#write(pending, standpoint)
    else await this.#read(pending, standpoint)
    // What others changed meanwhile may have been read already, or not.
    this.#known = drifts === this.#drifts
  }

  /** Some nodes are others than they were. */
  async #write(names: ReadonlySet<string>, standpoint: Standpoint): Promise<void> {
    await this.#reconcileGuard(this.#tunnelsFrom(standpoint), names)
    const have = waysOf([...names].flatMap((name) => this.#written.get(name) ?? []))
    const want = waysOf([...names].flatMap((name) => this.#catalog.routesTo(name)))
    for (const name of names) this.#written.set(name, this.#catalog.routesTo(name))
    replaceWays(this.#ways, have, want)
    await this.#apply(planWays(want, have))
  }

  /** Whatever may be there. Without a device all that needs none is done all the same. */
  async #read(names: ReadonlySet<string>, standpoint: Standpoint): Promise<void> {
    const tunnels = this.#tunnelsFrom(standpoint)
    const failure = await this.#makeTunnels(tunnels, names).then(() => undefined, asError)
    const links = await this.#observeTunnels()
    this.#links.expect(links)
    this.#devices = new Map(
      tunnels.flatMap((tunnel) => {
        const link = links.get(tunnel.name)
        return link?.kind === 'vxlan' ? [[link.index, tunnel] as const] : []
      }),
    )
    this.#indexes = new Map([...this.#devices].map(([index, { name }]) => [name, index]))
    this.#names = new Map([
      ...standpoint.underlays.map(({ index, link }) => [index, link] as const),
      ...[...this.#devices].map(([index, { name }]) => [index, name] as const),
    ])
    const routes = this.#catalog.routes().filter(({ kind, device }) => kind === 'direct' || this.#indexes.has(device))
    this.#written = new Map()
    for (const route of routes) this.#written.set(route.node, [...(this.#written.get(route.node) ?? []), route])
    this.#ways = waysOf(routes)
    await this.#apply(planWays(this.#ways, await this.#observe()))
    if (failure !== undefined) throw failure
  }

  #tunnelsFrom(standpoint: Standpoint): TunnelDesired[] {
    return desiredTunnels({ ...this.#options, ...standpoint })
  }

  /** @param names nodes that are others than they were */
  async #reconcileGuard(tunnels: readonly TunnelDesired[], names: Iterable<string>): Promise<void> {
    if (this.#moved) this.#guard.replace(this.#catalog.parties())
    else for (const name of names) this.#guard.set(name, this.#catalog.partyOf(name))
    this.#moved = false
    await this.#guard.reconcile(tunnels.length > 0)
  }

  /** None is ever there without its guard, which knows a node before anything leads to it. */
  async #makeTunnels(tunnels: readonly TunnelDesired[], names: Iterable<string>): Promise<void> {
    if (tunnels.length > 0) await this.#reconcileGuard(tunnels, names)
    const links = await this.#observeTunnels()
    const addresses = tunnels.length === 0 ? [] : await observeAddresses(this.#options.kernel.route)
    await this.#apply([
      ...planLeftovers(
        tunnels,
        [...links.values()].filter((link) => link !== undefined),
      ),
      ...tunnels.flatMap((tunnel) =>
        planTunnel(tunnel, {
          link: links.get(tunnel.name),
          addresses,
          sysctls: observeSysctls([...tunnelSysctls(tunnel.name).keys()]),
        }),
      ),
    ])
    if (tunnels.length === 0) await this.#reconcileGuard(tunnels, names)
  }

  /** Our devices by name, all that there may be. */
  async #observeTunnels(): Promise<ReadonlyMap<string, Link | undefined>> {
    const { route } = this.#options.kernel
    return new Map(await Promise.all(TUNNEL_NAMES.map(async (name) => [name, await observeLink(route, name)] as const)))
  }

  async #observe(): Promise<Ways> {
    const { route } = this.#options.kernel
    const devices = [...this.#devices.keys()]
    const [routes, neighbours, vteps] = await Promise.all([
      Promise.all(FAMILIES.map((family) => observeRoutes(route, family, { protocol: ROUTE_PROTOCOL }))),
      Promise.all(devices.flatMap((index) => FAMILIES.map((family) => observeNeighbours(route, family, index)))),
      Promise.all(devices.map((index) => observeFdb(route, index))),
    ])
    return observedWays({
      routes: routes.flat(),
      neighbours: neighbours.flat(),
      vteps: vteps.flat(),
      names: this.#names,
    })
  }

  /** Neighbouring operations travel together, so what a batch of changes takes is one pipeline. */
  async #apply(ops: readonly Op[]): Promise<void> {
    if (ops.length === 0) return
    const { kernel, log } = this.#options
    log.info({ operations: ops.length }, 'ways to other nodes change')
    await kernel.applier.apply(ops, this.#indexes)
  }
}

/** A route for people: through the address of the node that it leads to, whatever the kernel calls it. */
export const routeText = (route: PeerRoute): AgentStatus['routes'][number] => ({
  destination: formatCidr(route.destination),
  gateway: route.kind === 'vxlan' ? route.remote : route.gateway,
  node: route.node,
  kind: route.kind,
})
