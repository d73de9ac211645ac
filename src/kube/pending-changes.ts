import { sameObject } from '../model/object.js'
import { type Change, changeOf } from './store.js'

/** Changes that wait to be told as one batch, at most one for an object: several become the one from first to last. */
export class PendingChanges {
  readonly #changes = new Map<string, Change>()

  get size(): number {
    return this.#changes.size
  }

  add(changes: Iterable<Change>): void {
    for (const change of changes) {
      const id = `${change.kind} ${change.key}`
      const first = this.#changes.get(id)
      if (first === undefined) this.#changes.set(id, change)
      else this.#merge(id, first, change)
    }
  }

  /** All that waits, in the order in which objects were first named. */
  take(): Change[] {
    const changes = [...this.#changes.values()]
    this.#changes.clear()
    return changes
  }

  #merge(id: string, { before }: Change, { after }: Change): void {
    const merged = sameObject(before, after) ? undefined : changeOf(before, after)
    if (merged === undefined) this.#changes.delete(id)
    else this.#changes.set(id, merged)
  }
}
