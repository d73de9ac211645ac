import { asError, invalid, NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import {
  deviceOf,
  planForget,
  planHostRoute,
  planHostSide,
  planPodSide,
  planReattach,
  planRedirection,
  type Surroundings,
  uncovered,
} from '../cni/attach.js'
import { checkAttachment } from '../cni/check.js'
import {
  type InterfaceConfig,
  readInterface,
  readPrevious,
  readValidAttachments,
  requestedByArgs,
} from '../cni/config.js'
import { CNI_CODE, CniFailure } from '../cni/error.js'
import { chainedLease, common, leasedOf, macFor, resultDifferences, resultOf } from '../cni/outcome.js'
import { attachmentOf, type CniRequest } from '../cni/request.js'
import { type CniResult, writeResult } from '../cni/result.js'
import { leasedRoute, routesOf } from '../cni/routes.js'
import { planSweep } from '../cni/sweep.js'
import { type Journal } from '../ipam/journal-io.js'
import { readIpam } from '../ipam/config.js'
import { foundlingOf } from '../ipam/foundling.js'
import { type AddressRequest, type Pool } from '../ipam/pool.js'
import { observeLinks } from '../kernel/observe.js'
import { type Attachment, hostInterfaceOf, ifbOf, type Lease, leaseKey, ownerText } from '../model/lease.js'
import { type Op } from '../ops/op.js'
import { type HostPortRegistry } from '../hostports/registry.js'
import { Container } from './container.js'
import { type Delegation } from './delegation.js'
import { type Companion, type Ground } from './ground.js'
import { findFoundlings } from './foundlings.js'
import { type Kernel } from './kernel.js'
import { findBefore, observeAttachment, observeOnBridge } from './observation.js'
import { Reaper } from './reaper.js'

export interface AttachmentsOptions {
  readonly kernel: Kernel
  readonly ground: Ground
  readonly pool: Pool
  readonly journal: Journal
  readonly delegation: Delegation
  /** Who has which port of the node. */
  readonly ports: HostPortRegistry
  /** Made before the container's link, taken away behind it. */
  readonly guards: readonly Companion[]
  /** Made when the container is attached, taken away before its link. */
  readonly extras: readonly Companion[]
  readonly log: Logger
}

/** Attaches containers to the node's network and takes them off it. */
export class Attachments {
  readonly #options: AttachmentsOptions
  readonly #reaper: Reaper
  /** Attachments that a call is working on; a second call for one of them is told to come again. */
  readonly #busy = new Set<string>()

  constructor(options: AttachmentsOptions) {
    this.#options = options
    this.#reaper = new Reaper(options.kernel.deletions)
  }

  get leases(): Iterable<Lease> {
    return this.#options.pool.leases.values()
  }

  get #surroundings(): Surroundings {
    const { bridge, subnets, redirect } = this.#options.ground
    return { bridge, covered: subnets, redirect }
  }

  /**
   * Attaches a container. When it answers, packets flow; when it throws, nothing is left of it.
   * @throws NetloomError
   */
  async add(request: CniRequest): Promise<object> {
    const attachment = attachmentOf(request)
    return this.#exclusively(attachment, async () => {
      // Nobody was told of what an earlier attempt made, and it may be half of it.
      if (request.again) await this.#detach(request)
      else this.#refuseSecond(attachment)
      const wanted = readInterface(request.config)
      const previous = readPrevious(request.config)
      return Container.within(request.netns, async (container) => {
        const call = { request, wanted, previous, container }
        const result = (await this.#addChained(call)) ?? (await this.#addOwn(call))
        return writeResult(result, request.config.cniVersion)
      })
    })
  }

  #refuseSecond(attachment: Attachment): void {
    const { pool } = this.#options
    const present = pool.find(attachment) ?? pool.find(foundlingOf(attachment))
    if (present === undefined) return
    const addresses = present.addresses.map(({ address }) => address).join(', ')
    throw new NetloomError('exists', `container ${attachment.containerId} has ${attachment.ifname} with ${addresses}`)
  }

  /** Where a plugin before us made the interface: what is asked of us beside it. */
  async #addChained({ request, wanted, previous, container }: Call): Promise<CniResult | undefined> {
    const { kernel } = this.#options
    if (previous === undefined) return undefined
    const found = await findBefore(previous, request, { route: kernel.route, container })
    if (found === undefined) return undefined
    const lease = chainedLease(request, wanted, { previous, found })
    this.#remember(lease)
    await this.#orTakeBack(lease, async () => {
      for (const guard of this.#options.guards) await guard.add(lease)
      await this.#addExtras(lease)
    })
    return previous
  }

  async #addOwn({ request, wanted, previous, container }: Call): Promise<CniResult> {
    const { delegation, ground } = this.#options
    const given = await delegation.add(request)
    try {
      const lease = this.#lease(request, wanted, given)
      this.#remember(lease)
      await this.#orTakeBack(lease, () => this.#attach(lease, container, wanted.sysctls))
      return resultOf(lease, { bridge: ground.bridge, dns: { ...given?.dns, ...wanted.dns }, previous })
    } catch (error) {
      await delegation.undo(request)
      throw error
    }
  }

  /**
   * All that an attachment is to be. It is remembered at once: nobody may choose the same address in between.
   * @param given what another plugin's IPAM answered
   */
  #lease(request: CniRequest, wanted: InterfaceConfig, given: CniResult | undefined): Lease {
    const { ground, pool } = this.#options
    const { delegate } = request.config
    const addresses =
      given === undefined ? pool.choose(this.#requestOf(wanted, request.args.ips)) : leasedOf(delegate ?? '', given)
    const further = [...this.leases].some(({ containerId }) => containerId === request.containerId)
    return {
      ...common(request, wanted),
      addresses,
      mode: wanted.mode,
      hostInterface: hostInterfaceOf(attachmentOf(request)),
      mac: wanted.mac ?? request.args.mac ?? macFor(addresses),
      mtu: wanted.mtu === 'auto' ? ground.mtu : wanted.mtu,
      routes: routesOf({
        addresses,
        routes: [...(given?.routes.map(leasedRoute) ?? []), ...wanted.routes],
        defaultRoute: wanted.defaultRoute ?? given === undefined,
        further,
      }),
      spoofCheck: wanted.spoofCheck ?? true,
      ...(delegate === undefined ? {} : { ipam: delegate }),
    }
  }

  /** What addresses are asked for, of those that are ours to give. */
  #requestOf({ ipam, ipRanges, requested }: InterfaceConfig, byArgs: readonly string[] = []): AddressRequest {
    const own = readIpam(ipam, ipRanges)
    if (own.sets.length === 0 && !this.#options.ground.givesOwn)
      throw invalid('ipam.ranges', 'is missing, and without an agent there is nobody who knows others')
    return { ...own, requested: [...requested, ...requestedByArgs(byArgs)] }
  }

  #remember(lease: Lease): void {
    const { journal, pool, ports } = this.#options
    ports.claim(lease)
    try {
      journal.add(lease)
    } catch (error) {
      ports.release(lease)
      throw error
    }
    pool.add(lease)
  }

  /** What fails half-way is undone, in the opposite order. */
  async #orTakeBack(lease: Lease, make: () => Promise<void>): Promise<void> {
    try {
      await make()
    } catch (error) {
      await this.#takeBack(lease)
      throw error
    }
  }

  async #attach(lease: Lease, container: Container, sysctls: ReadonlyMap<string, string>): Promise<void> {
    const { kernel, ground, guards } = this.#options
    if (uncovered(lease, this.#surroundings).length > 0) await ground.leasesChanged()
    for (const guard of guards) await guard.add(lease)
    const made = await kernel.applier.apply(planHostSide(lease, this.#surroundings, container.fd), this.#known())
    const inside = made.get(lease.hostInterface)?.peerIndex
    const knownInside = new Map(inside === undefined ? [] : [[lease.ifname, inside]])
    await container.apply(planPodSide(lease, sysctls), knownInside)
    await this.#addExtras(lease)
  }

  async #addExtras(lease: Lease): Promise<void> {
    for (const extra of this.#options.extras) await extra.add(lease)
  }

  /** The bridge's index, which need not be asked of the kernel. */
  #known(): ReadonlyMap<string, number> {
    const { bridge } = this.#options.ground
    return new Map(bridge === undefined ? [] : [[bridge.name, bridge.index]])
  }

  /** What cannot be taken back now is when the runtime calls DEL, or at the next start: the lease stays until then. */
  async #takeBack(lease: Lease): Promise<void> {
    try {
      await this.#release(lease)
    } catch (error) {
      this.#options.log.error({ err: error, lease }, 'a failed attachment could not be taken back')
    }
  }

  /** Takes a container off; succeeds whatever is gone already (CNI specification, "DEL"). */
  async del(request: CniRequest): Promise<void> {
    await this.#exclusively(attachmentOf(request), () => this.#detach(request))
  }

  async #detach(request: CniRequest): Promise<void> {
    const { pool, delegation } = this.#options
    const attachment = attachmentOf(request)
    const lease = pool.find(attachment) ?? pool.find(foundlingOf(attachment))
    // Without a lease there may still be links, of a crash or of a state directory that was lost.
    if (lease === undefined) await this.#deleteLinks([hostInterfaceOf(attachment), ifbOf(attachment)])
    else await this.#release(lease)
    await delegation.del(request)
  }

  async #deleteLinks(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#reaper.delete(name)))
  }

  /** First the link, then the address: it must not be given to another while packets for it still arrive. */
  async #release(lease: Lease): Promise<void> {
    const { journal, pool, ports, kernel, ground, guards, extras } = this.#options
    for (const extra of [...extras].reverse()) await extra.remove(lease)
    await this.#deleteLinks(linksOf(lease))
    if (ground.bridge !== undefined)
      await kernel.applier.apply(planForget(lease, ground.bridge.name, ground.subnets), this.#known())
    for (const guard of [...guards].reverse()) await guard.remove(lease)
    journal.remove(lease)
    pool.remove(lease)
    ports.release(lease)
    if (lease.mode !== 'chained' && uncovered(lease, this.#surroundings).length > 0) await ground.leasesChanged()
  }

  /**
   * Compares an attachment with what it was made as.
   * @throws CniFailure naming the first thing that is not so.
   */
  async check(request: CniRequest): Promise<void> {
    const { pool, guards, extras, delegation, kernel } = this.#options
    const lease = pool.find(attachmentOf(request))
    if (lease === undefined)
      throw new CniFailure(CNI_CODE.UNKNOWN_CONTAINER, `container ${request.containerId} has no ${request.ifname}`)
    const previous = readPrevious(request.config)
    const [unlike] = previous === undefined ? [] : resultDifferences(lease, previous)
    if (unlike !== undefined) throw new CniFailure(CNI_CODE.CHANGED, unlike)
    await Container.within(request.netns, async (container) => {
      const sight = { surroundings: this.#surroundings, route: kernel.route, container }
      checkAttachment(await observeAttachment(lease, sight))
    })
    for (const companion of [...guards, ...extras]) {
      const [difference] = await companion.differences(lease)
      if (difference !== undefined) throw new CniFailure(CNI_CODE.CHANGED, difference)
    }
    await delegation.check(request)
  }

  /**
   * Says whether another container could be attached.
   * @throws CniFailure `50` where it could not
   */
  async status(request: CniRequest): Promise<void> {
    const { pool, delegation } = this.#options
    await delegation.status(request)
    if (request.config.delegate !== undefined) return
    try {
      pool.choose(this.#requestOf(readInterface(request.config)))
    } catch (error) {
      throw new CniFailure(CNI_CODE.NOT_AVAILABLE, asError(error).message)
    }
  }

  /** Releases what the runtime no longer has in its list. */
  async gc(request: CniRequest): Promise<void> {
    const { pool, log, delegation } = this.#options
    const network = request.config.name
    const attachments = readValidAttachments(request.config)
    const valid = attachments && new Set(attachments.map((entry) => leaseKey({ network, ...entry })))
    const isStale = (lease: Lease): boolean =>
      lease.network === network && valid?.has(leaseKey(lease)) === false && !this.#busy.has(leaseKey(lease))
    const stale = [...pool.leases.values()].filter(isStale)
    // All of them, whatever becomes of one: who calls again is not to find others still under way.
    const released = await Promise.allSettled(
      stale.map((lease) => this.#exclusively(lease, () => this.#release(lease))),
    )
    for (const outcome of released) if (outcome.status === 'rejected') throw asError(outcome.reason)
    await delegation.gc(request)
    if (stale.length > 0) log.info({ network, released: stale.map(ownerText) }, 'garbage was collected')
  }

  /** Gives leases to links whose own were lost with a damaged journal: their containers keep their addresses. */
  async adopt(): Promise<void> {
    const { kernel, pool, journal, log } = this.#options
    const { found, unknown } = await findFoundlings(kernel, this.leases)
    const lost = [...unknown]
    for (const lease of found)
      try {
        pool.add(lease)
        journal.add(lease)
      } catch (error) {
        lost.push(lease.hostInterface)
        log.error({ err: error, hostInterface: lease.hostInterface }, 'somebody else has the addresses of a link')
      }
    log.error({ found: found.map(({ hostInterface }) => hostInterface), lost }, 'links without leases were taken over')
  }

  /**
   * Compares leases with links after a start: a crash may have come between the two. A lease without its link is
   * given up; a link of ours without a lease is deleted, and what the bridge knows of a container without one.
   */
  async recover(isOurs: (name: string) => boolean): Promise<void> {
    const { pool, log, kernel } = this.#options
    const present = new Set((await observeLinks(kernel.route)).keys())
    const leases = [...pool.leases.values()]
    const known = new Set(leases.flatMap((lease) => [lease.hostInterface, ifbOf(lease)]))
    const lost = leases.filter(({ hostInterface }) => hostInterface !== '' && !present.has(hostInterface))
    const strays = [...present].filter((name) => isOurs(name) && !known.has(name))
    await Promise.all([...lost.map((lease) => this.#release(lease)), this.#deleteLinks(strays)])
    await this.#sweepBridge()
    if (lost.length + strays.length > 0) log.warn({ leases: lost.length, links: strays.length }, 'remains were removed')
  }

  async #sweepBridge(): Promise<void> {
    const { kernel, ground, pool } = this.#options
    const { bridge } = ground
    if (bridge === undefined) return
    const found = await observeOnBridge(kernel.route, bridge)
    await kernel.applier.apply(planSweep(pool.leases.values(), bridge, found), this.#known())
  }

  /** Brings attachments back whose link is no port of the bridge: it was made anew, or somebody took the link off. */
  async reattach(surroundings: Surroundings): Promise<void> {
    const links = await observeLinks(this.#options.kernel.route)
    const loose = this.#ports().filter(({ hostInterface }) => {
      const link = links.get(hostInterface)
      return link !== undefined && link.master !== surroundings.bridge?.index
    })
    await this.#rework(loose, surroundings, planReattach)
    if (loose.length > 0) this.#options.log.warn({ attachments: loose.length }, 'attachments came back to the bridge')
  }

  /** What br_netfilter does has changed. */
  async redirect(surroundings: Surroundings): Promise<void> {
    const links = await observeLinks(this.#options.kernel.route)
    const ports = this.#ports().filter(({ hostInterface }) => links.has(hostInterface))
    await this.#rework(ports, surroundings, planRedirection)
    this.#options.log.info({ redirect: surroundings.redirect }, 'br_netfilter was switched, and the ports with it')
  }

  /** Those that no call is working on. */
  #ports(): Lease[] {
    return [...this.leases].filter((lease) => lease.mode === 'bridge' && !this.#busy.has(leaseKey(lease)))
  }

  async #rework(
    leases: readonly Lease[],
    surroundings: Surroundings,
    plan: (lease: Lease, surroundings: Surroundings) => Op[],
  ): Promise<void> {
    const { bridge } = surroundings
    const known = new Map(bridge === undefined ? [] : [[bridge.name, bridge.index]])
    for (const lease of leases)
      try {
        await this.#options.kernel.applier.apply(plan(lease, surroundings), known)
      } catch (error) {
        // One that another program holds in its hands must not keep the others from it; CHECK tells of it.
        this.#options.log.error({ err: error, hostInterface: lease.hostInterface }, 'a port could not be worked over')
      }
  }

  /** A route of the node to one of its containers went: it is made again where the container is still there. */
  async restoreRoute(destination: string): Promise<void> {
    const { kernel, ground } = this.#options
    for (const lease of this.leases) {
      const leased = lease.addresses.find(({ address }) => address === destination)
      if (leased === undefined || lease.mode === 'chained' || this.#busy.has(leaseKey(lease))) continue
      await kernel.applier.apply([planHostRoute(leased, deviceOf(lease, ground.bridge?.name ?? ''))])
    }
  }

  async #exclusively<T>(attachment: Attachment, work: () => Promise<T>): Promise<T> {
    const key = leaseKey(attachment)
    if (this.#busy.has(key)) throw new NetloomError('unavailable', `another call for ${key} is under way`)
    this.#busy.add(key)
    try {
      return await work()
    } finally {
      this.#busy.delete(key)
    }
  }
}

/** Links that an attachment has on the node; its own end may be another plugin's. */
const linksOf = (lease: Lease): string[] => [
  ...(lease.mode === 'chained' ? [] : [lease.hostInterface]),
  ...(lease.bandwidth?.egress === undefined ? [] : [ifbOf(lease)]),
]

/** An ADD, with all that it is about. */
interface Call {
  readonly request: CniRequest
  readonly wanted: InterfaceConfig
  /** What plugins before us answered. */
  readonly previous: CniResult | undefined
  readonly container: Container
}
