import t from 'tap'
import { Backoff } from '../../../../src/kube/api/backoff.js'

t.test('waits double up to a bound, anything within that, and begin anew after a success', async (t) => {
  let random = 1
  const backoff = new Backoff({ firstMs: 100, mostMs: 500, random: () => random })
  t.same(
    [1, 2, 3, 4, 5].map(() => backoff.fail()),
    [100, 200, 400, 500, 500],
  )
  t.equal(backoff.failures, 5)
  random = 0.5
  t.equal(backoff.fail(), 250)
  backoff.reset()
  t.equal(backoff.failures, 0)
  t.equal(backoff.fail(), 50)
})

t.test('what the server wants is waited at least, however long it has been failing', async (t) => {
  const backoff = new Backoff({ firstMs: 100, mostMs: 500, random: () => 0.5 })
  t.equal(backoff.fail(2000), 2050)
  for (let i = 0; i < 2000; i++) backoff.fail()
  t.equal(backoff.fail(), 250, 'after thousands of failures, too')
})
