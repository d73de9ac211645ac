import t from 'tap'
import { type Family, IPV4, IPV6 } from '../../../../src/base/family.js'
import { Attributes } from '../../../../src/codec/attr.js'
import {
  lastByteOfSource,
  type PacketSource,
  readSource,
  writeHashing,
  writeSource,
} from '../../../../src/codec/rtnl/u32.js'
import { Writer } from '../../../../src/codec/wire.js'

const SELECTOR = 5
const selectorOf = (write: (writer: Writer) => void): Buffer => {
  const writer = new Writer()
  write(writer)
  return new Attributes(writer.bytes()).bytes(SELECTOR)!
}
const selector = (family: Family, source: PacketSource): Buffer =>
  selectorOf((writer) => writeSource(writer, SELECTOR, family, source))

const mac = '0a:58:0a:f4:01:05'
const sources: readonly (readonly [Family, PacketSource, keys: number])[] = [
  [IPV4, {}, 1],
  [IPV6, {}, 1],
  [IPV4, { address: '10.244.1.5' }, 1],
  [IPV6, { address: 'fd00:244:1::5' }, 4],
  [IPV4, { mac }, 2],
  [IPV4, { protocol: 17 }, 1],
  [IPV6, { protocol: 132, address: 'fd00:244:1::5' }, 5],
  [IPV4, { address: '255.255.255.255', mac }, 3],
  [IPV6, { address: 'fe80::858:aff:fef4:105', mac }, 6],
]
for (const [family, source, keys] of sources) {
  t.test(`${family.name} from ${JSON.stringify(source)} comes back as it was written, in ${keys} words`, async (t) => {
    const bytes = selector(family, source)
    t.equal(bytes.readUInt8(2), keys)
    t.strictSame(readSource(family, bytes), source)
  })
}

t.test('a selector that looks at anything else is not understood', async (t) => {
  const bytes = selector(IPV4, { address: '10.244.1.5' })
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(bytes)
    copy[at] = value
    return copy
  }
  t.equal(readSource(IPV4, changed(16 + 3, 0)), undefined, 'a network')
  t.equal(readSource(IPV4, changed(16 + 8, 16)), undefined, 'the destination')
  t.equal(readSource(IPV6, bytes), undefined, 'another family')
  t.equal(readSource(IPV4, changed(2, 0)), undefined, 'nothing at all')
})

t.test('a selector that is cut off is refused', async (t) => {
  const bytes = selector(IPV4, { address: '10.244.1.5' })
  t.throws(() => readSource(IPV4, bytes.subarray(0, 31)), { code: 'invalid' })
  t.throws(() => readSource(IPV4, bytes.subarray(0, 2)), { code: 'invalid' })
})

t.test('an address of the other family and a MAC address that is none are refused, and named', async (t) => {
  t.throws(() => selector(IPV6, { address: '10.244.1.5' }), { code: 'invalid', field: 'source.address' })
  t.throws(() => selector(IPV6, { mac: 'x' }), { code: 'invalid', field: 'source.mac' })
})

t.test('the bucket is the last byte of the source address', async (t) => {
  t.strictSame(lastByteOfSource(IPV4), { offset: 12, mask: 0xff })
  t.strictSame(lastByteOfSource(IPV6), { offset: 20, mask: 0xff })
  const bytes = selectorOf((writer) => writeHashing(writer, SELECTOR, lastByteOfSource(IPV6)))
  t.equal(bytes.readUInt8(0), 0, 'packets that are not found there go on')
  t.equal(bytes.readUInt16LE(10), 20)
  t.equal(bytes.readUInt32BE(12), 0xff)
})
