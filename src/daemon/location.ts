import { type Ip, networkOf } from '../base/ip.js'
import { BRIDGE, TUNNELS, VETH_PREFIX } from '../base/names.js'
import { type Address } from '../codec/rtnl/address.js'
import { type Link } from '../codec/rtnl/link.js'
import { type Node } from '../model/node.js'
import { publishedAddresses, type Selected, selectNodeAddresses } from '../routes/node-addresses.js'
import { type Routing } from '../routes/routing.js'
import { type Underlay, underlaysOf } from '../routes/underlay.js'
import { type HostNetwork } from '../subnets/judge.js'

export interface LocationOptions {
  readonly routing: Routing
  /** Told what to publish whenever it is another: see {@link Location.published}. */
  readonly onPublished?: (addresses: readonly string[] | undefined) => void
}

/** Links of the node's own making: what is on them leads to its pods. */
const OWN_LINKS: ReadonlySet<string> = new Set([BRIDGE, ...Object.values(TUNNELS)])

/** Networks that links are connected to which are none of ours; a single address is no network. */
export const hostNetworks = (addresses: readonly Address[], links: ReadonlyMap<number, Link>): HostNetwork[] =>
  addresses.flatMap(({ family, address, prefix, index }) => {
    const device = links.get(index)?.name
    if (device === undefined || prefix === family.bits || isOwn(device)) return []
    return [{ cidr: networkOf(family, address, prefix), device }]
  })

const isOwn = (device: string): boolean => OWN_LINKS.has(device) || device.startsWith(VETH_PREFIX)

/** Where a node stands among the others: its addresses, and the links and networks that they are on. */
export class Location {
  readonly #options: LocationOptions
  #underlays: readonly Underlay[] = []
  #published: readonly string[] | undefined
  #problems: readonly string[] = []

  constructor(options: LocationOptions) {
    this.#options = options
  }

  get underlays(): readonly Underlay[] {
    return this.#underlays
  }

  /** Addresses for the annotation of the Node, by which others reach this one; undefined where InternalIPs will do. */
  get published(): readonly string[] | undefined {
    return this.#published
  }

  get problems(): readonly string[] {
    return this.#problems
  }

  /** @param links those that the addresses are on, by their index */
  find(self: Node, addresses: readonly Address[], links: ReadonlyMap<number, Link>): void {
    const selected = selectNodeAddresses(self, this.#options.routing.select, { addresses, links, own: OWN_LINKS })
    const found = underlaysOf(selected.addresses, addresses, links)
    this.#underlays = this.#kept(selected, found)
    this.#problems = [
      ...(selected.problem === undefined ? [] : [selected.problem]),
      ...nowhere(selected.addresses, found),
    ]
    this.#publish(publishedAddresses(self, selected.addresses))
  }

  /** Where an address is on no link, the way that was stays: it is about to come, or the Node about to have another. */
  #kept({ addresses }: Selected, found: readonly Underlay[]): Underlay[] {
    const awaited = ({ family }: Underlay): boolean =>
      (addresses.length === 0 || addresses.some((own) => own.family === family)) &&
      !found.some((underlay) => underlay.family === family)
    return [...found, ...this.#underlays.filter(awaited)].sort((a, b) => a.family.bits - b.family.bits)
  }

  #publish(addresses: readonly string[] | undefined): void {
    if (addresses?.join() === this.#published?.join()) return
    this.#published = addresses
    this.#options.onPublished?.(addresses)
  }
}

/** Addresses of the node that are on none of its links: nothing can be sent from them. */
const nowhere = (own: readonly Ip[], underlays: readonly Underlay[]): string[] =>
  own
    .filter(({ address }) => !underlays.some((underlay) => underlay.address === address))
    .map(({ address }) => `node address ${address} is on no link of this node`)
