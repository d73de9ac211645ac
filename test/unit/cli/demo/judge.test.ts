import t from 'tap'
import { judgeDirect, judgeService } from '../../../../src/cli/demo/judge.js'
import { type Outcome } from '../../../../src/cli/demo/outcome.js'

const answered = (pod: string, { port = 80, client = '10.244.1.2' } = {}): Outcome => ({
  answer: { pod, node: 'node-1', port, client },
  ms: 1,
})
const failed = (failure: NonNullable<Outcome['failure']>, ms = 1): Outcome => ({ failure, ms })
const WEB = { endpoints: [{ pod: 'default/web-0', port: 80 }] }
const NOBODY = { endpoints: [] }

t.test('a Service is reached where one of its pods answers on its port', async (t) => {
  const rows: readonly [name: string, outcome: Outcome, problem: string | undefined][] = [
    ['an endpoint', answered('default/web-0'), undefined],
    ['another pod', answered('default/cart-0'), 'wrong pod: default/cart-0 port 80'],
    ['another port', answered('default/web-0', { port: 81 }), 'wrong pod: default/web-0 port 81'],
    ['nobody', failed('timeout'), 'timeout'],
    ['a refusal', failed('refused'), 'refused'],
  ]
  for (const [name, outcome, problem] of rows) t.equal(judgeService(WEB, outcome).problem, problem, name)
  t.equal(judgeService(WEB, answered('default/web-0')).cell, 'ok')
})

t.test('a Service without endpoints must refuse, and at once', async (t) => {
  t.equal(judgeService(NOBODY, failed('refused')).cell, 'refused')
  t.match(judgeService(NOBODY, failed('refused', 1200)).problem, /only after 1200 ms/)
  t.match(judgeService(NOBODY, failed('timeout')).problem, /should refuse/)
  t.match(judgeService(NOBODY, answered('default/web-0')).problem, /has no endpoints/)
})

t.test('a pod has to see the address of its client itself', async (t) => {
  const expected = { pod: 'default/web-0', client: '10.244.1.2' }
  t.equal(judgeDirect(expected, answered('default/web-0')).cell, 'ok')
  t.match(
    judgeDirect(expected, answered('default/web-0', { client: '172.30.0.11' })).problem,
    /saw 172\.30\.0\.11 instead of/,
  )
  t.match(judgeDirect(expected, answered('default/web-1')).problem, /wrong pod/)
  t.equal(judgeDirect(expected, failed('unreachable')).problem, 'unreachable')
})
