import { FAMILIES } from '../base/family.js'
import { type Cidr } from '../base/ip.js'
import { BRIDGE } from '../base/names.js'
import { type Bridge } from '../cni/attach.js'
import { type FurtherNetworks, furtherNetworks } from '../cni/networks.js'
import { type Link } from '../codec/rtnl/link.js'
import { observeAddresses, observeLink, observeRoutes, observeSysctls, observeTable } from '../kernel/observe.js'
import { MASQUERADE_RULESET, masqueradeElements, planMasquerade } from '../masquerade/plan.js'
import { type Lease, macOf } from '../model/lease.js'
import { FORWARDING_SYSCTLS, planBridge, planForwarding, watchedSysctls } from '../routes/bridge.js'
import { RT_TABLE } from '../codec/rtnl/constants.js'
import { type Ground } from './ground.js'
import { type Kernel } from './kernel.js'
import { callsIptables } from './node-network.js'

/** MTU of Ethernet, where there is no way out to follow. */
const DEFAULT_MTU = 1500

/**
 * A node that no agent looks after: all that its containers need follows from their leases, and is put right at each
 * call. It has no networks of its own, so that every container has a route.
 */
export class BareNode implements Ground {
  readonly #kernel: Kernel
  readonly #leases: () => Iterable<Lease>
  #link: Link | undefined
  #mtu = DEFAULT_MTU
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(kernel: Kernel, leases: () => Iterable<Lease>) {
    this.#kernel = kernel
    this.#leases = leases
  }

  readonly subnets: readonly Cidr[] = []
  readonly givesOwn = false

  get bridge(): Bridge | undefined {
    const link = this.#link
    return link?.mac === undefined ? undefined : { name: link.name, index: link.index, mac: link.mac }
  }

  get mtu(): number {
    return this.#mtu
  }

  get redirect(): boolean {
    return callsIptables(this.#link)
  }

  /** Looks at what is there. */
  async observe(): Promise<void> {
    this.#link = await observeLink(this.#kernel.route, BRIDGE)
    this.#mtu = (await this.#wayOut())?.mtu ?? DEFAULT_MTU
  }

  /** The link of the default route: packets leave by it, so they may be as large as it takes. */
  async #wayOut(): Promise<Link | undefined> {
    const { route } = this.#kernel
    for (const family of FAMILIES) {
      const routes = await observeRoutes(route, family, { table: RT_TABLE.MAIN })
      const index = routes.find(({ destination, dead }) => destination.prefix === 0 && !dead)?.index
      if (index !== undefined) return observeLink(route, index)
    }
    return undefined
  }

  /** One time for all that ask while another is under way. */
  async leasesChanged(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(async () => {
        this.#next = undefined
        this.#running = this.#reconcile()
        await this.#running
      })
    await this.#next
  }

  async #reconcile(): Promise<void> {
    const networks = furtherNetworks(this.#leases(), this.subnets)
    await this.#reconcileBridge(networks)
    const desired = { sources: networks.masqueraded, exceptions: networks.networks }
    const { applier, netfilter } = this.#kernel
    await applier.apply(planMasquerade(masqueradeElements(desired), await observeTable(netfilter, MASQUERADE_RULESET)))
  }

  async #reconcileBridge({ gateways, networks }: FurtherNetworks): Promise<void> {
    const { applier, route } = this.#kernel
    const [first] = gateways
    if (first === undefined && this.#link === undefined) {
      const families = networks.map(({ family }) => family)
      await applier.apply(planForwarding(families, observeSysctls(FORWARDING_SYSCTLS)))
      return
    }
    const mac = this.#link?.mac ?? macOf(first?.address ?? '')
    const desired = { name: BRIDGE, subnets: [], gateways, mac, mtu: this.#mtu }
    const actual = {
      link: this.#link,
      addresses: await observeAddresses(route),
      sysctls: observeSysctls(watchedSysctls(desired)),
    }
    const ops = planBridge(desired, actual)
    await applier.apply(ops)
    if (ops.length > 0) this.#link = await observeLink(route, BRIDGE)
  }
}
