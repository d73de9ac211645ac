import t from 'tap'
import { formatCidr, parseCidr } from '../../../src/base/ip.js'
import { type Claim, claimName } from '../../../src/subnets/claim.js'
import { lacking, type NodeSubnet, planClaims, type Situation, type Step } from '../../../src/subnets/plan.js'

const NOW = 1_000_000

function claim(subnet: string, holder: string | undefined, fields: Partial<Claim> = {}): Claim {
  const cidr = parseCidr(subnet)
  const times = { created: 1, renewed: NOW, expires: NOW + 1 }
  const identity = { name: claimName(cidr), uid: `uid-${subnet}`, version: '1' }
  return {
    ...identity,
    subnet: cidr,
    holder,
    owner: holder && `uid-${holder}`,
    acquired: true,
    transitions: 0,
    ...times,
    ...fields,
  }
}

const node = (name: string, ...podCIDRs: readonly string[]): NodeSubnet => ({
  name,
  uid: `uid-${name}`,
  podCIDRs: podCIDRs.map((text) => parseCidr(text)),
})

const situation = (fields: Partial<Situation> = {}): Situation => ({
  networks: [{ cidr: parseCidr('10.0.0.0/23'), nodePrefix: 24 }],
  claims: [],
  nodes: [node('me'), node('other')],
  self: { name: 'me', uid: 'uid-me' },
  inUse: [],
  avoid: [],
  now: NOW,
  ...fields,
})

const used = (...texts: readonly string[]) => ({ inUse: texts.map((text) => parseCidr(text)) })

const textOf = (step: Step): string =>
  step.do === 'claim'
    ? `claim ${formatCidr(step.subnet)}`
    : `${step.do} ${formatCidr(step.claim.subnet)}${step.do === 'withdraw' ? `: ${step.why}` : ''}`

const steps = (fields: Partial<Situation>) => planClaims(situation(fields)).steps.map(textOf)

t.test('a node with a claim renews it, and needs to know no Node for that', async (t) => {
  const claims = [claim('10.0.1.0/24', 'me'), claim('10.0.0.0/24', 'other')]
  t.same(steps({ claims }), ['renew 10.0.1.0/24'])
  t.same(lacking(situation({ claims })), [])
  t.equal(lacking(situation()).length, 1)
})

t.test('of several claims of a family one is kept', async (t) => {
  const two = [claim('10.0.0.0/24', 'me', { created: 5 }), claim('10.0.1.0/24', 'me', { created: 3 })]
  t.same(steps({ claims: two }), ['renew 10.0.1.0/24', 'withdraw 10.0.0.0/24: another one is kept'], 'the oldest')
  t.same(
    steps({ claims: two, ...used('10.0.0.0/24') }),
    ['renew 10.0.0.0/24', 'withdraw 10.0.1.0/24: another one is kept'],
    'the one in use',
  )
  t.same(
    steps({ claims: two, ...used('10.0.0.0/24', '10.0.1.0/24') }),
    ['renew 10.0.1.0/24'],
    'none in use is withdrawn',
  )
  const [first, second] = [claim('10.0.0.0/24', 'me', { acquired: false, created: 1 }), two[1]!]
  t.same(steps({ claims: [first, second] })[0], 'renew 10.0.1.0/24', 'the one acquired')
})

t.test('a claim that is not acquired gives way to what overlaps it, in use or not', async (t) => {
  const claims = [claim('10.0.0.0/24', 'me', { acquired: false }), claim('10.0.0.128/25', 'other', { acquired: false })]
  const expected = ['claim 10.0.1.0/24', 'withdraw 10.0.0.0/24: overlaps 10.0.0.128/25 of other']
  t.same(steps({ claims }), expected)
  t.same(steps({ claims, ...used('10.0.0.0/24') }), expected)
})

t.test('a claim that is acquired does not', async (t) => {
  const mine = claim('10.0.0.0/24', 'me')
  const theirs = { acquired: false }
  t.same(planClaims(situation({ claims: [mine, claim('10.0.0.128/25', 'other', theirs)] })).problems, [])
  const plan = planClaims(situation({ claims: [mine, claim('10.0.0.128/25', 'other')] }))
  t.same(plan.steps.map(textOf), ['renew 10.0.0.0/24'])
  t.same(plan.problems, ['10.0.0.0/24 overlaps 10.0.0.128/25, which other holds as well'])
})

t.test('what pods use is claimed again, unless somebody else has it', async (t) => {
  t.same(steps(used('10.0.0.0/24')), ['claim 10.0.0.0/24'])
  t.same(steps(used('10.0.1.0/24')), ['claim 10.0.1.0/24'])
  t.same(steps({ claims: [claim('10.0.1.0/24', 'other')], ...used('10.0.1.0/24') }), ['claim 10.0.0.0/24'])
  t.match(steps(used('192.168.0.0/24'))[0], /^claim 10\.0\./, 'what is no network of the cluster is not')
})

t.test('a claim outside of the networks goes as soon as no pod uses it', async (t) => {
  const claims = [claim('10.9.0.0/24', 'me')]
  t.match(steps({ claims }), [/^claim 10\.0\.[01]\.0\/24$/, 'withdraw 10.9.0.0/24: is outside of cluster-networks'])
  const plan = planClaims(situation({ claims, ...used('10.9.0.0/24') }))
  t.same(plan.steps.map(textOf), ['renew 10.9.0.0/24'])
  t.same(plan.problems, ['10.9.0.0/24 is outside of cluster-networks; it is kept while pods use it'])
})

t.test('a claim of another size is kept when the size was changed', async (t) => {
  t.same(steps({ claims: [claim('10.0.0.64/26', 'me')] }), ['renew 10.0.0.64/26'])
})

t.test('the second network is used when the first is full', async (t) => {
  const networks = ['10.0.0.0/24', '10.1.0.0/24'].map((text) => ({ cidr: parseCidr(text), nodePrefix: 24 }))
  t.same(steps({ networks, nodes: [node('other', '10.0.0.0/24')] }), ['claim 10.1.0.0/24'])
})

t.test('where none is free, only a claim of a Node that is gone is taken over, when it has expired', async (t) => {
  const theirs = claim('10.0.0.0/24', 'other')
  const takeover = (fields: Partial<Claim>) =>
    planClaims(situation({ claims: [theirs, claim('10.0.1.0/24', 'gone', fields)] }))
  t.same(takeover({ expires: NOW - 1 }).steps.map(textOf), ['take over 10.0.1.0/24'])
  t.same(takeover({ expires: NOW - 1, holder: undefined, owner: undefined }).steps.length, 1, 'nobody holds it')
  for (const fields of [{}, { expires: NOW - 1, holder: 'other' }, { expires: NOW - 1, owner: 'uid-other' }]) {
    const { steps, exhausted } = takeover(fields)
    t.same(steps, [])
    t.same(exhausted, [
      'no IPv4 subnet is free for this node: 2 of 2 of /24 in 10.0.0.0/23 are taken; add a network to cluster-networks',
    ])
  }
})
