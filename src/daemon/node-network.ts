import { FAMILIES } from '../base/family.js'
import { NetloomError } from '../base/errors.js'
import { keyBy } from '../base/diff.js'
import { type Cidr, formatCidr } from '../base/ip.js'
import { type Logger } from '../base/log.js'
import { BRIDGE, MASQUERADE_TABLE, POD_ROUTE_PROTOCOL, ROUTE_PROTOCOL } from '../base/names.js'
import { type Bridge, type Surroundings } from '../cni/attach.js'
import { furtherNetworks } from '../cni/networks.js'
import { type Table } from '../codec/nft/table.js'
import { type Address } from '../codec/rtnl/address.js'
import { type Link } from '../codec/rtnl/link.js'
import { type Route } from '../codec/rtnl/route.js'
import { type NetworkEvent } from '../kernel/monitor.js'
import { observeAddresses, observeLink, observeRoutes, observeSysctls, observeTable } from '../kernel/observe.js'
import { type Change, type ReadonlyStore } from '../kube/store.js'
import { MASQUERADE, MASQUERADE_RULESET, planMasquerade } from '../masquerade/plan.js'
import { type Lease } from '../model/lease.js'
import { type Node } from '../model/node.js'
import { gatewayMac } from '../model/podnetwork.js'
import { planBridge, watchedSysctls } from '../routes/bridge.js'
import { desiredRoutes, type PeerRoute, planPeerRoutes } from '../routes/peers.js'
import { type Ground } from './ground.js'
import { type Kernel } from './kernel.js'
import { Reconciler } from './reconciler.js'

export interface NodeNetworkOptions {
  readonly kernel: Kernel
  readonly store: ReadonlyStore
  /** Name of this node. */
  readonly node: string
  /** Destinations outside of the pod networks that pods reach with their own addresses. */
  readonly masqueradeExceptions: readonly Cidr[]
  readonly log: Logger
  /** Told the pod networks of this node whenever they may have changed. */
  readonly onSubnets: (subnets: readonly Cidr[]) => void
  /** All that are attached. */
  readonly leases: () => Iterable<Lease>
  /** Told when the bridge is found or made, also anew. */
  readonly onBridge: (surroundings: Surroundings) => Promise<void>
  /** Told when br_netfilter began or ceased to translate inside of bridges. */
  readonly onRedirect: (surroundings: Surroundings) => Promise<void>
  /** Told the destination of a route to a container that went. */
  readonly onPodRoute: (destination: string) => Promise<void>
}

/** MTU of Ethernet, where the node's own link is not known. */
const DEFAULT_MTU = 1500

/** Milliseconds to gather events. */
const GATHER_MS = 20

/** Milliseconds between two looks at the links: what is wrong is to be right within a second. */
const LINKS_MS = 500

/** Keeps the node's bridge, its routes to the other nodes and its masquerade table as the Node objects want them. */
export class NodeNetwork implements Ground {
  readonly reconciler: Reconciler
  readonly #options: NodeNetworkOptions
  #bridge: Bridge | undefined
  #redirect = false
  /** Fingerprints of the bridge and the node's own link, by name, as the last run left them. */
  #links = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined
  #mtu = DEFAULT_MTU
  #subnets: readonly Cidr[] = []
  #routes: readonly PeerRoute[] = []
  /** The same by their destinations. */
  #wanted: ReadonlyMap<string, PeerRoute> = new Map()
  #problems: readonly string[] = []
  /** Runs that have begun, and the last of them that made bridge and masquerade as the leases want them. */
  #runs = 0
  #fitted = 0

