import { closeSync, fstatSync, statSync } from 'node:fs'
import { familyOf, parseCidr } from '../base/ip.js'
import { asNetloomError, NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import { type AttachmentPlan, gatewayFor, planForget, planHostSide, planPodSide, planReattach } from '../cni/attach.js'
import { checkAttachment } from '../cni/check.js'
import { CNI_CODE, CniFailure } from '../cni/error.js'
import { attachmentOf, type CniRequest } from '../cni/request.js'
import { addResult, type Attached } from '../cni/result.js'
import { type Journal } from '../ipam/journal-io.js'
import { type Pool } from '../ipam/pool.js'
import { Applier } from '../kernel/apply.js'
import { inNamespace, openNamespace } from '../kernel/netns.js'
import { observeAddresses, observeLink, observeLinks, observeRoutes } from '../kernel/observe.js'
import { openSocket, PROTOCOL } from '../kernel/socket.js'
import { Talk } from '../kernel/talk.js'
import { type Attachment, hostInterfaceOf, type Lease, leaseKey, macOf } from '../model/lease.js'
import { gatewayMac } from '../model/podnetwork.js'
import { FAMILIES } from '../base/family.js'
import { type Kernel } from './kernel.js'
import { type NodeNetwork } from './node-network.js'
import { Reaper } from './reaper.js'

export interface AttachmentsOptions {
  readonly kernel: Kernel
  readonly network: NodeNetwork
  readonly pool: Pool
  readonly journal: Journal
  readonly log: Logger
}

/** A pod's namespace, opened: what is done in it is done through its own netlink socket. */
interface Pod {
  readonly fd: number
  readonly route: Talk
}

/** Attaches pods to the node's bridge and takes them off it. */
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

  /**
   * Attaches a pod. When it answers, packets flow; when it throws, nothing is left of it.
   * @throws NetloomError
   */
  async add(request: CniRequest): Promise<object> {
    const { pool, network } = this.#options
    return this.#exclusively(attachmentOf(request), async () => {
      const present = pool.find(attachmentOf(request))
      if (present !== undefined)
        throw new NetloomError(
          'exists',
          `container ${request.containerId} has ${request.ifname} with ${present.addresses.map(({ address }) => address).join(', ')}`,
        )
      const { bridge, subnets } = network
      if (bridge === undefined) throw new NetloomError('unavailable', "the node's bridge does not stand yet")
      const mtu = request.config.mtu === 'auto' ? network.mtu : request.config.mtu
      return this.#withPod(request.netns, async (pod) => {
        const further = [...this.leases].some(({ containerId }) => containerId === request.containerId)
        const plan = { lease: this.#lease(request), bridge, subnets, mtu, further }
        try {
          await this.#attach(plan, pod)
          return addResult(request.config, attachedOf(plan))
        } catch (error) {
          await this.#takeBack(plan.lease)
          throw error
        }
      })
    })
  }

  /** Takes addresses and remembers them before anything is made of them. */
  #lease(request: CniRequest): Lease {
    const { pool, journal } = this.#options
    const attachment = attachmentOf(request)
    const addresses = pool.choose()
    const lease: Lease = {
      ...attachment,
      netns: request.netns,
      addresses,
      mode: 'bridge',
      hostInterface: hostInterfaceOf(attachment),
      mac: macOf(addresses[0]?.address ?? ''),
      spoofCheck: false,
      ports: [],
      aliases: [],
      ...(request.pod === undefined ? {} : { pod: request.pod }),
    }
    journal.add(lease)
    pool.add(lease)
    return lease
  }

  async #attach(plan: AttachmentPlan, { fd, route }: Pod): Promise<void> {
    const { bridge, lease } = plan
    const known = new Map([[bridge.name, bridge.index]])
    const made = await this.#options.kernel.applier.apply(planHostSide(plan, fd), known)
    const inside = made.get(lease.hostInterface)?.peerIndex
    const knownInside = new Map(inside === undefined ? [] : [[lease.ifname, inside]])
    await new Applier({ route, namespace: fd }).apply(planPodSide(plan), knownInside)
  }

  /** What cannot be taken back now is when the runtime calls DEL, or at the next start: the lease stays until then. */
  async #takeBack(lease: Lease): Promise<void> {
    try {
      await this.#release(lease)
    } catch (error) {
      this.#options.log.error({ err: error, lease }, 'a failed attachment could not be taken back')
    }
  }

  /** Takes a pod off; succeeds whatever is gone already (CNI specification, "DEL"). */
  async del(request: CniRequest): Promise<void> {
    const attachment = attachmentOf(request)
    await this.#exclusively(attachment, async () => {
      const lease = this.#options.pool.find(attachment)
      // Without a lease there may still be a link, of a crash or of a state directory that was lost.
      if (lease === undefined) await this.#reaper.delete(hostInterfaceOf(attachment))
      else await this.#release(lease)
    })
  }

  /** First the link, then the address: it must not be given to another while packets for it still arrive. */
  async #release(lease: Lease): Promise<void> {
    const { journal, pool, kernel, network } = this.#options
    await this.#reaper.delete(lease.hostInterface)
    if (network.bridge !== undefined)
      await kernel.applier.apply(
        planForget(lease, network.bridge),
        new Map([[network.bridge.name, network.bridge.index]]),
      )
    journal.remove(lease)
    pool.remove(lease)
  }

  /**
   * Compares an attachment with what it was made as.
   * @throws CniFailure naming the first thing that is not so.
   */
  async check(request: CniRequest): Promise<void> {
    const { pool, kernel, network } = this.#options
    const lease = pool.find(attachmentOf(request))
    if (lease === undefined)
      throw new CniFailure(CNI_CODE.UNKNOWN_CONTAINER, `container ${request.containerId} has no ${request.ifname}`)
    const host = await observeLink(kernel.route, lease.hostInterface)
    await this.#withPod(request.netns, async ({ route }) => {
      const routes = await Promise.all(FAMILIES.map((family) => observeRoutes(route, family, {})))
      checkAttachment({
        lease,
        bridge: network.bridge,
        subnets: network.subnets,
        host,
        link: await observeLink(route, lease.ifname),
        addresses: await observeAddresses(route),
        routes: routes.flat(),
      })
    })
  }

  /** Releases what the runtime no longer has in its list. */
  async gc({ config }: CniRequest): Promise<void> {
    const { pool, log } = this.#options
    const valid = new Set((config.validAttachments ?? []).map((entry) => leaseKey({ network: config.name, ...entry })))
    const stale = [...pool.leases.values()].filter(
      (lease) => lease.network === config.name && !valid.has(leaseKey(lease)) && !this.#busy.has(leaseKey(lease)),
    )
    await Promise.all(stale.map((lease) => this.#exclusively(lease, () => this.#release(lease))))
    if (stale.length > 0) log.info({ network: config.name, released: stale.length }, 'garbage was collected')
  }

  /**
   * Compares leases with links after a start: a crash may have come between the two. A lease without its link is
   * given up; a link of ours without a lease is deleted.
   */
  async recover(links: Iterable<string>, isOurs: (name: string) => boolean): Promise<void> {
    const { pool, log } = this.#options
    const present = new Set(links)
    const known = new Set([...pool.leases.values()].map(({ hostInterface }) => hostInterface))
    const lost = [...pool.leases.values()].filter(({ hostInterface }) => !present.has(hostInterface))
    const strays = [...present].filter((name) => isOurs(name) && !known.has(name))
    await Promise.all([
      ...lost.map((lease) => this.#release(lease)),
      ...strays.map((name) => this.#reaper.delete(name)),
    ])
    if (lost.length + strays.length > 0) log.warn({ leases: lost.length, links: strays.length }, 'remains were removed')
  }

  /** Brings attachments back whose link is no port of the bridge: it was made anew, or somebody took the link off. */
  async reattach(bridge: { readonly name: string; readonly index: number }): Promise<void> {
    const { pool, kernel, log } = this.#options
    const links = await observeLinks(kernel.route)
    const loose = [...pool.leases.values()].filter((lease) => {
      const link = links.get(lease.hostInterface)
      return link !== undefined && link.master !== bridge.index && !this.#busy.has(leaseKey(lease))
    })
    for (const lease of loose) await kernel.applier.apply(planReattach(lease, bridge))
    if (loose.length > 0) log.warn({ attachments: loose.length, bridge }, 'attachments were brought back to the bridge')
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

  async #withPod<T>(netns: string, work: (pod: Pod) => Promise<T>): Promise<T> {
    const fd = openPodNamespace(netns)
    try {
      const route = talkInside(fd, netns)
      try {
        return await work({ fd, route })
      } finally {
        route.close()
      }
    } finally {
      closeSync(fd)
    }
  }
}

function attachedOf({ lease, subnets, mtu }: AttachmentPlan): Attached {
  const addresses = lease.addresses.map(({ address }) => {
    const family = familyOf(address)
    if (family === undefined) throw new NetloomError('internal', `'${address}' is not an address`)
    return { family, address, prefix: family.bits, gateway: gatewayFor(address, subnets) }
  })
  return {
    hostInterface: lease.hostInterface,
    hostMac: gatewayMac(subnets),
    ifname: lease.ifname,
    mac: lease.mac,
    netns: lease.netns,
    mtu,
    addresses,
    routes: addresses.map(({ family, gateway }) => ({ destination: parseCidr(family.everything), gateway })),
  }
}

/** Opens a pod's namespace; the node's own is refused, since the node's network would be taken for a pod's. */
function openPodNamespace(netns: string): number {
  let fd: number
  try {
    fd = openNamespace(netns)
  } catch (error) {
    throw new CniFailure(
      CNI_CODE.UNKNOWN_CONTAINER,
      `CNI_NETNS ${netns}: ${asNetloomError(error).message}`,
      'CNI_NETNS',
    )
  }
  const own = statSync('/proc/self/ns/net')
  const other = fstatSync(fd)
  if (other.ino !== own.ino || other.dev !== own.dev) return fd
  closeSync(fd)
  throw notThePods(netns, "the node's own namespace")
}

const notThePods = (netns: string, what: string): CniFailure =>
  new CniFailure(CNI_CODE.INVALID_ENVIRONMENT, `CNI_NETNS ${netns} is ${what}`, 'CNI_NETNS')

/** A conversation within an opened namespace. */
function talkInside(fd: number, netns: string): Talk {
  try {
    return inNamespace(fd, () => new Talk(openSocket({ protocol: PROTOCOL.ROUTE, bufferBytes: 0 })))
  } catch (error) {
    if (error instanceof NetloomError && error.errno === EINVAL) throw notThePods(netns, 'not a network namespace')
    throw error
  }
}

/** What setns answers for a file that is none, or one of another kind. */
const EINVAL = 22
