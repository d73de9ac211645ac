import { diff, keyBy } from '../base/diff.js'
import { mirroredSlices } from '../model/endpoints.js'
import { type EndpointSlice } from '../model/endpointslice.js'
import { keyOf } from '../model/meta.js'
import { sameObject } from '../model/object.js'
import { type Pod } from '../model/pod.js'
import { type Service } from '../model/service.js'
import { SelectorIndex } from './selector-index.js'
import { deriveSlices, isDerivable } from './slices.js'
import { type Change, changeOf, type ReadonlyStore } from './store.js'

type PodChange = Extract<Change, { kind: 'Pod' }>

/**
 * Gives every Service slices: its own where there are any, else those mirrored from its Endpoints, else those derived
 * from the Pods that its selector matches. Where the better ones come the others go, and come back after them.
 *
 * Work follows the change: a pod touches the Services that select it before or after, and of such a Service the pods
 * it selects.
 */
export class ServiceSlices {
  readonly #store: ReadonlyStore
  readonly #selectors = new SelectorIndex()
  /** How many slices of its own a Service has. */
  readonly #own = new Map<string, number>()
  /** The pods that a Service selects, of those whose slices are derived. */
  readonly #members = new Map<string, Map<string, Pod>>()
  readonly #made = new Map<string, readonly EndpointSlice[]>()

  constructor(store: ReadonlyStore) {
    this.#store = store
  }

  /** How often a selector was held against a pod's labels so far. */
  get comparisons(): number {
    return this.#selectors.comparisons
  }

  /** What follows from changes that the store has already; for the store next. */
  update(changes: readonly Change[]): Change[] {
    const stale = new Set<string>() // Services whose slices have to be made again
    const rechosen = new Set<string>() // those of them that may need another kind of slices, or other pods
    for (const change of changes) this.#note(change, stale, rechosen)
    this.#choose(rechosen)
    for (const change of changes) if (change.kind === 'Pod') this.#movePod(change, stale)
    for (const key of rechosen) stale.add(key)
    return [...stale].flatMap((key) => this.#make(key))
  }

  #note(change: Change, stale: Set<string>, rechosen: Set<string>): void {
    switch (change.kind) {
      case 'Service':
        if (change.after === undefined) this.#selectors.delete(change.key)
        else this.#selectors.set(change.key, change.after)
        rechosen.add(change.key)
        break
      case 'EndpointSlice':
        this.#countOwn(change.before, -1, rechosen)
        this.#countOwn(change.after, 1, rechosen)
        break
      case 'Endpoints':
        rechosen.add(change.key)
        break
      case 'Node':
        if (change.before?.zone !== change.after?.zone) this.#noteZone(change.key, stale)
        break
      default: // Pods come when it is known which Services want them; nothing is derived from the others
    }
  }

  #countOwn(slice: EndpointSlice | undefined, by: 1 | -1, rechosen: Set<string>): void {
    if (slice?.service === undefined) return
    const key = `${slice.namespace}/${slice.service}`
    const before = this.#own.get(key) ?? 0
    if (before + by === 0) this.#own.delete(key)
    else this.#own.set(key, before + by)
    if (before === 0 || before + by === 0) rechosen.add(key)
  }

  #noteZone(nodeName: string, stale: Set<string>): void {
    for (const pod of this.#store.podsOn(nodeName))
      for (const key of this.#selectors.matching(pod.namespace, pod.labels)) stale.add(key)
  }

  /** Finds the pods of Services that are new or have changed: one pass over the pods of each namespace concerned. */
  #choose(rechosen: ReadonlySet<string>): void {
    const namespaces = new Set<string>()
    for (const key of rechosen) {
      const service = this.#derivable(key)
      if (service === undefined) this.#members.delete(key)
      else {
        this.#members.set(key, new Map())
        namespaces.add(service.namespace)
      }
    }
    for (const namespace of namespaces)
      for (const pod of this.#store.podsIn(namespace))
        for (const key of this.#selectors.matching(namespace, pod.labels))
          if (rechosen.has(key)) this.#members.get(key)?.set(keyOf(pod), pod)
  }

  /** The Service where slices are to be derived for it. */
  #derivable(key: string): Service | undefined {
    const service = this.#store.get('Service', key)
    const given = this.#own.has(key) || this.#store.get('Endpoints', key)?.skipMirror === false
    return service !== undefined && !given && isDerivable(service) ? service : undefined
  }

  #movePod({ key, before, after }: PodChange, stale: Set<string>): void {
    const left = before === undefined ? [] : [...this.#selectors.matching(before.namespace, before.labels)]
    for (const service of left) if (this.#members.get(service)?.delete(key) === true) stale.add(service)
    if (after === undefined) return
    for (const service of this.#selectors.matching(after.namespace, after.labels))
      if (this.#members.get(service)?.set(key, after) !== undefined) stale.add(service)
  }

  #make(key: string): Change[] {
    const old = this.#made.get(key) ?? []
    // What says the same stays the same object: the store has it already.
    const made = this.#slices(key).map((slice) => old.find((was) => sameObject(was, slice)) ?? slice)
    if (made.length === 0) this.#made.delete(key)
    else this.#made.set(key, made)
    return differences(old, made)
  }

  #slices(key: string): readonly EndpointSlice[] {
    const members = this.#members.get(key)
    const service = this.#store.get('Service', key)
    if (members !== undefined && service !== undefined)
      return deriveSlices(service, inOrder(members), (node) => this.#store.get('Node', node)?.zone)
    const endpoints = this.#own.has(key) ? undefined : this.#store.get('Endpoints', key)
    return endpoints === undefined ? [] : mirroredSlices(endpoints)
  }
}

/** Pods by key, so that slices do not depend on which pod was seen first. */
const inOrder = (members: ReadonlyMap<string, Pod>): Pod[] =>
  [...members].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pod]) => pod)

function differences(before: readonly EndpointSlice[], after: readonly EndpointSlice[]): Change[] {
  const { added, changed, removed } = diff(byKey(after), byKey(before), (a, b) => a === b)
  return [
    ...added.map(([, slice]) => changeOf(undefined, slice)),
    ...changed.map(([, slice, was]) => changeOf(was, slice)),
    ...removed.map(([, was]) => changeOf(was, undefined)),
  ].filter((change) => change !== undefined)
}

const byKey = (slices: readonly EndpointSlice[]): Map<string, EndpointSlice> => keyBy(slices, keyOf)
