import t from 'tap'
import { TokenBucket } from '../../../src/daemon/token-bucket.js'

t.test('a burst passes, then one at a time, and never more than the burst', async (t) => {
  const bucket = new TokenBucket({ burst: 2, refillMs: 100 }, 1000)
  const passed = (now: number): number => [1, 2, 3, 4].filter(() => bucket.take(now)).length
  t.equal(passed(1000), 2)
  t.equal(passed(1099), 0)
  t.equal(passed(1100), 1, 'time that was asked about in between counts')
  t.equal(passed(9000), 2)
})

t.test('a clock that is set back gives nothing', async (t) => {
  const bucket = new TokenBucket({ burst: 1, refillMs: 100 }, 1000)
  t.ok(bucket.take(1000))
  t.notOk(bucket.take(0))
  t.ok(bucket.take(100))
})

t.test('asking often does not make it slower', async (t) => {
  const bucket = new TokenBucket({ burst: 1, refillMs: 300_000 }, 0)
  t.ok(bucket.take(0))
  for (let now = 1; now < 300_000; now += 7) bucket.take(now)
  t.ok(bucket.take(300_000))
})
