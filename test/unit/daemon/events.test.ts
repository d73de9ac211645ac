import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { type EventReport, Events, type EventsOptions } from '../../../src/daemon/events.js'
import { type ApiRequest } from '../../../src/kube/api/client.js'
import { until } from '../../support/api-world.js'
import { ScriptedApi } from '../../support/scripted-api.js'

const NODE = { kind: 'Node', name: 'node-1', uid: 'u-1' } as const
const EVENTS = '/apis/events.k8s.io/v1/namespaces/default/events'

const report = (message = 'no address is left', regarding: EventReport['regarding'] = NODE): EventReport => ({
  type: 'Warning',
  reason: 'AddressPoolExhausted',
  message,
  action: 'AttachPod',
  regarding,
})

function reporter(t: Test, reply: (request: ApiRequest) => unknown = () => ({}), more: Partial<EventsOptions> = {}) {
  const api = new ScriptedApi(reply)
  const logged: { level: number; msg: string; dropped?: number }[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => logged.push(JSON.parse(line) as never) })
  const events = new Events({ client: api, node: 'node-1', log, now: () => 1_000_000, random: () => 0, ...more })
  t.teardown(() => events.close())
  return { api, events, logged }
}

const PATCHED = `PATCH ${EVENTS}/node-1.${(1_000_000 * 2 ** 20).toString(16)}`

t.test('a problem is an Event, and again the same Event', async (t) => {
  const { api, events } = reporter(t)
  events.report(report())
  await until(() => api.requests.length === 1, 'an Event')
  events.report(report())
  await until(() => api.requests.length === 2, 'its repetition')
  t.same(api.asked, [`POST ${EVENTS}`, PATCHED])
  t.match(api.requests[1], { patch: 'merge', body: { series: { count: 2 } } })
})

t.test('a storm is one write while one is under way, and nobody waits', async (t) => {
  const { api, events } = reporter(t)
  for (let i = 0; i < 1000; i++) events.report(report())
  t.equal(api.requests.length, 0)
  await until(() => api.requests.length > 0, 'an Event')
  await sleep(20)
  t.equal(api.requests.length, 1)
  t.match(api.requests[0], { body: { series: { count: 1000 } } })
  t.equal(events.dropped, 0)
})

t.test('too many about one object are only counted, which is logged once at both ends', async (t) => {
  let now = 1_000_000
  const { api, events, logged } = reporter(t, undefined, { now: () => now })
  for (let i = 0; i < 60; i++) events.report(report(`pod ${i} has no address`))
  await until(() => api.requests.length === 25, 'a burst')
  t.equal(events.dropped, 35)
  now += 300_000
  events.report(report('pod 59 has no address'))
  await until(() => api.requests.length === 26, 'one more')
  t.match(api.requests[25], { method: 'POST', body: { series: { count: 2 } } })
  t.match(logged, [{ level: 40, msg: /only counted/ }, { dropped: 35 }])
  t.equal(logged.length, 2)
})

t.test('an Event that the server has dropped is made anew, with all that was counted', async (t) => {
  const { api, events } = reporter(t, ({ method }) => (method === 'PATCH' ? new NetloomError('not-found', 'gone') : {}))
  events.report(report())
  await until(() => api.requests.length === 1, 'an Event')
  events.report(report())
  await until(() => api.requests.length === 3, 'a new one')
  t.match(api.requests[2], { method: 'POST', body: { series: { count: 2 } } })
})

t.test('a write that fails hurts nothing, is logged once, and is made good by the next report', async (t) => {
  let away = true
  const { api, events, logged } = reporter(t, () => (away ? new NetloomError('unavailable', 'away') : {}))
  for (let i = 1; i <= 3; i++) {
    events.report(report())
    await until(() => api.requests.length === i, 'an attempt')
  }
  away = false
  events.report(report())
  await until(() => api.requests.length === 4, 'an Event')
  t.match(api.requests[3], { method: 'POST', body: { series: { count: 4 } } })
  await until(() => logged.length === 2, 'the log')
  t.match(logged, [{ level: 40, msg: 'an Event cannot be written' }, { msg: 'Events can be written again' }])
})

t.test('where a uid is not known it is asked for, once', async (t) => {
  const regarding = { kind: 'Service', namespace: 'shop', name: 'web' } as const
  const { api, events } = reporter(t, ({ method }) => (method === 'GET' ? { metadata: { uid: 'u-7' } } : {}))
  for (const length of [2, 3]) {
    events.report(report('a port is taken', regarding))
    await until(() => api.requests.length === length, 'requests')
  }
  t.equal(api.asked[0], 'GET /api/v1/namespaces/shop/services/web')
  t.match(api.requests[1], { body: { regarding: { uid: 'u-7' } } })
  t.match(api.requests[2], { method: 'PATCH' })
})

t.test('an object that is gone has its Event without a uid', async (t) => {
  const regarding = { kind: 'Service', namespace: 'shop', name: 'web' } as const
  const { api, events } = reporter(t, ({ method }) => (method === 'GET' ? new NetloomError('not-found', 'gone') : {}))
  events.report(report('a port is taken', regarding))
  await until(() => api.requests.length === 2, 'requests')
  t.notOk('uid' in (api.requests[1]!.body as { regarding: object }).regarding)
})

t.test('after it is closed nothing is written, and nothing waits', async (t) => {
  const { api, events, logged } = reporter(
    t,
    ({ signal }) => new Promise((_, reject) => signal!.addEventListener('abort', () => reject(new Error('aborted')))),
  )
  events.report(report('one'))
  events.report(report('two'))
  await until(() => api.requests.length === 1, 'a call')
  await events.close()
  events.report(report('three'))
  await sleep(20)
  t.equal(api.requests.length, 1)
  t.same(logged, [])
})
