import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { CONTROL, FLAG, HEADER_BYTES, MAX_ATTRIBUTE_BYTES, messages, Writer } from '../../../src/codec/wire.js'

const hex = (write: (writer: Writer) => unknown, capacity?: number): string => {
  const writer = new Writer(capacity)
  write(writer)
  return writer.bytes().toString('hex')
}

const layouts: Record<string, readonly [write: (writer: Writer) => unknown, bytes: string]> = {
  'u8 is a byte': [(w) => w.u8(0xab), 'ab'],
  'u16 is little-endian': [(w) => w.u16(0x1234), '3412'],
  'u32 is little-endian': [(w) => w.u32(0x12345678), '78563412'],
  'be16 is big-endian': [(w) => w.be16(0x1234), '1234'],
  'be32 is big-endian': [(w) => w.be32(0x12345678), '12345678'],
  'u64 is little-endian': [(w) => w.u64(0x0102030405060708n), '0807060504030201'],
  'be64 is big-endian': [(w) => w.be64(0x0102030405060708n), '0102030405060708'],
  'raw bytes are copied': [(w) => w.raw(Uint8Array.of(1, 2, 3)), '010203'],
  'an IPv4 address has 4 bytes': [(w) => w.ip('192.0.2.1'), 'c0000201'],
  'an IPv6 address has 16 bytes': [(w) => w.ip('2001:db8::1'), '20010db8000000000000000000000001'],
  'alignment adds nothing where it is aligned': [(w) => w.u32(1).align(), '01000000'],
  'alignment fills up to 4 bytes with zeros': [(w) => w.u32(1).u8(2).align(), '0100000002000000'],
  'a u8 attribute counts one byte and is padded': [(w) => w.attrU8(3, 0xff), '05000300ff000000'],
  'a u16 attribute counts two bytes and is padded': [(w) => w.attrU16(3, 0x1234), '0600030034120000'],
  'a u32 attribute': [(w) => w.attrU32(3, 7), '0800030007000000'],
  'a big-endian u16 attribute': [(w) => w.attrBe16(3, 0x1234), '0600030012340000'],
  'a big-endian u32 attribute': [(w) => w.attrBe32(3, 7), '0800030000000007'],
  'a u64 attribute': [(w) => w.attrU64(3, 7n), '0c0003000700000000000000'],
  'a big-endian u64 attribute': [(w) => w.attrBe64(3, 7n), '0c0003000000000000000007'],
  'an attribute of bytes is padded, its length is not': [
    (w) => w.attrBytes(3, Buffer.from('abcde')),
    '090003006162636465000000',
  ],
  'an empty attribute': [(w) => w.attrBytes(3, new Uint8Array()), '04000300'],
  'a flag has no value': [(w) => w.attrFlag(3), '04000300'],
  'a string has its NUL': [(w) => w.attrString(3, 'lo'), '070003006c6f0000'],
  'a string is counted in bytes, not in characters': [(w) => w.attrString(3, 'é'), '07000300c3a90000'],
  'an IPv4 attribute': [(w) => w.attrIp(3, '192.0.2.1'), '08000300c0000201'],
  'an IPv6 attribute': [(w) => w.attrIp(3, '::1'), '1400030000000000000000000000000000000001'],
}

for (const [name, [write, bytes]] of Object.entries(layouts)) {
  t.test(name, async (t) => {
    t.equal(hex(write), bytes)
    t.equal(hex(write, 1), bytes, 'and the same where the buffer has to grow')
  })
}

t.test('nests carry NLA_F_NESTED and the length of all that is in them', async (t) => {
  const bytes = hex((writer) => {
    const outer = writer.nest(1)
    const inner = writer.nest(2)
    writer.attrU8(3, 9).end(inner).attrU32(4, 5).end(outer)
  })
  t.equal(bytes, '18000180' + '0c000280' + '0500030009000000' + '0800040005000000')
})

