import { type Logger } from '../base/log.js'
import { type Link } from '../codec/rtnl/link.js'
import { observeLink } from '../kernel/observe.js'
import { type Kernel } from './kernel.js'

/** Milliseconds between two looks: what is wrong is to be right within a second. */
const LOOK_MS = 500

export interface LinkWatchOptions {
  readonly kernel: Kernel
  readonly log: Logger
  /** Told when a link is another than it was left as, or `differs` says so. */
  readonly onChange: () => void
  /** Something else to look at; the links by their name. */
  readonly differs?: (links: ReadonlyMap<string, Link | undefined>) => boolean
}

/** Looks at a few links twice a second: a node with many pods would be told of every one of theirs. */
export class LinkWatch {
  readonly #options: LinkWatchOptions
  /** Fingerprints of links by name, as they were left; empty for one that is not there. */
  #left = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: LinkWatchOptions) {
    this.#options = options
  }

  /** Links as they are right. */
  expect(links: Iterable<readonly [name: string, link: Link | undefined]>): void {
    this.#left = new Map([...links].map(([name, link]) => [name, fingerprint(link)]))
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    const { kernel, log, onChange, differs } = this.#options
    const left = this.#left
    try {
      const found = await Promise.all(
        [...left.keys()].map(async (name) => [name, await observeLink(kernel.route, name)] as const),
      )
      // A run that ended meanwhile knows better.
      if (left !== this.#left) return
      const links = new Map(found)
      if (found.some(([name, link]) => left.get(name) !== fingerprint(link)) || differs?.(links) === true) onChange()
    } catch (error) {
      log.debug({ err: error }, 'links could not be looked at')
    }
  }
}

/** What of a link matters here; its carrier comes and goes with the pods. */
function fingerprint(link: Link | undefined): string {
  if (link === undefined) return ''
  const { index, up, mtu, mac, vxlan } = link
  return JSON.stringify([index, up, mtu, mac, vxlan])
}
