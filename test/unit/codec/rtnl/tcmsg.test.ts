import t from 'tap'
import { readTcmsg, type Tcmsg, writeTcmsg } from '../../../../src/codec/rtnl/tcmsg.js'
import { Writer } from '../../../../src/codec/wire.js'

const message: Required<Tcmsg> = { index: 3, handle: 0x8001_0000, parent: 0xffff_fff2, protocol: 0x86dd, priority: 17 }

t.test('the head of a message of traffic control comes back as it was written', async (t) => {
  t.strictSame(readTcmsg(writeTcmsg(new Writer(), message).bytes()), message)
})

t.test('what does not fit is refused, and a head that is cut off is no head', async (t) => {
  for (const [field, value] of [
    ['index', 2 ** 32],
    ['handle', -1],
    ['priority', 0x1_0000],
  ] as const)
    t.throws(() => writeTcmsg(new Writer(), { ...message, [field]: value }), { code: 'invalid', field })
  t.throws(() => readTcmsg(Buffer.alloc(19)), { code: 'invalid' })
})
