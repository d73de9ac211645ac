import { keyOf } from '../model/meta.js'
import { type KubeObject, sameObject } from '../model/object.js'
import { type Flaw, type LocatedObject } from './manifest.js'
import { type Change, changeOf, type ReadonlyStore } from './store.js'

/**
 * Which file says what. Where several files, or several places of one file, have an object, the first by path and
 * then by line counts, whatever the order they were read in; the others are flaws.
 */
export class FileObjects {
  readonly #store: ReadonlyStore
  readonly #byFile = new Map<string, ReadonlyMap<string, LocatedObject>>()
  /** Files that have an object, by its id, in order. */
  readonly #files = new Map<string, readonly string[]>()
  /** Ids that more than one file has. */
  readonly #contested = new Set<string>()
  /** Repetitions within one file. */
  readonly #repeated = new Map<string, readonly Flaw[]>()

  constructor(store: ReadonlyStore) {
    this.#store = store
  }

  /** True where a file has any objects. */
  has(file: string): boolean {
    return this.#byFile.has(file)
  }

  /**
   * Takes what files say now, undefined for one that is gone.
   * @returns what is different from the store, which gets it next
   */
  update(updates: ReadonlyMap<string, readonly LocatedObject[] | undefined>): Change[] {
    const touched = new Set<string>()
    for (const [file, objects] of updates) this.#replace(file, objects ?? [], touched)
    return [...touched].map((id) => this.#change(id)).filter((change) => change !== undefined)
  }

  /** Objects that others have already, by the file that comes too late. */
  duplicates(): Map<string, Flaw[]> {
    const flaws = new Map<string, Flaw[]>()
    for (const [file, repeated] of this.#repeated) flaws.set(file, [...repeated])
    for (const id of this.#contested) {
      const [first = '', ...others] = this.#files.get(id) ?? []
      for (const file of others) {
        const line = this.#byFile.get(file)?.get(id)?.line
        const flaw = { message: `${id} is in ${first} already, which counts`, line }
        flaws.set(file, [...(flaws.get(file) ?? []), flaw])
      }
    }
    return flaws
  }

  #replace(file: string, objects: readonly LocatedObject[], touched: Set<string>): void {
    const before = this.#byFile.get(file)
    const { after, repeated } = byId(objects)
    if (repeated.length === 0) this.#repeated.delete(file)
    else this.#repeated.set(file, repeated)
    for (const id of before?.keys() ?? []) if (!after.has(id)) this.#leave(id, file, touched)
    for (const id of after.keys()) if (before?.has(id) !== true) this.#enter(id, file)
    for (const id of after.keys()) touched.add(id)
    if (after.size === 0) this.#byFile.delete(file)
    else this.#byFile.set(file, this.#shared(after))
  }

  #enter(id: string, file: string): void {
    const files = [...(this.#files.get(id) ?? []), file].sort()
    this.#files.set(id, files)
    if (files.length > 1) this.#contested.add(id)
  }

  #leave(id: string, file: string, touched: Set<string>): void {
    const files = (this.#files.get(id) ?? []).filter((other) => other !== file)
    if (files.length === 0) this.#files.delete(id)
    else this.#files.set(id, files)
    if (files.length < 2) this.#contested.delete(id)
    touched.add(id)
  }

  /** What says the same as the store stays the store's object, so that nothing is in memory twice. */
  #shared(objects: Map<string, LocatedObject>): Map<string, LocatedObject> {
    for (const [id, { object, line }] of objects) {
      const known = this.#known(id)
      if (known !== undefined && known !== object && sameObject(known, object)) objects.set(id, { object: known, line })
    }
    return objects
  }

  #change(id: string): Change | undefined {
    const [file] = this.#files.get(id) ?? []
    const after = file === undefined ? undefined : this.#byFile.get(file)?.get(id)?.object
    const before = this.#known(id)
    return before !== undefined && sameObject(before, after) ? undefined : changeOf(before, after)
  }

  #known(id: string): KubeObject | undefined {
    const [kind, key] = id.split(' ', 2) as [KubeObject['kind'], string]
    return this.#store.get(kind, key)
  }
}

/** What people call an object: `Service shop/web`. */
const idOf = (object: KubeObject): string => `${object.kind} ${keyOf(object)}`

function byId(objects: readonly LocatedObject[]): { after: Map<string, LocatedObject>; repeated: Flaw[] } {
  const after = new Map<string, LocatedObject>()
  const repeated: Flaw[] = []
  for (const located of objects) {
    const id = idOf(located.object)
    const first = after.get(id)
    if (first === undefined) after.set(id, located)
    else {
      const where = first.line === undefined ? '' : ` in line ${first.line}`
      repeated.push({ message: `${id} is in this file already${where}, which counts`, line: located.line })
    }
  }
  return { after, repeated }
}
