import { setTimeout as sleep } from 'node:timers/promises'
import { asNetloomError, NetloomError } from '../../base/errors.js'
import { type Logger } from '../../base/log.js'
import { type Flaw } from '../manifest.js'
import { type Change } from '../store.js'
import { ApiError } from './answer.js'
import { Backoff } from './backoff.js'
import { type Doubt, doubtOf } from './belief.js'
import { type WatchingApiClient } from './client.js'
import { type Contact } from './contact.js'
import { afterFailure, isLasting, LIST, type Step } from './course.js'
import { type Gate } from './gate.js'
import { Holdings, type Listing } from './holdings.js'
import { rawObject, readPage, readWatchEvent } from './raw.js'
import { compileShape, type CompiledShape } from './prune.js'
import { type Resource, type Selection } from './resource.js'
import { SHAPES } from './shapes.js'

/** How long things take, in milliseconds unless said otherwise. */
export interface Timing {
  /** Objects in a page of a list. */
  readonly pageSize: number
  /**
   * Silence after which a watch is given up and resumed. The server tells each watch every minute how far it is (a
   * bookmark), so this is one that is late by half. A false alarm costs one request.
   */
  readonly silenceMs: number
  /** Seconds after which the server is to end a watch: up to twice as long, so that not all end at once. */
  readonly watchSeconds: number
  /** Time between two lists that find out what watches have missed, give or take a quarter. */
  readonly verifyMs: number
  /** A watch that ends sooner without telling anything has failed, whatever it looks like. */
  readonly shortestWatchMs: number
  /** Between two lists of which the second is to say the same as the first. */
  readonly confirmMs: number
  readonly firstBackoffMs: number
  readonly mostBackoffMs: number
}

export const TIMING: Timing = {
  pageSize: 500,
  silenceMs: 90_000,
  watchSeconds: 300,
  verifyMs: 30 * 60_000,
  shortestWatchMs: 1000,
  confirmMs: 1000,
  firstBackoffMs: 500,
  mostBackoffMs: 30_000,
}

export interface ReflectorOptions {
  readonly client: WatchingApiClient
  readonly resource: Resource
  readonly timing: Timing
  /** From 0 to 1. */
  readonly random: () => number
  /** What all reflectors of one server share. */
  readonly contact: Contact
  readonly gate: Gate
  readonly onChanges: (changes: readonly Change[]) => void
  /** What is wrong with something, as people call it: a kind, or an object. Empty when it is right again. */
  readonly report: (what: string, flaws: readonly Flaw[]) => void
  readonly log: Logger
}

/** Why a step ends before its time: it is not wanted any more, or nothing was heard of its watch. */
class Interruption extends Error {}
class Silence extends Error {}

const isInterrupted = ({ reason }: AbortSignal): boolean => reason instanceof Interruption

/**
 * Knows all objects of a kind: a list, then a watch from its version on, resumed wherever it ends. What is held
 * changes by what the server says and never by what it fails to say.
 */
export class Reflector {
  /** Resolves when the kind has been listed once. */
  readonly listed: Promise<void>
  readonly #options: ReflectorOptions
  readonly #holdings: Holdings
  readonly #backoff: Backoff
  /** What is wanted of a list. */
  readonly #keep: CompiledShape
  #selection: Selection
  #step: Step = LIST
  /** Version up to which all is known. */
  #version = ''
  /** When the next list is due that looks for what was missed, by the monotonic clock. */
  #verifyAt = 0
  #failingSince: number | undefined
  /** True where the last step failed because nobody answered. */
  #unreached = false
  /** True where the last list was empty, and not believed for that alone. */
  #doubted = false
  #markListed = (): void => undefined
  #stop = new AbortController()
  #running: Promise<void> | undefined
  #closed = false

