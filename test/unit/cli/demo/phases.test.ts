import t from 'tap'
import { Phases } from '../../../../src/cli/demo/phases.js'
import { Progress } from '../../../../src/cli/demo/progress.js'

const silent = new Progress({ isTTY: false, columns: 80, write: () => true })

t.test('every phase that ends is reported with its time', async (t) => {
  const times = [0, 120.4, 200, 1200]
  const phases = new Phases(silent, () => times.shift() ?? 0)
  t.equal(await phases.run('nodes', async () => 7), 7)
  await phases.run('agents', async () => undefined)
  t.same(phases.reports, [
    { name: 'nodes', ms: 120 },
    { name: 'agents', ms: 1000 },
  ])
})

t.test('a phase that fails is not reported', async (t) => {
  const phases = new Phases(silent)
  await t.rejects(phases.run('agents', () => Promise.reject(new Error('no'))))
  t.same(phases.reports, [])
})
