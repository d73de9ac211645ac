import t from 'tap'
import { readFileSync } from 'node:fs'
import { type Element } from '../../src/codec/nft/element.js'
import { type SetSpec } from '../../src/codec/nft/set.js'
import { tableText } from '../../src/codec/nft/table.js'
import { observeElements, observeRuleset, observeTables } from '../../src/kernel/observe.js'
import { type NftOp } from '../../src/ops/op.js'
import { planStructure, type Ruleset } from '../../src/ops/ruleset.js'
import { planText } from '../../src/ops/text.js'
import { connect, nft, skipWithout } from '../support/namespaces.js'
import { creation, everything, type Everything } from './everything.js'

const FAMILIES = ['ip', 'ip6', 'inet', 'bridge', 'arp'] as const

const connection = connect()
const { applier, netfilter } = connection
t.teardown(() => connection.close())

const noNft = skipWithout('nft', '--version')

const remove = (ruleset: Ruleset): Promise<unknown> => applier.apply([{ kind: 'table.delete', table: ruleset.table }])

/** Every test leaves the ruleset empty behind it. */
async function withTable<T>(all: Everything, work: () => Promise<T>): Promise<T> {
  await applier.apply(creation(all))
  try {
    return await work()
  } finally {
    await remove(all.ruleset)
  }
}

t.afterEach(async (test) => {
  for (const table of await observeTables(netfilter)) await applier.apply([{ kind: 'table.delete', table }])
  t.equal((await observeTables(netfilter)).length, 0, `${test.name}: nothing is left`)
})

/** What a structure lacks, as text; empty where it is as wanted. */
async function missing(ruleset: Ruleset): Promise<string> {
  const { rebuild, before, after } = planStructure(ruleset, await observeRuleset(netfilter, ruleset.table))
  return (rebuild ? 'rebuild\n' : '') + planText([...before, ...after])
}

const sorted = (elements: readonly Element[]): string[] => elements.map((element) => JSON.stringify(element)).sort()

async function checkElements(
  test: Pick<typeof t, 'strictSame'>,
  { ruleset, elements }: Everything,
  when: string,
): Promise<void> {
  for (const [set, list] of elements)
    test.strictSame(sorted(await observeElements(netfilter, ruleset.table, set)), sorted(list), `${set.name} ${when}`)
}

t.test('everything that is written is read back as it was asked for', async (t) => {
  for (const family of FAMILIES) {
    const all = everything(family)
    await withTable(all, async () => {
      t.equal(await missing(all.ruleset), '', `${family}: nothing is missing`)
      await checkElements(t, all, 'as written')
    })
    t.equal(await observeRuleset(netfilter, all.ruleset.table), undefined, `${family}: nothing is left`)
  }
})

t.test('a plan is applied to what is there: only what differs changes', async (t) => {
  const all = everything('inet')
  const { ruleset } = all
  await withTable(all, async () => {
    const wanted: Ruleset = {
      table: ruleset.table,
      sets: [...ruleset.sets.filter(({ name }) => name !== 'pairs_ipv4'), { ...ruleset.sets[1]!, name: 'more' }],
      chains: ruleset.chains
        .filter(({ chain }) => chain.name !== 'postrouting_ipv4')
        .map(({ chain, rules }) => ({ chain, rules: chain.name === 'forward_ipv6' ? rules.slice(1) : rules })),
    }
    const { before, after } = planStructure(wanted, await observeRuleset(netfilter, ruleset.table))
    t.strictSame(
      [...before, ...after].map(({ kind }) => kind),
      ['set.add', 'rules.flush', 'rule.add', 'rule.add', 'rules.flush', 'set.flush', 'chain.delete', 'set.delete'],
    )
    await applier.apply([...before, ...after])
    t.equal(await missing(wanted), '')
  })
})

