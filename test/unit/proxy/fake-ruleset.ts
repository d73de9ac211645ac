import { type Chain } from '../../../src/codec/nft/chain.js'
import { type Element } from '../../../src/codec/nft/element.js'
import { type Rule, ruleFingerprint } from '../../../src/codec/nft/rule.js'
import { sameSet, setFacts, type SetSpec } from '../../../src/codec/nft/set.js'
import { type Statement } from '../../../src/codec/nft/statement.js'
import { type Scalar } from '../../../src/codec/nft/types.js'
import { type NftOp, type OpOf } from '../../../src/ops/op.js'
import { type ActualRuleset } from '../../../src/ops/ruleset.js'

interface FakeSet {
  spec: SetSpec
  readonly elements: Map<string, Element>
}

interface FakeChain {
  readonly chain: Chain
  rules: Rule[]
}

const textOf = (key: readonly Scalar[]): string => key.join(' ')
const dataText = ({ data }: Element): string =>
  data === undefined ? '' : 'verdict' in data ? `${data.verdict} ${data.chain ?? ''}` : textOf(data)

/** The chain that an element's verdict leads to. */
const chainOf = ({ data }: Element): string | undefined =>
  data !== undefined && 'verdict' in data ? data.chain : undefined

/** Sets and maps that a statement looks up. */
function setOf(statement: Statement): string | undefined {
  if (statement.kind === 'lookup') return statement.set
  return statement.kind === 'vmap' || statement.kind === 'dnat' ? statement.map : undefined
}

/**
 * One nftables table in memory, stricter than the kernel: what the kernel refuses is an error, and so is what it would
 * take without a need (adding what is there).
 */
export class FakeRuleset {
  #present = false
  readonly sets = new Map<string, FakeSet>()
  readonly chains = new Map<string, FakeChain>()
  /** Elements written and deleted so far. */
  elements = 0
  /** Operations applied so far. */
  operations = 0

  apply(ops: readonly NftOp[]): void {
    for (const op of ops) {
      if (!this.#present && op.kind !== 'table.add') throw new Error(`${op.kind} without a table`)
      this.operations++
      ;(this.#handlers[op.kind] as (op: NftOp) => void)(op)
    }
  }

  readonly #handlers: { readonly [K in NftOp['kind']]: (op: OpOf<K>) => void } = {
    'table.add': () => {
      if (this.#present) throw new Error('the table exists')
      this.#present = true
    },
    'table.delete': () => {
      this.#present = false
      this.sets.clear()
      this.chains.clear()
    },
    'chain.add': ({ chain }) => {
      if (this.chains.has(chain.name)) throw new Error(`chain ${chain.name} exists`)
      this.chains.set(chain.name, { chain, rules: [] })
    },
    'chain.delete': ({ chain }) => {
      if (this.chain(chain).rules.length > 0) throw new Error(`chain ${chain} has rules`)
      const user = this.#userOfChain(chain)
      if (user !== undefined) throw new Error(`chain ${chain} is in use by ${user}`)
      this.chains.delete(chain)
    },
    'rules.flush': ({ chain }) => {
      this.chain(chain).rules = []
    },
    'rule.add': ({ chain, rule }) => {
      for (const name of rule.map(setOf)) if (name !== undefined) this.set(name)
      this.chain(chain).rules.push(rule)
    },
    'set.add': ({ set }) => {
      if (this.sets.has(set.name)) throw new Error(`set ${set.name} exists`)
      this.sets.set(set.name, { spec: set, elements: new Map() })
    },
    'set.delete': ({ set }) => {
      const user = [...this.chains].find(([, { rules }]) => rules.flat().some((statement) => setOf(statement) === set))
      if (user !== undefined) throw new Error(`set ${set} is in use by chain ${user[0]}`)
      if (!this.sets.delete(set)) throw new Error(`no set ${set}`)
    },
    'set.flush': ({ set }) => this.set(set).elements.clear(),
    'elements.add': ({ set, elements }) => this.#addElements(set, elements),
    'elements.delete': ({ set, elements }) => {
      this.elements += elements.length
      const { elements: present } = this.set(set.name)
      for (const { key } of elements)
        if (!present.delete(textOf(key))) throw new Error(`no element ${textOf(key)} in ${set.name}`)
    },
  }

  #addElements(spec: SetSpec, elements: readonly Element[]): void {
    const { spec: own, elements: present } = this.set(spec.name)
    if (!sameSet(setFacts(own), setFacts(spec))) throw new Error(`set ${spec.name} is of another type`)
    this.elements += elements.length
    for (const element of elements) {
      const key = textOf(element.key)
      if (present.has(key)) throw new Error(`element ${key} in ${spec.name} exists`)
      if ((spec.data === undefined) !== (element.data === undefined)) throw new Error(`element ${key} has no fit data`)
      const chain = chainOf(element)
      if (chain !== undefined) this.chain(chain)
      present.set(key, element)
    }
  }

  #userOfChain(name: string): string | undefined {
    for (const [set, { elements }] of this.sets)
      for (const element of elements.values()) if (chainOf(element) === name) return `an element of ${set}`
    for (const [chain, { rules }] of this.chains)
      if (rules.flat().some((statement) => statement.kind === 'verdict' && statement.verdict.chain === name))
        return `a rule of ${chain}`
    return undefined
  }

  set(name: string): FakeSet {
    const set = this.sets.get(name)
    if (set === undefined) throw new Error(`no set ${name}`)
    return set
  }

  chain(name: string): FakeChain {
    const chain = this.chains.get(name)
    if (chain === undefined) throw new Error(`no chain ${name}`)
    return chain
  }

  get present(): boolean {
    return this.#present
  }

  /** The structure as it would be read from a kernel. */
  structure(): ActualRuleset {
    const sets = [...this.sets].map(([name, { spec }]) => [name, setFacts(spec)] as const)
    const chains = [...this.chains].map(
      ([name, { chain, rules }]) => [name, { chain, rules: rules.map(ruleFingerprint) }] as const,
    )
    return { sets: new Map(sets), chains: new Map(chains) }
  }

  elementsOf(set: string): Element[] {
    return [...(this.sets.get(set)?.elements.values() ?? [])]
  }

  /** What a look-up of `key` in a set or map finds. */
  lookup(set: string, key: readonly Scalar[]): Element | undefined {
    return this.set(set).elements.get(textOf(key))
  }

  /** Everything, as sorted lines: equal for tables that do the same. */
  dump(): string[] {
    const sets = [...this.sets].flatMap(([name, { elements }]) => [
      `set ${name}`,
      ...[...elements].map(([key, element]) => `set ${name} { ${key} : ${dataText(element)} }`),
    ])
    const chains = [...this.chains].flatMap(([name, { chain, rules }]) => [
      `chain ${name} ${JSON.stringify(chain.base ?? {})}`,
      ...rules.map((rule, i) => `chain ${name} rule ${i} ${ruleFingerprint(rule)}`),
    ])
    return [...sets, ...chains].sort()
  }
}
