/** How even the answers of a Service's endpoints are: Pearson's chi-square test against equal shares. */

/** `even`: chance explains it. `doubtful`: chance does that once in a hundred runs. `uneven`: never. */
export type Evenness = 'even' | 'doubtful' | 'uneven'

export interface Spread {
  readonly evenness: Evenness
  /** How often chance alone spreads answers at least as unevenly: 0 to 1. */
  readonly probability: number
}

const DOUBTFUL = 0.01
/** A Service that picks by chance is called uneven once in a million times. */
const UNEVEN = 1e-6

/** Judges how many answers each endpoint gave; one endpoint alone, or no answer at all, is even. */
export function spread(counts: readonly number[]): Spread {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (counts.length < 2 || total === 0) return { evenness: 'even', probability: 1 }
  const expected = total / counts.length
  const statistic = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  const probability = chiSquareTail(statistic, counts.length - 1)
  return { evenness: probability < UNEVEN ? 'uneven' : probability < DOUBTFUL ? 'doubtful' : 'even', probability }
}

/** Probability that a chi-square variable of `freedom` degrees is at least `value`: Q(freedom / 2, value / 2). */
export const chiSquareTail = (value: number, freedom: number): number =>
  value <= 0 ? 1 : clamp(gammaTail(freedom / 2, value / 2))

const clamp = (probability: number): number => Math.min(1, Math.max(0, probability))

/** The regularized upper incomplete gamma function: a series where it converges fast, else a continued fraction. */
const gammaTail = (shape: number, x: number): number =>
  x < shape + 1 ? 1 - gammaSeries(shape, x) : gammaFraction(shape, x)

const PRECISION = 1e-12
const MOST_TERMS = 10_000

/** Abramowitz and Stegun 6.5.29. */
function gammaSeries(shape: number, x: number): number {
  let term = 1 / shape
  let sum = term
  for (let n = 1; n < MOST_TERMS && term > sum * PRECISION; n++) {
    term *= x / (shape + n)
    sum += term
  }
  return sum * Math.exp(-x + shape * Math.log(x) - logGamma(shape))
}

/** Abramowitz and Stegun 6.5.31 with Lentz's method, which keeps numerator and denominator from overflowing. */
function gammaFraction(shape: number, x: number): number {
  const tiny = 1e-300
  let b = x + 1 - shape
  let c = 1 / tiny
  let d = 1 / b
  let product = d
  for (let n = 1; n < MOST_TERMS; n++) {
    const a = -n * (n - shape)
    b += 2
    d = 1 / nonZero(a * d + b, tiny)
    c = nonZero(b + a / c, tiny)
    product *= d * c
    if (Math.abs(d * c - 1) < PRECISION) break
  }
  return product * Math.exp(-x + shape * Math.log(x) - logGamma(shape))
}

const nonZero = (value: number, tiny: number): number => (Math.abs(value) < tiny ? tiny : value)

/** Stirling's series from 10 on, and the recurrence below that. */
function logGamma(x: number): number {
  let shift = 0
  for (; x < 10; x++) shift += Math.log(x)
  const series = 1 / (12 * x) - 1 / (360 * x ** 3) + 1 / (1260 * x ** 5)
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - shift
}
