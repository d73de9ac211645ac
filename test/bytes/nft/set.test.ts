import t from 'tap'
import { addSet, decodeSet, deleteSet, setFacts, setKind, setText } from '../../../src/codec/nft/set.js'
import { tableText } from '../../../src/codec/nft/table.js'
import { answers, captures, checkRequests, type Row } from './captured.js'
import { LINK_SETS } from '../../support/link-rules.js'
import { type Fixture, FIXTURES, LINK_TABLES } from './fixtures.js'
import { PORT_SETS, PORT_TABLE, portSetRows } from './port-rows.js'

const NAMES: Readonly<Record<string, keyof Fixture['sets']>> = {
  set: 'ips',
  'set of pairs': 'pairs',
  'interval set': 'nets',
  'verdict map': 'frontends',
  'verdict map of numgen': 'slots',
  'map to address and port': 'slot_0',
  'map to port': 'ports',
}

const linkSets = LINK_TABLES.flatMap((table) => Object.values(LINK_SETS).map((set) => ({ table, set })))

t.test('sets and maps are created and deleted byte for byte as nft does', async (t) => {
  const rows = FIXTURES.flatMap(({ table, sets }): [string, Row][] => [
    ...Object.entries(NAMES).map(([name, set]): [string, Row] => [
      `${tableText(table)}: ${name}`,
      { requests: [addSet(table, sets[set])] },
    ]),
    [`${tableText(table)}: delete set`, { requests: [deleteSet(table, 'ips')] }],
    [`${tableText(table)}: delete map`, { requests: [deleteSet(table, 'slots')] }],
  ])
  const ofLinks = linkSets.map(({ table, set }): [string, Row] => [
    `${tableText(table)}: ${set.name}`,
    { requests: [addSet(table, set)] },
  ])
  checkRequests(t, 'set', Object.fromEntries([...rows, ...ofLinks, ...portSetRows()]))
})

t.test("a set's text is what nft was given for it", async (t) => {
  const { captured } = captures('set')
  for (const { table, sets } of FIXTURES)
    for (const [name, set] of Object.entries(NAMES))
      t.equal(
        `add ${setKind(sets[set])} ${tableText(table)} ${set} { ${setText(sets[set])} }`,
        captured(`${tableText(table)}: ${name}`).text,
      )
  for (const { table, set } of [...linkSets, ...PORT_SETS.map((set) => ({ table: PORT_TABLE, set }))])
    t.equal(
      `add ${setKind(set)} ${tableText(table)} ${set.name} { ${setText(set)} }`,
      captured(`${tableText(table)}: ${set.name}`).text,
    )
})

t.test("the kernel's list of sets is read, and each is recognised as the one that was asked for", async (t) => {
  t.strictSame(answers('sets').map(decodeSet), [
    ...FIXTURES.flatMap(({ table, sets }) =>
      Object.entries(sets).map(([name, spec]) => ({ table, name, facts: setFacts(spec) })),
    ),
    ...linkSets.map(({ table, set }) => ({ table, name: set.name, facts: setFacts(set) })),
    ...PORT_SETS.map((set) => ({ table: PORT_TABLE, name: set.name, facts: setFacts(set) })),
  ])
})
