import t from 'tap'
import { readFileSync } from 'node:fs'
import { asError, asNetloomError, invalid, NetloomError } from '../../../src/base/errors.js'

t.test('an error keeps what programs ask for, and its cause', async (t) => {
  const cause = new Error('below')
  const error = new NetloomError('kernel', 'no', { operation: 'create link v0', errno: 17, field: 'name', cause })
  t.match(error, { name: 'NetloomError', code: 'kernel', operation: 'create link v0', errno: 17, field: 'name' })
  t.equal(error.cause, cause)
  t.ok(error instanceof Error)
  t.match(error.stack, /errors\.test/)
})

t.test('an error without a cause has no such property', async (t) => {
  t.notOk('cause' in new NetloomError('io', 'no'))
})

t.test('an error about a field leads with it', async (t) => {
  t.match(invalid('spec.ports[0].port', 'is 0'), {
    code: 'invalid',
    field: 'spec.ports[0].port',
    message: 'spec.ports[0].port: is 0',
  })
  t.equal(invalid('', 'is empty').message, 'is empty', 'and the input as a whole has no name')
})

t.test('errors are passed on as they are', async (t) => {
  const plain = new TypeError('x')
  t.equal(asError(plain), plain)
  const own = new NetloomError('exists', 'x')
  t.equal(asNetloomError(own, 'other'), own)
})

const thrownValues: Record<string, readonly [thrown: unknown, message: string]> = {
  text: ['oops', 'oops'],
  undefined: [undefined, 'undefined'],
  null: [null, 'null'],
  'an object': [{ a: 1 }, '[object Object]'],
}
for (const [name, [thrown, message]] of Object.entries(thrownValues)) {
  t.test(`thrown ${name} becomes an error and is not lost`, async (t) => {
    const error = asError(thrown)
    t.match(error, { code: 'internal', message })
    t.equal(error.cause, thrown)
  })
}

t.test('a system error keeps its errno', async (t) => {
  try {
    readFileSync('/nonexistent/file')
    t.fail('was read')
  } catch (thrown) {
    t.match(asNetloomError(thrown, 'read it'), { code: 'io', errno: 2, operation: 'read it', cause: thrown })
  }
})

t.test('any other error is an internal one', async (t) => {
  const cause = new TypeError('x is not a function')
  t.match(asNetloomError(cause, 'plan'), { code: 'internal', message: cause.message, operation: 'plan', cause })
  t.equal(asNetloomError(cause).errno, undefined)
})
