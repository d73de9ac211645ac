import { NetloomError } from '../base/errors.js'
import { IPV6 } from '../base/family.js'
import { type Cidr, cidrContains } from '../base/ip.js'
import { type Logger } from '../base/log.js'
import { BRIDGE, POD_ROUTE_PROTOCOL } from '../base/names.js'
import { type Bridge, type Surroundings } from '../cni/attach.js'
import { furtherNetworks } from '../cni/networks.js'
import { type Table } from '../codec/nft/table.js'
import { type Address } from '../codec/rtnl/address.js'
import { type Link } from '../codec/rtnl/link.js'
import { type NetworkEvent } from '../kernel/monitor.js'
import { observeAddresses, observeLink, observeLinksBy, observeSysctls } from '../kernel/observe.js'
import { type Change, type ReadonlyStore } from '../kube/store.js'
import { MASQUERADE } from '../masquerade/plan.js'
import { type Lease } from '../model/lease.js'
import { type Node } from '../model/node.js'
import { gatewayMac } from '../model/podnetwork.js'
import { planBridge, watchedSysctls } from '../routes/bridge.js'
import { type PeerRoute } from '../routes/ways.js'
import { type Routing } from '../routes/routing.js'
import { podMtu } from '../routes/underlay.js'
import { judgeSubnets } from '../subnets/judge.js'
import { type Ground } from './ground.js'
import { type Kernel } from './kernel.js'
import { hostNetworks, Location } from './location.js'
import { LinkWatch } from './link-watch.js'
import { Masquerade } from './masquerade.js'
import { Peers } from './peers.js'
import { Reconciler } from './reconciler.js'

export interface NodeNetworkOptions {
  readonly kernel: Kernel
  readonly store: ReadonlyStore
  /** Name of this node. */
  readonly node: string
  /** Destinations outside of the pod networks that pods reach with their own addresses. */
  readonly masqueradeExceptions: readonly Cidr[]
  readonly routing: Routing
  /** Subnets that the agent before this one worked with. */
  readonly former?: readonly Cidr[]
  /** The node as that agent knew it, for as long as nobody says how it is. */
  readonly standIn?: () => Node | undefined
  readonly log: Logger
  /** Told the pod networks of this node whenever they may have changed. */
  readonly onSubnets: (subnets: readonly Cidr[], self: Node) => void
  /** Told what to publish whenever it is another: see {@link NodeNetwork.published}. */
  readonly onPublished?: (addresses: readonly string[] | undefined) => void
  /** All that are attached. */
  readonly leases: () => Iterable<Lease>
  /** Told when the bridge is found or made, also anew. */
  readonly onBridge: (surroundings: Surroundings) => Promise<void>
  /** Told when br_netfilter began or ceased to translate inside of bridges. */
  readonly onRedirect: (surroundings: Surroundings) => Promise<void>
  /** Told the destination of a route to a container that went. */
  readonly onPodRoute: (destination: string) => Promise<void>
}

/** Milliseconds to gather events. */
const GATHER_MS = 20

/** Milliseconds after which subnets that were refused are judged again: pods or links may have gone that were in the way. */
const REFUSED_MS = 2000

/** Keeps the node's bridge and its masquerade table as Node objects and leases want them; {@link Peers} the rest. */
export class NodeNetwork implements Ground {
  readonly reconciler: Reconciler
  readonly peers: Peers
  readonly #options: NodeNetworkOptions
  readonly #masquerade: Masquerade
  readonly #location: Location
  readonly #links: LinkWatch
  #timer: NodeJS.Timeout | undefined
  #bridge: Bridge | undefined
  #redirect = false
  #mtu: number
  #subnets: readonly Cidr[] = []
  #problems: readonly string[] = []
  /** Why the subnets that the Node has are not used. */
  #refusal: string | undefined
  /** False where bridge, addresses or links may be others than the last run left or found them. */
  #stands = false
  /** Runs that have begun, and the last of them that made bridge and masquerade as the leases want them. */
  #runs = 0
  #fitted = 0

