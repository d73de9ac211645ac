import { type Cidr, formatCidr, networkOf } from '../base/ip.js'

/** One node's claim on a pod network. */
export interface Claim {
  readonly node: string
  readonly cidr: Cidr
}

/**
 * Which node has which pod network. Of claims that overlap the node itself wins, and then the first by name: a route
 * that may lead to the wrong pods is worse than none. The cost of a change is that of the claims it overlaps with, not
 * that of all.
 */
export class Claims {
  readonly #self: string
  readonly #byNode = new Map<string, readonly Claim[]>()
  readonly #refused = new Map<Claim, Claim>()
  /**
   * Claims by the networks that hold them, of each length of prefix that there is: `10.244.0.0/16` finds all within.
   * Nearly always all networks of a family have one length.
   */
  readonly #within = new Map<string, Set<Claim>>()
  readonly #lengths = new Set<string>()

  constructor(self: string) {
    this.#self = self
  }

  /** Replaces all claims of a node. @returns the nodes whose networks may be theirs, or no longer, because of it */
  set(node: string, cidrs: readonly Cidr[]): ReadonlySet<string> {
    const before = this.#byNode.get(node) ?? []
    const same =
      before.length === cidrs.length && before.every(({ cidr }, i) => formatCidr(cidr) === formatCidr(cidrs[i] ?? cidr))
    if (same) return new Set()
    const concerned = this.#connected(before)
    for (const claim of before) this.#unindex(claim)
    const after = cidrs.map((cidr) => ({ node, cidr }))
    if (after.length === 0) this.#byNode.delete(node)
    else this.#byNode.set(node, after)
    for (const claim of after) this.#index(claim)
    for (const claim of before) concerned.delete(claim)
    for (const claim of this.#connected(after)) concerned.add(claim)
    this.#settle(concerned)
    return new Set([node, ...[...concerned].map((claim) => claim.node)])
  }

  /** The claims of a node; each with the one that it gives way to. */
  of(node: string): readonly { readonly claim: Claim; readonly refusedFor: Claim | undefined }[] {
    return (this.#byNode.get(node) ?? []).map((claim) => ({ claim, refusedFor: this.#refused.get(claim) }))
  }

  /** All networks that anybody claims. */
  *all(): Iterable<Claim> {
    for (const claims of this.#byNode.values()) yield* claims
  }

  /** Claims with all that overlap with them, with those in turn, and so on. */
  #connected(claims: readonly Claim[]): Set<Claim> {
    const found = new Set(claims)
    for (const claim of found) for (const other of this.#overlapping(claim)) found.add(other)
    return found
  }

  *#overlapping({ cidr }: Claim): Iterable<Claim> {
    yield* this.#within.get(formatCidr(cidr)) ?? []
    for (const holder of this.#holders(cidr))
      for (const other of this.#within.get(formatCidr(holder)) ?? [])
        if (other.cidr.prefix === holder.prefix) yield other
  }

  /** Networks that hold one, itself included, of the lengths that there are. */
  #holders({ family, address, prefix }: Cidr): Cidr[] {
    return [...this.#lengths]
      .filter((length) => length.startsWith(family.name))
      .map((length) => Number(length.slice(family.name.length + 1)))
      .filter((length) => length <= prefix)
      .map((length) => networkOf(family, address, length))
  }

  #index(claim: Claim): void {
    const length = `${claim.cidr.family.name}/${claim.cidr.prefix}`
    if (!this.#lengths.has(length)) {
      this.#lengths.add(length)
      for (const known of this.all()) this.#put(known)
    } else this.#put(claim)
  }

  #put(claim: Claim): void {
    for (const holder of this.#holders(claim.cidr)) {
      const key = formatCidr(holder)
      const within = this.#within.get(key)
      if (within === undefined) this.#within.set(key, new Set([claim]))
      else within.add(claim)
    }
  }

  #unindex(claim: Claim): void {
    this.#refused.delete(claim)
    for (const holder of this.#holders(claim.cidr)) {
      const key = formatCidr(holder)
      const within = this.#within.get(key)
      within?.delete(claim)
      if (within?.size === 0) this.#within.delete(key)
    }
  }

  /** Decides anew for claims that overlap with none but each other; one that gave way stands in nobody's way. */
  #settle(claims: ReadonlySet<Claim>): void {
    for (const claim of claims) this.#refused.delete(claim)
    if (claims.size === 1) return
    const taken = new Set<Claim>()
    for (const claim of [...claims].sort((a, b) => this.#order(a, b))) {
      const [winner] = [...this.#overlapping(claim)]
        .filter((other) => taken.has(other))
        .sort((a, b) => this.#order(a, b))
      if (winner === undefined) taken.add(claim)
      else this.#refused.set(claim, winner)
    }
  }

  #order(a: Claim, b: Claim): number {
    if (a.node === b.node) return 0
    if (a.node === this.#self || b.node === this.#self) return a.node === this.#self ? -1 : 1
    return a.node < b.node ? -1 : 1
  }
}
