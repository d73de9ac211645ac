import { asNetloomError, type NetloomError } from '../../base/errors.js'
import { type Kind, type KubeObject, readObjectOf, sameObject } from '../../model/object.js'
import { type Change, changeOf } from '../store.js'
import { type RawObject } from './raw.js'

/** What was wrong with an object when it was read; undefined where it is right, or gone. */
export type ReportObject = (key: string, error: NetloomError | undefined, kept: boolean) => void

/** An object as it is to be held, and what is wrong with what was sent. */
interface Reading {
  readonly object: KubeObject | undefined
  readonly error: NetloomError | undefined
}

/** All objects of a kind that are known, as they were last read. */
export class Holdings {
  readonly kind: Kind
  readonly #report: ReportObject
  #objects = new Map<string, KubeObject>()
  /** Keys of objects that could not be read when they were last sent. */
  readonly #broken = new Set<string>()

  constructor(kind: Kind, report: ReportObject) {
    this.kind = kind
    this.#report = report
  }

  get size(): number {
    return this.#objects.size
  }

  has(key: string): boolean {
    return this.#objects.has(key)
  }

  /** Takes an object that came or changed. One that cannot be read keeps its last good state. */
  put({ key, value }: RawObject): Change | undefined {
    const before = this.#objects.get(key)
    const { object, error } = this.#read(key, value)
    this.#note(key, error)
    if (object === undefined) this.#objects.delete(key)
    else this.#objects.set(key, object)
    return changeOf(before, object)
  }

  delete(key: string): Change | undefined {
    const before = this.#objects.get(key)
    this.#objects.delete(key)
    this.#note(key, undefined)
    return changeOf(before, undefined)
  }

  /** A list that is to be taken in, page by page; nothing changes until {@link replace}. */
  listing(): Listing {
    return new Listing((key, value) => this.#read(key, value))
  }

  /** Takes a whole list: what it does not have is gone. Answers what is different. */
  replace({ objects, errors }: Listing): Change[] {
    const changes: Change[] = []
    const add = (change: Change | undefined): void => {
      if (change !== undefined) changes.push(change)
    }
    for (const [key, before] of this.#objects) if (!objects.has(key)) add(changeOf(before, undefined))
    for (const [key, after] of objects) add(changeOf(this.#objects.get(key), after))
    for (const key of [...this.#broken]) if (!errors.has(key)) this.#note(key, undefined)
    for (const [key, error] of errors) this.#note(key, error)
    this.#objects = new Map(objects)
    return changes
  }

  /** What says the same as what is held stays that, so that nothing is in memory twice. */
  #read(key: string, value: unknown): Reading {
    const held = this.#objects.get(key)
    try {
      const object = readObjectOf(this.kind, value)
      return { object: held !== undefined && sameObject(held, object) ? held : object, error: undefined }
    } catch (thrown) {
      return { object: held, error: asNetloomError(thrown) }
    }
  }

  #note(key: string, error: NetloomError | undefined): void {
    if (error !== undefined) {
      this.#broken.add(key)
      this.#report(key, error, this.has(key))
    } else if (this.#broken.delete(key)) this.#report(key, undefined, false)
  }
}

/** A list while its pages arrive. */
export class Listing {
  readonly #read: (key: string, value: unknown) => Reading
  readonly #objects = new Map<string, KubeObject>()
  readonly #errors = new Map<string, NetloomError>()
  #count = 0

  constructor(read: (key: string, value: unknown) => Reading) {
    this.#read = read
  }

  /** Items so far, of use or not. */
  get count(): number {
    return this.#count
  }

  get objects(): ReadonlyMap<string, KubeObject> {
    return this.#objects
  }

  /** What is wrong with objects that could not be read, by their key. */
  get errors(): ReadonlyMap<string, NetloomError> {
    return this.#errors
  }

  /** True where the list has the object, readable or not. */
  has(key: string): boolean {
    return this.#objects.has(key) || this.#errors.has(key)
  }

  add({ key, value }: RawObject): void {
    this.#count++
    const { object, error } = this.#read(key, value)
    if (object !== undefined) this.#objects.set(key, object)
    if (error !== undefined) this.#errors.set(key, error)
  }
}