t.test('a policy that was changed is found and set right', async (t) => {
  const all = everything('ip')
  await withTable(all, async () => {
    const forward = all.ruleset.chains.find(({ chain }) => chain.name === 'forward')!.chain
    const dropping = { ...forward, base: { ...forward.base!, policy: 'drop' } } as const
    await applier.apply([{ kind: 'chain.add', table: all.ruleset.table, chain: dropping }])
    t.match(await missing(all.ruleset), /^nft add chain ip t forward '\{ .*policy accept; }'\n$/)
    await applier.apply(planStructure(all.ruleset, await observeRuleset(netfilter, all.ruleset.table)).before)
    t.equal(await missing(all.ruleset), '')
  })
})

t.test('intervals are added and deleted one by one, also side by side', async (t) => {
  for (const family of ['ip', 'ip6'] as const) {
    const all = everything(family)
    const [nets, list] = all.elements.find(([{ interval }]) => interval === true)!
    const { table } = all.ruleset
    await withTable(all, async () => {
      for (const element of list) {
        await applier.apply([{ kind: 'elements.delete', table, set: nets, elements: [element] }])
        const rest = list.filter((other) => other !== element)
        t.strictSame(sorted(await observeElements(netfilter, table, nets)), sorted(rest), `${family} ${element.key[0]}`)
        await applier.apply([{ kind: 'elements.add', table, set: nets, elements: [element] }])
        t.strictSame(sorted(await observeElements(netfilter, table, nets)), sorted(list))
      }
    })
  }
})

t.test('thousands of elements with long keys and long names of chains are one plan', async (t) => {
  const all = everything('ip6')
  const frontends = all.ruleset.sets.find(({ name }) => name === 'frontends')!
  const chain = 'x'.repeat(200)
  const { table } = all.ruleset
  const elements = Array.from({ length: 3000 }, (_, i): Element => ({
    key: [`fd00:9::${(i + 1).toString(16)}`, 6, 80],
    data: { verdict: 'goto', chain },
  }))
  await withTable(all, async () => {
    const change: NftOp[] = [
      { kind: 'chain.add', table, chain: { name: chain } },
      { kind: 'elements.add', table, set: frontends, elements },
    ]
    await applier.apply(change)
    t.equal((await observeElements(netfilter, table, frontends)).length, 3001)
    await applier.apply([{ kind: 'elements.delete', table, set: frontends, elements }])
    t.equal((await observeElements(netfilter, table, frontends)).length, 1)
  })
})

t.test('the element for all other keys is read, and can be deleted', async (t) => {
  const all = everything('ip')
  const frontends = all.ruleset.sets.find(({ name }) => name === 'frontends')!
  const { table } = all.ruleset
  const catchall: Element = { key: [], data: { verdict: 'drop' } }
  await withTable(all, async () => {
    await applier.apply([{ kind: 'elements.add', table, set: frontends, elements: [catchall] }])
    t.ok(sorted(await observeElements(netfilter, table, frontends)).includes(JSON.stringify(catchall)))
    await applier.apply([{ kind: 'elements.delete', table, set: frontends, elements: [catchall] }])
    await checkElements(t, all, 'without it')
  })
})

t.test('nft lists what we write as people would write it', { skip: noNft }, async (t) => {
  for (const family of FAMILIES) {
    const all = everything(family)
    const golden = new URL(`../../../test/kernel/ruleset.${family}.nft`, import.meta.url)
    await withTable(all, async () => {
      t.equal(nft(['list', 'table', family, 't']), readFileSync(golden, 'utf8'), family)
    })
  }
})

/** Lines that nft -f takes: without the word and the quotes that are for a shell. */
const script = (ops: readonly NftOp[]): string =>
  planText(ops)
    .replace(/^nft /gm, '')
    .replace(/'\{(.*)}'$/gm, '{$1}')

