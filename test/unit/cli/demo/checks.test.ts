import t from 'tap'
import { parseIp } from '../../../../src/base/ip.js'
import { judgeShares } from '../../../../src/cli/demo/checks.js'
import { type Outcome } from '../../../../src/cli/demo/outcome.js'
import { type Target } from '../../../../src/cli/demo/targets.js'

const target = (pods: number, over: Partial<Target> = {}): Target => ({
  service: 'default/web',
  type: 'ClusterIP',
  portName: '',
  port: 80,
  protocol: 'TCP',
  addresses: [parseIp('10.96.0.16')],
  endpoints: Array.from({ length: pods }, (_, i) => ({ pod: `default/web-${i}`, port: 8080 })),
  affinity: false,
  unprobed: undefined,
  ...over,
})

const answers = (...counts: number[]): Outcome[] =>
  counts.flatMap((count, i) =>
    Array.from({ length: count }, (): Outcome => ({
      answer: { pod: `default/web-${i}`, node: 'node-1', port: 8080, client: '10.244.1.2' },
      ms: 1,
    })),
  )

t.test('answers are counted by endpoint', async (t) => {
  const { report, failures } = judgeShares(target(3), answers(18, 20, 22))
  t.match(report, {
    answers: 60,
    evenness: 'even',
    endpoints: [{ answers: 18, share: 0.3 }, { answers: 20 }, { answers: 22 }],
  })
  t.same(failures, [])
})

t.test('an endpoint that never answers, and shares that chance does not explain, are failures', async (t) => {
  t.same(judgeShares(target(3), answers(30, 30, 0)).failures, [
    'default/web:80/TCP: default/web-2 gave none of 60 answers',
  ])
  t.same(judgeShares(target(2), answers(90, 10)).failures, ['default/web:80/TCP: answers are spread unevenly'])
})

t.test('connections that fail are one line for each way', async (t) => {
  const outcomes = [
    ...answers(30, 28),
    { failure: 'timeout', ms: 2500 } as const,
    { failure: 'timeout', ms: 2500 } as const,
  ]
  const { report, failures } = judgeShares(target(2), outcomes)
  t.equal(report.answers, 58)
  t.same(failures, ['default/web:80/TCP: 2 of 60 connections: timeout'])
})

t.test('where clients stay with an endpoint shares are not judged', async (t) => {
  const { report, failures } = judgeShares(target(2, { affinity: true }), answers(60, 0))
  t.same([report.evenness, report.probability, failures], [null, null, []])
})

t.test('a Service that was not asked says why', async (t) => {
  t.match(judgeShares(target(1, { unprobed: 'is headless' }), []).report, {
    answers: 0,
    evenness: null,
    unprobed: 'is headless',
  })
})
