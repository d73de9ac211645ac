import t from 'tap'
import { type Guarded } from '../../../src/antispoof/guarded.js'
import { ANTISPOOF, ANTISPOOF_TABLES } from '../../../src/antispoof/layout.js'
import { antispoofDifferences, planAntispoof, planGuard, planUnguard } from '../../../src/antispoof/plan.js'
import { tableText } from '../../../src/codec/nft/table.js'
import { type NftOp } from '../../../src/ops/op.js'
import { planText } from '../../../src/ops/text.js'
import { FakeTables } from './fake-tables.js'

const guarded = (number: number, on: Guarded['on']): Guarded => ({
  hostInterface: `nlm-${number}`,
  mac: `0a:58:0a:01:00:0${number}`,
  addresses: [`10.1.0.${number}`, `fd00:1::${number}`],
  on,
})

const [ONE, TWO, THREE] = [guarded(1, 'bridge'), guarded(2, 'bridge'), guarded(3, 'link')]

function brought(...desired: readonly Guarded[]): FakeTables {
  const tables = new FakeTables()
  tables.apply(planAntispoof(desired, new Map()))
  return tables
}

const lines = (ops: readonly NftOp[]): string[] => planText(ops).split('\n').slice(0, -1)

t.test('there is a table for each way that packets come in by', async (t) => {
  t.strictSame(ANTISPOOF_TABLES.map(tableText), [
    'bridge netloom-antispoof',
    'inet netloom-antispoof',
    'arp netloom-antispoof',
  ])
})

t.test('every chain of senders ends with a drop, and links that are not guarded never come to it', async (t) => {
  const plan = lines(planAntispoof([], new Map()))
  for (const { table, chains } of ANTISPOOF) {
    const rules = plan.filter((line) => line.startsWith(`nft add rule ${tableText(table)} `))
    t.equal(rules.filter((line) => line.includes(' sender ')).at(-1), `nft add rule ${tableText(table)} sender drop`)
    const hook = chains.at(-1)?.chain.name ?? ''
    t.strictSame(
      rules.filter((line) => line.includes(` ${hook} `)),
      [`nft add rule ${tableText(table)} ${hook} iifname @guarded goto sender`],
    )
  }
})

t.test('tables as wanted cost nothing', async (t) => {
  t.strictSame(planAntispoof([ONE, THREE], brought(ONE, THREE).actual()), [])
  t.strictSame(planAntispoof([THREE, ONE], brought(ONE, THREE).actual()), [], 'in any order')
})

t.test('a container that comes is a few elements, and so is one that goes', async (t) => {
  const tables = brought(ONE)
  const come = planAntispoof([ONE, TWO], tables.actual())
  t.strictSame(lines(come), lines(planGuard(TWO)))
  tables.apply(planGuard(TWO))
  t.strictSame(tables.dump(), brought(ONE, TWO).dump())
  const go = planAntispoof([TWO], tables.actual())
  t.strictSame(
    lines(go),
    lines(planUnguard(ONE)).filter((line) => line.includes('delete element')),
  )
})

t.test('what is to be deleted is added before: then it is there, whatever others did', async (t) => {
  const kinds = planUnguard(ONE, THREE).map(({ kind }) => kind)
  t.strictSame([...kinds].sort(), kinds, 'first all additions')
  const [added, deleted] = (['elements.add', 'elements.delete'] as const).map((kind) =>
    lines(planUnguard(ONE, THREE).filter((op) => op.kind === kind)).map((line) => line.replace(/^nft \w+ /, '')),
  )
  t.strictSame(added, deleted)
})

t.test('any state leads to any other', async (t) => {
  const states = [[], [ONE], [ONE, TWO, THREE], [{ ...ONE, mac: TWO.mac }], [{ ...ONE, on: 'link' as const }]]
  for (const from of states)
    for (const to of states) {
      const tables = brought(...from)
      tables.apply(planAntispoof(to, tables.actual()))
      t.strictSame(tables.dump(), brought(...to).dump())
    }
})

t.test('a table that is gone is made anew with all that belongs into it, others stay', async (t) => {
  const tables = brought(ONE, THREE)
  const [, inet] = ANTISPOOF_TABLES
  tables.apply([{ kind: 'table.delete', table: inet! }])
  const plan = planAntispoof([ONE, THREE], tables.actual())
  t.ok(plan.every(({ table }) => table === inet))
  tables.apply(plan)
  t.strictSame(tables.dump(), brought(ONE, THREE).dump())
})

t.test('a guard as it should be has no differences', async (t) => {
  for (const link of [ONE, THREE]) t.strictSame([...antispoofDifferences(link, brought(ONE, TWO, THREE).actual())], [])
})

t.test('what is wrong with a guard is told', async (t) => {
  const tables = brought(ONE, { ...TWO, addresses: ['10.1.0.9'] })
  const [bridge, inet, arp] = ANTISPOOF_TABLES
  tables.apply([
    { kind: 'table.delete', table: arp! },
    { kind: 'rules.flush', table: inet!, chain: 'prerouting' },
    { kind: 'set.flush', table: bridge!, set: 'guarded' },
  ])
  t.strictSame(
    [...antispoofDifferences({ ...TWO, addresses: ['10.1.0.2'] }, tables.actual())],
    [
      'set guarded of table bridge netloom-antispoof lacks "nlm-2"',
      'set ipv4 of table bridge netloom-antispoof lacks "nlm-2" . 0a:58:0a:01:00:02 . 10.1.0.2',
      'set ipv4 of table bridge netloom-antispoof has "nlm-2" . 0a:58:0a:01:00:02 . 10.1.0.9',
      'table inet netloom-antispoof has other sets, chains or rules',
      'table arp netloom-antispoof is missing',
    ],
  )
})
