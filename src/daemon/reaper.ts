import { asNetloomError, type NetloomError } from '../base/errors.js'
import { DOOMED_LINK_GROUP } from '../base/names.js'
import { deleteLink, deleteLinkGroup, setLink } from '../codec/rtnl/link.js'
import { type Talk } from '../kernel/talk.js'

/** Milliseconds to wait for more links: little beside the time that deleting one takes. */
const GATHER_MS = 1

interface Doomed {
  readonly name: string
  readonly settle: (error: NetloomError | undefined) => void
}

/**
 * Deletes links. The kernel waits for a grace period for each request, not for each link, so links that are to go at
 * about the same time are put into one group and deleted with one request.
 */
export class Reaper {
  readonly #route: Talk
  #waiting: Doomed[] = []
  #busy = false

  constructor(route: Talk) {
    this.#route = route
  }

  /** Deletes a link; one that is gone already is no error. */
  async delete(name: string): Promise<void> {
    const error = await new Promise<NetloomError | undefined>((settle) => {
      this.#waiting.push({ name, settle })
      this.#schedule()
    })
    if (error !== undefined) throw error
  }

  #schedule(): void {
    if (this.#busy || this.#waiting.length === 0) return
    this.#busy = true
    setTimeout(() => {
      const batch = this.#waiting
      this.#waiting = []
      void this.#reap(batch).finally(() => {
        this.#busy = false
        this.#schedule()
      })
    }, GATHER_MS)
  }

  async #reap(batch: readonly Doomed[]): Promise<void> {
    try {
      const [only] = batch
      if (only !== undefined && batch.length === 1) await this.#reapOne(only)
      else await this.#reapGroup(batch)
    } catch (error) {
      for (const { settle } of batch) settle(asNetloomError(error))
    }
  }

  async #reapOne({ name, settle }: Doomed): Promise<void> {
    const [outcome] = await this.#route.pipeline([deleteLink({ name })])
    settle(unlessGone(outcome?.error))
  }

  async #reapGroup(batch: readonly Doomed[]): Promise<void> {
    const marked = await this.#route.pipeline(batch.map(({ name }) => setLink({ name }, { group: DOOMED_LINK_GROUP })))
    const any = marked.some(({ error }) => error === undefined)
    const [outcome] = any ? await this.#route.pipeline([deleteLinkGroup(DOOMED_LINK_GROUP)]) : []
    batch.forEach(({ settle }, i) => settle(unlessGone(marked[i]?.error ?? outcome?.error)))
  }
}

const unlessGone = (error: NetloomError | undefined): NetloomError | undefined =>
  error?.code === 'not-found' ? undefined : error
