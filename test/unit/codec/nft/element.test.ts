import t from 'tap'
import { type Family, FAMILIES, IPV4, IPV6 } from '../../../../src/base/family.js'
import { bigIntToIp, ipToBigInt } from '../../../../src/base/ip.js'
import { attributes } from '../../../../src/codec/attr.js'
import { ELEM_LIST_ATTR, MESSAGE } from '../../../../src/codec/nft/constants.js'
import {
  addElements,
  decodeElements,
  decodeElementsHeader,
  deleteElements,
  dumpElements,
  type Element,
  ELEMENTS_PER_MESSAGE,
  elementText,
  joinIntervals,
  type RawElement,
} from '../../../../src/codec/nft/element.js'
import { type SetSpec } from '../../../../src/codec/nft/set.js'
import { readAttributes, type Table } from '../../../../src/codec/nft/table.js'
import { TYPE } from '../../../../src/codec/nft/types.js'
import { type Request } from '../../../../src/codec/request.js'
import { MAX_ATTRIBUTE_BYTES } from '../../../../src/codec/wire.js'
import { messageOf, withAttributes } from './message.js'

const table: Table = { family: 'ip', name: 't' }

const frontends = (family: Family): SetSpec => ({
  name: 'frontends',
  key: [TYPE[family.nftAddress], TYPE.inet_proto, TYPE.inet_service],
  data: 'verdict',
})
const slot = (family: Family): SetSpec => ({
  ...frontends(family),
  name: 'slot_0',
  data: [TYPE[family.nftAddress], TYPE.inet_service],
})
const nets = (family: Family): SetSpec => ({ name: 'nets', key: [TYPE[family.nftAddress]], interval: true })
const addresses = (family: Family): SetSpec => ({ name: 'ips', key: [TYPE[family.nftAddress]] })

const address = (family: Family, n: number): string =>
  bigIntToIp(family, ipToBigInt(family === IPV4 ? '10.0.0.0' : 'fd00::') + BigInt(n))
const endOf = (family: Family): string => bigIntToIp(family, (1n << BigInt(family.bits)) - 1n)

const written = (requests: readonly Request[], spec: SetSpec): RawElement[] =>
  requests.flatMap((request) => decodeElements(messageOf(request), spec))

t.test('elements survive writing and reading', async (t) => {
  for (const family of FAMILIES) {
    const key = [address(family, 1), 6, 80]
    const cases: Record<string, [SetSpec, Element]> = {
      address: [addresses(family), { key: [address(family, 1)] }],
      goto: [frontends(family), { key, data: { verdict: 'goto', chain: 'pick_2' } }],
      drop: [frontends(family), { key, data: { verdict: 'drop' } }],
      'address and port': [slot(family), { key, data: [address(family, 2), 8080] }],
      'catch-all': [frontends(family), { key: [], data: { verdict: 'drop' } }],
    }
    for (const [name, [spec, element]] of Object.entries(cases)) {
      const requests = addElements(table, spec, [element])
      t.strictSame(written(requests, spec), [element], `${family.name} ${name}`)
      t.strictSame(requests.map(messageOf).map(decodeElementsHeader), [{ table, set: spec.name }])
    }
  }
})

t.test('elements are deleted by their keys alone', async (t) => {
  const [request] = deleteElements(table, slot(IPV4), [{ key: ['10.0.0.1', 6, 80], data: ['10.0.0.2', 8080] }])
  const message = messageOf(request!)
  t.equal(message.type, MESSAGE.DELSETELEM)
  t.strictSame(decodeElements(message, slot(IPV4)), [{ key: ['10.0.0.1', 6, 80] }])
})

t.test('many elements are split into messages, none lost and none twice', async (t) => {
  for (const count of [0, 1, ELEMENTS_PER_MESSAGE, ELEMENTS_PER_MESSAGE + 1, 3 * ELEMENTS_PER_MESSAGE]) {
    const elements = Array.from({ length: count }, (_, i): Element => ({ key: [address(IPV6, i)] }))
    const requests = addElements(table, addresses(IPV6), elements)
    t.equal(requests.length, Math.ceil(count / ELEMENTS_PER_MESSAGE), `${count} elements`)
    t.strictSame(written(requests, addresses(IPV6)), elements)
  }
})