  constructor(options: ReflectorOptions) {
    const { resource, timing, random } = options
    this.#options = options
    this.#selection = resource
    this.#keep = compileShape({ kind: true, metadata: true, items: SHAPES[resource.kind] ?? true })
    this.#holdings = new Holdings(resource.kind, (key, error, kept) => this.#reportObject(key, error, kept))
    this.#backoff = new Backoff({ firstMs: timing.firstBackoffMs, mostMs: timing.mostBackoffMs, random })
    this.listed = new Promise((resolve) => (this.#markListed = resolve))
  }

  /** Objects that are held. */
  get size(): number {
    return this.#holdings.size
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Asks for other objects of the kind from now on: one list, and what is held and still wanted stays. */
  select(selection: Selection): void {
    const { labelSelector, fieldSelector } = this.#selection
    if (selection.labelSelector === labelSelector && selection.fieldSelector === fieldSelector) return
    this.#selection = selection
    this.#step = LIST
    this.#stop.abort(new Interruption())
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#stop.abort(new Interruption())
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const stop = new AbortController()
      this.#stop = stop
      const step = this.#step
      try {
        const next = step.do === 'watch' ? await this.#watch(step.from, stop) : await this.#list(step, stop.signal)
        if (!isInterrupted(stop.signal)) this.#step = next
      } catch (thrown) {
        if (!isInterrupted(stop.signal)) await this.#recover(step, asNetloomError(thrown), stop)
      }
    }
  }

  async #list(step: Exclude<Step, { do: 'watch' }>, signal: AbortSignal): Promise<Step> {
    const { resource, timing, random, log, onChanges } = this.#options
    const listing = this.#holdings.listing()
    const version = await this.#pages(listing, step, signal)
    const doubt = doubtOf(resource, this.#holdings, listing)
    if (doubt !== undefined && (doubt.final || !this.#doubted)) return this.#askAgain(doubt, signal)
    this.#doubted = false
    this.#succeeded()
    this.#report([])
    const changes = this.#holdings.replace(listing)
    if (step.do === 'verify' && changes.length > 0)
      log.warn({ kind: resource.kind, missed: changes.length }, 'a watch had missed changes, which a list found')
    this.#version = version
    this.#verifyAt = performance.now() + timing.verifyMs * (0.75 + random() / 2)
    if (changes.length > 0) onChanges(changes)
    this.#markListed()
    return { do: 'watch', from: version }
  }

  /** Reads all pages; answers the version that they are of. */
  async #pages(listing: Listing, step: Step, signal: AbortSignal): Promise<string> {
    const { client, resource, timing, gate, contact } = this.#options
    const { kind, path } = resource
    const exact = step.do === 'verify' ? { resourceVersion: step.at, resourceVersionMatch: 'Exact' } : {}
    let version: string | undefined
    let next: string | undefined
    do {
      const query = { ...this.#query(), limit: timing.pageSize, ...(next === undefined ? exact : { continue: next }) }
      const answer = await gate.run(async () => {
        signal.throwIfAborted()
        return client.call({ method: 'GET', path, query, signal, keep: this.#keep })
      })
      contact.hear()
      const page = readPage(kind, answer)
      for (const item of page.items) listing.add(rawObject(item))
      version ??= page.version
      next = page.next
    } while (next !== undefined)
    return version
  }

  #query(): Selection {
    const { labelSelector, fieldSelector } = this.#selection
    return {
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    }
  }

  /** A list that is hard to believe is asked for again: soon where that settles it, else at growing distance. */
  async #askAgain({ message, final }: Doubt, signal: AbortSignal): Promise<Step> {
    const { confirmMs } = this.#options.timing
    this.#doubted = !final
    this.#report([{ message }])
    await sleep(final ? confirmMs + this.#backoff.fail() : confirmMs, undefined, { signal })
    return LIST
  }

  /** Follows a watch until it ends in order, or nothing is heard of it any more. */
  async #watch(from: string, stop: AbortController): Promise<Step> {
    const { resource, timing, log } = this.#options
    const silence = setTimeout(() => stop.abort(new Silence()), timing.silenceMs)
    const begun = performance.now()
    let settled: NodeJS.Timeout | undefined
    let told = 0
    try {
      const batches = await this.#openWatch(from, stop.signal)
      // Where nothing happens, nothing is told for a minute: that it was not refused for a while is success as well.
      settled = setTimeout(() => this.#succeeded(), timing.shortestWatchMs)
      for await (const batch of batches) {
        silence.refresh()
        told += batch.length
        this.#tell(batch)
        this.#succeeded()
      }
    } catch (error) {
      if (!(stop.signal.reason instanceof Silence)) throw error
      log.debug({ kind: resource.kind, silenceMs: timing.silenceMs }, 'nothing was heard of a watch, it is resumed')
      return { do: 'watch', from: this.#version }
    } finally {
      clearTimeout(silence)
      clearTimeout(settled)
    }
    if (told === 0 && performance.now() - begun < timing.shortestWatchMs)
      throw new NetloomError('unavailable', 'the API server ended a watch at once')
    this.#succeeded()
    return performance.now() < this.#verifyAt
      ? { do: 'watch', from: this.#version }
      : { do: 'verify', at: this.#version }
  }

  async #openWatch(from: string, signal: AbortSignal): Promise<AsyncIterable<readonly unknown[]>> {
    const { client, resource, timing, random, contact } = this.#options
    const timeoutSeconds = Math.round(timing.watchSeconds * (1 + random()))
    const query = { ...this.#query(), resourceVersion: from, allowWatchBookmarks: true, timeoutSeconds }
    const batches = await client.watch({ path: resource.path, query, signal })
    contact.hear()
    return batches
  }

  /** Takes what a watch told at once, as far as it can be read. */
  #tell(batch: readonly unknown[]): void {
    const changes: Change[] = []
    try {
      for (const value of batch) {
        const event = readWatchEvent(value)
        if (event.type === 'object') {
          const { object, gone } = event
          const change = gone ? this.#holdings.delete(object.key) : this.#holdings.put(object)
          if (change !== undefined) changes.push(change)
        }
        this.#version = event.version
      }
    } finally {
      if (changes.length > 0) this.#options.onChanges(changes)
    }
  }

  #succeeded(): void {
    if (this.#backoff.failures === 0) return
    this.#failingSince = undefined
    this.#unreached = false
    this.#backoff.reset()
    this.#report([])
  }

  /** Waits after a failed step, and says what is wrong where that does not right itself at once. */
  async #recover(step: Step, error: NetloomError, stop: AbortController): Promise<void> {
    const { log, resource, contact } = this.#options
    const unreached = isUnreached(error)
    // A server that is back is not to wait for as long as it was away: what it refuses is counted anew.
    if (this.#unreached && !unreached) this.#backoff.reset()
    this.#unreached = unreached
    const waitMs = this.#backoff.fail(error instanceof ApiError ? error.retryAfterMs : 0)
    const { failures } = this.#backoff
    this.#failingSince ??= Date.now()
    this.#step = afterFailure(step, this.#version, { error, failures })
    log.debug({ kind: resource.kind, step: step.do, failures, waitMs, err: error }, 'asking the API server failed')
    if (!unreached) contact.hear()
    if (isLasting({ error, failures })) {
      if (unreached) contact.lose(this.#failingSince, error.message)
      else this.#report([{ message: `${step.do} failed: ${error.message}` }])
    }
    await this.#pause(waitMs, unreached, stop)
  }

  /** Waits, or until the server that was not reached has answered somebody else. */
  async #pause(ms: number, unreached: boolean, stop: AbortController): Promise<void> {
    // Ended by an interruption it rejects, which says no more than the loop knows.
    const timer = sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined)
    await (unreached ? Promise.race([timer, this.#options.contact.whenHeard()]) : timer)
    stop.abort(new Interruption())
  }

  /** What is wrong with the kind as a whole. */
  #report(flaws: readonly Flaw[]): void {
    this.#options.report(this.#options.resource.kind, flaws)
  }

  #reportObject(key: string, error: NetloomError | undefined, kept: boolean): void {
    const { report, resource } = this.#options
    const fate = kept ? 'its last good state is kept' : 'it is left out'
    const flaws = error === undefined ? [] : [{ message: `${error.message}; ${fate}`, field: error.field }]
    report(`${resource.kind} ${key}`, flaws)
  }
}

/** Nobody was reached who could say something about a kind: no server, one that is not ready, or one that knows us not. */
const isUnreached = (error: NetloomError): boolean =>
  !(error instanceof ApiError) || error.status === 401 || error.status === 503
