import { type Element } from '../../../src/codec/nft/element.js'
import { type IsolationActual } from '../../../src/isolation/plan.js'
import { type NftOp } from '../../../src/ops/op.js'
import { FakeRuleset } from '../proxy/fake-ruleset.js'

/** The table in memory. */
export class FakeIsolation {
  readonly table = new FakeRuleset()

  /** The memory is stricter than the kernel, and takes nothing that is there: who leaves is added before. */
  apply(ops: readonly NftOp[]): readonly NftOp[] {
    const leaves = ops[0]?.kind === 'elements.add' && ops.at(-1)?.kind === 'elements.delete'
    this.table.apply(leaves ? ops.filter(({ kind }) => kind === 'elements.delete') : ops)
    return ops
  }

  /** As it would be read from a kernel. */
  actual(): IsolationActual | undefined {
    const { table } = this
    if (!table.present) return undefined
    const elements = new Map([...table.sets.keys()].map((name): [string, Element[]] => [name, table.elementsOf(name)]))
    return { structure: table.structure(), elements }
  }
}
