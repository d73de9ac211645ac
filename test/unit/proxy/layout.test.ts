import t from 'tap'
import { FAMILIES, IPV4, IPV6 } from '../../../src/base/family.js'
import { ruleText } from '../../../src/codec/nft/rule.js'
import { setText } from '../../../src/codec/nft/set.js'
import { PRIORITY } from '../../../src/base/names.js'
import { servicesRuleset, servicesTable, slotsIn } from '../../../src/proxy/layout.js'

t.test('each family has a table of its own', async (t) => {
  t.same(FAMILIES.map(servicesTable), [
    { family: 'ip', name: 'netloom-services' },
    { family: 'ip6', name: 'netloom-services' },
  ])
})

t.test('maps, chains and rules follow the largest Service alone', async (t) => {
  const size = (slots: number): [number, number] => {
    const { sets, chains } = servicesRuleset(IPV4, slots)
    return [sets.length, chains.length]
  }
  t.same(
    [size(0), size(1), size(100)],
    [
      [4, 5],
      [5, 7],
      [104, 205],
    ],
  )
})

t.test('connections of pods and of the node itself are translated by the same map', async (t) => {
  for (const family of FAMILIES) {
    const { chains } = servicesRuleset(family, 2)
    const rules = new Map(chains.map(({ chain, rules }) => [chain.name, rules.map(ruleText)]))
    const translate = [`${family.nft} daddr . meta l4proto . th dport vmap @frontends`]
    t.same([rules.get('prerouting'), rules.get('output')], [translate, translate])
    t.same(rules.get('pick_2'), ['numgen random mod 2 vmap @slots'])
    t.same(rules.get('slot_1'), [`dnat ${family.nft} to ${family.nft} daddr . meta l4proto . th dport map @slot_1`])
    t.same(rules.get('postrouting'), [`${family.nft} saddr . ${family.nft} daddr @hairpin masquerade fully-random`])
    t.equal(rules.get('reject_forward')?.length, 2)
    t.same(rules.get('reject_forward'), rules.get('reject_output'))
  }
})

t.test('every set that a rule names is there, and every chain at a hook stands once', async (t) => {
  const { sets, chains } = servicesRuleset(IPV6, 3)
  const names = new Set(sets.map(({ name }) => name))
  for (const { rules } of chains)
    for (const statement of rules.flat()) {
      const name = 'map' in statement ? statement.map : 'set' in statement ? statement.set : undefined
      if (name !== undefined) t.ok(names.has(name), name)
    }
  t.equal(new Set(chains.map(({ chain }) => chain.name)).size, chains.length)
})

t.test('the hairpin goes before the general masquerade, refusals before policies', async (t) => {
  const { chains } = servicesRuleset(IPV4, 0)
  const priority = (name: string): number | undefined =>
    chains.find(({ chain }) => chain.name === name)?.chain.base?.priority
  t.ok(Number(priority('postrouting')) < PRIORITY.srcnat)
  t.ok(Number(priority('reject_forward')) < 0)
})

t.test('sets are declared so that every nft reads them', async (t) => {
  const { sets } = servicesRuleset(IPV4, 1)
  t.same(
    sets.map((set) => `${set.name}: ${setText(set)}`),
    [
      'service_ips: type ipv4_addr;',
      'hairpin: type ipv4_addr . ipv4_addr;',
      'slots: typeof numgen inc mod 2 : verdict;',
      'frontends: type ipv4_addr . inet_proto . inet_service : verdict;',
      'slot_0: type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;',
    ],
  )
})

t.test('slots are counted up to the highest, also where one in between is missing', async (t) => {
  t.equal(slotsIn([]), 0)
  t.equal(slotsIn(['slots', 'hairpin', 'frontends']), 0)
  t.equal(slotsIn(['slot_0', 'slot_1']), 2)
  t.equal(slotsIn(['slot_4', 'slot_0']), 5)
  t.equal(slotsIn(['slot_01', 'slot_x', 'myslot_3', 'slot_1_', 'slot_-1']), 0, 'other names are not ours')
  t.equal(slotsIn(['slot_0', 'slot_4000000000']), 1, 'a number that no Service can have is somebody else’s joke')
})
