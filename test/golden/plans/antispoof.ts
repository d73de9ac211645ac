import { type Guarded } from '../../../src/antispoof/guarded.js'
import { planAntispoof, planGuard, planUnguard } from '../../../src/antispoof/plan.js'
import { planText } from '../../../src/ops/text.js'
import { FakeTables } from '../../unit/antispoof/fake-tables.js'
import { type Planner, type Section } from './section.js'

interface Input {
  readonly title: string
  /** All links that are to be guarded, */
  readonly sync?: readonly Guarded[]
  /** or those that come, */
  readonly guard?: readonly Guarded[]
  /** or go. */
  readonly unguard?: readonly Guarded[]
}

/** Each document is what happens next. */
export const antispoofPlans: Planner = (documents) => {
  const tables = new FakeTables()
  return (documents as Input[]).map(({ title, sync, guard = [], unguard = [] }): Section => {
    const ops =
      sync === undefined ? [...planGuard(...guard), ...planUnguard(...unguard)] : planAntispoof(sync, tables.actual())
    // The memory is stricter than the kernel, and takes nothing that is there.
    tables.apply(unguard.length === 0 ? ops : ops.filter(({ kind }) => kind === 'elements.delete'))
    return { title, plan: planText(ops) }
  })
}
