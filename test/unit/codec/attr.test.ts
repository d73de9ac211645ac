import t from 'tap'
import { type Attributes as AttributesType, Attributes, attributes } from '../../../src/codec/attr.js'
import { Writer } from '../../../src/codec/wire.js'

const written = (write: (writer: Writer) => unknown): Buffer => {
  const writer = new Writer()
  write(writer)
  return writer.bytes()
}

t.test('attributes come in order, with types free of flags and values free of padding', async (t) => {
  const buffer = written((writer) => {
    writer.attrU8(1, 0xaa)
    const mark = writer.nest(2)
    writer.attrU32(1, 5).end(mark).attrString(0x4003, 'x') // NLA_F_NET_BYTEORDER
  })
  t.strictSame(
    [...attributes(buffer)].map(({ type, value }) => [type, value.toString('hex')]),
    [
      [1, 'aa'],
      [2, '0800010005000000'],
      [3, '7800'],
    ],
  )
})

const typed: Record<string, readonly [(writer: Writer) => unknown, (attributes: AttributesType) => unknown, unknown]> =
  {
    u8: [(w) => w.attrU8(1, 200), (a) => a.u8(1), 200],
    u16: [(w) => w.attrU16(1, 0x1234), (a) => a.u16(1), 0x1234],
    u32: [(w) => w.attrU32(1, 0xdeadbeef), (a) => a.u32(1), 0xdeadbeef],
    be16: [(w) => w.attrBe16(1, 0x1234), (a) => a.be16(1), 0x1234],
    be32: [(w) => w.attrBe32(1, 0xdeadbeef), (a) => a.be32(1), 0xdeadbeef],
    u64: [(w) => w.attrU64(1, 2n ** 64n - 1n), (a) => a.u64(1), 2n ** 64n - 1n],
    be64: [(w) => w.attrBe64(1, 2n ** 64n - 1n), (a) => a.be64(1), 2n ** 64n - 1n],
    'string with NUL': [(w) => w.attrString(1, 'eth0'), (a) => a.string(1), 'eth0'],
    'string without NUL': [(w) => w.attrBytes(1, Buffer.from('eth0')), (a) => a.string(1), 'eth0'],
    'string with two NULs': [(w) => w.attrBytes(1, Buffer.from('a\0b\0')), (a) => a.string(1), 'a'],
    'empty string': [(w) => w.attrString(1, ''), (a) => a.string(1), ''],
    'IPv4 address': [(w) => w.attrIp(1, '192.0.2.1'), (a) => a.ip(1), '192.0.2.1'],
    'IPv6 address': [(w) => w.attrIp(1, '2001:db8::1'), (a) => a.ip(1), '2001:db8::1'],
    flag: [(w) => w.attrFlag(1), (a) => a.has(1), true],
    bytes: [(w) => w.attrBytes(1, Uint8Array.of(1, 2)), (a) => a.bytes(1)?.toString('hex'), '0102'],
    'nested attribute': [(w) => w.end(mark(w)), (a) => a.nested(1)?.u32(7), 9],
  }

function mark(writer: Writer): number {
  const start = writer.nest(1)
  writer.attrU32(7, 9)
  return start
}

for (const [name, [write, read, value]] of Object.entries(typed)) {
  t.test(`${name}: what was written is read`, async (t) => {
    t.strictSame(read(new Attributes(written(write))), value)
    const other = new Attributes(written((writer) => writer.attrU32(2, 1)))
    t.equal(read(other), name === 'flag' ? false : undefined, 'and nothing where it is not there')
  })
}

t.test('the last of several attributes with one type wins', async (t) => {
  t.equal(new Attributes(written((writer) => writer.attrU32(1, 5).attrU32(1, 6))).u32(1), 6)
})

t.test('a number that is shorter than it must be is refused, naming its attribute', async (t) => {
  const short = new Attributes(written((writer) => writer.attrU16(9, 1)))
  t.throws(() => short.u32(9), { code: 'invalid', message: 'netlink attribute 9 has 2 bytes, needs 4' })
  t.throws(() => short.u64(9), { code: 'invalid' })
  t.throws(() => short.be64(9), { code: 'invalid' })
  t.equal(short.u8(9), 1, 'a longer one is not')
})

t.test('bytes behind the last attribute that hold no header are padding', async (t) => {
  const buffer = Buffer.concat([written((writer) => writer.attrU32(1, 5)), Buffer.of(0, 0, 0)])
  t.equal([...attributes(buffer)].length, 1)
})

for (const [name, length] of Object.entries({
  'shorter than its header': 3,
  'of no length': 0,
  'longer than its buffer': 9,
})) {
  t.test(`an attribute ${name} is refused`, async (t) => {
    const buffer = written((writer) => writer.attrU32(1, 5))
    buffer.writeUInt16LE(length, 0)
    const message = `netlink attribute of ${length} bytes at 0 of 8`
    t.throws(() => [...attributes(buffer)], { code: 'invalid', message })
    t.throws(() => new Attributes(buffer), { code: 'invalid', message })
  })
}
