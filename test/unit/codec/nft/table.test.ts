import t from 'tap'
import { MESSAGE, TABLE_FAMILY, type TableFamily } from '../../../../src/codec/nft/constants.js'
import { addTable, beginBatch, decodeGeneration, decodeTable, deleteTable } from '../../../../src/codec/nft/table.js'
import { dumpTables, endBatch, type Table, tableText } from '../../../../src/codec/nft/table.js'
import { type Message, Writer } from '../../../../src/codec/wire.js'
import { messageOf, withAttributes } from './message.js'

const table: Table = { family: 'ip6', name: 'netloom-services' }

t.test('a table survives writing and reading in every family', async (t) => {
  for (const family of Object.keys(TABLE_FAMILY) as TableFamily[]) {
    t.strictSame(decodeTable(messageOf(addTable({ family, name: 't' }))), { family, name: 't' })
    t.strictSame(decodeTable(messageOf(deleteTable({ family, name: 't' }))), { family, name: 't' })
  }
})

t.test('requests say what they do', async (t) => {
  t.equal(tableText(table), 'ip6 netloom-services')
  t.equal(addTable(table).operation, 'create table ip6 netloom-services')
  t.equal(deleteTable(table).operation, 'delete table ip6 netloom-services')
})

t.test('a table of a family that netloom never uses is no table', async (t) => {
  const NFPROTO_NETDEV = 5
  const message = messageOf(addTable(table))
  message.payload[0] = NFPROTO_NETDEV
  t.equal(decodeTable(message), undefined)
})

t.test('a message without a name, or without anything, is no table', async (t) => {
  t.equal(decodeTable(messageOf(dumpTables())), undefined)
  t.equal(decodeTable({ ...messageOf(addTable(table)), payload: Buffer.alloc(0) }), undefined)
})

t.test('a malformed attribute is refused', async (t) => {
  t.throws(() => decodeTable(withAttributes(addTable(table), Buffer.from('ff00010061', 'hex'))), { code: 'invalid' })
})

t.test('transactions are for nf_tables', async (t) => {
  const SUBSYSTEM = '0000000a' // struct nfgenmsg with res_id 10 in network order
  for (const request of [beginBatch(), endBatch()]) t.equal(messageOf(request).payload.toString('hex'), SUBSYSTEM)
})

t.test('the number of a generation is read from the message that tells it, and from no other', async (t) => {
  const writer = new Writer().u8(0).u8(0).be16(7).attrBe32(1, 4711)
  const message: Message = { type: MESSAGE.NEWGEN, flags: 0, sequence: 1, port: 0, payload: writer.bytes() }
  t.equal(decodeGeneration(message), 4711)
  t.equal(decodeGeneration({ ...message, type: MESSAGE.NEWTABLE }), undefined)
  t.equal(decodeGeneration({ ...message, payload: Buffer.alloc(4) }), undefined)
})
