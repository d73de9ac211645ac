import { setTimeout as sleep } from 'node:timers/promises'
import { asNetloomError, type ErrorCode, NetloomError } from '../base/errors.js'
import { type Cidr, formatCidr } from '../base/ip.js'
import { type Logger } from '../base/log.js'
import { ApiError } from '../kube/api/answer.js'
import { Backoff } from '../kube/api/backoff.js'
import { type Term } from '../subnets/claim.js'
import { type ClusterNetwork } from '../subnets/networks.js'
import { lacking, type NodeSubnet, planClaims, type Situation, type Step } from '../subnets/plan.js'
import { ClaimStore, type ClaimStoreOptions } from './claim-store.js'

/** Time as claims need it; a test has its own. */
export interface Timers {
  /** Milliseconds of the epoch. */
  readonly now: () => number
  /** Rejects when the signal is given. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
}

export interface SubnetClaimsOptions extends ClaimStoreOptions {
  readonly networks: readonly ClusterNetwork[]
  /** Subnets that pods of this node have addresses of. */
  readonly inUse: () => readonly Cidr[]
  /** Networks that are not to be claimed: those the host is connected to. */
  readonly avoid?: () => Promise<readonly Cidr[]>
  /** From 0 to 1. */
  readonly random?: () => number
  readonly log: Logger
  readonly timers?: Timers
}

/**
 * Milliseconds between renewals. All agents watch all claims, so each renewal is a message to every node: however large
 * the cluster is, there is one in four seconds.
 */
export const renewalMs = (nodes: number): number => Math.max(600_000, 4000 * nodes)

/** Renewals that may fail in a row before a claim is expired; nobody takes it then either while the Node is there. */
const RENEWALS_PER_TERM = 3

/** Waits after a failure. */
const RETRY = { firstMs: 500, mostMs: 30_000 }

/** Waits after another node was in the way, so that two do not give way to each other for ever. */
const YIELD = { firstMs: 20, mostMs: 2000 }

/** Failures in a row after which a server that does not answer is worth a word. */
const WORTH_TELLING = 3

const CLOCK: Timers = {
  now: Date.now,
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
}

/** Refusals that say that somebody else was faster, by step: the claims are looked at again. */
const OVERTAKEN: Readonly<Record<Step['do'], readonly ErrorCode[]>> = {
  claim: ['exists'],
  renew: ['conflict', 'not-found'],
  'take over': ['conflict', 'not-found'],
  withdraw: ['conflict', 'not-found'],
}

/**
 * The subnets that this node claims where the cluster allocates none, one for each family.
 *
 * All it knows stands in the API: an agent that dies at any moment leaves at worst a claim that its next start finds,
 * and keeps or withdraws. Nothing is withdrawn at the end, since pods outlive their agent.
 */
export class SubnetClaims {
  readonly #options: Required<SubnetClaimsOptions>
  readonly #store: ClaimStore
  readonly #closing = new AbortController()
  readonly #backoff: Backoff
  #started: Promise<readonly Cidr[]> | undefined
  #loop: Promise<void> | undefined
  #wake = new AbortController()
  #held: readonly Cidr[] = []
  #advice: readonly string[] = []
  #failure: string | undefined
  #intervalMs = renewalMs(0)

  constructor(options: SubnetClaimsOptions) {
    this.#options = { random: Math.random, timers: CLOCK, avoid: () => Promise.resolve([]), ...options }
    this.#store = new ClaimStore(options)
    this.#backoff = new Backoff({ ...RETRY, random: this.#options.random })
  }

  /** The node's subnets, as of the last time the server was asked. */
  get held(): readonly Cidr[] {
    return this.#held
  }