  constructor(options: NodeNetworkOptions) {
    const { kernel, node, routing, log } = options
    this.#options = options
    this.#mtu = podMtu(routing, [])
    this.reconciler = new Reconciler({ name: 'network', log, gatherMs: GATHER_MS, run: () => this.#run() })
    this.peers = new Peers({ kernel, node, routing, log })
    this.#masquerade = new Masquerade(kernel)
    this.#location = new Location(options)
    this.#links = new LinkWatch({
      kernel,
      log,
      onChange: () => this.#look(),
      differs: (links) => callsIptables(links.get(BRIDGE)) !== this.#redirect,
    })
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

  /** Addresses for the annotation of the Node, by which others reach this one; undefined where InternalIPs will do. */
  get published(): readonly string[] | undefined {
    return this.#location.published
  }

  /** A node that cannot be reached, which another reconciler tells of, is no reason to fail. */
  async leasesChanged(): Promise<void> {
    const before = this.#runs
    this.#stands = false
    await this.reconciler.now()
    // The next run may be under way by now: what counts is that one has come to its end that began since.
    if (this.#fitted > before) return
    const why = this.reconciler.error?.message ?? this.#problems[0] ?? 'it is being stopped'
    throw new NetloomError('unavailable', `the node's network: ${why}`)
  }

  get routes(): readonly PeerRoute[] {
    return this.peers.routes
  }

  problems(): readonly string[] {
    return [
      ...this.#problems,
      ...(this.#refusal === undefined ? [] : [this.#refusal]),
      ...this.#location.problems,
      ...this.peers.problems(),
    ]
  }

  /** Subnets that containers of this node have addresses of. */
  get inUse(): readonly Cidr[] {
    const containers = [...this.#options.leases()].flatMap((lease) => lease.addresses.map(({ address }) => address))
    return this.#current.filter((subnet) => containers.some((address) => cidrContains(subnet, address)))
  }

  /** Networks that the node itself is connected to. */
  async hostNetworks(): Promise<readonly Cidr[]> {
    const { addresses, links } = await this.#observeHost()
    return hostNetworks(addresses, links).map(({ cidr }) => cidr)
  }

  /** What this agent works with, or until it does, the one before it. */
  get #current(): readonly Cidr[] {
    return this.#subnets.length > 0 ? this.#subnets : (this.#options.former ?? [])
  }

  /** Why the node does not work with the subnets that it is given; undefined where it does. */
  get refusal(): string | undefined {
    return this.#refusal
  }

  /** Another node's coming costs the bridge nothing: only what the masquerade excepts is more than before. */
  update(changes: readonly Change[]): void {
    if (!this.peers.update(changes)) return
    if (changes.some(({ kind, key }) => kind === 'Node' && key === this.#options.node)) this.#stands = false
    this.reconciler.trigger()
  }

  /** Makes all as wanted for the first time, as far as the source of truth says what that is. */
  async start(): Promise<void> {
    const { store, node } = this.#options
    // A source that was started before tells no snapshot.
    this.peers.update([...store.all('Node')].map(([key, after]) => ({ kind: 'Node', key, before: undefined, after })))
    this.#stands = false
    await this.reconciler.now()
    if (store.get('Node', node) !== undefined) await this.peers.reconciler.now()
  }

  /** Begins to look after our links and the node's own. */
  watch(): void {
    this.#links.start()
    this.peers.watch()
    this.#timer = setInterval(() => {
      if (this.#refusal !== undefined) this.#again()
    }, REFUSED_MS)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#links.close()
    await Promise.all([this.reconciler.close(), this.peers.close()])
  }

  /** Something changed in the kernel: looked at only where it is ours, or the node's own address. */
  observed(event: NetworkEvent): void {
    if (event.kind === 'route' && event.gone && event.route.protocol === POD_ROUTE_PROTOCOL)
      void this.#restore(event.route.destination.address)
    else this.peers.observed(event)
    if (event.kind === 'lost') this.#look()
    else if (event.kind === 'address') this.#addressed(event.address)
  }

  async #restore(destination: string): Promise<void> {
    try {
      await this.#options.onPodRoute(destination)
    } catch (error) {
      this.#options.log.error({ err: error, destination }, 'a route to a container could not be restored')
    }
  }

  #addressed({ index, address }: Address): void {
    if (this.peers.isDevice(index)) return
    if (index === this.#bridge?.index) this.#again()
    else if (this.#location.underlays.some((underlay) => underlay.index === index) || this.#mayBeOwn(address))
      this.#look()
  }

  /** Where addresses are selected, any may be the one that is waited for. */
  #mayBeOwn(address: string): boolean {
    const { node, routing, store } = this.#options
    if ([...(routing.select.interfaces ?? []), ...(routing.select.cidrs ?? [])].length > 0) return true
    return store.get('Node', node)?.internalIPs.some((own) => own.address === address) ?? false
  }

  /** A table was changed by somebody else; undefined where it may be any. */
  drifted(table: Table | undefined): void {
    this.peers.tableDrifted(table)
    if (!this.#masquerade.drifted(table)) return
    this.#options.log.warn({ table: MASQUERADE }, 'the masquerade table was changed by another program')
    this.reconciler.trigger()
  }

  /** The node's links or addresses are others, and the kernel may have taken routes with them without telling. */
  #look(): void {
    this.#again()
    this.peers.drifted()
  }

  #again(): void {
    this.#stands = false
    this.reconciler.trigger()
  }

  async #run(): Promise<void> {
    const { node, store, standIn, onSubnets } = this.#options
    const known = store.get('Node', node)
    const self = known ?? standIn?.()
    const run = ++this.#runs
    if (self === undefined || self.podCIDRs.length === 0) {
      // What stands is left standing: an answer that is missing says nothing about the pods that run.
      this.#problems = [self === undefined ? `no Node object named ${node}` : `Node ${node} has no spec.podCIDRs yet`]
      return
    }
    this.#problems = []
    if (!this.#stands) {
      // What happens from here on may come too late for this run.
      this.#stands = true
      await this.#stand(self).catch((error: unknown) => {
        this.#stands = false
        throw error
      })
      onSubnets(this.#subnets, self)
    }
    // Of other nodes nothing is known while this one is only remembered: what stands is right, or nobody knows better.
    if (known !== undefined) await this.#reconcileMasquerade()
    this.#fitted = run
  }

