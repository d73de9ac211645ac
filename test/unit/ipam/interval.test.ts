import t from 'tap'
import { type Interval, overlaps, point, sizeOf, without } from '../../../src/ipam/interval.js'

const interval = (first: number, last: number): Interval => ({ first: BigInt(first), last: BigInt(last) })

const CASES: Readonly<Record<string, readonly [holes: readonly Interval[], left: readonly Interval[]]>> = {
  'nothing is taken out': [[], [interval(10, 20)]],
  'holes outside change nothing': [[interval(0, 9), interval(21, 99)], [interval(10, 20)]],
  'a hole in the middle': [[point(15n)], [interval(10, 14), interval(16, 20)]],
  'holes at both ends': [[interval(5, 10), interval(20, 30)], [interval(11, 19)]],
  'holes that overlap, in any order': [
    [interval(14, 17), interval(12, 15)],
    [interval(10, 11), interval(18, 20)],
  ],
  'a hole within a hole': [
    [interval(11, 19), interval(13, 14)],
    [point(10n), point(20n)],
  ],
  'holes that touch': [
    [interval(12, 13), interval(14, 15)],
    [interval(10, 11), interval(16, 20)],
  ],
  'all of it': [[interval(0, 100)], []],
}

for (const [name, [holes, left]] of Object.entries(CASES))
  t.test(`an interval without others: ${name}`, async (t) => {
    t.same(without(interval(10, 20), holes), left)
  })

t.test('the size of intervals, of which one without anything in it has none', async (t) => {
  t.equal(sizeOf([interval(1, 3), point(9n), interval(5, 3)]), 4n)
  t.equal(sizeOf([{ first: 0n, last: 2n ** 64n - 1n }]), 2n ** 64n)
})

t.test('intervals that touch do not overlap', async (t) => {
  t.ok(overlaps(interval(1, 5), interval(5, 9)))
  t.notOk(overlaps(interval(1, 4), interval(5, 9)))
  t.notOk(overlaps(interval(5, 9), interval(1, 4)))
})
