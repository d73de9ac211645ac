import { type Holdings, type Listing } from './holdings.js'
import { type Resource } from './resource.js'

/** Why a list is not taken for the truth. */
export interface Doubt {
  readonly message: string
  /** False where a second list that says the same is enough. */
  readonly final: boolean
}

/**
 * An API server that has just come back, from an empty disk or behind a proxy, may answer in all form that there is
 * nothing. To believe that would take the network from every pod; not to believe it costs a second question.
 * @returns undefined for a list that may be believed
 */
export function doubtOf(
  { kind, neverEmpty = false, certain }: Pick<Resource, 'kind' | 'neverEmpty' | 'certain'>,
  held: Pick<Holdings, 'size' | 'has'>,
  list: Pick<Listing, 'count' | 'has'>,
): Doubt | undefined {
  if (held.size === 0) return undefined
  if (list.count === 0)
    return neverEmpty
      ? { final: true, message: `lists not a single ${kind}, which no cluster is without; what is known is kept` }
      : { final: false, message: `lists no ${kind} any more; what is known is kept until a second list says the same` }
  if (certain !== undefined && held.has(certain) && !list.has(certain))
    return { final: true, message: `lists no ${kind} ${certain} any more; what is known is kept` }
  return undefined
}
