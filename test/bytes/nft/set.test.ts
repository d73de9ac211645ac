import t from 'tap'
import { addSet, decodeSet, deleteSet, setFacts, setKind, setText } from '../../../src/codec/nft/set.js'
import { tableText } from '../../../src/codec/nft/table.js'
import { answers, captures, checkRequests, type Row } from './captured.js'
import { type Fixture, FIXTURES } from './fixtures.js'

const NAMES: Readonly<Record<string, keyof Fixture['sets']>> = {
  set: 'ips',
  'set of pairs': 'pairs',
  'interval set': 'nets',
  'verdict map': 'frontends',
  'verdict map of numgen': 'slots',
  'map to address and port': 'slot_0',
  'map to port': 'ports',
}

t.test('sets and maps are created and deleted byte for byte as nft does', async (t) => {
  const rows = FIXTURES.flatMap(({ table, sets }): [string, Row][] => [
    ...Object.entries(NAMES).map(([name, set]): [string, Row] => [
      `${tableText(table)}: ${name}`,
      { requests: [addSet(table, sets[set])] },
    ]),
    [`${tableText(table)}: delete set`, { requests: [deleteSet(table, 'ips')] }],
    [`${tableText(table)}: delete map`, { requests: [deleteSet(table, 'slots')] }],
  ])
  checkRequests(t, 'set', Object.fromEntries(rows))
})

t.test("a set's text is what nft was given for it", async (t) => {
  const { captured } = captures('set')
  for (const { table, sets } of FIXTURES)
    for (const [name, set] of Object.entries(NAMES))
      t.equal(
        `add ${setKind(sets[set])} ${tableText(table)} ${set} { ${setText(sets[set])} }`,
        captured(`${tableText(table)}: ${name}`).text,
      )
})

t.test("the kernel's list of sets is read, and each is recognised as the one that was asked for", async (t) => {
  t.strictSame(
    answers('sets').map(decodeSet),
    FIXTURES.flatMap(({ table, sets }) =>
      Object.entries(sets).map(([name, spec]) => ({ table, name, facts: setFacts(spec) })),
    ),
  )
})
