import { keyOf } from '../model/meta.js'
import { type EndpointSlice } from '../model/endpointslice.js'
import { type Kind, type Kinds, KINDS, type KubeObject } from '../model/object.js'
import { type Pod } from '../model/pod.js'
import { type Service } from '../model/service.js'

/** One object that came, went or became different. */
export type Change = {
  readonly [K in Kind]: {
    readonly kind: K
    /** `namespace/name`, or `name` for Nodes and Namespaces. */
    readonly key: string
    /** Undefined for an object that came. */
    readonly before: Kinds[K] | undefined
    /** Undefined for an object that went. */
    readonly after: Kinds[K] | undefined
  }
}[Kind]

/** The change from one state of an object to another; one of them may be undefined. */
export function changeOf(before: KubeObject | undefined, after: KubeObject | undefined): Change | undefined {
  const object = after ?? before
  if (object === undefined || before === after) return undefined
  return { kind: object.kind, key: keyOf(object), before, after } as Change
}

/** Objects by key within groups; a group that becomes empty is forgotten. */
class Index<T extends KubeObject> {
  readonly #groups = new Map<string, Map<string, T>>()
  readonly #groupOf: (object: T) => string | undefined

  constructor(groupOf: (object: T) => string | undefined) {
    this.#groupOf = groupOf
  }

  of(group: string): Iterable<T> {
    return this.#groups.get(group)?.values() ?? []
  }

  update(key: string, before: T | undefined, after: T | undefined): void {
    const from = before === undefined ? undefined : this.#groupOf(before)
    const to = after === undefined ? undefined : this.#groupOf(after)
    if (from !== undefined && from !== to) this.#remove(from, key)
    if (to !== undefined && after !== undefined) this.#put(to, key, after)
  }

  #put(group: string, key: string, object: T): void {
    const members = this.#groups.get(group)
    if (members === undefined) this.#groups.set(group, new Map([[key, object]]))
    else members.set(key, object)
  }

  #remove(group: string, key: string): void {
    const members = this.#groups.get(group)
    members?.delete(key)
    if (members?.size === 0) this.#groups.delete(group)
  }
}

/** What consumers see of a store. */
export interface ReadonlyStore {
  get<K extends Kind>(kind: K, key: string): Kinds[K] | undefined
  /** All objects of a kind by key. A live view. */
  all<K extends Kind>(kind: K): ReadonlyMap<string, Kinds[K]>
  /** Slices of a Service, by its key. */
  slicesOf(serviceKey: string): Iterable<EndpointSlice>
  podsIn(namespace: string): Iterable<Pod>
  podsOn(nodeName: string): Iterable<Pod>
  servicesIn(namespace: string): Iterable<Service>
}

/** The objects of a source, by kind and key, with the indexes that consumers ask for. */
export class Store implements ReadonlyStore {
  readonly #tables = Object.fromEntries(KINDS.map((kind) => [kind, new Map()])) as {
    readonly [K in Kind]: Map<string, Kinds[K]>
  }
  readonly #slicesByService = new Index<EndpointSlice>(({ namespace, service }) =>
    service === undefined ? undefined : `${namespace}/${service}`,
  )
  readonly #podsByNamespace = new Index<Pod>(({ namespace }) => namespace)
  readonly #podsByNode = new Index<Pod>(({ nodeName }) => nodeName)
  readonly #servicesByNamespace = new Index<Service>(({ namespace }) => namespace)

  get<K extends Kind>(kind: K, key: string): Kinds[K] | undefined {
    return this.#tables[kind].get(key)
  }

  all<K extends Kind>(kind: K): ReadonlyMap<string, Kinds[K]> {
    return this.#tables[kind]
  }

  slicesOf(serviceKey: string): Iterable<EndpointSlice> {
    return this.#slicesByService.of(serviceKey)
  }

  podsIn(namespace: string): Iterable<Pod> {
    return this.#podsByNamespace.of(namespace)
  }

  podsOn(nodeName: string): Iterable<Pod> {
    return this.#podsByNode.of(nodeName)
  }

  servicesIn(namespace: string): Iterable<Service> {
    return this.#servicesByNamespace.of(namespace)
  }

  apply(changes: Iterable<Change>): void {
    for (const change of changes) {
      const table: Map<string, KubeObject> = this.#tables[change.kind]
      if (change.after === undefined) table.delete(change.key)
      else table.set(change.key, change.after)
      this.#index(change)
    }
  }

  #index(change: Change): void {
    switch (change.kind) {
      case 'EndpointSlice':
        this.#slicesByService.update(change.key, change.before, change.after)
        break
      case 'Pod':
        this.#podsByNamespace.update(change.key, change.before, change.after)
        this.#podsByNode.update(change.key, change.before, change.after)
        break
      case 'Service':
        this.#servicesByNamespace.update(change.key, change.before, change.after)
        break
      default: // looked up by key only
    }
  }
}
