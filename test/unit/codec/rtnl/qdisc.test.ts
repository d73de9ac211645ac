import t from 'tap'
import { RTM, TC_H } from '../../../../src/codec/rtnl/constants.js'
import {
  addClsact,
  decodeQdisc,
  deleteClsact,
  deleteRootQdisc,
  dumpQdiscs,
  replaceTokenBucket,
} from '../../../../src/codec/rtnl/qdisc.js'
import { writeTcmsg } from '../../../../src/codec/rtnl/tcmsg.js'
import { type Request } from '../../../../src/codec/request.js'
import { FLAG, Writer } from '../../../../src/codec/wire.js'

const payloadOf = ({ body }: Request): Buffer => {
  const writer = new Writer()
  body(writer)
  return writer.bytes()
}
const limit = { index: 3, handle: 0x6e6c, rate: 1_000_000, burst: 20_000, limit: 45_000 }

t.test('qdiscs are decoded as they were encoded', async (t) => {
  t.strictSame(decodeQdisc(payloadOf(replaceTokenBucket(limit))), {
    index: 3,
    kind: 'tbf',
    handle: 0x6e6c,
    parent: TC_H.ROOT,
    tokenBucket: { rate: 1_000_000, limit: 45_000, burstTicks: 0 },
  })
  t.match(decodeQdisc(payloadOf(addClsact(3))), { index: 3, kind: 'clsact', handle: 0xffff, parent: TC_H.CLSACT })
})

t.test('a limit replaces what is there; the deletion names its handle and no other', async (t) => {
  t.equal(replaceTokenBucket(limit).flags, FLAG.CREATE | FLAG.REPLACE)
  t.equal(addClsact(3).flags, FLAG.CREATE | FLAG.EXCL)
  t.match(decodeQdisc(payloadOf(deleteRootQdisc(limit))), { handle: 0x6e6c, parent: TC_H.ROOT })
})

t.test('requests say what they do', async (t) => {
  t.match(replaceTokenBucket(limit), { type: RTM.NEWQDISC, operation: 'limit link 3 to 1000000 bytes per second' })
  t.match(deleteRootQdisc(limit), { type: RTM.DELQDISC, operation: 'delete root qdisc of link 3' })
  t.match(deleteClsact(3), { type: RTM.DELQDISC, operation: 'delete clsact of link 3' })
  t.match(dumpQdiscs(), { type: RTM.GETQDISC, operation: 'list qdiscs' })
})

t.test('options of another kind are not read', async (t) => {
  const writer = new Writer()
  writeTcmsg(writer, { index: 3, handle: 0, parent: TC_H.ROOT })
  writer.attrString(1, 'pfifo_fast').attrBytes(2, Buffer.alloc(20, 0xff))
  t.match(decodeQdisc(writer.bytes()), { kind: 'pfifo_fast', handle: 0, tokenBucket: undefined })
  t.throws(() => decodeQdisc(Buffer.alloc(19)), { code: 'invalid' })
})
