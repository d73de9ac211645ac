import t from 'tap'
import { NetloomError } from '../../../src/base/errors.js'
import { parseCidr, parseIp } from '../../../src/base/ip.js'
import { Cursor } from '../../../src/model/cursor.js'

const root = new Cursor({
  spec: {
    ports: [{ port: 80, name: 'web' }, { port: 70000 }, null],
    flag: 'yes',
    nothing: null,
    address: '10.0.0.1',
    mode: 'Slow',
  },
  labels: { 'example.com/tier': 'db' },
})
const spec = root.field('spec')
const ports = spec.field('ports')

const REFUSALS: [what: string, read: () => unknown, field: string, message: RegExp][] = [
  [
    'a number out of range',
    () => ports.item(1).field('port').integer(1, 65535),
    'spec.ports[1].port',
    /70000 is not within/,
  ],
  ['a missing number', () => ports.item(0).field('x').integer(1, 2), 'spec.ports[0].x', /is missing/],
  ['a fraction', () => new Cursor({ n: 1.5 }).field('n').integer(1, 2), 'n', /not a whole number/],
  ['a number in quotes', () => new Cursor({ n: '1' }).field('n').integer(1, 2), 'n', /"1" is not a whole number/],
  ['a missing text', () => spec.field('nothing').string(), 'spec.nothing', /is missing/],
  ['a number as text', () => ports.item(0).field('port').string(), 'spec.ports[0].port', /80 is not a string/],
  ['a word as flag', () => spec.field('flag').boolean(), 'spec.flag', /"yes" is not true or false/],
  ['a list as mapping', () => ports.field('x'), 'spec.ports', /a list is not a mapping/],
  ['a mapping as list', () => spec.list(() => 1), 'spec', /a mapping is not a list/],
  ['a null item', () => ports.list((item) => item.value), 'spec.ports[2]', /is null/],
  ['a strange word', () => spec.field('mode').oneOf(['Fast', 'Safe']), 'spec.mode', /not one of Fast, Safe/],
  ['an unknown field', () => ports.item(0).only(['port']), 'spec.ports[0].name', /not a known field/],
  ['a network as address', () => spec.field('mode').address(parseCidr), 'spec.mode', /not an IP address or network/],
  [
    'a label as address',
    () => root.field('labels').field('example.com/tier').address(parseIp),
    'labels[example.com/tier]',
    /is not an IP address/,
  ],
]

t.test('a refused value is named by its path', async (t) => {
  for (const [what, read, field, message] of REFUSALS)
    t.test(what, async (t) => {
      t.throws(read, { code: 'invalid', field, message })
      t.throws(read, NetloomError)
    })
})

t.test('null and an absent field are the same', async (t) => {
  t.equal(spec.field('nothing').absent, true)
  t.equal(spec.field('never').absent, true)
  t.equal(
    spec
      .field('never')
      .field('deeper')
      .optional((place) => place.string()),
    undefined,
  )
  t.equal(
    spec.optionalField('nothing', (place) => place.string()),
    undefined,
  )
  t.equal(
    spec.optionalField('address', (place) => place.string()),
    '10.0.0.1',
  )
  t.same(
    spec.field('never').list(() => 1),
    [],
  )
  t.equal(spec.field('never').boolean(), false)
  t.equal(spec.field('never').oneOf(['a', 'b'], 'b'), 'b')
})

t.test('inherited properties of objects are no fields of an input', async (t) => {
  const place = new Cursor({})
  for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    t.equal(place.field(name).absent, true, name)
    t.equal(
      place.optionalField(name, () => 1),
      undefined,
      name,
    )
  }
  const hostile = new Cursor(JSON.parse('{"__proto__": {"admin": true}}'))
  t.same(
    hostile.fields().map(({ key }) => key),
    ['__proto__'],
  )
  t.equal(hostile.field('admin').absent, true)
})

t.test('an error repeats a hostile value on one short line', async (t) => {
  const place = new Cursor({ name: `evil\n${'x'.repeat(5000)}` }).field('name')
  const error = t.throws(() => place.oneOf(['good'])) as Error
  t.ok(error.message.length < 200)
  t.notMatch(error.message, '\n')
})
