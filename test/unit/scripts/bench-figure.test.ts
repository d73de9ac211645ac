import t from 'tap'
import { type Figure, figure, type Goal, type Measured } from '../../../scripts/bench/figure.js'

const TENTH: Goal = { of: 'ratio', bound: 'most', limit: 0.1 }
const base = { name: 'ADD', unit: 'ms', value: 4 }

const CASES: { name: string; measured: Measured; is: Partial<Figure> }[] = [
  {
    name: 'alone: nothing to compare with, nothing to reach',
    measured: base,
    is: { value: 4, peer: null, peerName: null, ratio: null, goal: null, met: null },
  },
  {
    name: 'a ratio within its goal',
    measured: { ...base, peer: { name: 'p', value: 50 }, goal: TENTH },
    is: { peer: 50, peerName: 'p', ratio: 0.08, goal: 'ratio <= 0.1', met: true },
  },
  {
    name: 'a ratio at its goal',
    measured: { ...base, peer: { name: 'p', value: 40 }, goal: TENTH },
    is: { ratio: 0.1, met: true },
  },
  {
    name: 'a ratio that only rounding brings to its goal',
    measured: { ...base, value: 4.00001, peer: { name: 'p', value: 40 }, goal: TENTH },
    is: { value: 4, ratio: 0.1, met: false },
  },
  {
    name: 'a peer that is missing: its goal is not judged',
    measured: { ...base, peer: { name: 'p', value: undefined }, goal: TENTH },
    is: { peer: null, peerName: 'p', ratio: null, goal: 'ratio <= 0.1', met: null },
  },
  {
    name: 'a peer of nothing at all gives no ratio',
    measured: { ...base, peer: { name: 'p', value: 0 }, goal: TENTH },
    is: { peer: 0, ratio: null, met: null },
  },
  {
    name: 'a goal of its own needs no peer',
    measured: { ...base, goal: { of: 'value', bound: 'most', limit: 10 } },
    is: { goal: 'value <= 10 ms', met: true },
  },
  {
    name: 'a goal from below',
    measured: { ...base, peer: { name: 'p', value: 4.1 }, goal: { of: 'ratio', bound: 'least', limit: 0.98 } },
    is: { goal: 'ratio >= 0.98', met: false },
  },
  { name: 'four digits are told', measured: { ...base, value: 12.34567 }, is: { value: 12.35 } },
]

for (const { name, measured, is } of CASES)
  t.test(name, (t) => {
    t.match(figure(measured), is)
    t.strictSame(Object.keys(figure(measured)), 'name unit value peer peerName ratio goal met'.split(' '))
    t.end()
  })
