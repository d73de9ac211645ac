import t from 'tap'
import { quantile, Samples, summarize } from '../../../scripts/bench/samples.js'

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)

t.test('quantiles are measurements, by nearest rank', (t) => {
  const cases = [
    { count: 1, q: 0.5, is: 1 },
    { count: 2, q: 0.5, is: 1 },
    { count: 3, q: 0.5, is: 2 },
    { count: 100, q: 0.5, is: 50 },
    { count: 100, q: 0.99, is: 99 },
    { count: 99, q: 0.99, is: 99 },
    { count: 1000, q: 0.99, is: 990 },
    { count: 10, q: 0, is: 1 },
    { count: 10, q: 1, is: 10 },
  ]
  for (const { count, q, is } of cases) t.equal(quantile(upTo(count), q), is, `${q} of 1 to ${count}`)
  t.throws(() => quantile([], 0.5), RangeError, 'nothing was measured')
  t.end()
})

t.test('a summary does not depend on the order of the measurements, and leaves them alone', (t) => {
  const measured = [30, 2, 100, 4, 1]
  t.strictSame(summarize(measured), { count: 5, min: 1, p50: 4, p99: 100, max: 100 })
  t.strictSame(measured, [30, 2, 100, 4, 1])
  t.end()
})

t.test('samples are kept apart by name', (t) => {
  const samples = new Samples()
  samples.add('a', 1)
  samples.add('b', 10)
  samples.add('a', 3)
  t.match(samples.summary('a'), { count: 2, min: 1, max: 3 })
  t.match(samples.summary('b'), { count: 1, p50: 10 })
  t.equal(samples.summary('c'), undefined, 'never measured')
  t.end()
})
