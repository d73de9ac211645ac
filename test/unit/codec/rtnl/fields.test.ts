import t from 'tap'
import { Attributes } from '../../../../src/codec/attr.js'
import {
  BE16,
  BOOL32,
  BOOL8,
  checkInteger,
  checkLinkName,
  type FieldCodec,
  type Fields,
  LINK_NAME,
  MAC,
  readFields,
  TEXT,
  U32,
  U8,
  writeFields,
} from '../../../../src/codec/rtnl/fields.js'
import { Writer } from '../../../../src/codec/wire.js'

const bytes = (write: (writer: Writer) => unknown): Buffer => {
  const writer = new Writer()
  write(writer)
  return writer.bytes()
}

const row = <V>(codec: FieldCodec<V>, value: V, hex: string) => ({
  hex,
  written: bytes((writer) => codec.write(writer, 5, value, 'x')).toString('hex'),
  value,
  read: codec.read(new Attributes(Buffer.from(hex, 'hex')), 5),
  absent: codec.read(new Attributes(Buffer.alloc(0)), 5),
})

const codecs = {
  U8: row(U8, 200, '05000500c8000000'),
  U32: row(U32, 0xdeadbeef, '08000500efbeadde'),
  BE16: row(BE16, 4789, '0600050012b50000'),
  'BOOL8, true': row(BOOL8, true, '0500050001000000'),
  'BOOL8, false': row(BOOL8, false, '0500050000000000'),
  'BOOL32, true': row(BOOL32, true, '0800050001000000'),
  'BOOL32, false': row(BOOL32, false, '0800050000000000'),
  'TEXT has no NUL': row(TEXT, 'ab', '0600050061620000'),
  'TEXT may be empty': row(TEXT, '', '04000500'),
  'LINK_NAME has a NUL': row(LINK_NAME, 'lo', '070005006c6f0000'),
  MAC: row(MAC, '02:00:00:00:00:01', '0a0005000200000000010000'),
}

for (const [name, { hex, written, value, read, absent }] of Object.entries(codecs)) {
  t.test(`${name}: written and read alike`, async (t) => {
    t.equal(written, hex)
    t.strictSame(read, value)
    t.equal(absent, undefined)
  })
}

interface Thing {
  readonly name?: string | undefined
  readonly size?: number | undefined
  readonly on?: boolean | undefined
}
const THING: Fields<Thing> = { size: [2, U32], name: [1, LINK_NAME], on: [3, BOOL8] }

t.test('fields are written in the order of their table, those that are not set left out', async (t) => {
  const hex = bytes((writer) => writeFields(writer, THING, { name: 'a', size: 1, on: undefined })).toString('hex')
  t.equal(hex, '0800020001000000' + '0600010061000000')
  t.equal(bytes((writer) => writeFields(writer, THING, {})).length, 0)
})

t.test('fields are read where they are there, false and 0 included', async (t) => {
  const written = bytes((writer) => writeFields(writer, THING, { on: false, size: 0 }))
  t.strictSame(readFields(new Attributes(written), THING), { size: 0, on: false })
})

t.test('a field out of range is refused by its name', async (t) => {
  for (const size of [-1, 2 ** 32, 1.5, Number.NaN])
    t.throws(
      () => bytes((writer) => writeFields(writer, THING, { size })),
      { code: 'invalid', field: 'size' },
      String(size),
    )
  t.throws(() => checkInteger(256, 255, 'ttl'), { message: 'ttl: 256 is not from 0 to 255' })
  t.equal(checkInteger(255, 255, 'ttl'), 255)
})

for (const name of ['', '.', '..', 'a/b', 'a b', 'a:b', 'a\tb', 'a\0b', 'sixteen-letters-', 'ééééééééé']) {
  t.test(`${JSON.stringify(name)} is not a link's name`, async (t) => {
    t.throws(() => checkLinkName(name, 'bridge'), { code: 'invalid', field: 'bridge' })
  })
}

t.test('what the kernel takes for a name is one', async (t) => {
  for (const name of ['a', 'fifteen-letters', 'eth0.100', '...', 'ééééééé']) t.equal(checkLinkName(name, 'x'), name)
})
