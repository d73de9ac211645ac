import t from 'tap'
import { buildRequest, checkPayload } from '../../../../src/codec/rtnl/request.js'
import { Writer } from '../../../../src/codec/wire.js'

const head = { type: 16, flags: 1, operation: 'create link v0' }

t.test('a request is encoded at once, and gives the same bytes each time', async (t) => {
  let value = 1
  const request = buildRequest(head, (writer) => writer.u32(value))
  value = 2
  const writer = new Writer().u8(0xff)
  request.body(writer)
  request.body(writer)
  t.equal(writer.bytes().toString('hex'), 'ff0100000001000000')
  t.match(request, head)
})

t.test('bad input throws where the request is made', async (t) => {
  const build = () =>
    buildRequest(head, () => {
      throw new TypeError('bad')
    })
  t.throws(build, { message: 'bad' })
})

t.test('a payload that is too short for its struct is refused', async (t) => {
  t.throws(() => checkPayload(Buffer.alloc(15), 'ifinfomsg', 16), {
    code: 'invalid',
    message: 'ifinfomsg has 15 bytes, needs 16',
  })
  t.doesNotThrow(() => checkPayload(Buffer.alloc(16), 'ifinfomsg', 16))
})
