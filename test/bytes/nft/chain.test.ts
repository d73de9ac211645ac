import t from 'tap'
import { addChain, type Chain, chainText, decodeChain, deleteChain } from '../../../src/codec/nft/chain.js'
import { type Table } from '../../../src/codec/nft/table.js'
import { answers, captures, checkRequests, type Row } from './captured.js'
import { PORT_TABLE } from './port-rows.js'

const tables: Table[] = [
  { family: 'ip', name: 't' },
  { family: 'ip6', name: 't' },
]

const chains: Record<string, Chain> = {
  regular: { name: 'c' },
  nat: { name: 'n', base: { type: 'nat', hook: 'prerouting', priority: -100 } },
  'before srcnat': { name: 's', base: { type: 'nat', hook: 'postrouting', priority: 99 } },
  'filter that drops': { name: 'f', base: { type: 'filter', hook: 'forward', priority: -1, policy: 'drop' } },
  route: { name: 'r', base: { type: 'route', hook: 'output', priority: 0 } },
}

/** Hooks and priorities that have other numbers or names in other families. */
const LINK_CHAINS: readonly (readonly [name: string, Table, Chain])[] = [
  ['prerouting', { family: 'bridge', name: 't' }, hook('p', 'prerouting', -301)],
  ['prerouting', { family: 'inet', name: 't' }, hook('p', 'prerouting', -300)],
  ['input', { family: 'arp', name: 't' }, hook('i', 'input', 0)],
]

function hook(name: string, at: 'prerouting' | 'input', priority: number): Chain {
  return { name, base: { type: 'filter', hook: at, priority } }
}

t.test('chains are created and deleted byte for byte as nft does', async (t) => {
  const rows = tables.flatMap((table) => [
    ...Object.entries(chains).map(([name, chain]): [string, Row] => [
      `${table.family} t: ${name}`,
      { requests: [addChain(table, chain)] },
    ]),
    [`${table.family} t: delete`, { requests: [deleteChain(table, 'c')] }] as [string, Row],
  ])
  const ofLinks = LINK_CHAINS.map(([name, table, chain]): [string, Row] => [
    `${table.family} t: ${name}`,
    { requests: [addChain(table, chain)] },
  ])
  checkRequests(t, 'chain', Object.fromEntries([...rows, ...ofLinks]))
})

t.test("a chain's text is what nft was given for it", async (t) => {
  const { captured } = captures('chain')
  for (const [name, chain] of Object.entries(chains)) {
    const text = chainText(chain, 'ip')
    const declaration = text === '' ? '' : ` { ${text} }`
    // nft takes names of the standard priorities, and numbers for all.
    const given = captured(`ip t: ${name}`).text.replace('priority 0', 'priority filter')
    t.equal(`add chain ip t ${chain.name}${declaration}`, given)
  }
  for (const [name, { family }, chain] of LINK_CHAINS)
    t.equal(
      `add chain ${family} t ${chain.name} { ${chainText(chain, family)} }`,
      captured(`${family} t: ${name}`).text,
    )
})

t.test("the kernel's list of chains is read, those of others and their policies included", async (t) => {
  const ofBoth: Chain[] = [
    { name: 'pick_2' },
    { name: 'slot_0' },
    { name: 'c' },
    { name: 'n', base: { type: 'nat', hook: 'prerouting', priority: -100 } },
    { name: 's', base: { type: 'nat', hook: 'postrouting', priority: 100 } },
    { name: 'f', base: { type: 'filter', hook: 'forward', priority: 0 } },
    { name: 'd' },
  ]
  const portChains: Chain[] = [
    { name: 't' },
    { name: 'n', base: { type: 'nat', hook: 'prerouting', priority: -100 } },
    { name: 'p', base: { type: 'nat', hook: 'postrouting', priority: 99 } },
    { name: 'r', base: { type: 'filter', hook: 'prerouting', priority: -300 } },
  ]
  const theirs: Chain = { name: 'theirs', base: { type: 'route', hook: 'output', priority: -150, policy: 'drop' } }
  t.strictSame(answers('chains').map(decodeChain), [
    ...tables.flatMap((table) =>
      (table.family === 'ip' ? [...ofBoth, theirs] : ofBoth).map((chain) => ({ table, chain })),
    ),
    ...LINK_CHAINS.flatMap(([, table]) => [{ name: 'c' }, { name: 'd' }].map((chain) => ({ table, chain }))),
    ...portChains.map((chain) => ({ table: PORT_TABLE, chain })),
  ])
})
