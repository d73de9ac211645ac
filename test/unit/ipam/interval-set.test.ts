import fc from 'fast-check'
import t from 'tap'
import { IntervalSet } from '../../../src/ipam/interval-set.js'

t.test(
  'numbers that are added and deleted in any order: it holds what a plain set holds, in the fewest intervals',
  async (t) => {
    const step = fc.record({ add: fc.boolean(), value: fc.bigInt(0n, 20n) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const [set, plain] = [new IntervalSet(), new Set<bigint>()]
        for (const { add, value } of steps) {
          set[add ? 'add' : 'delete'](value)
          plain[add ? 'add' : 'delete'](value)
        }
        return JSON.stringify(set.intervals.map(({ first, last }) => [String(first), String(last)])) === fewest(plain)
      }),
      { seed: 4, numRuns: 1000 },
    )
    t.pass()
  },
)

function fewest(plain: ReadonlySet<bigint>): string {
  const values = [...plain].sort((a, b) => Number(a - b))
  const firsts = values.filter((value) => !plain.has(value - 1n))
  const lasts = values.filter((value) => !plain.has(value + 1n))
  return JSON.stringify(firsts.map((first, i) => [String(first), String(lasts[i])]))
}

t.test('the first number that is missing', async (t) => {
  const set = new IntervalSet()
  for (const value of [3n, 4n, 5n, 8n, 9n]) set.add(value)
  const ROWS: readonly (readonly [first: bigint, last: bigint, missing: bigint | undefined])[] = [
    [0n, 9n, 0n],
    [3n, 9n, 6n],
    [4n, 5n, undefined],
    [5n, 6n, 6n],
    [7n, 9n, 7n],
    [8n, 9n, undefined],
    [8n, 10n, 10n],
    [10n, 10n, 10n],
    [6n, 5n, undefined],
  ]
  for (const [first, last, missing] of ROWS) t.equal(set.firstMissing({ first, last }), missing, `${first} to ${last}`)
})