  /**
   * Resolves with the node's subnets when there is one of each family, however long that takes; {@link problems} says
   * what is in the way.
   * @throws NetloomError `unavailable` where it is closed before
   */
  start(): Promise<readonly Cidr[]> {
    return (this.#started ??= this.#begin())
  }

  problems(): string[] {
    return [...this.#advice, ...(this.#failure === undefined ? [] : [this.#failure])]
  }

  /** Something may have happened to the claims: look now, and not only at the next renewal. */
  check(): void {
    this.#wake.abort()
  }

  /** Ends renewals; the claims stay. */
  async close(): Promise<void> {
    this.#closing.abort(new NetloomError('unavailable', 'claiming subnets was ended'))
    await this.#started?.catch(() => undefined) // whoever called start() was told
    await this.#loop
  }

  async #begin(): Promise<readonly Cidr[]> {
    await this.#settle()
    this.#options.log.info({ subnets: this.#held.map(formatCidr) }, 'the node holds its subnets')
    this.#loop = this.#renew()
    return this.#held
  }

  /** Renews until closed. */
  async #renew(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      const before = this.#held.map(formatCidr).join()
      await this.#pause(this.#intervalMs * (0.9 + 0.2 * this.#options.random()))
      await this.#settle().catch(() => undefined) // fails only when closed
      const after = this.#held.map(formatCidr).join()
      if (before !== after) this.#options.log.warn({ before, after }, 'the node holds other subnets than before')
    }
  }

  /** Waits; ended early by {@link check} and {@link close}. */
  async #pause(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.#wake.signal, this.#closing.signal])
    await this.#options.timers.sleep(ms, signal).catch(() => undefined) // being woken is no failure
  }

  /** Tries until the node holds what it should. */
  async #settle(): Promise<void> {
    const { signal } = this.#closing
    for (;;) {
      signal.throwIfAborted()
      if (this.#wake.signal.aborted) this.#wake = new AbortController()
      try {
        await this.#attempt(signal)
        this.#failure = undefined
        this.#backoff.reset()
        return
      } catch (thrown) {
        signal.throwIfAborted()
        await this.#pause(this.#fail(asNetloomError(thrown)))
      }
    }
  }

  /** @returns milliseconds to wait */
  #fail(error: NetloomError): number {
    const waitMs = this.#backoff.fail(error instanceof ApiError ? error.retryAfterMs : 0)
    const { failures } = this.#backoff
    this.#options.log.debug({ err: error, failures, waitMs }, 'claiming subnets failed')
    if (error.code === 'unavailable' && failures < WORTH_TELLING) return waitMs
    const message = this.#messageOf(error)
    if (message !== this.#failure) this.#options.log.warn({ err: error }, message)
    this.#failure = message
    return waitMs
  }

  #messageOf({ code, message }: NetloomError): string {
    return code === 'exhausted' ? message : `claiming subnets failed: ${message}`
  }

  /** Looks, and does what is planned, until nothing is to be looked at again. */
  async #attempt(signal: AbortSignal): Promise<void> {
    const self = await this.#store.self(signal)
    const disputes = new Backoff({ ...YIELD, random: this.#options.random })
    /** Names that somebody holds, be it by a Lease that is no claim. */
    const refused: Cidr[] = []
    for (;;) {
      const situation = await this.#look(self, refused, signal)
      const { steps, problems, exhausted } = planClaims(situation)
      const term = this.#term(situation)
      const outcomes: Outcome[] = []
      for (const step of steps) outcomes.push(await this.#do(step, self, { term, refused, signal }))
      if (outcomes.includes('overtaken')) await this.#options.timers.sleep(disputes.fail(), signal)
      if (outcomes.some((outcome) => outcome !== 'done')) continue
      this.#advice = problems
      this.#held = self.podCIDRs.length > 0 ? self.podCIDRs : renewedBy(steps)
      if (exhausted.length > 0) throw new NetloomError('exhausted', exhausted.join('; '))
      return
    }
  }

  async #look(self: NodeSubnet, refused: readonly Cidr[], signal: AbortSignal): Promise<Situation> {
    const { networks, inUse, avoid, timers } = this.#options
    const { claims, flaws } = await this.#store.claims(signal)
    for (const flaw of flaws) this.#options.log.warn(flaw)
    const known = {
      // What the cluster allocates leaves nothing to claim.
      networks: self.podCIDRs.length > 0 ? [] : networks,
      claims,
      self,
      inUse: inUse(),
      avoid: [...(await avoid()), ...refused],
      now: timers.now(),
    }
    return { ...known, nodes: lacking(known).length > 0 ? await this.#store.nodes(signal) : [] }
  }

  #term({ claims, now }: Situation): Term {
    this.#intervalMs = renewalMs(new Set(claims.map(({ holder }) => holder)).size)
    return { now, seconds: Math.ceil((RENEWALS_PER_TERM * this.#intervalMs) / 1000) }
  }

  async #do(step: Step, self: NodeSubnet, { term, refused, signal }: StepContext): Promise<Outcome> {
    const { log } = this.#options
    try {
      switch (step.do) {
        case 'renew':
          await this.#store.renew(step.claim, self, term, signal)
          return 'done'
        case 'claim':
          await this.#store.create(step.subnet, self, term, signal)
          return 'look again'
        case 'take over':
          log.info({ subnet: formatCidr(step.claim.subnet), from: step.claim.holder }, 'takes a subnet over')
          await this.#store.takeOver(step.claim, self, term, signal)
          return 'look again'
        case 'withdraw':
          log.info({ subnet: formatCidr(step.claim.subnet), why: step.why }, 'withdraws a claim')
          await this.#store.withdraw(step.claim, signal)
          return step.claim.acquired ? 'done' : 'overtaken'
      }
    } catch (thrown) {
      const error = asNetloomError(thrown)
      if (!OVERTAKEN[step.do].includes(error.code)) throw error
      if (step.do === 'claim') refused.push(step.subnet)
      return step.do === 'claim' ? 'look again' : 'overtaken'
    }
  }
}

const renewedBy = (steps: readonly Step[]): Cidr[] =>
  steps.flatMap((step) => (step.do === 'renew' ? [step.claim.subnet] : []))

/**
 * How a step ended: for good, so that the claims have to be looked at again, or so that somebody else was in the way.
 */
type Outcome = 'done' | 'look again' | 'overtaken'

interface StepContext {
  readonly term: Term
  readonly refused: Cidr[]
  readonly signal: AbortSignal
}