  constructor(options: NodeNetworkOptions) {
    this.#options = options
    this.reconciler = new Reconciler({ name: 'network', log: options.log, gatherMs: GATHER_MS, run: () => this.#run() })
  }

  /** The bridge, when it stands. */
  get bridge(): Bridge | undefined {
    return this.#bridge
  }

  /** What pods' links get where nobody says otherwise; bytes. */
  get mtu(): number {
    return this.#mtu
  }

  get subnets(): readonly Cidr[] {
    return this.#subnets
  }

  readonly givesOwn = true

  get redirect(): boolean {
    return this.#redirect
  }

  /** A node that cannot be reached, of which the last run may have told as well, is no reason to fail. */
  async leasesChanged(): Promise<void> {
    const before = this.#runs
    await this.reconciler.now()
    // The next run may be under way by now: what counts is that one has come to its end that began since.
    if (this.#fitted > before) return
    const why = this.reconciler.error?.message ?? this.#problems[0] ?? 'it is being stopped'
    throw new NetloomError('unavailable', `the node's network: ${why}`)
  }

  get routes(): readonly PeerRoute[] {
    return this.#routes
  }

  problems(): readonly string[] {
    return this.#problems
  }

  update(changes: readonly Change[]): void {
    if (changes.some(({ kind }) => kind === 'Node')) this.reconciler.trigger()
  }

  /** Begins to look after the bridge and the node's own link, twice a second. */
  watch(): void {
    this.#timer = setInterval(() => void this.#look(), LINKS_MS)
    this.#timer.unref()
  }

  /** A link that is not as the last run left it is put right, or followed. */
  async #look(): Promise<void> {
    try {
      const { route } = this.#options.kernel
      const names = [...this.#links.keys()]
      const links = await Promise.all(names.map((name) => observeLink(route, name)))
      const differs = names.some((name, i) => this.#links.get(name) !== fingerprint(links[i]))
      const bridge = links[names.indexOf(BRIDGE)]
      if (differs || callsIptables(bridge) !== this.#redirect) this.reconciler.trigger()
    } catch (error) {
      this.#options.log.debug({ err: error }, 'links could not be looked at')
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.reconciler.close()
  }

  /** Something changed in the kernel: looked at only where it is ours, or the node's own address. */
  observed(event: NetworkEvent): void {
    if (event.kind === 'route' && event.gone && event.route.protocol === POD_ROUTE_PROTOCOL)
      void this.#restore(event.route.destination.address)
    else if (this.#concerns(event)) this.reconciler.trigger()
  }

  async #restore(destination: string): Promise<void> {
    try {
      await this.#options.onPodRoute(destination)
    } catch (error) {
      this.#options.log.error({ err: error, destination }, 'a route to a container could not be restored')
    }
  }

  #concerns(event: NetworkEvent): boolean {
    switch (event.kind) {
      case 'address':
        return event.address.index === this.#bridge?.index || this.#isOwnAddress(event.address.address)
      case 'route':
        return this.#isDrift(event.route, event.gone)
      case 'lost':
        return true
    }
  }

  /** One of ours that is gone or not as wanted, or somebody else's in the place of one. */
  #isDrift(route: Route, gone: boolean): boolean {
    if (gone) return route.protocol === ROUTE_PROTOCOL
    const wanted = this.#wanted.get(formatCidr(route.destination))
    return planPeerRoutes(wanted === undefined ? [] : [wanted], [route]).length > 0
  }

  #isOwnAddress(address: string): boolean {
    return this.#self()?.internalIPs.some((own) => own.address === address) ?? false
  }

  /** The masquerade table was changed by somebody else; undefined where it may be any table. */
  drifted(table: Table | undefined): void {
    if (table !== undefined && table.name !== MASQUERADE_TABLE) return
    this.#options.log.warn({ table: MASQUERADE }, 'the masquerade table was changed by another program')
    this.reconciler.trigger()
  }

  #self(): Node | undefined {
    return this.#options.store.get('Node', this.#options.node)
  }

  async #run(): Promise<void> {
    const { node, store, onSubnets } = this.#options
    const self = this.#self()
    const run = ++this.#runs
    if (self === undefined || self.podCIDRs.length === 0) {
      // What stands is left standing: an answer that is missing says nothing about the pods that run.
      this.#problems = [self === undefined ? `no Node object named ${node}` : `Node ${node} has no spec.podCIDRs yet`]
      return
    }
    this.#subnets = self.podCIDRs
    const nodes = [...store.all('Node').values()]
    const { routes, problems } = desiredRoutes(nodes, node)
    this.#problems = problems
    await this.#reconcileBridge(self)
    onSubnets(self.podCIDRs)
    await this.#reconcileMasquerade(self, nodes)
    this.#fitted = run
    // Last, because a node that cannot be reached makes it fail: nothing else is to be left undone for that.
    await this.#reconcileRoutes(routes)
  }

  async #reconcileBridge(self: Node): Promise<void> {
    const { kernel, onBridge, onRedirect } = this.#options
    const addresses = await observeAddresses(kernel.route)
    const uplink = await this.#observeUplink(self, addresses)
    this.#mtu = uplink?.mtu ?? DEFAULT_MTU
    const desired = {
      name: BRIDGE,
      subnets: self.podCIDRs,
      gateways: furtherNetworks(this.#options.leases(), self.podCIDRs).gateways,
      mtu: this.#mtu,
      uplink: uplink?.name,
    }
    const actual = {
      link: await observeLink(kernel.route, BRIDGE),
      addresses,
      sysctls: observeSysctls(watchedSysctls(desired)),
    }
    const ops = planBridge(desired, actual)
    await kernel.applier.apply(ops)
    const link = ops.length === 0 ? actual.link : await observeLink(kernel.route, BRIDGE)
    this.#links = new Map([
      [BRIDGE, fingerprint(link)],
      ...(uplink === undefined ? [] : ([[uplink.name, fingerprint(uplink)]] as const)),
    ])
    if (link === undefined) return
    const bridge = { name: BRIDGE, index: link.index, mac: gatewayMac(self.podCIDRs) }
    const redirect = callsIptables(link)
    const surroundings = { bridge, covered: self.podCIDRs, redirect }
    const [anew, redirected] = [link.index !== this.#bridge?.index, redirect !== this.#redirect]
    if (anew) await onBridge(surroundings)
    else if (redirected) await onRedirect(surroundings)
    this.#bridge = bridge
    this.#redirect = redirect
  }

