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
  readonly #byService = new Map<string, ReadonlyMap<string, Frontend>>()
  readonly #claims = new Map<string, Map<string, Frontend>>()

  get size(): number {
    return this.#claims.size
  }

  /** Sets what a Service serves, empty for nothing, and answers the frontends that this changes. */
  set(service: string, frontends: readonly Frontend[]): FrontendChange[] {
    const before = this.#byService.get(service) ?? new Map<string, Frontend>()
    const after = new Map(frontends.map((frontend) => [frontendKey(frontend), frontend]))
    if (after.size === 0) this.#byService.delete(service)
    else this.#byService.set(service, after)
    const keys = new Set([...before.keys(), ...after.keys()])
    return [...keys].flatMap((key) => this.#claim(key, service, after.get(key)))
  }

  #claim(key: string, service: string, frontend: Frontend | undefined): FrontendChange[] {
    const claims = this.#claims.get(key) ?? new Map<string, Frontend>()
    const before = winner(claims)
    if (frontend === undefined) claims.delete(service)
    else claims.set(service, frontend)
    if (claims.size === 0) this.#claims.delete(key)
    else this.#claims.set(key, claims)
    const after = winner(claims)
    return same(before, after) ? [] : [{ key, frontend: after }]
  }

  get(key: string): Frontend | undefined {
    return winner(this.#claims.get(key) ?? new Map<string, Frontend>())
  }

  *all(): Generator<Frontend> {
    for (const claims of this.#claims.values()) {
      const frontend = winner(claims)
      if (frontend !== undefined) yield frontend
    }
  }

  /** Frontends that more than one Service claims, a line each. */
  conflicts(): string[] {
    return [...this.#claims]
      .filter(([, claims]) => claims.size > 1)
      .map(([key, claims]) => {
        const [first, ...others] = [...claims.keys()].sort()
        return `${key}: Service ${others.join(', ')} does not get it, Service ${first ?? ''} has it`
      })
  }
}

function winner(claims: ReadonlyMap<string, Frontend>): Frontend | undefined {
  if (claims.size <= 1) return claims.values().next().value
  const [first] = [...claims.keys()].sort()
  return first === undefined ? undefined : claims.get(first)
}

function same(a: Frontend | undefined, b: Frontend | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  if (a.service !== b.service || a.endpoints.length !== b.endpoints.length) return false
  return a.endpoints.every((target, i) => {
    const other = b.endpoints[i]
    return target.address === other?.address && target.port === other.port && target.local === other.local
  })
}
