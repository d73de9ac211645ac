import { type Cidr, type Ip, familyOf, formatCidr } from '../base/ip.js'
import { type Node } from '../model/node.js'
import { Claims } from './claims.js'
import { type PeerRoute, routeTo, type Vantage, WITHOUT } from './ways.js'

interface Peer {
  readonly routes: readonly PeerRoute[]
  /** Addresses that have a way back to this node's pods. */
  readonly hosts: readonly Cidr[]
  /** A line each, for people. */
  readonly problems: readonly string[]
}

/** What a node has to do with tunnels that end at this one. */
export interface Party {
  /** Addresses of this node. */
  readonly own: readonly Ip[]
  /** Addresses of another. */
  readonly peers: readonly Ip[]
  /** Networks of that one's pods. */
  readonly pods: readonly Cidr[]
}

const NO_PEER: Peer = { routes: [], hosts: [], problems: [] }

/**
 * All other nodes and how their pods are reached from here. A node that changes costs what it is, however many there
 * are: its own routes, and those of nodes whose networks overlap with its own.
 */
export class PeerCatalog {
  readonly #self: string
  readonly #claims: Claims
  readonly #nodes = new Map<string, Node>()
  readonly #peers = new Map<string, Peer>()
  #vantage: Vantage = { mode: 'direct', subnets: [], underlays: [] }

  /** @param self name of this node, whose networks come before those of all others */
  constructor(self: string) {
    this.#self = self
    this.#claims = new Claims(self)
  }

  /** Takes over a node as it is now. @returns names of the nodes whose routes may be others because of it */
  set(name: string, node: Node | undefined): ReadonlySet<string> {
    if (node === undefined) this.#nodes.delete(name)
    else this.#nodes.set(name, node)
    const concerned = new Set([name, ...this.#claims.set(name, node?.podCIDRs ?? [])])
    for (const each of concerned) this.#look(each)
    concerned.delete(this.#self)
    return concerned
  }

  /** Looks at all nodes from somewhere else. */
  move(vantage: Vantage): void {
    this.#vantage = vantage
    for (const name of this.#nodes.keys()) this.#look(name)
  }

  routesTo(name: string): readonly PeerRoute[] {
    return (this.#peers.get(name) ?? NO_PEER).routes
  }

  /** All routes, in the order of nodes' names. */
  routes(): PeerRoute[] {
    return this.#inOrder().flatMap(({ routes }) => routes)
  }

  problems(): string[] {
    return this.#inOrder().flatMap(({ problems }) => problems)
  }

  /**
   * Where this node's pods go with their own addresses: to all pods, and to nodes that are reached straight, which have
   * a route back to them. One in a tunnel is sent to outside of it, and its answer would come through routers that know
   * no pods; a route for its address into the tunnel that is carried to that very address would lead in a circle.
   */
  *known(): Iterable<Cidr> {
    for (const { cidr } of this.#claims.all()) yield cidr
    for (const { hosts } of this.#peers.values()) yield* hosts
  }

  /** A node as the guard of tunnels needs to know it; nothing of one that is gone. */
  partyOf(name: string): Party {
    if (name === this.#self) return { own: this.#own(), peers: [], pods: [] }
    const node = this.#nodes.get(name)
    if (node === undefined) return { own: [], peers: [], pods: [] }
    const own = new Set(this.#own().map(({ address }) => address))
    return {
      own: [],
      // An address of this node is never another's.
      peers: addressesOf(node).filter(({ address }) => !own.has(address)),
      pods: this.routesTo(name).map(({ destination }) => destination),
    }
  }

  /** All of them, this node's own included. */
  parties(): Map<string, Party> {
    return new Map([this.#self, ...this.#nodes.keys()].map((name) => [name, this.partyOf(name)] as const))
  }

  #own(): Ip[] {
    const self = this.#nodes.get(this.#self)
    return [
      ...this.#vantage.underlays.map(({ family, address }): Ip => ({ family, address })),
      ...(self === undefined ? [] : addressesOf(self)),
    ]
  }

  #inOrder(): Peer[] {
    return [...this.#peers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, peer]) => peer)
  }

  #look(name: string): void {
    const node = this.#nodes.get(name)
    if (node === undefined) this.#peers.delete(name)
    else this.#peers.set(name, this.#peer(node))
  }

  #peer(node: Node): Peer {
    const routes: PeerRoute[] = []
    const { name, nodeAddresses, nodeAddressesProblem } = node
    const problems = nodeAddressesProblem === undefined ? [] : [`${nodeAddressesProblem}; its InternalIPs are used`]
    // Packets to it would come back to this node, and the kernel refuses a route through itself.
    const stolen = nodeAddresses.find(({ address }) => this.#vantage.underlays.some((own) => own.address === address))
    if (name !== this.#self && stolen !== undefined) {
      const problem = `node ${name}: its address ${stolen.address} is that of this node`
      return { routes: [], hosts: [], problems: [problem] }
    }
    for (const { claim, refusedFor } of this.#claims.of(name)) {
      const network = formatCidr(claim.cidr)
      const route =
        name === this.#self || refusedFor !== undefined ? undefined : routeTo(node, claim.cidr, this.#vantage)
      if (refusedFor !== undefined)
        problems.push(`pod network ${network} overlaps ${formatCidr(refusedFor.cidr)} of node ${refusedFor.node}`)
      else if (route !== undefined) routes.push(route)
      else if (name !== this.#self)
        problems.push(`${WITHOUT[this.#vantage.mode](claim.cidr)} for pod network ${network}`)
    }
    return { routes, hosts: routes.flatMap(hostOf), problems: problems.map((problem) => `node ${name}: ${problem}`) }
  }
}

/** By either way that others may know them: one that has just chosen another is known by the former for a while. */
const addressesOf = ({ nodeAddresses, internalIPs }: Node): readonly Ip[] =>
  nodeAddresses === internalIPs ? internalIPs : [...nodeAddresses, ...internalIPs]

function hostOf({ kind, destination: { family }, gateway }: PeerRoute): Cidr[] {
  if (kind !== 'direct' || familyOf(gateway) !== family) return []
  return [{ family, address: gateway, prefix: family.bits }]
}