  /** The link that carries the node's own address: pods' packets leave by it, so they may be as large as it takes. */
  async #observeUplink(self: Node, addresses: readonly Address[]): Promise<Link | undefined> {
    const own = new Set(self.internalIPs.map(({ address }) => address))
    const index = addresses.find(({ address }) => own.has(address))?.index
    return index === undefined ? undefined : observeLink(this.#options.kernel.route, index)
  }

  async #reconcileRoutes(routes: readonly PeerRoute[]): Promise<void> {
    const { kernel, log } = this.#options
    const families = FAMILIES.map((family) => observeRoutes(kernel.route, family, { protocol: ROUTE_PROTOCOL }))
    const ops = planPeerRoutes(routes, (await Promise.all(families)).flat())
    this.#routes = routes
    this.#wanted = keyBy(routes, ({ destination }) => formatCidr(destination))
    if (ops.length === 0) return
    log.info({ operations: ops.length, routes: routes.length }, 'routes to other nodes change')
    await kernel.applier.apply(ops)
  }

  async #reconcileMasquerade(self: Node, nodes: readonly Node[]): Promise<void> {
    const { kernel, masqueradeExceptions } = this.#options
    const { masqueraded, networks } = furtherNetworks(this.#options.leases(), self.podCIDRs)
    const sources = [...self.podCIDRs, ...masqueraded]
    const exceptions = [...nodes.flatMap(({ podCIDRs }) => podCIDRs), ...networks, ...masqueradeExceptions]
    const ops = planMasquerade({ sources, exceptions }, await observeTable(kernel.netfilter, MASQUERADE_RULESET))
    await kernel.applier.apply(ops)
  }
}

/** What of a link matters here; its carrier comes and goes with the pods. */
const fingerprint = (link: Link | undefined): string =>
  link === undefined ? '' : [link.index, link.up, link.mtu, link.mac].join(' ')

/** Whether br_netfilter hands what passes a bridge to iptables, for all bridges or for this one. */
export function callsIptables(bridge: Link | undefined): boolean {
  const own = bridge?.bridge
  if (own?.nfCallIptables === true || own?.nfCallIp6tables === true) return true
  return [...observeSysctls(BRIDGE_CALLS).values()].includes('1')
}

/** There while the module br_netfilter is loaded. */
const BRIDGE_CALLS = ['net/bridge/bridge-nf-call-iptables', 'net/bridge/bridge-nf-call-ip6tables']
