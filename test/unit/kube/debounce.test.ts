import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Debounce } from '../../../src/kube/debounce.js'

t.test('a burst is one call, after it', async (t) => {
  let calls = 0
  const debounce = new Debounce(20, () => calls++)
  for (let i = 0; i < 5; i++) debounce.touch()
  t.equal(calls, 0)
  await sleep(60)
  t.equal(calls, 1)
  debounce.touch()
  await sleep(60)
  t.equal(calls, 2)
})

t.test('touches without end do not put the call off without end', async (t) => {
  let calls = 0
  const debounce = new Debounce(20, () => calls++)
  const end = performance.now() + 400
  while (calls === 0 && performance.now() < end) {
    debounce.touch()
    await sleep(1)
  }
  t.equal(calls, 1)
  debounce.close()
})

t.test('after closing there is no call', async (t) => {
  const debounce = new Debounce(5, () => t.fail('was called'))
  debounce.touch()
  debounce.close()
  await sleep(30)
  t.pass()
})
