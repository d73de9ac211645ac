import t from 'tap'
import { parseIpPrefix } from '../../../../src/base/ip.js'
import { type Request } from '../../../../src/codec/request.js'
import {
  addAddress,
  type AddressSpec,
  decodeAddress,
  deleteAddress,
  dumpAddresses,
} from '../../../../src/codec/rtnl/address.js'
import { IFA, IFA_F } from '../../../../src/codec/rtnl/constants.js'
import { FLAG, Writer } from '../../../../src/codec/wire.js'

const payloadOf = (request: Request): Buffer => {
  const writer = new Writer()
  request.body(writer)
  return writer.bytes()
}
const spec = (text: string, rest: Partial<AddressSpec> = {}): AddressSpec => ({
  ...parseIpPrefix(text),
  index: 4,
  ...rest,
})

for (const text of ['192.0.2.1/24', '10.0.0.1/32', '2001:db8::1/64', 'fd00::1/128']) {
  t.test(`${text} is decoded as it was encoded`, async (t) => {
    const found = decodeAddress(payloadOf(addAddress(spec(text))))
    t.match(found, { ...parseIpPrefix(text), index: 4, scope: 0, flags: 0, peer: undefined })
  })
}

t.test('flags beyond eight bits stand in an attribute of their own', async (t) => {
  const flags = (rest: Partial<AddressSpec>) => decodeAddress(payloadOf(addAddress(spec('fd00::1/64', rest))))?.flags
  t.equal(flags({ noDad: true }), IFA_F.NODAD)
  t.equal(flags({ noPrefixRoute: true }), IFA_F.NOPREFIXROUTE)
  t.equal(flags({ noDad: true, noPrefixRoute: true }), IFA_F.NODAD | IFA_F.NOPREFIXROUTE)
  t.equal(flags({ noDad: false }), 0)
})

t.test('an address is added anew or in the place of itself', async (t) => {
  t.equal(addAddress(spec('10.0.0.1/8')).flags, FLAG.CREATE | FLAG.EXCL)
  t.equal(addAddress(spec('10.0.0.1/8'), { replace: true }).flags, FLAG.CREATE | FLAG.REPLACE)
})

t.test('requests say what they do', async (t) => {
  t.equal(addAddress(spec('10.0.0.1/8')).operation, 'add address 10.0.0.1/8 to link 4')
  t.equal(deleteAddress(spec('fd00::1/64')).operation, 'delete address fd00::1/64 of link 4')
  t.equal(dumpAddresses().operation, 'list addresses')
})

t.test('a deletion does not depend on flags', async (t) => {
  const plain = payloadOf(deleteAddress(spec('fd00::1/64')))
  t.strictSame(payloadOf(deleteAddress(spec('fd00::1/64', { noDad: true, noPrefixRoute: true }))), plain)
})

t.test('a prefix longer than the address and an index that is none are refused', async (t) => {
  t.throws(() => addAddress(spec('10.0.0.1/8', { prefix: 33 })), { code: 'invalid', field: 'prefix' })
  t.throws(() => addAddress(spec('fd00::1/64', { prefix: 129 })), { code: 'invalid', field: 'prefix' })
  t.throws(() => addAddress(spec('10.0.0.1/8', { index: -1 })), { code: 'invalid', field: 'index' })
})

function payload(family: number, flags: number, write: (writer: Writer) => unknown): Buffer {
  const writer = new Writer()
  writer.u8(family).u8(24).u8(flags).u8(0).u32(4)
  write(writer)
  return writer.bytes()
}

t.test('the attribute of the flags goes before the eight bits of the struct', async (t) => {
  const write = (writer: Writer) => writer.attrIp(IFA.LOCAL, '10.0.0.1').attrU32(IFA.FLAGS, IFA_F.TENTATIVE)
  t.match(decodeAddress(payload(2, IFA_F.PERMANENT, write)), {
    flags: IFA_F.TENTATIVE,
    tentative: true,
    permanent: false,
  })
  t.match(
    decodeAddress(payload(10, IFA_F.DADFAILED | IFA_F.PERMANENT, (writer) => writer.attrIp(IFA.ADDRESS, 'fd00::1'))),
    { address: 'fd00::1', dadFailed: true, permanent: true, tentative: false },
  )
})

t.test("the other end's address is not taken for the own", async (t) => {
  const write = (writer: Writer) => writer.attrIp(IFA.ADDRESS, '10.0.0.2').attrIp(IFA.LOCAL, '10.0.0.1')
  t.match(decodeAddress(payload(2, 0, write)), { address: '10.0.0.1', peer: '10.0.0.2' })
})

t.test('other families and messages without an address are none', async (t) => {
  t.equal(decodeAddress(payload(7, 0, () => undefined)), undefined)
  t.equal(decodeAddress(payload(2, 0, () => undefined)), undefined)
})

t.test('a message that is cut off is refused', async (t) => {
  t.throws(() => decodeAddress(Buffer.alloc(7)), { code: 'invalid' })
  const whole = payload(2, 0, (writer) => writer.attrIp(IFA.LOCAL, '10.0.0.1'))
  t.throws(() => decodeAddress(whole.subarray(0, 14)), { code: 'invalid' })
})
