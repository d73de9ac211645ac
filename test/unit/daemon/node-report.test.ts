import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { NodeReport, type NodeReportTiming } from '../../../src/daemon/node-report.js'
import { type ApiRequest } from '../../../src/kube/api/client.js'
import { until } from '../../support/api-world.js'
import { ScriptedApi } from '../../support/scripted-api.js'

const WISH = { ready: true, addresses: undefined }
const NODE = '/api/v1/nodes/node-1'
const LONG = 3_600_000
const BARE = { metadata: { name: 'node-1' } }
const TAINTED = { ...BARE, spec: { taints: [{ key: 'netloom.dev/agent-not-ready', effect: 'NoSchedule' }] } }
const AS_WISHED = {
  ...BARE,
  status: { conditions: [{ type: 'NetworkUnavailable', status: 'False', reason: 'NetloomReady' }] },
}

/** A report on a Node that is what `reply` says, and what it logged. */
function reporter(t: Test, reply: (request: ApiRequest) => unknown, timing: Partial<NodeReportTiming> = {}) {
  const api = new ScriptedApi(reply)
  const logged: { level: number; msg: string }[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => logged.push(JSON.parse(line) as never) })
  const report = new NodeReport({
    client: api,
    node: 'node-1',
    log,
    timing: { lookMs: LONG, firstBackoffMs: 1, mostBackoffMs: 5, ...timing },
  })
  t.teardown(() => report.close())
  return { api, report, logged }
}

/** A Node that takes patches for what they are: as wished after one of its status. */
function settling(first: object): (request: ApiRequest) => unknown {
  let node = first
  return ({ method }) => (method === 'PATCH' ? (node = AS_WISHED) : node)
}

t.test('nothing is asked before there is a wish', async (t) => {
  const { api, report } = reporter(t, () => BARE, { lookMs: 1 })
  report.look()
  await sleep(20)
  t.same(api.requests, [])
})

t.test('a Node is read, and written where it is different; the same wish again is none', async (t) => {
  const { api, report } = reporter(t, settling(BARE))
  report.update(WISH)
  await until(() => api.requests.length === 2, 'a write')
  report.update({ ...WISH })
  await sleep(20)
  t.same(api.asked, [`GET ${NODE}`, `PATCH ${NODE}/status`])
  report.update({ ...WISH, addresses: ['192.0.2.1'] })
  await until(() => api.requests.length === 4, 'another write')
  t.same(api.asked.slice(2), [`GET ${NODE}`, `PATCH ${NODE}`])
  t.equal(report.problem(), undefined)
})

t.test('a Node that is made anew gets its condition again, whether or not somebody notices', async (t) => {
  let node: object = BARE
  const reply = ({ method }: ApiRequest): unknown => (method === 'PATCH' ? (node = AS_WISHED) : node)
  for (const [lookMs, notice] of [
    [LONG, true],
    [5, false],
  ] as const) {
    node = BARE
    const { report } = reporter(t, reply, { lookMs })
    report.update(WISH)
    await until(() => node === AS_WISHED, 'the condition')
    await sleep(10)
    node = BARE
    if (notice) report.look()
    await until(() => node === AS_WISHED, 'the condition again')
    await report.close()
  }
  t.pass()
})

t.test('a change in the middle of a look is looked at', async (t) => {
  let failures = 1
  const { api, report } = reporter(t, async ({ method }) => {
    await sleep(1)
    if (failures-- > 0) return new NetloomError('unavailable', 'away')
    if (method === 'GET' && api.requests.length === 2) report.look()
    return AS_WISHED
  })
  report.update(WISH)
  await until(() => api.requests.length === 3, 'another look')
  await sleep(20)
  t.equal(api.requests.length, 3)
})

t.test('while the server is away it is asked again and again, which is one problem and then none', async (t) => {
  let away = true
  const answer = settling(BARE)
  const { api, report, logged } = reporter(t, (request) =>
    away ? new NetloomError('unavailable', 'no connection') : answer(request),
  )
  report.update(WISH)
  await until(() => api.requests.length > 5, 'attempts')
  t.match(report.problem(), /cannot be told about this node: no connection/)
  away = false
  await until(() => report.problem() === undefined, 'success')
  t.same(api.asked.slice(-2), [`GET ${NODE}`, `PATCH ${NODE}/status`])
  t.equal(logged.filter(({ level }) => level >= 40).length, 1)
  t.ok(logged.some(({ msg }) => msg === 'the API knows about this node again'))
})

t.test('a taint list that changes in between is read again, and no problem unless that goes on', async (t) => {
  let refusals = 1
  const replies = ({ method, patch }: ApiRequest): unknown => {
    if (method === 'GET') return TAINTED
    return patch === 'json' && refusals-- > 0 ? new NetloomError('invalid', 'the test failed') : {}
  }
  const { api, report, logged } = reporter(t, replies)
  report.update(WISH)
  await until(() => api.requests.length >= 6, 'a second attempt')
  t.same(api.asked.slice(3), [`GET ${NODE}`, `PATCH ${NODE}/status`, `PATCH ${NODE}`])
  t.notOk(logged.some(({ level }) => level >= 40))
  refusals = Infinity
  report.update({ ...WISH, addresses: ['192.0.2.1'] })
  await until(() => report.problem() !== undefined, 'a problem')
})

t.test('the taint stays until the condition is written', async (t) => {
  const { api, report } = reporter(
    t,
    ({ path }) => (path.endsWith('/status') ? new NetloomError('denied', 'forbidden') : TAINTED),
    { firstBackoffMs: LONG, mostBackoffMs: LONG },
  )
  report.update(WISH)
  await until(() => report.problem() !== undefined, 'a refusal')
  t.same(api.asked, [`GET ${NODE}`, `PATCH ${NODE}/status`])
  const asked = api.requests.length
  report.look()
  await sleep(20)
  t.equal(api.requests.length, asked, 'a change of the Node does not hurry a failing write')
})

t.test('after it is closed nothing is asked, and what is under way is given up', async (t) => {
  const { api, report } = reporter(
    t,
    ({ signal }) => new Promise((_, reject) => signal!.addEventListener('abort', () => reject(new Error('aborted')))),
  )
  report.update(WISH)
  await until(() => api.requests.length === 1, 'a call')
  await report.close()
  report.update({ ...WISH, ready: false })
  await sleep(20)
  t.equal(api.requests.length, 1)
  t.equal(report.problem(), undefined)
})
