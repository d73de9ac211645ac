import t from 'tap'
import { type ErrorCode, invalid, NetloomError } from '../../../src/base/errors.js'
import { CNI_CODE, type CniCode, cniError, CniFailure, PluginFailure } from '../../../src/cni/error.js'

const CODES: Readonly<Record<ErrorCode, CniCode>> = {
  invalid: 7,
  'not-found': 100,
  exists: 101,
  conflict: 11,
  denied: 5,
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
  const specified = [1, 2, 3, 4, 5, 6, 7, 11, 50, 51]
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

t.test('details name the field at fault, and with codes 2 and 4 so does the message', async (t) => {
  const rows: readonly [NetloomError, { msg: string; details: string }][] = [
    [invalid('mtu', 'is odd'), { msg: 'invalid network configuration', details: 'mtu: is odd' }],
    [
      new NetloomError('invalid', 'is odd', { field: 'mtu' }),
      { msg: 'invalid network configuration', details: 'mtu: is odd' },
    ],
    [new NetloomError('io', 'disk is full'), { msg: 'I/O failure', details: 'disk is full' }],
    [
      new CniFailure(CNI_CODE.INVALID_ENVIRONMENT, 'CNI_NETNS is required for ADD', 'CNI_NETNS'),
      {
        msg: 'invalid environment variable: CNI_NETNS is required for ADD',
        details: 'CNI_NETNS is required for ADD',
      },
    ],
    [
      new CniFailure(CNI_CODE.UNSUPPORTED_FIELD, '7 cannot be done', 'vlan'),
      { msg: 'unsupported field in network configuration: vlan: 7 cannot be done', details: 'vlan: 7 cannot be done' },
    ],
  ]
  for (const [error, expected] of rows) t.match(cniError(error, '1.1.0'), expected)
})

t.test("another plugin's error keeps its code and its words, and tells whose it is", async (t) => {
  const failure = new PluginFailure('host-local', { code: 123, msg: 'no room', details: 'range 0 is full' })
  t.same(cniError(failure, '1.0.0'), {
    cniVersion: '1.0.0',
    code: 123,
    msg: 'no room',
    details: 'plugin host-local: no room: range 0 is full (code 123)',
  })
  t.match(cniError(new PluginFailure('dhcp', { code: 11, msg: 'later' }), '1.1.0'), {
    code: 11,
    details: 'plugin dhcp: later (code 11)',
  })
  t.match(new PluginFailure('dhcp', { code: 11, msg: 'later' }), { plugin: 'dhcp', code: 'unavailable' })
})

t.test('whatever is thrown becomes an answer', async (t) => {
  t.match(cniError(new TypeError('x is not a function'), '1.1.0'), { code: 104, details: 'x is not a function' })
  t.match(cniError('text', '1.1.0'), { code: 104, details: 'text' })
  t.match(cniError(undefined, '1.1.0'), { code: 104 })
  t.match(cniError(Object.assign(new Error('ENOSPC: no space'), { errno: -28 }), '1.1.0'), { code: 5 })
  t.match(cniError(invalid('mtu', 'is odd'), '1.1.0'), { code: 7, details: 'mtu: is odd' })
})
