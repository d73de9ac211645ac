import { type Labels } from '../model/meta.js'
import { selects } from '../model/selector.js'
import { type Service } from '../model/service.js'

/**
 * Which Services select a pod? Each stands under one of its selector's labels, that which the fewest others stand
 * under, and a pod looks under its own labels only. So a pod costs what the Services cost that have a label of the
 * pod, not what all Services of the namespace or the cluster do.
 */
export class SelectorIndex {
  readonly #byLabel = new Map<string, Map<string, Service>>()
  readonly #labels = new Map<string, string>()
  #comparisons = 0

  /** How often a selector was held against a pod's labels so far. */
  get comparisons(): number {
    return this.#comparisons
  }

  /** Puts a Service in, or in the place of its older self; one without a selector is only taken out. */
  set(key: string, service: Service): void {
    this.delete(key)
    const labels = service.selector?.map(({ key: label, values }) => pair(service.namespace, label, values.join()))
    const label = labels?.reduce((best, next) => (this.#size(next) < this.#size(best) ? next : best))
    if (label === undefined) return
    this.#labels.set(key, label)
    const group = this.#byLabel.get(label)
    if (group === undefined) this.#byLabel.set(label, new Map([[key, service]]))
    else group.set(key, service)
  }

  delete(key: string): void {
    const label = this.#labels.get(key)
    if (label === undefined) return
    this.#labels.delete(key)
    const group = this.#byLabel.get(label)
    group?.delete(key)
    if (group?.size === 0) this.#byLabel.delete(label)
  }

  /** Keys of the Services in `namespace` whose selector matches `labels`. */
  *matching(namespace: string, labels: Labels): Generator<string> {
    for (const [label, value] of Object.entries(labels))
      for (const [key, service] of this.#byLabel.get(pair(namespace, label, value)) ?? []) {
        this.#comparisons++
        if (service.selector !== undefined && selects(service.selector, labels)) yield key
      }
  }

  #size(label: string): number {
    return this.#byLabel.get(label)?.size ?? 0
  }
}

/** A blank is in no name, label key or label value. */
const pair = (namespace: string, label: string, value: string): string => `${namespace} ${label} ${value}`
