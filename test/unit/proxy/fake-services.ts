import { type Family } from '../../../src/base/family.js'
import { type Element } from '../../../src/codec/nft/element.js'
import { PROTOCOL } from '../../../src/codec/nft/statement.js'
import { type Scalar } from '../../../src/codec/nft/types.js'
import { type Frontend, targetKey } from '../../../src/proxy/frontend.js'
import { slotName, slotsIn } from '../../../src/proxy/layout.js'
import { type ProxyPlan } from '../../../src/proxy/draft.js'
import { type ObservedTable } from '../../../src/proxy/plan.js'
import { FakeRuleset } from './fake-ruleset.js'

/** A Services table in memory, which can be asked where a connection goes. */
export class FakeServices {
  readonly ruleset = new FakeRuleset()

  /** Applies transactions; `after` is called behind each. Answers the number of operations. */
  run(plans: Iterable<ProxyPlan>, after: (plan: ProxyPlan) => void = () => undefined): number {
    const before = this.ruleset.operations
    for (const plan of plans) {
      this.ruleset.apply(plan.ops)
      plan.commit()
      after(plan)
    }
    return this.ruleset.operations - before
  }

  /** The table as an agent reads it back. */
  observe(): ObservedTable | undefined {
    if (!this.ruleset.present) return undefined
    const slots = slotsIn(this.ruleset.sets.keys())
    const elements = (name: string): Element[] => this.ruleset.elementsOf(name)
    return {
      structure: this.ruleset.structure(),
      frontends: elements('frontends'),
      slots: Array.from({ length: slots }, (_, slot) => elements(slotName(slot))),
      picks: elements('slots'),
      addresses: elements('service_ips'),
      hairpin: elements('hairpin'),
    }
  }

  /**
   * Where new connections to an address go, following the rules as a packet would: one entry for each number that may
   * be drawn; `refused` for an address of a Service that has nothing there, `passed` for any other.
   */
  connect({ family, address, protocol, port }: Pick<Frontend, 'family' | 'address' | 'protocol' | 'port'>): string[] {
    const key: Scalar[] = [address, PROTOCOL[protocol], port]
    const verdict = this.#translate(key)
    if (verdict === undefined)
      return [this.ruleset.lookup('service_ips', [address]) === undefined ? 'passed' : 'refused']
    const [rule] = this.ruleset.chain(verdict).rules
    const draw = rule?.[0]
    if (draw?.kind !== 'vmap') throw new Error(`${verdict} draws nothing`)
    const modulus = Number(/numgen random mod (\d+)/.exec(draw.fields[0]?.text ?? '')?.[1])
    return Array.from({ length: modulus }, (_, number) => this.#dnat(family, draw.map, number, key))
  }

  #translate(key: readonly Scalar[]): string | undefined {
    const chains = ['prerouting', 'output'].map((chain) => {
      const [rule] = this.ruleset.chain(chain).rules
      if (rule?.[0]?.kind !== 'vmap') throw new Error(`chain ${chain} does not translate`)
      return gotoOf(this.ruleset.lookup(rule[0].map, key))
    })
    if (chains[0] !== chains[1]) throw new Error('pods and the node do not see the same Services')
    return chains[0]
  }

  #dnat(family: Family, picks: string, number: number, key: readonly Scalar[]): string {
    const chain = gotoOf(this.ruleset.lookup(picks, [number]))
    if (chain === undefined) throw new Error(`number ${number} leads nowhere`)
    const [statement] = this.ruleset.chain(chain).rules[0] ?? []
    if (statement?.kind !== 'dnat' || statement.family !== family) throw new Error(`${chain} does not translate`)
    const element = this.ruleset.lookup(statement.map, key)
    if (element?.data === undefined || 'verdict' in element.data)
      throw new Error(`${key.join(' ')}: slot ${number} is empty`)
    return element.data.join(' ')
  }

  /** Everything in which the table is not what these frontends want; empty where it is. */
  differences(desired: readonly Frontend[]): string[] {
    return [
      ...desired.flatMap((frontend) => this.#misled(frontend)),
      ...differ('service_ips', this.#keys('service_ips'), new Set(desired.map(({ address }) => address))),
      ...differ('hairpin', this.#keys('hairpin'), new Set(desired.flatMap(localPairs))),
      ...this.#leftovers(desired),
    ]
  }

  #misled(frontend: Frontend): string[] {
    const wanted = [...new Set(frontend.endpoints.map(targetKey))].sort()
    const found = this.connect(frontend).sort()
    const expected = wanted.length === 0 ? ['refused'] : wanted
    return found.join() === expected.join()
      ? []
      : [`${frontend.address} ${frontend.port}: goes to ${found.join()}, not to ${expected.join()}`]
  }

  #keys(set: string): Set<string> {
    return new Set(this.ruleset.elementsOf(set).map(({ key }) => key.join(' ')))
  }

  /** The number of elements tells that nothing is left behind: all that are needed have been found already. */
  #leftovers(desired: readonly Frontend[]): string[] {
    const serving = desired.filter(({ endpoints }) => endpoints.length > 0).length
    const targets = desired.reduce((sum, { endpoints }) => sum + new Set(endpoints.map(targetKey)).size, 0)
    const inSlots = [...this.ruleset.sets.keys()]
      .filter((name) => name.startsWith('slot_'))
      .reduce((sum, name) => sum + this.ruleset.elementsOf(name).length, 0)
    const frontends = this.ruleset.elementsOf('frontends').length
    return [
      ...(frontends === serving ? [] : [`${frontends} frontends, not ${serving}`]),
      ...(inSlots === targets ? [] : [`${inSlots} elements in slots, not ${targets}`]),
    ]
  }
}

const localPairs = ({ endpoints }: Frontend): string[] =>
  endpoints.filter(({ local }) => local).map(({ address }) => `${address} ${address}`)

const gotoOf = (element: Element | undefined): string | undefined =>
  element?.data !== undefined && 'verdict' in element.data && element.data.verdict === 'goto'
    ? element.data.chain
    : undefined

function differ(what: string, found: ReadonlySet<string>, wanted: ReadonlySet<string>): string[] {
  return [
    ...[...found].filter((key) => !wanted.has(key)).map((key) => `${what} holds ${key}`),
    ...[...wanted].filter((key) => !found.has(key)).map((key) => `${what} lacks ${key}`),
  ]
}
