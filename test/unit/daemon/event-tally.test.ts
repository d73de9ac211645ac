import t from 'tap'
import { type EventReport } from '../../../src/daemon/event-object.js'
import { EventTally, TALLY } from '../../../src/daemon/event-tally.js'

const report = (message: string, name = 'node-1'): EventReport => ({
  type: 'Warning',
  reason: 'AddressPoolExhausted',
  message,
  action: 'AttachPod',
  regarding: { kind: 'Node', name },
})

t.test('the same again within the window is counted, after it is something new', async (t) => {
  const tally = new EventTally({ ...TALLY, windowMs: 100 })
  const first = tally.take(report('full'), 0).write!
  tally.taken(first)
  t.equal(tally.take(report('full'), 100).write, first)
  t.match(first, { count: 2, firstAt: 0, lastAt: 100 })
  tally.taken(first)
  t.not(tally.take(report('full, really'), 100).write, first, 'other words are something else')
  t.not(tally.take(report('full', 'node-2'), 100).write, first, 'and so is another object')
  const later = tally.take(report('full'), 201).write
  t.not(later, first)
  t.match(later, { count: 1, firstAt: 201 })
})

t.test('what waits to be written takes along what happens meanwhile', async (t) => {
  const tally = new EventTally({ ...TALLY, burst: 2 })
  const series = tally.take(report('full'), 0).write!
  for (let i = 0; i < 99; i++) t.match(tally.take(report('full'), i), { write: undefined, dropped: 0 })
  t.equal(series.count, 100)
  tally.taken(series)
  t.equal(tally.take(report('full'), 100).write, series, 'which costs no more than one write')
})

t.test('an object has a burst of writes, then one now and then; what is not written is counted', async (t) => {
  const tally = new EventTally()
  const take = (message: string, now: number, name?: string) => {
    const fate = tally.take(report(message, name), now)
    if (fate.write !== undefined) tally.taken(fate.write)
    return fate
  }
  for (let i = 0; i < 25; i++) t.ok(take(`problem ${i}`, i).write)
  t.match(take('problem 25', 30), { write: undefined, dropped: 1 })
  t.match(take('problem 25', 31), { write: undefined, dropped: 2 })
  t.ok(take('problem 0', 31, 'node-2').write, 'another object has its own')
  t.match(take('problem 25', 300_000), { write: { count: 3, firstAt: 30 }, dropped: 2 })
  t.match(take('problem 25', 300_001), { write: undefined, dropped: 1 })
})

t.test('memory is bounded', async (t) => {
  const tally = new EventTally({ ...TALLY, most: 10 })
  for (let i = 0; i < 1000; i++) tally.take(report(`problem ${i}`, `node-${i}`), i)
  t.equal(tally.size, 20)
  t.match(tally.take(report('problem 999', 'node-999'), 1000), { write: undefined }, 'the last are remembered')
  t.match(tally.take(report('problem 0', 'node-0'), 1000), { write: { count: 1 } })
})
