import t from 'tap'
import { parseCidr, parseIp } from '../../../src/base/ip.js'
import { DEFAULT_VXLAN } from '../../../src/base/names.js'
import { planElements } from '../../../src/ops/elements.js'
import { type NftOp } from '../../../src/ops/op.js'
import { planText } from '../../../src/ops/text.js'
import { TUNNEL_GUARD, tunnelGuardRuleset } from '../../../src/tunnelguard/layout.js'
import { planTunnelGuard, tunnelGuardElements, type TunnelParties } from '../../../src/tunnelguard/plan.js'
import { FakeRuleset } from '../proxy/fake-ruleset.js'
import { observed } from './observed.js'

const RULESET = tunnelGuardRuleset(DEFAULT_VXLAN)

const parties = (peers: readonly string[], pods: readonly string[]): TunnelParties => ({
  own: [parseIp('192.168.0.1')],
  peers: peers.map((text) => parseIp(text)),
  pods: pods.map((text) => parseCidr(text)),
})

const STATES: readonly (TunnelParties | undefined)[] = [
  undefined,
  parties([], []),
  parties(['192.168.0.2', 'fd00::2'], ['10.2.0.0/24', 'fd00:2::/64']),
  parties(['192.168.0.3', '192.168.0.3'], ['10.2.0.0/25', '10.2.0.128/25', '10.2.0.0/24']),
]
const DESIRED = STATES[2]!

const plan = (desired: TunnelParties | undefined, ruleset: FakeRuleset, as = RULESET): NftOp[] =>
  planTunnelGuard(as, desired && tunnelGuardElements(desired), observed(ruleset))

function brought(desired: TunnelParties | undefined): FakeRuleset {
  const ruleset = new FakeRuleset()
  ruleset.apply(plan(desired, ruleset))
  return ruleset
}

const lines = (ops: readonly NftOp[]): string[] =>
  planText(ops)
    .split('\n')
    .filter((line) => line !== '')

t.test('any state leads to any other, and then there is nothing to do', async (t) => {
  for (const from of STATES)
    for (const to of STATES) {
      const ruleset = brought(from)
      ruleset.apply(plan(to, ruleset))
      t.same(ruleset.dump(), brought(to).dump())
      t.same(plan(to, ruleset), [])
    }
})

t.test('a node that comes is its elements and nothing else', async (t) => {
  const next = parties(['192.168.0.2', 'fd00::2', '192.168.0.3'], ['10.2.0.0/24', 'fd00:2::/64', '10.3.0.0/24'])
  const expected = [
    'nft add element inet netloom-tunnels peers_ipv4 { 192.168.0.3 }',
    'nft add element inet netloom-tunnels pods_ipv4 { 10.3.0.0-10.3.0.255 }',
  ]
  t.same(lines(plan(next, brought(DESIRED))), expected)
  t.same(lines(planElements(RULESET, tunnelGuardElements(next), tunnelGuardElements(DESIRED))), expected)
})

t.test('two nodes with one address are one element, which stays when one of them goes', async (t) => {
  t.same(lines(plan(parties(['192.168.0.3'], ['10.2.0.0/24']), brought(STATES[3]))), [])
})

t.test('tunnels that change their port or their network are guarded there', async (t) => {
  const ruleset = brought(DESIRED)
  const moved = tunnelGuardRuleset({ port: 8472, vni: 1 })
  const ops = plan(DESIRED, ruleset, moved)
  t.match(lines(ops).join('\n'), /th dport 8472 @th,96,24 0x1 goto here/)
  t.notOk(ops.some(({ kind }) => kind.startsWith('element')))
  ruleset.apply(ops)
  t.same(plan(DESIRED, ruleset, moved), [])
})

const DAMAGES: Readonly<Record<string, readonly NftOp[]>> = {
  'nothing is judged': [{ kind: 'rules.flush', table: TUNNEL_GUARD, chain: 'input' }],
  'no node is known': [{ kind: 'set.flush', table: TUNNEL_GUARD, set: 'peers_ipv4' }],
  'a stranger is known': [
    {
      kind: 'elements.add',
      table: TUNNEL_GUARD,
      set: RULESET.sets.find(({ name }) => name === 'peers_ipv6')!,
      elements: [{ key: ['fd00::66'] }],
    },
  ],
}

for (const [name, damage] of Object.entries(DAMAGES))
  t.test(`put right: ${name}`, async (t) => {
    const ruleset = brought(DESIRED)
    ruleset.apply(damage)
    t.not(ruleset.dump().join(), brought(DESIRED).dump().join(), 'it is damaged')
    ruleset.apply(plan(DESIRED, ruleset))
    t.same(ruleset.dump(), brought(DESIRED).dump())
  })
