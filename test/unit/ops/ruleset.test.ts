import t from 'tap'
import { IPV4 } from '../../../src/base/family.js'
import { type Chain } from '../../../src/codec/nft/chain.js'
import { FOREIGN_RULE, type Rule } from '../../../src/codec/nft/rule.js'
import { setFacts, type SetSpec } from '../../../src/codec/nft/set.js'
import { sourceAddress } from '../../../src/codec/nft/statement.js'
import { type Table } from '../../../src/codec/nft/table.js'
import { TYPE } from '../../../src/codec/nft/types.js'
import { type ActualRuleset, asActual, planStructure, type Ruleset } from '../../../src/ops/ruleset.js'
import { planText } from '../../../src/ops/text.js'

const table: Table = { family: 'ip', name: 't' }
const ips: SetSpec = { name: 'ips', key: [TYPE.ipv4_addr] }
const slots: SetSpec = { name: 'slots', key: [TYPE.numgen], data: 'verdict' }
const pick: Chain = { name: 'pick' }
const hook: Chain = { name: 'hook', base: { type: 'filter', hook: 'forward', priority: 0 } }
const lookup: Rule = [{ kind: 'lookup', fields: [sourceAddress(IPV4)], set: 'ips' }]
const jump: Rule = [{ kind: 'verdict', verdict: { verdict: 'jump', chain: 'pick' } }]
const accept: Rule = [{ kind: 'verdict', verdict: { verdict: 'accept' } }]

const desired: Ruleset = {
  table,
  sets: [ips, slots],
  chains: [
    { chain: pick, rules: [accept] },
    { chain: hook, rules: [lookup, jump] },
  ],
}

/** A plan as text, with a line between what comes before the elements and what comes behind them. */
function plan(actual: ActualRuleset | undefined, wanted = desired): string[] {
  const { rebuild, before, after } = planStructure(wanted, actual)
  const lines = (text: string): string[] => text.split('\n').slice(0, -1)
  return [...(rebuild ? ['anew:'] : []), ...lines(planText(before)), '--', ...lines(planText(after))]
}

const CREATION = [
  'nft add table ip t',
  "nft add set ip t ips '{ type ipv4_addr; }'",
  "nft add map ip t slots '{ typeof numgen inc mod 2 : verdict; }'",
  'nft add chain ip t pick',
  "nft add chain ip t hook '{ type filter hook forward priority filter; policy accept; }'",
  'nft add rule ip t pick accept',
  'nft add rule ip t hook ip saddr @ips',
  'nft add rule ip t hook jump pick',
  '--',
]

t.test('a table that is not there is created: sets, then chains, then the rules that use them', async (t) => {
  t.strictSame(plan(undefined), CREATION)
})

t.test('a table that is as wanted is left alone', async (t) => {
  t.strictSame(plan(asActual(desired)), ['--'])
})

const actual = asActual(desired)
const withChain = (name: string, rules: readonly string[], chain: Chain = { name }): ActualRuleset => ({
  ...actual,
  chains: new Map([...actual.chains, [name, { chain, rules }]]),
})
const withSet = (spec: SetSpec): ActualRuleset => ({
  ...actual,
  sets: new Map([...actual.sets, [spec.name, setFacts(spec)]]),
})
const less = <T>(map: ReadonlyMap<string, T>, name: string): Map<string, T> =>
  new Map([...map].filter(([key]) => key !== name))

t.test('what is missing is added', async (t) => {
  t.strictSame(plan({ ...actual, sets: less(actual.sets, 'slots') }), [
    "nft add map ip t slots '{ typeof numgen inc mod 2 : verdict; }'",
    '--',
  ])
  t.strictSame(plan({ ...actual, chains: less(actual.chains, 'pick') }), [
    'nft add chain ip t pick',
    'nft add rule ip t pick accept',
    '--',
  ])
})

t.test('a chain whose rules differ is written anew, and no other', async (t) => {
  const anew = ['nft flush chain ip t pick', 'nft add rule ip t pick accept', '--']
  const [rule = ''] = actual.chains.get('pick')?.rules ?? []
  t.strictSame(plan(withChain('pick', [FOREIGN_RULE])), anew, 'another rule')
  t.strictSame(plan(withChain('pick', [])), anew, 'no rule')
  t.strictSame(plan(withChain('pick', [rule, FOREIGN_RULE])), anew, 'one more')
  const [one = '', two = ''] = actual.chains.get('hook')?.rules ?? []
  t.strictSame(
    plan(withChain('hook', [two, one], hook)),
    ['nft flush chain ip t hook', 'nft add rule ip t hook ip saddr @ips', 'nft add rule ip t hook jump pick', '--'],
    'another order',
  )
})

t.test('what is not wanted goes behind the elements: rules, elements, chains, sets', async (t) => {
  const empty: Ruleset = { table, sets: [], chains: [] }
  t.strictSame(plan(actual, empty), [
    '--',
    'nft flush chain ip t pick',
    'nft flush chain ip t hook',
    'nft flush set ip t ips',
    'nft flush map ip t slots',
    'nft delete chain ip t pick',
    'nft delete chain ip t hook',
    'nft delete set ip t ips',
    'nft delete map ip t slots',
  ])
})

t.test('a policy that somebody changed is set right in place', async (t) => {
  const dropping: Chain = { name: 'hook', base: { type: 'filter', hook: 'forward', priority: 0, policy: 'drop' } }
  t.strictSame(plan(withChain('hook', actual.chains.get('hook')?.rules ?? [], dropping)), [
    "nft add chain ip t hook '{ type filter hook forward priority filter; policy accept; }'",
    '--',
  ])
  const explicit: Chain = { name: 'hook', base: { type: 'filter', hook: 'forward', priority: 0, policy: 'accept' } }
  t.strictSame(plan(withChain('hook', actual.chains.get('hook')?.rules ?? [], explicit)), ['--'])
})

t.test('a set or hook that is of another nature cannot be changed: the table is made anew', async (t) => {
  const anew = ['anew:', 'nft delete table ip t', ...CREATION]
  const others: Record<string, ActualRuleset> = {
    'a set of another type': withSet({ ...ips, key: [TYPE.ipv6_addr] }),
    'a set that became one of intervals': withSet({ ...ips, interval: true }),
    'a set in the place of a map': withSet({ name: 'slots', key: [TYPE.numgen] }),
    'another priority': withChain('hook', [], { name: 'hook', base: { type: 'filter', hook: 'forward', priority: 1 } }),
    'another hook': withChain('hook', [], { name: 'hook', base: { type: 'filter', hook: 'input', priority: 0 } }),
    'another type': withChain('hook', [], { name: 'hook', base: { type: 'nat', hook: 'forward', priority: 0 } }),
    'no hook': withChain('hook', []),
    'a hook where none is wanted': withChain('pick', [], { ...hook, name: 'pick' }),
  }
  for (const [name, other] of Object.entries(others)) t.strictSame(plan(other), anew, name)
})

t.test('a chain or set of others in the table goes, and is no reason to make the table anew', async (t) => {
  const theirs: Chain = { name: 'theirs', base: { type: 'route', hook: 'output', priority: -150, policy: 'drop' } }
  t.strictSame(plan(withChain('theirs', [FOREIGN_RULE], theirs)), [
    '--',
    'nft flush chain ip t theirs',
    'nft delete chain ip t theirs',
  ])
  t.strictSame(plan(withSet({ name: 'theirs', key: [TYPE.inet_service] })), [
    '--',
    'nft flush set ip t theirs',
    'nft delete set ip t theirs',
  ])
})
