import t from 'tap'
import {
  clip,
  creation,
  eventName,
  type EventReport,
  objectPath,
  type Regarding,
  repetition,
} from '../../../src/daemon/event-object.js'

const POLICY: Regarding = { kind: 'NetworkPolicy', namespace: 'shop', name: 'deny', uid: 'u-1' }
const REPORT: EventReport = {
  type: 'Warning',
  reason: 'PolicyNotCompilable',
  message: 'too many ports',
  action: 'CompilePolicy',
  regarding: POLICY,
}
const IDENTIFIED = { name: 'deny.1f', node: 'node-1' }
const at = Date.parse('2030-01-02T03:04:05.678Z')
const ONCE = { count: 1, firstAt: at, lastAt: at }
const AGAIN = { count: 3, firstAt: at, lastAt: at + 1000 }

t.test('an Event is in the namespace of its object and says who reports what', async (t) => {
  t.strictSame(creation(REPORT, ONCE, IDENTIFIED), {
    method: 'POST',
    path: '/apis/events.k8s.io/v1/namespaces/shop/events',
    query: { fieldManager: 'netloom' },
    body: {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace: 'shop', name: 'deny.1f' },
      eventTime: '2030-01-02T03:04:05.678000Z',
      type: 'Warning',
      reason: 'PolicyNotCompilable',
      action: 'CompilePolicy',
      note: 'too many ports',
      regarding: {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        namespace: 'shop',
        name: 'deny',
        uid: 'u-1',
      },
      reportingController: 'netloom.dev/agent',
      reportingInstance: 'node-1',
    },
  })
})

t.test('an Event about a Node is in default, and has its name for a uid where none is known', async (t) => {
  const regarding: Regarding = { kind: 'Node', name: 'node-1' }
  t.match(creation({ ...REPORT, regarding }, ONCE, IDENTIFIED), {
    path: '/apis/events.k8s.io/v1/namespaces/default/events',
    body: { metadata: { namespace: 'default' }, regarding: { uid: 'node-1', namespace: undefined } },
  })
  t.match(creation({ ...REPORT, regarding: { ...regarding, uid: 'u' } }, ONCE, IDENTIFIED), {
    body: { regarding: { uid: 'u' } },
  })
})

t.test('what happens again is a series, also where the first was not written', async (t) => {
  const series = { count: 3, lastObservedTime: '2030-01-02T03:04:06.678000Z' }
  t.strictSame(repetition(POLICY, AGAIN, 'deny.1f'), {
    method: 'PATCH',
    path: '/apis/events.k8s.io/v1/namespaces/shop/events/deny.1f',
    query: { fieldManager: 'netloom' },
    patch: 'merge',
    body: { series },
  })
  t.match(creation(REPORT, AGAIN, IDENTIFIED), { body: { series } })
})

t.test('texts are as long as the API takes them, in bytes and whole characters', async (t) => {
  const { body } = creation({ ...REPORT, message: 'ä'.repeat(2000) }, ONCE, { ...IDENTIFIED, node: 'n'.repeat(200) })
  const { note, reportingInstance } = body as { note: string; reportingInstance: string }
  t.match(note, /^ä{510}…$/)
  t.equal(Buffer.byteLength(reportingInstance), 128)
  t.equal(clip('12345', 5), '12345')
  t.equal(clip('123456', 5), '12…')
})

t.test('names of Events differ and are names', async (t) => {
  t.equal(eventName(POLICY, 1, 0), 'deny.100000')
  t.not(eventName(POLICY, at, 0.1), eventName(POLICY, at, 0.2), 'two of one millisecond')
  const long = eventName({ ...POLICY, name: `${'a'.repeat(236)}-.${'b'.repeat(15)}` }, at, 0.5)
  t.ok(long.length <= 253)
  t.match(long, /^a{236}\.[0-9a-f]+$/)
})

t.test('objects have paths', async (t) => {
  t.equal(objectPath(POLICY), '/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/deny')
  t.equal(objectPath({ kind: 'Node', name: 'a' }), '/api/v1/nodes/a')
})
