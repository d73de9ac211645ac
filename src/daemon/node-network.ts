import { FAMILIES } from '../base/family.js'
import { type Cidr } from '../base/ip.js'
import { type Logger } from '../base/log.js'
import { BRIDGE, MASQUERADE_TABLE, ROUTE_PROTOCOL, VETH_PREFIX } from '../base/names.js'
import { type Element } from '../codec/nft/element.js'
import { type Table } from '../codec/nft/table.js'
import { type Address } from '../codec/rtnl/address.js'
import { type Link } from '../codec/rtnl/link.js'
import { type NetworkEvent } from '../kernel/monitor.js'
import {
  observeAddresses,
  observeElements,
  observeLink,
  observeLinks,
  observeRoutes,
  observeRuleset,
  observeSysctls,
} from '../kernel/observe.js'
import { type Change, type ReadonlyStore } from '../kube/store.js'
import { MASQUERADE, MASQUERADE_SETS, type MasqueradeActual, planMasquerade } from '../masquerade/plan.js'
import { type Node } from '../model/node.js'
import { bridgeSysctls, planBridge } from '../routes/bridge.js'
import { desiredRoutes, type PeerRoute, planPeerRoutes } from '../routes/peers.js'
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
  /** Told the bridge when it is found or made, also anew. */
  readonly onBridge: (bridge: { readonly name: string; readonly index: number }) => Promise<void>
}

/** MTU of Ethernet, where the node's own link is not known. */
const DEFAULT_MTU = 1500

/** Milliseconds to gather events: a pod's attachment causes some ten of them. */
const GATHER_MS = 20

/** Keeps the node's bridge, its routes to the other nodes and its masquerade table as the Node objects want them. */
export class NodeNetwork {
  readonly reconciler: Reconciler
  readonly #options: NodeNetworkOptions
  #bridge: { readonly name: string; readonly index: number } | undefined
  #mtu = DEFAULT_MTU
  #subnets: readonly Cidr[] = []
  #routes: readonly PeerRoute[] = []
  #problems: readonly string[] = []

  constructor(options: NodeNetworkOptions) {
    this.#options = options
    this.reconciler = new Reconciler({ name: 'network', log: options.log, gatherMs: GATHER_MS, run: () => this.#run() })
  }

  /** The bridge, when it stands. */
  get bridge(): { readonly name: string; readonly index: number } | undefined {
    return this.#bridge
  }

  /** What pods' links get where nobody says otherwise; bytes. */
  get mtu(): number {
    return this.#mtu
  }

  get subnets(): readonly Cidr[] {
    return this.#subnets
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

  /** Something changed in the kernel: looked at only where it is ours, or the node's own link. */
  observed(event: NetworkEvent): void {
    if (this.#concerns(event)) this.reconciler.trigger()
  }

  #concerns(event: NetworkEvent): boolean {
    switch (event.kind) {
      case 'link':
        // Pods' links come and go. Any other may be the one that the node's address is on, or soon will be.
        return !event.link.name.startsWith(VETH_PREFIX)
      case 'address':
        return event.address.index === this.#bridge?.index || this.#isOwnAddress(event.address.address)
      case 'route':
        return event.gone && event.route.protocol === ROUTE_PROTOCOL
      case 'lost':
        return true
    }
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
    if (self === undefined || self.podCIDRs.length === 0) {
      // What stands is left standing: an answer that is missing says nothing about the pods that run.
      this.#problems = [self === undefined ? `no Node object named ${node}` : `Node ${node} has no spec.podCIDRs yet`]
      return
    }
    this.#subnets = self.podCIDRs
    const nodes = [...store.all('Node').values()]
    const { routes, problems } = desiredRoutes(nodes, node)
    await this.#reconcileBridge(self)
    await this.#reconcileRoutes(routes)
    await this.#reconcileMasquerade(self, nodes)
    this.#problems = problems
    onSubnets(self.podCIDRs)
  }

  async #reconcileBridge(self: Node): Promise<void> {
    const { kernel, onBridge } = this.#options
    const [links, addresses] = await Promise.all([observeLinks(kernel.route), observeAddresses(kernel.route)])
    this.#mtu = uplinkMtu(self, links, addresses)
    const actual = {
      link: links.get(BRIDGE),
      addresses,
      sysctls: observeSysctls([...bridgeSysctls(BRIDGE).keys()]),
    }
    const ops = planBridge({ name: BRIDGE, subnets: self.podCIDRs, mtu: this.#mtu }, actual)
    await kernel.applier.apply(ops)
    const link = actual.link ?? (await observeLink(kernel.route, BRIDGE))
    if (link === undefined || link.index === this.#bridge?.index) return
    const bridge = { name: BRIDGE, index: link.index }
    await onBridge(bridge)
    this.#bridge = bridge
  }

  async #reconcileRoutes(routes: readonly PeerRoute[]): Promise<void> {
    const { kernel, log } = this.#options
    const families = FAMILIES.map((family) => observeRoutes(kernel.route, family, { protocol: ROUTE_PROTOCOL }))
    const ops = planPeerRoutes(routes, (await Promise.all(families)).flat())
    this.#routes = routes
    if (ops.length === 0) return
    log.info({ operations: ops.length, routes: routes.length }, 'routes to other nodes change')
    await kernel.applier.apply(ops)
  }

  async #reconcileMasquerade(self: Node, nodes: readonly Node[]): Promise<void> {
    const { kernel, masqueradeExceptions } = this.#options
    const exceptions = [...nodes.flatMap(({ podCIDRs }) => podCIDRs), ...masqueradeExceptions]
    const ops = planMasquerade({ sources: self.podCIDRs, exceptions }, await this.#observeMasquerade())
    await kernel.applier.apply(ops)
  }

  async #observeMasquerade(): Promise<MasqueradeActual | undefined> {
    const { netfilter } = this.#options.kernel
    const structure = await observeRuleset(netfilter, MASQUERADE)
    if (structure === undefined) return undefined
    const elements = new Map<string, Element[]>()
    for (const set of MASQUERADE_SETS.flatMap(({ sources, exceptions }) => [sources, exceptions]))
      if (structure.sets.has(set.name)) elements.set(set.name, await observeElements(netfilter, MASQUERADE, set))
    return { structure, elements }
  }
}

/** The MTU of the link that carries the node's own address: pods' packets leave by it. */
function uplinkMtu(self: Node, links: ReadonlyMap<string, Link>, addresses: readonly Address[]): number {
  const own = new Set(self.internalIPs.map(({ address }) => address))
  const index = addresses.find(({ address }) => own.has(address))?.index
  return [...links.values()].find((link) => link.index === index)?.mtu ?? DEFAULT_MTU
}