t.test('the text of a plan does the same as the plan', { skip: noNft }, async (t) => {
  for (const family of FAMILIES) {
    const all = everything(family)
    const { table } = all.ruleset
    const list = (): string => nft(['list', 'table', family, 't'])
    const applied = await withTable(all, async () => list())
    nft(['-f', '-'], script(creation(all)))
    t.equal(list(), applied, `${family}: by text and by messages`)
    t.equal(await missing(all.ruleset), '', `${family}: read back`)
    await checkElements(t, all, 'by text')
    const nothing: Ruleset = { table, sets: [], chains: [] }
    const { after } = planStructure(nothing, await observeRuleset(netfilter, table))
    const deletions = all.elements.map(([set, elements]): NftOp => ({ kind: 'elements.delete', table, set, elements }))
    // One by one, as people paste them: of many in one file nft 1.0.6 forgets some elements that it has seen.
    for (const op of [...deletions, ...after]) nft(['-f', '-'], script([op]))
    t.equal(list(), `table ${family} t {\n}\n`, `${family}: emptied by text`)
    await remove(all.ruleset)
  }
})

t.test('what nft lists it can load again, and nothing is different then', { skip: noNft }, async (t) => {
  for (const family of FAMILIES) {
    const all = everything(family)
    const before = await withTable(all, async () => nft(['list', 'ruleset']))
    t.equal(nft(['list', 'ruleset']), '')
    nft(['-f', '-'], before)
    t.equal(nft(['list', 'ruleset']), before, `${family}: identical`)
    t.equal(await missing(all.ruleset), '', `${family}: nothing to do afterwards`)
    await checkElements(t, all, 'after the reload')
    const deletions = all.elements.map(([set, elements]): NftOp => ({
      kind: 'elements.delete',
      table: all.ruleset.table,
      set,
      elements,
    }))
    await t.resolves(applier.apply(deletions), `${family}: and every element can be deleted by us`)
    await remove(all.ruleset)
  }
})

t.test('what others do to our table by hand is undone', { skip: noNft }, async (t) => {
  const all = everything('ip')
  const deeds = [
    'add rule ip t regular counter drop',
    'insert rule ip t forward accept',
    'flush chain ip t prerouting',
    'add rule ip t slot dnat ip to ip daddr . meta l4proto . th dport map @slot persistent',
    'add chain ip t theirs { type route hook output priority mangle; policy drop; }',
    'add set ip t theirs { type inet_service; elements = { 22, 80 }; }',
    'add map ip t theirs_too { type inet_service : verdict; }',
    'add chain ip t forward { policy drop; }',
    'delete rule ip t postrouting handle H',
  ]
  for (const deed of deeds)
    await withTable(all, async () => {
      const handle =
        /masquerade.* # handle (\d+)/.exec(nft(['-a', 'list', 'chain', 'ip', 't', 'postrouting']))?.[1] ?? ''
      const untouched = nft(['list', 'table', 'ip', 't'])
      nft(['-f', '-'], deed.replace(/H$/, handle))
      const { rebuild, before, after } = planStructure(all.ruleset, await observeRuleset(netfilter, all.ruleset.table))
      t.equal(rebuild, false, `${deed}: without making the table anew`)
      await applier.apply([...before, ...after])
      t.equal(nft(['list', 'table', 'ip', 't']), untouched, deed)
    })
})

t.test('tables of others are seen by their names, and their insides are not ours', { skip: noNft }, async (t) => {
  nft(['-f', '-'], 'table arp a\ntable bridge b\ntable inet t\nadd chain inet t c\ntable netdev n')
  t.strictSame((await observeTables(netfilter)).map(tableText).sort(), ['arp a', 'bridge b', 'inet t'])
  const all = everything('ip')
  await withTable(all, async () =>
    t.equal(await missing(all.ruleset), '', 'a table of the same name in another family'),
  )
  nft(['flush', 'ruleset'])
})

t.test('a set of another type under our name means that the table is made anew', { skip: noNft }, async (t) => {
  const all = everything('ip')
  const spec: SetSpec = all.ruleset.sets[1]!
  nft(['-f', '-'], `table ip t\nadd set ip t ${spec.name} { type inet_service; }`)
  const { rebuild, before } = planStructure(all.ruleset, await observeRuleset(netfilter, all.ruleset.table))
  t.equal(rebuild, true)
  await applier.apply(before)
  t.equal(await missing(all.ruleset), '')
  await remove(all.ruleset)
})
