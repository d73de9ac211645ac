import { type Frontend, frontendKey } from './frontend.js'

/** A frontend that came, went or changed; undefined where it is gone. */
export interface FrontendChange {
  readonly key: string
  readonly frontend: Frontend | undefined
}

/**
 * All frontends that are wanted, by Service. Two Services may claim one frontend (a directory of YAML has nobody to
 * forbid it): the first by namespace and name has it, and the other gets it when the first goes.
 */
export class FrontendCatalog {
  /** Keys of the frontends of each Service. */
  readonly #byService = new Map<string, readonly string[]>()
  /** By key, who claims it in the order of their Services. A list of one takes a tenth of the memory of a map of one. */
  readonly #claims = new Map<string, readonly Frontend[]>()

  get size(): number {
    return this.#claims.size
  }

  /** Sets what a Service serves, empty for nothing, and answers the frontends that this changes. */
  set(service: string, frontends: readonly Frontend[]): FrontendChange[] {
    const before = this.#byService.get(service) ?? []
    const after = new Map(frontends.map((frontend) => [frontendKey(frontend), frontend]))
    if (after.size === 0) this.#byService.delete(service)
    else this.#byService.set(service, [...after.keys()])
    const keys = new Set([...before, ...after.keys()])
    return [...keys].flatMap((key) => this.#claim(key, service, after.get(key)))
  }

  #claim(key: string, service: string, frontend: Frontend | undefined): FrontendChange[] {
    const before = this.#claims.get(key) ?? []
    const others = before.filter((claim) => claim.service !== service)
    const after = frontend === undefined ? others : [...others, frontend].sort(byService)
    if (after.length === 0) this.#claims.delete(key)
    else this.#claims.set(key, after)
    return same(before[0], after[0]) ? [] : [{ key, frontend: after[0] }]
  }

  get(key: string): Frontend | undefined {
    return this.#claims.get(key)?.[0]
  }

  *all(): Generator<Frontend> {
    for (const [first] of this.#claims.values()) if (first !== undefined) yield first
  }

  /** Frontends that more than one Service claims, a line each. */
  conflicts(): string[] {
    return [...this.#claims]
      .filter(([, claims]) => claims.length > 1)
      .map(([key, claims]) => {
        const [first, ...others] = claims.map(({ service }) => service)
        return `${key}: Service ${others.join(', ')} does not get it, Service ${first ?? ''} has it`
      })
  }
}

const byService = (a: Frontend, b: Frontend): number => (a.service < b.service ? -1 : 1)

function same(a: Frontend | undefined, b: Frontend | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  if (a.service !== b.service || a.endpoints.length !== b.endpoints.length) return false
  return a.endpoints.every((target, i) => {
    const other = b.endpoints[i]
    return target.address === other?.address && target.port === other.port && target.local === other.local
  })
}
