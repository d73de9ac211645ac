import { type Family } from '../base/family.js'
import { formatCidr } from '../base/ip.js'
import { keyOf } from '../model/meta.js'
import { type Node } from '../model/node.js'
import { sameObject } from '../model/object.js'
import { type SubnetClaim } from '../model/subnetclaim.js'
import { type Flaw } from './manifest.js'
import { type Change, changeOf, type ReadonlyStore } from './store.js'

/** What is wrong with the claims of a node; empty when nothing is any more. */
export type ReportClaims = (node: string, flaws: readonly Flaw[]) => void

/**
 * Gives Nodes the subnets that they claimed, where the cluster allocates none (spec.podCIDRs is empty), so that
 * consumers need not know where a subnet comes from.
 */
export class NodeSubnets {
  readonly #store: ReadonlyStore
  readonly #report: ReportClaims
  /** Nodes as they are in the API. */
  readonly #nodes = new Map<string, Node>()
  /** Claims by the node that holds them, then by their key. */
  readonly #claims = new Map<string, Map<string, SubnetClaim>>()

  constructor(store: ReadonlyStore, report: ReportClaims) {
    this.#store = store
    this.#report = report
  }

  /** Changes of a source as the store is to get them: Nodes with their subnets, and also those whose claims changed. */
  update(changes: readonly Change[]): readonly Change[] {
    const touched = new Set<string>()
    const others: Change[] = []
    for (const change of changes) {
      if (change.kind === 'Node') {
        if (change.after === undefined) this.#nodes.delete(change.key)
        else this.#nodes.set(change.key, change.after)
        touched.add(change.key)
        continue
      }
      if (change.kind === 'SubnetClaim') this.#move(change.before, change.after, touched)
      others.push(change)
    }
    return touched.size === 0 ? changes : [...[...touched].flatMap((name) => this.#change(name)), ...others]
  }

  #move(before: SubnetClaim | undefined, after: SubnetClaim | undefined, touched: Set<string>): void {
    if (before?.node !== undefined) {
      const claims = this.#claims.get(before.node)
      claims?.delete(keyOf(before))
      if (claims?.size === 0) this.#claims.delete(before.node)
      touched.add(before.node)
    }
    if (after?.node === undefined) return
    const claims = this.#claims.get(after.node) ?? new Map<string, SubnetClaim>()
    this.#claims.set(after.node, claims.set(keyOf(after), after))
    touched.add(after.node)
  }

  #change(name: string): Change[] {
    const before = this.#store.get('Node', name)
    const node = this.#nodes.get(name)
    const after = node === undefined || node.podCIDRs.length > 0 ? node : this.#filled(node)
    if (after === node) this.#report(name, [])
    if (sameObject(before, after)) return []
    return [changeOf(before, after)].filter((change) => change !== undefined)
  }

  /** The first claim of each family by name counts: whoever looks, and whenever, sees the same. */
  #filled(node: Node): Node {
    const claims = [...(this.#claims.get(node.name)?.values() ?? [])].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
    const chosen = new Map<Family, SubnetClaim>()
    const flaws: Flaw[] = []
    for (const claim of claims) {
      const first = chosen.get(claim.subnet.family)
      if (first === undefined) chosen.set(claim.subnet.family, claim)
      else
        flaws.push({
          message: `holds ${formatCidr(claim.subnet)} beside ${formatCidr(first.subnet)}, of which only the latter counts`,
        })
    }
    this.#report(node.name, flaws)
    return chosen.size === 0 ? node : { ...node, podCIDRs: [...chosen.values()].map(({ subnet }) => subnet) }
  }
}
