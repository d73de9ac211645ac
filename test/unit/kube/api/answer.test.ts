import t from 'tap'
import { errorOf, errorOfStatus } from '../../../../src/kube/api/answer.js'

const answer = (status: number, body: unknown, retryAfter?: string) =>
  errorOf({ status, retryAfter, text: typeof body === 'string' ? body : JSON.stringify(body) }, 'GET /x')

const CODES: Record<string, [status: number, reason: string, code: string]> = {
  'bad request': [400, 'BadRequest', 'invalid'],
  'nobody known': [401, 'Unauthorized', 'denied'],
  'not allowed': [403, 'Forbidden', 'denied'],
  'not there': [404, 'NotFound', 'not-found'],
  'there already': [409, 'AlreadyExists', 'exists'],
  'changed in between': [409, 'Conflict', 'conflict'],
  'too old': [410, 'Expired', 'conflict'],
  'not valid': [422, 'Invalid', 'invalid'],
  'too many': [429, 'TooManyRequests', 'unavailable'],
  'server error': [500, 'InternalError', 'unavailable'],
  'no server behind the proxy': [503, '', 'unavailable'],
}

t.test('each status has the code that says how to react', async (t) => {
  for (const [what, [status, reason, code]] of Object.entries(CODES))
    t.match(
      answer(status, { kind: 'Status', reason, message: 'why', code: status }),
      { name: 'NetloomError', code, status, reason, message: 'why', operation: 'GET /x' },
      what,
    )
})

t.test('the field at fault is named', async (t) => {
  const causes = [{ reason: 'FieldValueInvalid', field: 'spec.ports[0].port', message: 'no' }]
  const error = answer(422, { kind: 'Status', message: 'Service "x" is invalid', code: 422, details: { causes } })
  t.match(error, { code: 'invalid', field: 'spec.ports[0].port', causes: ['FieldValueInvalid'] })
})

t.test('how long to wait is taken from the header, else from the Status', async (t) => {
  const status = { kind: 'Status', details: { retryAfterSeconds: 3 } }
  t.equal(answer(429, status, '7').retryAfterMs, 7000)
  t.equal(answer(429, status).retryAfterMs, 3000)
  t.equal(answer(503, '', 'Thu, 01 Jan 1970 00:00:00 GMT').retryAfterMs, 0, 'a date that is over')
  t.equal(answer(503, '', '86400').retryAfterMs, 300_000, 'a day is not believed')
  t.equal(answer(503, '', 'soon').retryAfterMs, undefined)
})

t.test('answers that are no Status are described by their number', async (t) => {
  for (const body of ['', '<html>', '[]', { kind: 'Pod', message: 'no' }, { kind: 'Status', details: 'x' }])
    t.match(answer(502, body), { code: 'unavailable', status: 502, message: 'the API server answered with status 502' })
  t.match(errorOfStatus(undefined), { code: 'unavailable', status: 500 })
  t.equal(answer(400, { kind: 'Status', message: 'x'.repeat(5000) }).message.length, 1000)
})
