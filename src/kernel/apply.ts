import { writeFileSync } from 'node:fs'
import { asNetloomError, NetloomError } from '../base/errors.js'
import { beginBatch, decodeGeneration, endBatch } from '../codec/nft/table.js'
import { type Request } from '../codec/request.js'
import { decodeLink, getLink, type Link } from '../codec/rtnl/link.js'
import { type FlowsOp, type NftOp, type Op, type SysctlOp } from '../ops/op.js'
import { nftRequests, rtnlRequest, type RtnlOp } from '../ops/requests.js'
import { opText } from '../ops/text.js'
import { deleteFlows } from './flows.js'
import { inNamespace } from './netns.js'
import { sysctlFile } from './sysctl.js'
import { type Talk } from './talk.js'

/** The one place that carries operations out. */

const NFT_KINDS = /^(table|chain|rules?|set|elements)\./
const isNft = (op: Op): op is NftOp => NFT_KINDS.test(op.kind)
const isSysctl = (op: Op): op is SysctlOp => op.kind === 'sysctl.set'
const isFlows = (op: Op): op is FlowsOp => op.kind === 'flows.delete'
const isRtnl = (op: Op): op is RtnlOp => !isNft(op) && !isSysctl(op) && !isFlows(op)

/** Operations that are done already where the kernel knows no such thing. */
const REMOVALS: ReadonlySet<Op['kind']> = new Set([
  'link.delete',
  'address.delete',
  'route.delete',
  'neighbour.delete',
  'vtep.delete',
  'clsact.delete',
  'limit.delete',
  'filter.delete',
])

export interface ApplierOptions {
  /** Talks rtnetlink. */
  readonly route: Talk
  /** Talks nfnetlink; without it, operations on rulesets and flows are refused. */
  readonly netfilter?: Talk
  /** Descriptor of the namespace that `route` is in, where it is another than the process's own; for sysctls. */
  readonly namespace?: number
  /** Told the number of each ruleset generation that this applier makes. */
  readonly onGeneration?: (generation: number) => void
}

export class Applier {
  readonly #options: ApplierOptions

  constructor(options: ApplierOptions) {
    this.#options = options
  }

  /**
   * Carries operations out in their order. Neighbouring operations on a ruleset are one transaction; neighbouring
   * ones on links, addresses, routes and neighbours travel together, but each stands for itself.
   * @param known indexes of links by name, where the caller has them: what is not in it is asked of the kernel
   * @returns the links that were made, as the kernel told them when it made them; none from kernels before 6.2
   * @throws NetloomError naming the first operation that the kernel refused. What stood behind it in the same
   * datagram may be done: the caller observes and plans again.
   */
  async apply(ops: readonly Op[], known: ReadonlyMap<string, number> = new Map()): Promise<ReadonlyMap<string, Link>> {
    const indexes = new Map(known)
    const made = new Map<string, Link>()
    for (const run of runs(ops)) {
      const [first] = run
      if (first === undefined) continue
      if (isSysctl(first)) this.#setSysctls(run.filter(isSysctl))
      else if (isNft(first)) await this.#commit(run.filter(isNft))
      else if (isFlows(first)) await this.#forget(run.filter(isFlows))
      else {
        const links = await this.#configure(run.filter(isRtnl), indexes)
        for (const name of run.flatMap(renews)) indexes.delete(name)
        for (const link of links) {
          made.set(link.name, link)
          indexes.set(link.name, link.index)
        }
      }
    }
    return made
  }

