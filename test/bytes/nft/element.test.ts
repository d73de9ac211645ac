import t from 'tap'
import { IPV4 } from '../../../src/base/family.js'
import { decodeElements, decodeElementsHeader, deleteElements, type Element } from '../../../src/codec/nft/element.js'
import { addElements, elementText, joinIntervals } from '../../../src/codec/nft/element.js'
import { flushSet } from '../../../src/codec/nft/set.js'
import { tableText } from '../../../src/codec/nft/table.js'
import { PROTOCOL } from '../../../src/codec/nft/statement.js'
import { answers, captures, checkRequests, type Normal, type Row, type Tree } from './captured.js'
import { LINK_SETS } from '../../support/link-rules.js'
import { type Fixture, FIXTURES, LINK_TABLES } from './fixtures.js'
import { PORT_ELEMENTS, PORT_TABLE, portElementRows } from './port-rows.js'

type SetName = keyof Fixture['sets']

/** Elements of the captures, by their names; each with the set that it goes into. */
function elements({ family, vip, pod }: Fixture): Record<string, readonly [SetName, ...Element[]]> {
  const v4 = family === IPV4
  const frontend = [vip, PROTOCOL.TCP, 80]
  const net = v4
    ? { key: ['10.2.0.0'], last: '10.2.0.255' }
    : { key: ['fd00:2::'], last: 'fd00:2::ffff:ffff:ffff:ffff' }
  const next = v4
    ? { key: ['10.2.1.0'], last: '10.2.1.255' }
    : { key: ['fd00:2:0:1::'], last: 'fd00:2:0:1:ffff:ffff:ffff:ffff' }
  const open = v4
    ? { key: ['224.0.0.0'], last: '255.255.255.255' }
    : { key: ['ff00::'], last: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' }
  return {
    'add address': ['ips', { key: [vip] }],
    'add pair': ['pairs', { key: [pod, pod] }],
    'add intervals side by side': ['nets', net, next],
    'add interval with open end': ['nets', open],
    'add single address to intervals': ['nets', { key: [pod] }],
    'add goto': ['frontends', { key: frontend, data: { verdict: 'goto', chain: 'pick_2' } }],
    'add drop': ['frontends', { key: [vip, PROTOCOL.UDP, 53], data: { verdict: 'drop' } }],
    'add number': ['slots', { key: [1], data: { verdict: 'goto', chain: 'slot_0' } }],
    'add address and port': ['slot_0', { key: frontend, data: [pod, 8080] }],
    'add port': ['ports', { key: [PROTOCOL.TCP, 80], data: [8080] }],
    'add catch-all': ['frontends', { key: [], data: { verdict: 'drop' } }],
    'delete interval': ['nets', net],
    'delete address and port': ['slot_0', { key: frontend }],
    'delete catch-all': ['frontends', { key: [], data: { verdict: 'drop' } }],
  }
}

const PORT = 'nlm-0123456789a'
const MAC = '0a:58:0a:01:00:02'

const LINK_ELEMENTS = {
  guarded: { key: [PORT] },
  ipv4: { key: [PORT, MAC, '10.1.0.2'] },
  ipv6: { key: [PORT, MAC, 'fd00:1::2'] },
  targets: { key: [PORT, 'fd00:1::2'] },
} as const satisfies Record<keyof typeof LINK_SETS, Element>

const linkElements = LINK_TABLES.flatMap((table) =>
  Object.values(LINK_SETS).map((set) => ({ table, set, element: LINK_ELEMENTS[set.name] })),
)

const [SET_ID, ELEMENTS, KEY, FLAGS, USERDATA] = [4, 3, 1, 3, 6]
const INTERVAL_END = '00000001'

const isFirstEnd = (element: Tree): boolean =>
  element.some(([type, value]) => type === FLAGS && value === INTERVAL_END) &&
  element.some(([type, value]) => type === KEY && /^[0,1]*$/.test(JSON.stringify(value).replace(/[^0-9,]/g, '')))

/**
 * nft refers to the set by its name and by the number of the transaction that made it, and counts the elements of a
 * list; the kernel is content with the name, and reads no numbers. Before the first intervals of a set nft writes the
 * end of one that has no start, at address 0; nothing depends on it. An interval up to the last address is marked in
 * user data, which nothing but `nft get element` reads.
 */
const plain: Normal = (attributes) =>
  attributes
    .filter(([type]) => type !== SET_ID)
    .map(([type, value]) => [
      type,
      type !== ELEMENTS || typeof value === 'string'
        ? value
        : value.flatMap(([, element]) =>
            typeof element === 'string' || isFirstEnd(element)
              ? []
              : [[1, element.filter(([attribute]) => attribute !== USERDATA)] as const],
          ),
    ])

/** Where nft writes the set's name before that of the table. */
const sorted: Normal = (attributes) => attributes.toSorted(([a], [b]) => a - b)

t.test('elements are added, deleted and flushed byte for byte as nft does', async (t) => {
  const rows = FIXTURES.flatMap((fixture): [string, Row][] => [
    ...Object.entries(elements(fixture)).map(([name, [set, ...list]]): [string, Row] => {
      const write = name.startsWith('add') ? addElements : deleteElements
      return [
        `${tableText(fixture.table)}: ${name}`,
        { requests: write(fixture.table, fixture.sets[set], list), normal: plain },
      ]
    }),
    [`${tableText(fixture.table)}: flush set`, { requests: [flushSet(fixture.table, 'ips')], normal: sorted }],
    [`${tableText(fixture.table)}: flush map`, { requests: [flushSet(fixture.table, 'slots')], normal: sorted }],
  ])
  const ofLinks = linkElements.flatMap(({ table, set, element }): [string, Row][] => [
    [`${tableText(table)}: add to ${set.name}`, { requests: addElements(table, set, [element]), normal: plain }],
    ...(set.name === 'ipv4'
      ? [
          [
            `${tableText(table)}: delete from ${set.name}`,
            { requests: deleteElements(table, set, [element]), normal: plain },
          ] as [string, Row],
        ]
      : []),
  ])
  checkRequests(t, 'element', Object.fromEntries([...rows, ...ofLinks, ...portElementRows(plain)]))
})

t.test("an element's text is what nft was given for it", async (t) => {
  const { captured } = captures('element')
  for (const fixture of FIXTURES)
    for (const [name, [set, ...list]] of Object.entries(elements(fixture))) {
      // nft takes a network as ADDRESS/PREFIX and as FIRST-LAST.
      if (name.includes('interval') && !name.includes('open')) continue
      const texts = list.map((element) => elementText(fixture.sets[set], element)).join(', ')
      t.equal(
        `${name.split(' ')[0]} element ${tableText(fixture.table)} ${set} { ${texts} }`,
        captured(`${tableText(fixture.table)}: ${name}`).text,
      )
    }
  for (const { table, set, element } of linkElements)
    t.equal(
      `add element ${tableText(table)} ${set.name} { ${elementText(set, element)} }`,
      captured(`${tableText(table)}: add to ${set.name}`).text,
    )
})

t.test("the kernel's lists of elements are read", async (t) => {
  const messages = answers('elements')
  for (const fixture of FIXTURES) {
    const wanted = elements(fixture)
    for (const set of Object.keys(fixture.sets) as SetName[]) {
      const ours = messages.filter((message) => {
        const header = decodeElementsHeader(message)
        return header?.set === set && header.table.family === fixture.table.family
      })
      const raw = ours.flatMap((message) => decodeElements(message, fixture.sets[set]))
      const read = fixture.sets[set].interval === true ? joinIntervals(raw) : raw
      const list = Object.entries(wanted)
        .filter(([name, [into]]) => name.startsWith('add') && into === set)
        .flatMap(([, [, ...added]]) => added)
        .map((element) => (set === 'nets' ? { ...element, last: element.last ?? element.key[0] } : element))
      const order = (elements: readonly object[]): string[] => elements.map((element) => JSON.stringify(element)).sort()
      t.strictSame(order(read), order(list), `${tableText(fixture.table)} ${set}`)
    }
  }
  for (const { table, set, element } of linkElements) {
    const ours = messages.filter((message) => {
      const header = decodeElementsHeader(message)
      return header?.set === set.name && header.table.family === table.family
    })
    t.strictSame(
      ours.flatMap((message) => decodeElements(message, set)),
      [element],
      `${tableText(table)} ${set.name}`,
    )
  }
  for (const [set, list] of PORT_ELEMENTS) {
    const ours = messages.filter((message) => {
      const header = decodeElementsHeader(message)
      return header?.set === set.name && tableText(header.table) === tableText(PORT_TABLE)
    })
    t.strictSame(
      ours.flatMap((message) => decodeElements(message, set)),
      list,
      set.name,
    )
  }
})
