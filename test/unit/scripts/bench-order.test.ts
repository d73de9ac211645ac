import t from 'tap'
import { turn } from '../../../scripts/bench/order.js'

t.test('each contender begins in its turn, and nobody is left out', (t) => {
  const rounds = [0, 1, 2, 3].map((round) => turn(['a', 'b', 'c'], round).join(''))
  t.strictSame(rounds, ['abc', 'bca', 'cab', 'abc'])
  t.strictSame(turn([], 7), [])
  t.end()
})
