import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { mapBounded } from '../../../../src/cli/demo/bounded.js'

t.test('results stand in the order of the items, and never more than the limit are in work', async (t) => {
  let now = 0
  let most = 0
  const results = await mapBounded([5, 1, 3, 2, 4], 2, async (turns, position) => {
    most = Math.max(most, ++now)
    for (let i = 0; i < turns; i++) await setImmediate()
    now--
    return `${position}:${turns}`
  })
  t.same(results, ['0:5', '1:1', '2:3', '3:2', '4:4'])
  t.equal(most, 2)
  t.same(await mapBounded([], 4, async () => 1), [])
})

t.test('after a failure nothing more is begun', async (t) => {
  const begun: number[] = []
  const work = mapBounded([0, 1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item)
    await setImmediate()
    if (item === 1) throw new Error('broken')
  })
  await t.rejects(work, { message: 'broken' })
  await setImmediate()
  await setImmediate()
  t.ok(begun.length <= 3, `begun: ${begun.join(' ')}`)
})
