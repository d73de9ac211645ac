import { invalid, type NetloomError } from '../base/errors.js'

/** Shared by every object that has nothing in a list; most lists of most objects are empty. */
const NOTHING: readonly never[] = Object.freeze([])

/** Longest part of a foreign value that an error repeats. */
const QUOTED_CHARACTERS = 80

/** Longest text that can be an address or a network; more is refused before a parser sees it. */
const ADDRESS_CHARACTERS = 64

/**
 * A place in a value of unknown shape (parsed YAML or JSON) which knows its path from the root, so that an error names
 * the field: `spec.ports[1].targetPort`. The path is put together only when something is wrong.
 *
 * As in the Kubernetes API, `null` and an absent field are the same. Only own properties count, so `constructor` or
 * `__proto__` in an input are keys like any other.
 */
export class Cursor {
  readonly value: unknown
  /** Name of the field or position in the list; empty at the root. */
  readonly key: string | number
  readonly #parent: Cursor | undefined

  constructor(value: unknown, parent?: Cursor, key: string | number = '') {
    this.value = value ?? undefined
    this.key = key
    this.#parent = parent
  }

  get absent(): boolean {
    return this.value === undefined
  }

  /** Kubernetes' notation: `spec.ports[1].port`, `metadata.labels[example.com/tier]`. */
  get path(): string {
    if (this.#parent === undefined) return String(this.key)
    const before = this.#parent.path
    if (typeof this.key === 'number') return `${before}[${this.key}]`
    if (before === '') return shorten(this.key)
    return /^[A-Za-z_]\w*$/.test(this.key) ? `${before}.${this.key}` : `${before}[${shorten(this.key)}]`
  }

  /** An error about this place, to be thrown. */
  error(problem: string): NetloomError {
    return invalid(this.path, problem)
  }

  /** Another value at the same place: one that was brought into shape before it is read. */
  with(value: unknown): Cursor {
    return new Cursor(value, this.#parent, this.key)
  }

  /** The value as an error text shows it: on one line, and not longer than a line. */
  get quoted(): string {
    return quote(this.value)
  }

  /** The field `name`, absent where this is absent. */
  field(name: string): Cursor {
    const record = this.#record()
    const value = record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined
    return new Cursor(value, this, name)
  }

  /** What `read` makes of the field `name`, or undefined where it is absent; that case costs nothing. */
  optionalField<T>(name: string, read: (place: Cursor) => T): T | undefined {
    const record = this.#record()
    if (record === undefined || !Object.hasOwn(record, name)) return undefined
    const value = record[name]
    return value === undefined || value === null ? undefined : read(new Cursor(value, this, name))
  }

  /** The item of a list at a position. */
  item(position: number): Cursor {
    return new Cursor(Array.isArray(this.value) ? this.value[position] : undefined, this, position)
  }

  /** All fields that are not null, in their order. */
  fields(): Cursor[] {
    const record = this.#record()
    if (record === undefined) return []
    return Object.keys(record)
      .map((name) => new Cursor(record[name], this, name))
      .filter((field) => !field.absent)
  }

  /** Refuses fields other than `names`: where a misspelt field would change the meaning, as in a policy. */
  only(names: readonly string[]): this {
    const stranger = this.fields().find((field) => !names.includes(String(field.key)))
    if (stranger !== undefined) throw stranger.error('is not a known field')
    return this
  }

  #record(): Record<string, unknown> | undefined {
    if (this.value === undefined) return undefined
    if (typeof this.value !== 'object' || Array.isArray(this.value)) throw this.error(`${this.quoted} is not a mapping`)
    return this.value as Record<string, unknown>
  }

  /** What `read` makes of each item of a list; nothing where absent. A null item is refused. */
  list<T>(read: (item: Cursor) => T): readonly T[] {
    if (this.value === undefined) return NOTHING
    if (!Array.isArray(this.value)) throw this.error(`${this.quoted} is not a list`)
    if (this.value.length === 0) return NOTHING
    return this.value.map((value: unknown, i) => {
      const item = new Cursor(value, this, i)
      if (item.absent) throw item.error('is null')
      return read(item)
    })
  }

  optional<T>(read: (place: Cursor) => T): T | undefined {
    return this.value === undefined ? undefined : read(this)
  }

  string(): string {
    if (this.value === undefined) throw this.error('is missing')
    if (typeof this.value !== 'string') throw this.error(`${this.quoted} is not a string`)
    return this.value
  }

  /** False where absent, the default of every flag of the API. */
  boolean(): boolean {
    if (this.value === undefined) return false
    if (typeof this.value !== 'boolean') throw this.error(`${this.quoted} is not true or false`)
    return this.value
  }

  integer(least: number, most: number): number {
    if (this.value === undefined) throw this.error('is missing')
    if (typeof this.value !== 'number' || !Number.isInteger(this.value))
      throw this.error(`${this.quoted} is not a whole number`)
    if (this.value < least || this.value > most) throw this.error(`${this.quoted} is not within ${least} to ${most}`)
    return this.value
  }

  /** One of some words; where absent the fallback, if there is one. */
  oneOf<W extends string>(words: readonly W[], fallback?: W): W {
    if (this.value === undefined && fallback !== undefined) return fallback
    const text = this.string()
    const word = words.find((candidate) => candidate === text)
    if (word === undefined) throw this.error(`${this.quoted} is not one of ${words.join(', ')}`)
    return word
  }

  /** An address or network through one of the parsers of base/ip.ts. */
  address<T>(parse: (text: string, field: string) => T): T {
    const text = this.string()
    if (text.length > ADDRESS_CHARACTERS || !/^[\da-fA-F:./]*$/.test(text))
      throw this.error(`${this.quoted} is not an IP address or network`)
    try {
      return parse(text, '')
    } catch (error) {
      throw this.error(error instanceof Error ? error.message : String(error))
    }
  }
}

const shorten = (text: string): string =>
  text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}...` : text

function quote(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'a mapping'
  return typeof value === 'string' ? JSON.stringify(shorten(value)) : String(value)
}
