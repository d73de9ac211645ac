import { NetloomError } from '../../base/errors.js'
import { keyOf } from '../../model/meta.js'
import { apiKindOf, type Kind } from '../../model/object.js'
import { errorOfStatus } from './answer.js'

/** What the API server sends, before an object is read: enough to say which object, and which version. */

/** An object that is not read yet. */
export interface RawObject {
  readonly value: unknown
  /** `namespace/name`, or `name`. */
  readonly key: string
}

/** A page of a list. */
export interface Page {
  readonly items: readonly unknown[]
  readonly version: string
  /** Where the next page begins; undefined on the last one. */
  readonly next: string | undefined
}

/** What a watch tells. */
export type WatchEvent =
  | { readonly type: 'object'; readonly object: RawObject; readonly gone: boolean; readonly version: string }
  | { readonly type: 'bookmark'; readonly version: string }

/**
 * A list of a kind, and nothing else: what a proxy says in its place must not count as "there are none".
 * @throws NetloomError `unavailable`
 */
export function readPage(kind: Kind, value: unknown): Page {
  const list = `${apiKindOf(kind)}List`
  const root = fieldsOf(value)
  if (root['kind'] !== list) throw strange(`something that is no ${list}`)
  const { items } = root
  const { resourceVersion, continue: next } = fieldsOf(root['metadata'])
  if (!Array.isArray(items)) throw strange(`a ${list} without items`)
  if (typeof resourceVersion !== 'string' || resourceVersion === '') throw strange(`a ${list} without a version`)
  return { items, version: resourceVersion, next: typeof next === 'string' && next !== '' ? next : undefined }
}

/** @throws NetloomError `unavailable` for an object without a name, which the API server does not keep */
export function rawObject(value: unknown): RawObject {
  const { name, namespace = '' } = fieldsOf(fieldsOf(value)['metadata'])
  if (typeof name !== 'string' || name === '' || typeof namespace !== 'string')
    throw strange('an object without a name')
  return { value, key: keyOf({ namespace, name }) }
}

/**
 * @throws NetloomError as the server says in an ERROR event; `invalid` for what is no event
 */
export function readWatchEvent(value: unknown): WatchEvent {
  const { type, object } = fieldsOf(value)
  if (type === 'ERROR') throw errorOfStatus(object)
  const version = fieldsOf(fieldsOf(object)['metadata'])['resourceVersion']
  if (typeof version !== 'string' || version === '') throw new NetloomError('invalid', NO_EVENT)
  if (type === 'BOOKMARK') return { type: 'bookmark', version }
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') throw new NetloomError('invalid', NO_EVENT)
  return { type: 'object', object: rawObject(object), gone: type === 'DELETED', version }
}

const NO_EVENT = 'the API server told something in a watch that is no event'

const strange = (what: string): NetloomError => new NetloomError('unavailable', `the API server answered with ${what}`)

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