t.test('no list outgrows its attribute, whatever the elements hold', async (t) => {
  const NAME_BYTES = 255 // NFT_NAME_MAXLEN less one
  const cases: Record<string, [SetSpec, (i: number) => Element]> = {
    'IPv6 keys and long names of chains': [
      frontends(IPV6),
      (i) => ({
        key: [address(IPV6, i), 6, 80],
        data: { verdict: 'goto', chain: String(i).padStart(NAME_BYTES, 'x') },
      }),
    ],
    'IPv6 keys and values': [slot(IPV6), (i) => ({ key: [address(IPV6, i), 6, 80], data: [address(IPV6, i), 80] })],
    'IPv6 intervals': [nets(IPV6), (i) => ({ key: [address(IPV6, 4 * i)], last: address(IPV6, 4 * i + 1) })],
    'names of one byte': [
      frontends(IPV4),
      (i) => ({ key: [address(IPV4, i), 6, 80], data: { verdict: 'goto', chain: 'x' } }),
    ],
  }
  for (const [name, [spec, make]] of Object.entries(cases)) {
    const elements = Array.from({ length: 1200 }, (_, i) => make(i))
    const requests = addElements(table, spec, elements)
    const lists = requests.map(
      (request) => readAttributes(messageOf(request)).bytes(ELEM_LIST_ATTR.ELEMENTS)?.length ?? 0,
    )
    t.ok(Math.max(...lists) + 4 <= MAX_ATTRIBUTE_BYTES, `${name}: ${Math.max(...lists)} bytes at most`)
    const read = written(requests, spec)
    t.strictSame(spec.interval === true ? joinIntervals(read) : read, elements, `${name}: complete`)
    // As many as fit: a message less would not do.
    const most = Math.floor(
      (MAX_ATTRIBUTE_BYTES - 4) / (lists.reduce((sum, bytes) => sum + bytes, 0) / elements.length),
    )
    t.equal(requests.length, Math.ceil(elements.length / Math.min(most, ELEMENTS_PER_MESSAGE)), `${name}: messages`)
  }
})

t.test('the work of writing follows the number of elements', async (t) => {
  let reads = 0
  const counted = (i: number): Element => ({
    get key() {
      reads++
      return [address(IPV4, i)]
    },
  })
  const costOf = (count: number): number => {
    reads = 0
    addElements(
      table,
      addresses(IPV4),
      Array.from({ length: count }, (_, i) => counted(i)),
    ).forEach(messageOf)
    return reads
  }
  t.ok(costOf(10_000) <= 11 * costOf(1000), 'ten times the elements, ten times the reads')
})

interface Interval {
  readonly first: string
  readonly last: string
}

const intervals: Readonly<Record<string, (family: Family) => Interval[]>> = {
  none: () => [],
  'one address': (family) => [{ first: address(family, 5), last: address(family, 5) }],
  'the first address': (family) => [{ first: bigIntToIp(family, 0n), last: bigIntToIp(family, 0n) }],
  'the last address': (family) => [{ first: endOf(family), last: endOf(family) }],
  everything: (family) => [{ first: bigIntToIp(family, 0n), last: endOf(family) }],
  'side by side': (family) => [
    { first: address(family, 0), last: address(family, 255) },
    { first: address(family, 256), last: address(family, 511) },
    { first: address(family, 512), last: address(family, 512) },
  ],
  'with gaps of one': (family) => [
    { first: address(family, 0), last: address(family, 3) },
    { first: address(family, 5), last: address(family, 5) },
    { first: address(family, 7), last: endOf(family) },
  ],
}

t.test('intervals are written as starts and ends, and joined again from any order', async (t) => {
  for (const family of FAMILIES)
    for (const [name, make] of Object.entries(intervals)) {
      const elements = make(family).map(({ first, last }): Element => ({ key: [first], last }))
      const raw = written(addElements(table, nets(family), elements), nets(family))
      const orders = [raw, raw.toReversed(), raw.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))]
      for (const order of orders) t.strictSame(joinIntervals(order), elements, `${family.name} ${name}`)
      const open = elements.filter(({ last }) => last === endOf(family)).length
      t.equal(raw.filter(({ end }) => end).length, elements.length - open, 'the last address of all has none behind it')
    }
})

t.test('an interval without a last address is one address, and does not reach to the next', async (t) => {
  const raw = written(addElements(table, nets(IPV4), [{ key: ['10.0.0.1'] }]), nets(IPV4))
  t.strictSame(joinIntervals(raw), [{ key: ['10.0.0.1'], last: '10.0.0.1' }])
})

t.test('an end that no start belongs to ends nothing', async (t) => {
  t.strictSame(joinIntervals([{ key: ['0.0.0.0'], end: true }]), [])
  t.strictSame(
    joinIntervals([{ key: ['0.0.0.0'], end: true }, { key: ['10.0.0.0'] }, { key: ['10.0.1.0'], end: true }]),
    [{ key: ['10.0.0.0'], last: '10.0.0.255' }],
  )
})