  #setSysctls(ops: readonly SysctlOp[]): void {
    const { namespace } = this.#options
    if (namespace === undefined) setSysctls(ops)
    else inNamespace(namespace, () => setSysctls(ops))
  }

  get #netfilter(): Talk {
    const { netfilter } = this.#options
    if (netfilter === undefined) throw new NetloomError('internal', 'this applier has no nfnetlink socket')
    return netfilter
  }

  async #forget(ops: readonly FlowsOp[]): Promise<void> {
    await deleteFlows({ route: this.#options.route, netfilter: this.#netfilter }, ops)
  }

  async #commit(ops: readonly NftOp[]): Promise<void> {
    const { onGeneration } = this.#options
    const requests = ops.flatMap((op) => nftRequests(op))
    const { refusals, messages } = await this.#netfilter.transaction(beginBatch(), requests, endBatch())
    for (const message of messages) {
      const generation = decodeGeneration(message)
      if (generation !== undefined) onGeneration?.(generation)
    }
    const [refusal] = refusals
    if (refusal !== undefined) throw refusal.error
  }

  /** Answers the links that were made. */
  async #configure(all: readonly RtnlOp[], known: ReadonlyMap<string, number>): Promise<Link[]> {
    const indexes = await this.#indexes(all, known)
    // What was on a link went with it.
    const ops = all.filter((op) => !REMOVALS.has(op.kind) || devicesOf(op).every((device) => indexes.has(device)))
    const indexOf = (device: string): number => {
      const index = indexes.get(device)
      if (index === undefined) throw new NetloomError('not-found', `no link ${device}`, { operation: 'find link' })
      return index
    }
    const requests = ops.map((op) => named(rtnlRequest(op, indexOf), op))
    const outcomes = await this.#options.route.pipeline(requests)
    outcomes.forEach(({ error }, i) => {
      const op = ops[i]
      if (error !== undefined && op !== undefined && !isDone(op, error)) throw error
    })
    return outcomes.flatMap(({ messages }) => messages.flatMap(({ payload }) => decodeLink(payload) ?? []))
  }

  async #indexes(ops: readonly RtnlOp[], known: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, number>> {
    const devices = [...new Set(ops.flatMap(devicesOf))].filter((device) => !known.has(device))
    if (devices.length === 0) return known
    const outcomes = await this.#options.route.pipeline(devices.map((name) => getLink({ name })))
    const indexes = new Map(known)
    outcomes.forEach(({ messages: [message], error }, i) => {
      const device = devices[i]
      if (error !== undefined && error.code !== 'not-found') throw error
      const link = message === undefined ? undefined : decodeLink(message.payload)
      if (link !== undefined && device !== undefined) indexes.set(device, link.index)
    })
    return indexes
  }
}

/** The request under the operation's text, which is made only where an error has to tell it. */
const named = ({ type, flags, body }: Request, op: RtnlOp): Request => ({
  type,
  flags,
  body,
  get operation() {
    return opText(op)
  },
})

/**
 * Removals of which the kernel says EINVAL where there is nothing to remove: of the clsact of a link that had one before
 * and of a root qdisc that has another handle (`Invalid handle`), of filters where none can be (`Parent Qdisc doesn't
 * exists`).
 */
const INVALID_WHERE_GONE: ReadonlySet<Op['kind']> = new Set(['clsact.delete', 'limit.delete', 'filter.delete'])

const isDone = ({ kind }: Op, { code, errno }: NetloomError): boolean =>
  REMOVALS.has(kind) && (code === 'not-found' || (INVALID_WHERE_GONE.has(kind) && errno === EINVAL))

const EINVAL = 22

/** The links whose indexes a request needs. */
function devicesOf(op: RtnlOp): string[] {
  const named = 'route' in op ? op.route : 'address' in op ? op.address : 'neighbour' in op ? op.neighbour : op
  const target = 'target' in op ? [op.target] : []
  return 'device' in named ? [named.device, ...target] : target
}

const needs = (op: Op): string[] => (isRtnl(op) ? devicesOf(op) : [])

/** Names of the links that an operation makes. */
const makes = (op: Op): string[] =>
  op.kind === 'link.add' ? [op.link.name, ...(op.link.kind === 'veth' ? [op.link.peer.name] : [])] : []

/** Names that belong to another link than before, or to none, when an operation is done. */
const renews = (op: Op): string[] => (op.kind === 'link.delete' ? [op.name] : makes(op))

/** Splits operations where the way of applying them changes, and where one needs the index of a link that is made. */
function runs(ops: readonly Op[]): Op[][] {
  const split: Op[][] = []
  let way = ''
  let made = new Set<string>()
  for (const op of ops) {
    const next = isSysctl(op) ? 'sysctl' : isNft(op) ? 'nft' : isFlows(op) ? 'flows' : 'rtnl'
    if (next !== way || needs(op).some((device) => made.has(device))) {
      split.push([])
      made = new Set()
    }
    for (const name of makes(op)) made.add(name)
    split.at(-1)?.push(op)
    way = next
  }
  return split
}

function setSysctls(ops: readonly SysctlOp[]): void {
  for (const op of ops) {
    try {
      writeFileSync(sysctlFile(op.path), op.value)
    } catch (error) {
      const { code, errno, message } = asNetloomError(error)
      const operation = opText(op)
      throw new NetloomError(code, `${operation}: ${message}`, { operation, errno, cause: error })
    }
  }
}
