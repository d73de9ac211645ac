import t from 'tap'
import { parseIp } from '../../../../src/base/ip.js'
import { type Request } from '../../../../src/codec/request.js'
import { NTF, NUD, RTM } from '../../../../src/codec/rtnl/constants.js'
import {
  addFdb,
  addNeighbour,
  decodeFdb,
  decodeNeighbour,
  deleteFdb,
  deleteNeighbour,
  dumpFdb,
  dumpNeighbours,
} from '../../../../src/codec/rtnl/neighbour.js'
import { FLAG, Writer } from '../../../../src/codec/wire.js'

const payloadOf = (request: Request): Buffer => {
  const writer = new Writer()
  request.body(writer)
  return writer.bytes()
}
const MAC = '02:00:00:00:00:01'

for (const address of ['192.0.2.1', '2001:db8::1']) {
  t.test(`neighbour ${address} is decoded as it was encoded`, async (t) => {
    const spec = { ...parseIp(address), index: 3, mac: MAC }
    t.strictSame(decodeNeighbour(payloadOf(addNeighbour(spec))), {
      ...spec,
      state: NUD.PERMANENT,
      flags: 0,
      protocol: 0,
    })
    const full = { ...spec, state: NUD.STALE, flags: NTF.ROUTER, protocol: 110 }
    t.strictSame(decodeNeighbour(payloadOf(addNeighbour(full))), full)
  })
}

t.test('a forwarding entry is decoded as it was encoded', async (t) => {
  const spec = { index: 3, mac: MAC, destination: '2001:db8::9' }
  t.match(decodeFdb(payloadOf(addFdb(spec))), { ...spec, state: NUD.NOARP | NUD.PERMANENT, flags: NTF.SELF })
  const other = { index: 3, mac: MAC, state: NUD.REACHABLE, flags: NTF.MASTER }
  t.match(decodeFdb(payloadOf(addFdb(other))), { ...other, destination: undefined })
})

t.test('what is there already is refused, replaced or kept beside', async (t) => {
  const neighbour = { ...parseIp('192.0.2.1'), index: 3, mac: MAC }
  t.equal(addNeighbour(neighbour).flags, FLAG.CREATE | FLAG.EXCL)
  t.equal(addNeighbour(neighbour, { existing: 'replace' }).flags, FLAG.CREATE | FLAG.REPLACE)
  t.equal(addFdb({ index: 3, mac: MAC }).flags, FLAG.CREATE | FLAG.EXCL)
  t.equal(addFdb({ index: 3, mac: MAC }, { existing: 'append' }).flags, FLAG.CREATE | FLAG.APPEND)
})

t.test('requests say what they do', async (t) => {
  const neighbour = { ...parseIp('192.0.2.1'), index: 3, mac: MAC }
  t.match(addNeighbour(neighbour), { type: RTM.NEWNEIGH, operation: `add neighbour 192.0.2.1 (${MAC}) to link 3` })
  t.match(deleteNeighbour(neighbour), { type: RTM.DELNEIGH, operation: 'delete neighbour 192.0.2.1 of link 3' })
  t.match(deleteFdb({ index: 3, mac: MAC }), { operation: `delete forwarding entry ${MAC} of link 3` })
  t.match(dumpFdb(), { type: RTM.GETNEIGH, operation: 'list forwarding entries' })
  t.match(dumpNeighbours(), { type: RTM.GETNEIGH, operation: 'list neighbours' })
})

t.test('bad input is refused before anything is sent', async (t) => {
  const neighbour = { ...parseIp('192.0.2.1'), index: 3, mac: MAC }
  t.throws(() => addNeighbour({ ...neighbour, mac: 'x' }), { code: 'invalid', field: 'mac' })
  t.throws(() => addNeighbour({ ...neighbour, index: 2 ** 32 }), { code: 'invalid', field: 'index' })
  t.throws(() => addNeighbour({ ...neighbour, protocol: 256 }), { code: 'invalid', field: 'protocol' })
  t.throws(() => addFdb({ index: 3, mac: MAC, flags: 256 }), { code: 'invalid', field: 'flags' })
  t.throws(() => addFdb({ index: 3, mac: MAC, destination: 'localhost' }), { code: 'invalid', field: 'destination' })
})

function payload(family: number, write: (writer: Writer) => unknown = () => undefined): Buffer {
  const writer = new Writer()
  writer.u8(family).zeros(3).u32(3).u16(NUD.FAILED).u8(0).u8(0)
  write(writer)
  return writer.bytes()
}

t.test('a neighbour that does not answer has no MAC address', async (t) => {
  const found = decodeNeighbour(payload(2, (writer) => writer.attrIp(1, '192.0.2.1')))
  t.match(found, { address: '192.0.2.1', state: NUD.FAILED, mac: undefined })
})

t.test('other families and entries without an address are none', async (t) => {
  t.equal(decodeNeighbour(payload(7)), undefined)
  t.equal(decodeNeighbour(payload(2)), undefined)
  t.equal(decodeFdb(payload(2)), undefined)
  t.equal(decodeFdb(payload(7)), undefined)
})

t.test('a message that is cut off is refused', async (t) => {
  t.throws(() => decodeNeighbour(Buffer.alloc(11)), { code: 'invalid' })
  t.throws(() => decodeFdb(Buffer.alloc(11)), { code: 'invalid' })
})