t.test('the element for all other keys stays beside the intervals', async (t) => {
  t.strictSame(joinIntervals([{ key: [] }, { key: ['10.0.0.0'] }, { key: ['10.0.0.1'], end: true }]), [
    { key: ['10.0.0.0'], last: '10.0.0.0' },
    { key: [] },
  ])
})

t.test("elements are told in nft's grammar", async (t) => {
  const cases: [SetSpec, Element, string][] = [
    [addresses(IPV4), { key: ['10.0.0.1'] }, '10.0.0.1'],
    [nets(IPV4), { key: ['10.0.0.0'], last: '10.0.0.255' }, '10.0.0.0-10.0.0.255'],
    [nets(IPV4), { key: ['10.0.0.1'], last: '10.0.0.1' }, '10.0.0.1'],
    [
      frontends(IPV6),
      { key: ['fd00::1', 17, 53], data: { verdict: 'goto', chain: 'c' } },
      'fd00::1 . udp . 53 : goto c',
    ],
    [slot(IPV4), { key: ['10.0.0.1', 6, 80], data: ['10.0.0.2', 8080] }, '10.0.0.1 . tcp . 80 : 10.0.0.2 . 8080'],
    [slot(IPV4), { key: ['10.0.0.1', 6, 80] }, '10.0.0.1 . tcp . 80'],
    [frontends(IPV4), { key: [], data: { verdict: 'drop' } }, '* : drop'],
  ]
  for (const [spec, element, text] of cases) t.equal(elementText(spec, element), text)
})

t.test('requests name their first element', async (t) => {
  const two = [{ key: ['10.0.0.1'] }, { key: ['10.0.0.2'] }]
  t.equal(addElements(table, addresses(IPV4), two)[0]?.operation, 'add element ip t ips { 10.0.0.1, ... }')
  t.equal(deleteElements(table, addresses(IPV4), two.slice(0, 1))[0]?.operation, 'delete element ip t ips { 10.0.0.1 }')
})

t.test('elements that do not fit their set are refused', async (t) => {
  const cases: Record<string, [SetSpec, Element, string]> = {
    'an address of the other family': [addresses(IPV6), { key: ['10.0.0.1'] }, 'invalid'],
    'a port that is none': [slot(IPV4), { key: ['10.0.0.1', 6, 70000], data: ['10.0.0.2', 80] }, 'invalid'],
    'a last address that is none': [nets(IPV4), { key: ['10.0.0.1'], last: 'x' }, 'invalid'],
    'too few parts': [slot(IPV4), { key: ['10.0.0.1', 6], data: ['10.0.0.2', 80] }, 'internal'],
    'a verdict for a map of values': [slot(IPV4), { key: ['10.0.0.1', 6, 80], data: { verdict: 'drop' } }, 'internal'],
    'a value for a map of verdicts': [frontends(IPV4), { key: ['10.0.0.1', 6, 80], data: ['10.0.0.2'] }, 'internal'],
    'data for a set': [addresses(IPV4), { key: ['10.0.0.1'], data: ['10.0.0.2'] }, 'internal'],
  }
  for (const [name, [spec, element, code]] of Object.entries(cases))
    t.throws(() => addElements(table, spec, [element]).map(messageOf), { code }, name)
})

t.test('malformed answers are refused, and never read as something else', async (t) => {
  const [request] = addElements(table, slot(IPV4), [{ key: ['10.0.0.1', 6, 80], data: ['10.0.0.2', 80] }])
  const message = messageOf(request!)
  const good = message.payload.subarray(4)
  // A length of each attribute on the way down to a key's bytes, made too large, and a key with a type too few.
  const list = good.indexOf(Buffer.from('0380', 'hex')) - 2
  for (const at of [0, list, list + 4, list + 8, list + 12]) {
    const bad = Buffer.from(good)
    bad.writeUInt16LE(0x7fff, at)
    t.throws(() => decodeElements(withAttributes(request!, bad), slot(IPV4)), { code: 'invalid' }, `length at ${at}`)
  }
  t.throws(() => decodeElements(message, slot(IPV6)), { code: 'invalid' }, 'a key of too few bytes')
})

t.test('a message about no elements has none', async (t) => {
  const dump = messageOf(dumpElements(table, 'ips'))
  t.strictSame(decodeElements(dump, addresses(IPV4)), [])
  t.strictSame(decodeElementsHeader(dump), { table, set: 'ips' })
  t.equal(decodeElementsHeader({ ...dump, payload: dump.payload.subarray(0, 4) }), undefined)
  t.equal([...attributes(dump.payload.subarray(4))].length, 2)
})
