import t from 'tap'
import { chiSquareTail, spread } from '../../../../src/cli/demo/statistics.js'

/** Quantiles of printed tables (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4). */
t.test('the tail of the chi-square distribution agrees with printed tables', async (t) => {
  const rows: readonly [value: number, freedom: number, probability: number][] = [
    [3.841, 1, 0.05],
    [6.635, 1, 0.01],
    [5.991, 2, 0.05],
    [13.816, 2, 0.001],
    [18.307, 10, 0.05],
    [4.865, 10, 0.9],
    [124.342, 100, 0.05],
    [70.065, 100, 0.99],
  ]
  for (const [value, freedom, probability] of rows)
    t.ok(Math.abs(chiSquareTail(value, freedom) - probability) < probability * 0.005, `${value} with ${freedom}`)
  t.equal(chiSquareTail(0, 3), 1)
  t.ok(chiSquareTail(1000, 2) < 1e-200)
})

t.test('shares are even where chance explains them, and uneven where it does not', async (t) => {
  const rows: readonly [counts: number[], evenness: string][] = [
    [[20, 20, 20], 'even'],
    [[25, 15, 20], 'even'],
    [[33, 12, 15], 'doubtful'],
    [[60, 0, 0], 'uneven'],
    [[300, 100], 'uneven'],
    [[7], 'even'],
    [[0, 0], 'even'],
    [[], 'even'],
  ]
  for (const [counts, evenness] of rows) t.equal(spread(counts).evenness, evenness, counts.join(' '))
})