  /** Where the node is, and its bridge. */
  async #stand(self: Node): Promise<void> {
    const { routing, store } = this.#options
    const { addresses, links } = await this.#observeHost()
    this.#subnets = this.#judge(self, addresses, links)
    this.#location.find(self, addresses, links)
    this.#mtu = podMtu(routing, this.#location.underlays)
    if (this.#subnets.length === 0) return // and the refusal says why
    await this.#reconcileBridge(addresses, links)
    if (store.get('Node', self.name) !== undefined)
      this.peers.follow({ subnets: this.#subnets, underlays: this.#location.underlays })
  }

  /** Addresses of this network namespace, and the links that they are on by their index. */
  async #observeHost(): Promise<{ addresses: readonly Address[]; links: ReadonlyMap<number, Link> }> {
    const { route } = this.#options.kernel
    const addresses = await observeAddresses(route)
    const indexes = addresses.map(({ index }) => index)
    return { addresses, links: await observeLinksBy(route, indexes) }
  }

  /** The subnets to work with: those that the Node has, unless something speaks against them. */
  #judge(self: Node, addresses: readonly Address[], links: ReadonlyMap<number, Link>): readonly Cidr[] {
    const { log } = this.#options
    const current = this.#current
    const verdict = judgeSubnets({
      current,
      inUse: this.inUse,
      desired: self.podCIDRs,
      hostNetworks: hostNetworks(addresses, links),
    })
    const refusal = verdict.verdict === 'refuse' ? verdict.message : undefined
    if (refusal !== undefined && refusal !== this.#refusal) log.error({ node: self.name }, refusal)
    this.#refusal = refusal
    return verdict.verdict === 'accept' ? verdict.subnets : current
  }

  async #reconcileBridge(addresses: readonly Address[], links: ReadonlyMap<number, Link>): Promise<void> {
    const { kernel, onBridge, onRedirect } = this.#options
    const subnets = this.#subnets
    const underlays = this.#location.underlays
    // Of the two, the one that IPv6 routers are heard on.
    const uplink = underlays.find(({ family }) => family === IPV6) ?? underlays[0]
    const desired = {
      name: BRIDGE,
      subnets,
      gateways: furtherNetworks(this.#options.leases(), subnets).gateways,
      mtu: this.#mtu,
      uplink: uplink?.link,
    }
    const actual = {
      link: await observeLink(kernel.route, BRIDGE),
      addresses,
      sysctls: observeSysctls(watchedSysctls(desired)),
    }
    const ops = planBridge(desired, actual)
    await kernel.applier.apply(ops)
    const link = ops.length === 0 ? actual.link : await observeLink(kernel.route, BRIDGE)
    this.#links.expect([[BRIDGE, link], ...underlays.map(({ link: name, index }) => [name, links.get(index)] as const)])
    if (link === undefined) return
    const bridge = { name: BRIDGE, index: link.index, mac: gatewayMac(subnets) }
    const redirect = callsIptables(link)
    const surroundings = { bridge, covered: subnets, redirect }
    const [anew, redirected] = [link.index !== this.#bridge?.index, redirect !== this.#redirect]
    if (anew) await onBridge(surroundings)
    else if (redirected) await onRedirect(surroundings)
    this.#bridge = bridge
    this.#redirect = redirect
  }

  async #reconcileMasquerade(): Promise<void> {
    const subnets = this.#subnets
    const { masqueraded, networks } = furtherNetworks(this.#options.leases(), subnets)
    await this.#masquerade.reconcile({
      sources: [...subnets, ...masqueraded],
      exceptions: [...this.peers.known(), ...networks, ...this.#options.masqueradeExceptions],
    })
  }
}

/** Whether br_netfilter hands what passes a bridge to iptables, for all bridges or for this one. */
export function callsIptables(bridge: Link | undefined): boolean {
  const own = bridge?.bridge
  if (own?.nfCallIptables === true || own?.nfCallIp6tables === true) return true
  return [...observeSysctls(BRIDGE_CALLS).values()].includes('1')
}

/** There while the module br_netfilter is loaded. */
const BRIDGE_CALLS = ['net/bridge/bridge-nf-call-iptables', 'net/bridge/bridge-nf-call-ip6tables']
