import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import { type Element } from '../../../src/codec/nft/element.js'
import { TYPE } from '../../../src/codec/nft/types.js'
import {
  MASQUERADE,
  type MasqueradeActual,
  type MasqueradeDesired,
  masqueradeElements,
  planElements,
  planMasquerade,
} from '../../../src/masquerade/plan.js'
import { type NftOp } from '../../../src/ops/op.js'
import { planText } from '../../../src/ops/text.js'
import { FakeRuleset } from '../proxy/fake-ruleset.js'

const cidrs = (...texts: readonly string[]) => texts.map((text) => parseCidr(text))

const DESIRED: MasqueradeDesired = {
  sources: cidrs('10.1.0.0/24', 'fd00:1::/64'),
  exceptions: cidrs('10.1.0.0/24', '10.2.0.0/24', 'fd00:1::/64', 'fd00:2::/64'),
}

/** The table as an agent reads it back. */
const observe = (ruleset: FakeRuleset): MasqueradeActual | undefined =>
  ruleset.present
    ? {
        structure: ruleset.structure(),
        elements: new Map(
          [...ruleset.sets.keys()].map((name): [string, Element[]] => [name, ruleset.elementsOf(name)]),
        ),
      }
    : undefined

function brought(desired = DESIRED): FakeRuleset {
  const ruleset = new FakeRuleset()
  ruleset.apply(planMasquerade(masqueradeElements(desired), undefined))
  return ruleset
}

const lines = (ops: readonly NftOp[]): string[] =>
  planText(ops)
    .split('\n')
    .filter((line) => line !== '')

t.test('from nothing the whole table is made in one transaction', async (t) => {
  const plan = lines(planMasquerade(masqueradeElements(DESIRED), undefined))
  t.equal(plan[0], 'nft add table inet netloom-masquerade')
  t.ok(
    plan.includes(
      'nft add element inet netloom-masquerade exceptions_ipv4 { 10.1.0.0-10.1.0.255, 10.2.0.0-10.2.0.255 }',
    ),
  )
  t.match(plan.join('\n'), /hook postrouting priority srcnat/)
  t.equal(plan.filter((line) => line.includes('add rule')).length, 6, 'one for each family, and one for each tunnel')
})

t.test('an identical table costs nothing', async (t) => {
  t.same(planMasquerade(masqueradeElements(DESIRED), observe(brought())), [])
})

t.test('networks that come and go are elements and nothing else', async (t) => {
  const ruleset = brought()
  const next = { ...DESIRED, exceptions: cidrs('10.1.0.0/24', '10.7.0.0/24', 'fd00:1::/64') }
  const plan = lines(planMasquerade(masqueradeElements(next), observe(ruleset)))
  t.same(plan, [
    'nft delete element inet netloom-masquerade exceptions_ipv4 { 10.2.0.0-10.2.0.255 }',
    'nft add element inet netloom-masquerade exceptions_ipv4 { 10.7.0.0-10.7.0.255 }',
    'nft delete element inet netloom-masquerade exceptions_ipv6 { fd00:2::-fd00:2::ffff:ffff:ffff:ffff }',
  ])
})

t.test('any state leads to any other', async (t) => {
  const states: MasqueradeDesired[] = [
    DESIRED,
    { sources: [], exceptions: [] },
    { sources: cidrs('10.1.0.0/24'), exceptions: cidrs('0.0.0.0/0', '::/0') },
    { sources: cidrs('10.1.0.0/25'), exceptions: cidrs('10.1.0.0/16', '10.1.128.0/17', '10.0.0.0/16') },
  ]
  for (const from of states)
    for (const to of states) {
      const ruleset = brought(from)
      ruleset.apply(planMasquerade(masqueradeElements(to), observe(ruleset)))
      t.same(ruleset.dump(), brought(to).dump())
    }
})

const DAMAGES: Readonly<Record<string, readonly NftOp[]>> = {
  'the rules are gone': [{ kind: 'rules.flush', table: MASQUERADE, chain: 'postrouting' }],
  'a foreign rule stands in front': [
    { kind: 'rules.flush', table: MASQUERADE, chain: 'postrouting' },
    { kind: 'rule.add', table: MASQUERADE, chain: 'postrouting', rule: [{ kind: 'masquerade' }] },
  ],
  'a set is empty': [{ kind: 'set.flush', table: MASQUERADE, set: 'sources_ipv4' }],
  'a set is of another type': [
    { kind: 'rules.flush', table: MASQUERADE, chain: 'postrouting' },
    { kind: 'set.delete', table: MASQUERADE, set: 'sources_ipv4' },
    { kind: 'set.add', table: MASQUERADE, set: { name: 'sources_ipv4', key: [TYPE.inet_service] } },
  ],
  'the chain is at another place': [
    { kind: 'rules.flush', table: MASQUERADE, chain: 'postrouting' },
    { kind: 'chain.delete', table: MASQUERADE, chain: 'postrouting' },
    {
      kind: 'chain.add',
      table: MASQUERADE,
      chain: { name: 'postrouting', base: { type: 'nat', hook: 'postrouting', priority: 5 } },
    },
  ],
  'a foreign set and chain': [
    { kind: 'set.add', table: MASQUERADE, set: { name: 'mine', key: [TYPE.inet_service] } },
    { kind: 'chain.add', table: MASQUERADE, chain: { name: 'mine' } },
  ],
}

for (const [name, damage] of Object.entries(DAMAGES))
  t.test(`put right: ${name}`, async (t) => {
    const ruleset = brought()
    ruleset.apply(damage)
    t.not(ruleset.dump().join(), brought().dump().join(), 'it is damaged')
    ruleset.apply(planMasquerade(masqueradeElements(DESIRED), observe(ruleset)))
    t.same(ruleset.dump(), brought().dump())
    t.same(planMasquerade(masqueradeElements(DESIRED), observe(ruleset)), [])
  })

t.test('a table that is known changes without a look at it', async (t) => {
  const next = { ...DESIRED, exceptions: cidrs('10.1.0.0/24', '10.3.0.0/24', 'fd00:1::/64', 'fd00:2::/64') }
  t.same(lines(planElements(masqueradeElements(next), masqueradeElements(DESIRED))), [
    'nft delete element inet netloom-masquerade exceptions_ipv4 { 10.2.0.0-10.2.0.255 }',
    'nft add element inet netloom-masquerade exceptions_ipv4 { 10.3.0.0-10.3.0.255 }',
  ])
  t.same(planElements(masqueradeElements(next), masqueradeElements(next)), [])
})

t.test(
  'what the node sends into a tunnel takes the address of the tunnel, and what its pods send does not',
  async (t) => {
    const rules = lines(planMasquerade(masqueradeElements(DESIRED), undefined)).filter((line) =>
      line.includes('oifname'),
    )
    t.match(rules, [/oifname "nlx4" meta nfproto ipv4 ip saddr != @sources_ipv4 masquerade/, /ipv6/, /nlx6/, /nlx6/])
  },
)
