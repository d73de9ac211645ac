import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { formatCidr } from '../../../src/base/ip.js'
import {
  readCidr,
  readFamily,
  readIp,
  readListOrLegacy,
  readPodCidr,
  readUnicastIp,
  refuseSecondOfFamily,
} from '../../../src/model/address.js'
import { Cursor } from '../../../src/model/cursor.js'

const at = (value: unknown): Cursor => new Cursor({ spec: { x: value } }).field('spec').field('x')
const refused = { code: 'invalid', field: 'spec.x' }

t.test('addresses are canonical', async (t) => {
  t.same(readIp(at('10.0.0.1')), { family: IPV4, address: '10.0.0.1' })
  t.same(readIp(at('FD00:0:0::01')), { family: IPV6, address: 'fd00::1' })
  for (const text of [
    '10.0.0',
    '010.0.0.1',
    '10.0.0.1/32',
    'fe80::1%eth0',
    '',
    ' 10.0.0.1',
    7,
    null,
    `${'0'.repeat(99)}::1`,
  ])
    t.throws(() => readIp(at(text)), refused, String(text))
})

t.test('an endpoint is nothing that another node could not reach', async (t) => {
  for (const good of ['10.0.0.1', '192.168.0.1', '223.255.255.255', 'fd00::1', '2001:db8::ff02:1'])
    t.equal(readUnicastIp(at(good)).address, good)
  const special = [
    '0.0.0.0',
    '127.0.0.1',
    '127.255.0.1',
    '169.254.169.254',
    '224.0.0.1',
    '239.1.1.1',
    '255.255.255.255',
  ]
  for (const bad of [...special, '::', '::1', 'fe80::1', 'febf::1', 'ff02::1', 'ff05::2', '::ffff:127.0.0.1'])
    t.throws(() => readUnicastIp(at(bad)), refused, bad)
})

t.test('networks lose their host bits', async (t) => {
  t.equal(formatCidr(readCidr(at('10.1.2.3/16'))), '10.1.0.0/16')
  t.equal(formatCidr(readCidr(at('fd00::1/64'))), 'fd00::/64')
  for (const bad of ['10.0.0.0', '10.0.0.0/33', 'fd00::/129', '10.0.0.0/-1', '10.0.0.0/8/8'])
    t.throws(() => readCidr(at(bad)), refused)
})

t.test('a network of pods can be neither everything nor a special range', async (t) => {
  t.equal(formatCidr(readPodCidr(at('10.244.1.0/24'))), '10.244.1.0/24')
  for (const bad of ['0.0.0.0/0', '::/0', '127.0.0.0/8', 'fe80::/64', '224.0.0.0/4'])
    t.throws(() => readPodCidr(at(bad)), refused, bad)
})

t.test('families have their names of the API', async (t) => {
  t.equal(readFamily(at('IPv4')), IPV4)
  t.equal(readFamily(at('IPv6')), IPV6)
  t.throws(() => readFamily(at('ipv4')), refused)
})

t.test('there is one of each family', async (t) => {
  t.doesNotThrow(() => refuseSecondOfFamily(at([]), [IPV6, IPV4]))
  t.throws(() => refuseSecondOfFamily(at([]), [IPV4, IPV6, IPV4]), {
    ...refused,
    message: /more than one entry for IPv4/,
  })
})

t.test('a list and the field it replaced agree', async (t) => {
  const read = (list: unknown, single: unknown): readonly string[] => {
    const root = new Cursor({ list, single })
    return readListOrLegacy(root.field('list'), root.field('single'), (place) => place.string())
  }
  t.same(read(['a', 'b'], 'a'), ['a', 'b'])
  t.same(read(['a'], undefined), ['a'])
  t.same(read(undefined, 'a'), ['a'])
  t.same(read([], 'a'), ['a'])
  t.same(read(undefined, ''), [])
  t.throws(() => read(['a'], 'b'), { field: 'single', message: /"b" differs from list\[0\]/ })
})
