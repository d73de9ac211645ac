import { type Element } from '../codec/nft/element.js'
import { type HeldElements } from '../ops/elements.js'

/** Where a part of what is held has changed: what it is to be, and what it was. */
export interface Changes {
  readonly wanted: HeldElements
  readonly held: HeldElements
}

interface Counted {
  readonly element: Element
  count: number
}

type Sets<T> = Map<string, Map<string, T>>

const NOTHING: HeldElements = new Map()

/**
 * Elements by the nodes that need them, so that a node that comes or goes costs what it is, however many there are. Two
 * may need the same: a node that was given another name has the address of the former one until that is deleted.
 */
export class Members {
  readonly #nodes = new Map<string, HeldElements>()
  readonly #counted: Sets<Counted> = new Map()
  /** What was there of those that have changed since. */
  #before: Sets<Element | undefined> = new Map()

  /** All that are needed. */
  get elements(): HeldElements {
    return new Map(
      [...this.#counted].map(([set, counted]) => [
        set,
        new Map([...counted].map(([key, { element }]) => [key, element] as const)),
      ]),
    )
  }

  /** @param elements what the node needs from now on; nothing where it is gone */
  set(node: string, elements: HeldElements = NOTHING): void {
    // First those that come: what stays is never gone.
    this.#each(elements, (set, key, element) => this.#count(set, key, element, 1))
    this.#each(this.#nodes.get(node) ?? NOTHING, (set, key, element) => this.#count(set, key, element, -1))
    if (elements === NOTHING) this.#nodes.delete(node)
    else this.#nodes.set(node, elements)
  }

  /** These and no others. */
  replace(nodes: ReadonlyMap<string, HeldElements>): void {
    for (const node of [...this.#nodes.keys()]) if (!nodes.has(node)) this.set(node)
    for (const [node, elements] of nodes) this.set(node, elements)
  }

  /** What has changed since the last call. */
  takeChanges(): Changes {
    const wanted: Sets<Element> = new Map()
    const held: Sets<Element> = new Map()
    this.#each(this.#before, (set, key, before) => {
      const now = this.#counted.get(set)?.get(key)?.element
      if (now !== undefined) partOf(wanted, set).set(key, now)
      if (before !== undefined) partOf(held, set).set(key, before)
    })
    this.#before = new Map()
    return { wanted, held }
  }

  #count(set: string, key: string, element: Element, by: 1 | -1): void {
    const counted = partOf(this.#counted, set)
    const known = counted.get(key)
    const before = partOf(this.#before, set)
    if (!before.has(key)) before.set(key, known?.element)
    const count = (known?.count ?? 0) + by
    if (count === 0) counted.delete(key)
    else if (known === undefined) counted.set(key, { element, count })
    else known.count = count
  }

  #each<T>(
    sets: ReadonlyMap<string, ReadonlyMap<string, T>>,
    work: (set: string, key: string, value: T) => void,
  ): void {
    for (const [set, values] of sets) for (const [key, value] of values) work(set, key, value)
  }
}

function partOf<T>(sets: Sets<T>, name: string): Map<string, T> {
  const known = sets.get(name)
  if (known !== undefined) return known
  const part = new Map<string, T>()
  sets.set(name, part)
  return part
}