t.test('a message knows its length, padding included', async (t) => {
  const bytes = hex((writer) => {
    const mark = writer.message(0x10, FLAG.REQUEST | FLAG.ACK, 7)
    writer.u8(1)
    writer.endMessage(mark)
  })
  t.equal(bytes, '14000000' + '1000' + '0500' + '07000000' + '00000000' + '01000000')
})

t.test('a buffer that grows many times keeps what was written', async (t) => {
  const writer = new Writer(1)
  for (let i = 0; i < 10_000; i++) writer.u32(i)
  const bytes = writer.bytes()
  t.equal(writer.length, 40_000)
  t.equal(bytes.length, 40_000)
  for (const i of [0, 1, 255, 256, 4095, 9999]) t.equal(bytes.readUInt32LE(4 * i), i)
})

t.test('padding is zero also where the buffer held something before', async (t) => {
  const dirty = Buffer.allocUnsafe(1 << 20).fill(0xff)
  t.equal(dirty[5], 0xff)
  for (let i = 0; i < 100; i++)
    t.equal(
      hex((w) => w.attrBytes(1, Uint8Array.of(i)), 8),
      `05000100${Buffer.of(i).toString('hex')}000000`,
    )
})

t.test('an attribute of the greatest length is written, a longer one refused', async (t) => {
  const write = (bytes: number) => () =>
    hex((writer) => {
      const mark = writer.begin(1)
      writer.zeros(bytes).end(mark)
    })
  t.equal(write(MAX_ATTRIBUTE_BYTES - 4)().length, 2 * (MAX_ATTRIBUTE_BYTES + 1))
  t.throws(write(MAX_ATTRIBUTE_BYTES - 3), new NetloomError('internal', 'attribute of 65536 bytes exceeds 65535'))
  t.throws(() => hex((writer) => writer.attrString(1, 'x'.repeat(MAX_ATTRIBUTE_BYTES - 4))), { code: 'internal' })
  t.throws(() => hex((writer) => writer.attrBytes(1, new Uint8Array(MAX_ATTRIBUTE_BYTES - 3))))
})

const message = (type: number, payload: string, sequence = 1): Buffer => {
  const writer = new Writer()
  const mark = writer.message(type, FLAG.MULTI, sequence)
  writer.raw(Buffer.from(payload, 'hex'))
  return Buffer.from(writer.endMessage(mark).bytes())
}

t.test('all messages of a datagram are read', async (t) => {
  const datagram = Buffer.concat([message(0x10, 'aabbccdd', 5), message(CONTROL.DONE, '', 6)])
  const read = [...messages(datagram)]
  t.strictSame(
    read.map(({ payload, ...head }) => ({ ...head, payload: payload.toString('hex') })),
    [
      { type: 0x10, flags: FLAG.MULTI, sequence: 5, port: 0, payload: 'aabbccdd' },
      { type: CONTROL.DONE, flags: FLAG.MULTI, sequence: 6, port: 0, payload: '' },
    ],
  )
})

t.test('a message whose length is not aligned is followed by padding', async (t) => {
  const first = Buffer.concat([message(0x10, 'aabbccdd')])
  first.writeUInt32LE(HEADER_BYTES + 1, 0)
  const read = [...messages(Buffer.concat([first, message(0x11, '')]))]
  t.strictSame(
    read.map(({ type, payload }) => [type, payload.toString('hex')]),
    [
      [0x10, 'aa'],
      [0x11, ''],
    ],
  )
})

const malformed: Record<string, number> = {
  'shorter than a header': HEADER_BYTES - 1,
  'of no length, which would never end': 0,
  'longer than the datagram': HEADER_BYTES + 5,
  'far longer than the datagram': 0xffff_ffff,
}

for (const [name, length] of Object.entries(malformed)) {
  t.test(`a message ${name} is refused`, async (t) => {
    const datagram = message(0x10, 'aabbccdd')
    datagram.writeUInt32LE(length, 0)
    t.throws(() => [...messages(datagram)], {
      code: 'invalid',
      message: `netlink message of ${length} bytes at 0 of 20`,
    })
  })
}
