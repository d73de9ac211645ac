import t from 'tap'
import { type ErrorCode, invalid, NetloomError } from '../../../src/base/errors.js'
import { CNI_CODE, type CniCode, cniError, CniFailure } from '../../../src/cni/error.js'

const CODES: Readonly<Record<ErrorCode, CniCode>> = {
  invalid: 7,
  'not-found': 100,
  exists: 101,
  exhausted: 102,
  kernel: 100,
  io: 5,
  unavailable: 11,
  unsupported: 100,
  internal: 104,
}

t.test('every kind of error has its code', async (t) => {
  for (const [code, number] of Object.entries(CODES)) {
    const answer = cniError(new NetloomError(code as ErrorCode, 'why'), '1.0.0')
    t.equal(answer.code, number, code)
    t.equal(answer.details, 'why')
    t.equal(answer.cniVersion, '1.0.0')
  }
})

t.test('codes are those of the specification below 100, and each has words of its own', async (t) => {
  const specified = [1, 2, 3, 4, 5, 6, 7, 11, 50]
  const all = Object.values(CNI_CODE)
  t.same(all.filter((code) => code < 100), specified) // prettier-ignore
  const messages = all.map((code) => cniError(new CniFailure(code, 'x'), '1.1.0').msg)
  t.ok(messages.every((message) => message.length > 5))
  t.equal(new Set(messages).size, all.length)
})

t.test('who knows the code better says it', async (t) => {
  t.equal(cniError(new CniFailure(CNI_CODE.UNKNOWN_CONTAINER, 'no such'), '1.1.0').code, 3)
  t.equal(cniError(new CniFailure(CNI_CODE.INVALID_ENVIRONMENT, 'bad', 'CNI_IFNAME'), '1.1.0').code, 4)
})

t.test("the kernel's refusals are not taken for the runtime's fault, nor for a lack of addresses", async (t) => {
  const kernel = (code: ErrorCode, errno: number) => new NetloomError(code, 'x', { errno })
  t.equal(cniError(kernel('not-found', 19), '1.1.0').code, CNI_CODE.KERNEL, 'a link that vanished')
  t.equal(cniError(kernel('unsupported', 95), '1.1.0').code, CNI_CODE.KERNEL, 'not a key of the configuration')
  t.equal(cniError(kernel('exhausted', 105), '1.1.0').code, CNI_CODE.KERNEL)
  t.equal(cniError(kernel('exists', 17), '1.1.0').code, CNI_CODE.EXISTS)
  t.equal(cniError(kernel('unavailable', 11), '1.1.0').code, CNI_CODE.TRY_AGAIN)
})

t.test('whatever is thrown becomes an answer', async (t) => {
  t.match(cniError(new TypeError('x is not a function'), '1.1.0'), { code: 104, details: 'x is not a function' })
  t.match(cniError('text', '1.1.0'), { code: 104, details: 'text' })
  t.match(cniError(undefined, '1.1.0'), { code: 104 })
  t.match(cniError(Object.assign(new Error('ENOSPC: no space'), { errno: -28 }), '1.1.0'), { code: 5 })
  t.match(cniError(invalid('mtu', 'is odd'), '1.1.0'), { code: 7, details: 'mtu: is odd' })
})
