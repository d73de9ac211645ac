import { ANTISPOOF } from '../../../src/antispoof/layout.js'
import { type AntispoofActual } from '../../../src/antispoof/plan.js'
import { type Element } from '../../../src/codec/nft/element.js'
import { type NftOp } from '../../../src/ops/op.js'
import { FakeRuleset } from '../proxy/fake-ruleset.js'

/** The three tables in memory. */
export class FakeTables {
  readonly tables = new Map(ANTISPOOF.map(({ table }) => [table.family, new FakeRuleset()]))

  apply(ops: readonly NftOp[]): void {
    for (const op of ops) this.tables.get(op.table.family)?.apply([op])
  }

  /** As they would be read from a kernel. */
  actual(): AntispoofActual {
    const present = [...this.tables].filter(([, fake]) => fake.present)
    return new Map(present.map(([family, fake]) => [family, { structure: fake.structure(), elements: elements(fake) }]))
  }

  dump(): string[] {
    return [...this.tables].flatMap(([family, fake]) => fake.dump().map((line) => `${family} ${line}`))
  }
}

const elements = (fake: FakeRuleset): Map<string, readonly Element[]> =>
  new Map([...fake.sets.keys()].map((name) => [name, fake.elementsOf(name)]))
