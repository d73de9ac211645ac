import { NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import { type Table } from '../codec/nft/table.js'
import { type Lease } from '../model/lease.js'
import { type Op } from '../ops/op.js'
import { type Companion } from './ground.js'
import { type Kernel } from './kernel.js'
import { Reconciler } from './reconciler.js'

/** What a {@link Keeper} keeps: plans of a feature, and how to look at what it left in the kernel. */
export interface Kept<Actual> {
  /** For logs: `anti-spoofing`. */
  readonly name: string
  /** Its own tables; none where it has no rules. */
  readonly tables: readonly Table[]
  readonly observe: () => Promise<Actual>
  /** What turns all that is there into what these leases want; nothing where it is so. */
  readonly planAll: (leases: readonly Lease[], actual: Actual) => readonly Op[] | Promise<readonly Op[]>
  /** What a lease adds to what stands, being one of `all`; the cost is that of the lease. */
  readonly planAdd: (lease: Lease, all: readonly Lease[]) => readonly Op[] | Promise<readonly Op[]>
  /** What goes with a lease, where `rest` stay. */
  readonly planRemove: (lease: Lease, rest: readonly Lease[]) => readonly Op[] | Promise<readonly Op[]>
  readonly differences: (
    lease: Lease,
    actual: Actual,
    all: readonly Lease[],
  ) => Iterable<string> | Promise<Iterable<string>>
}

/** A {@link Keeper}, whatever it keeps. */
export interface Keeping extends Companion {
  readonly reconciler: Reconciler
  start: () => Promise<void>
  drifted: (table: Table | undefined) => void
}

export interface KeeperOptions {
  readonly kernel: Kernel
  /** All that are attached. */
  readonly leases: () => Iterable<Lease>
  readonly log: Logger
}

/** Milliseconds to gather what others did to a table. */
const GATHER_MS = 20

/**
 * Keeps what a feature has in the kernel as the leases want it: a few operations for each that comes or goes, and all of
 * it at the start and when somebody else has been there. One thing at a time, so that the two never work against each
 * other.
 */
export class Keeper<Actual> implements Keeping {
  readonly reconciler: Reconciler
  readonly #kept: Kept<Actual>
  readonly #options: KeeperOptions
  /** Leases that go: they are among all that are attached until nothing is left of them. */
  readonly #leaving = new WeakSet<Lease>()
  /** Ends when all that was asked so far is done. */
  #last: Promise<unknown> = Promise.resolve()
  #begun = false

  constructor(kept: Kept<Actual>, options: KeeperOptions) {
    this.#kept = kept
    this.#options = options
    const run = (): Promise<void> => this.#inTurn(() => this.#sync())
    this.reconciler = new Reconciler({ name: kept.name, log: options.log, gatherMs: GATHER_MS, run })
  }

  /**
   * Makes all as wanted, whatever is there.
   * @throws NetloomError
   */
  async start(): Promise<void> {
    this.#begun = true
    await this.#inTurn(() => this.#sync())
  }

  async add(lease: Lease): Promise<void> {
    this.#leaving.delete(lease)
    await this.#inTurn(async () => this.#apply(await this.#kept.planAdd(lease, this.#staying())))
  }

  /**
   * The kernel takes all of it away or nothing. Where a part is missing, after an {@link add} that failed say, or the
   * table itself, what there is is looked at: the rest goes, and what was lost of others comes back.
   */
  async remove(lease: Lease): Promise<void> {
    this.#leaving.add(lease)
    try {
      await this.#inTurn(async () => this.#apply(await this.#kept.planRemove(lease, this.#staying())))
    } catch (error) {
      if (!(error instanceof NetloomError) || error.code !== 'not-found') throw error
      await this.reconciler.now()
    }
  }

  async differences(lease: Lease): Promise<readonly string[]> {
    return [...(await this.#kept.differences(lease, await this.#kept.observe(), this.#staying()))]
  }

  /** A table was changed by somebody else; undefined where it may be any. */
  drifted(table: Table | undefined): void {
    const { tables, name } = this.#kept
    const own = tables.some((one) => one.family === table?.family && one.name === table.name)
    if (!this.#begun || (table !== undefined && !own)) return
    if (own) this.#options.log.warn({ part: name, table }, 'a table was changed by another program')
    this.reconciler.trigger()
  }

  /** What is there is looked at first: whatever it has of a lease, the lease is among those that are looked at then. */
  async #sync(): Promise<void> {
    const actual = await this.#kept.observe()
    await this.#apply(await this.#kept.planAll(this.#staying(), actual))
  }

  #staying(): Lease[] {
    return [...this.#options.leases()].filter((lease) => !this.#leaving.has(lease))
  }

  async #apply(ops: readonly Op[]): Promise<void> {
    if (ops.length > 0) await this.#options.kernel.applier.apply(ops)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}
