import { type Attached } from '../../../src/isolation/elements.js'
import { planIsolation, planJoin, planLeave } from '../../../src/isolation/plan.js'
import { type IngressPolicy } from '../../../src/model/lease.js'
import { planText } from '../../../src/ops/text.js'
import { exampleLease } from '../../support/lease.js'
import { FakeIsolation } from '../../unit/isolation/fake-isolation.js'
import { type Planner, type Section } from './section.js'

/** NETWORK, addresses and policy of an attachment. */
interface Row {
  readonly network: string
  readonly addresses: readonly string[]
  readonly ingressPolicy?: IngressPolicy
}

interface Input {
  readonly title: string
  /** All that are attached, */
  readonly sync?: readonly Row[]
  /** or one that comes to the others, */
  readonly join?: Row
  /** or one that goes. */
  readonly leave?: Row
}

/** Each document is what happens next. */
export const isolationPlans: Planner = (documents) => {
  const table = new FakeIsolation()
  let all: Attached[] = []
  return (documents as Input[]).map(({ title, sync, join, leave }): Section => {
    if (sync !== undefined) {
      all = sync.map((row) => exampleLease(row))
      return { title, plan: planText(table.apply(planIsolation(all, table.actual()))) }
    }
    const text = (row: Row): string => row.addresses.join(' ')
    if (join !== undefined) {
      const lease = exampleLease(join)
      all.push(lease)
      return { title, plan: planText(table.apply(planJoin(lease, all))) }
    }
    if (leave === undefined) throw new Error(`${title}: nothing happens`)
    all = all.filter(({ addresses }) => addresses.map(({ address }) => address).join(' ') !== text(leave))
    return { title, plan: planText(table.apply(planLeave(exampleLease(leave), all))) }
  })
}
