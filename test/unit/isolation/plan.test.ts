import fc from 'fast-check'
import t from 'tap'
import { type Attached } from '../../../src/isolation/elements.js'
import { VERDICTS } from '../../../src/isolation/layout.js'
import { hasStructure, isolationDifferences, planIsolation, planJoin, planLeave } from '../../../src/isolation/plan.js'
import { type IngressPolicy, type Lease } from '../../../src/model/lease.js'
import { planText } from '../../../src/ops/text.js'
import { exampleLease } from '../../support/lease.js'
import { FakeIsolation } from './fake-isolation.js'

type Policy = IngressPolicy | undefined

const attached = (number: number, network: string, ingressPolicy?: IngressPolicy): Lease =>
  exampleLease({
    network,
    containerId: `c${number}`,
    addresses: [`10.1.0.${number}`, `fd00:1::${number}`],
    ...(ingressPolicy === undefined ? {} : { ingressPolicy }),
  })

function brought(...all: readonly Attached[]): FakeIsolation {
  const fake = new FakeIsolation()
  fake.apply(planIsolation(all, undefined))
  return fake
}

/** Whether the rules let a new connection pass, as the kernel would find it. */
function passes({ table }: FakeIsolation, from: string, to: string): boolean {
  if (!table.present || table.lookup('containers_ipv4', [from]) === undefined) return true
  const verdict = table.lookup('policies_ipv4', [to])?.data
  if (verdict === undefined || !('chain' in verdict)) return true
  const [rule] = table.chain(verdict.chain ?? '').rules
  const lookup = rule?.find((statement) => statement.kind === 'lookup')
  if (lookup === undefined) throw new Error('a chain without a look-up')
  return table.lookup(lookup.set, lookup.fields.length === 2 ? [from, to] : [from]) !== undefined
}

const arbitrary = fc
  .uniqueArray(
    fc.record({
      number: fc.integer({ min: 2, max: 9 }),
      network: fc.constantFrom('a', 'b', 'c.d', 'x'.repeat(300)),
      policy: fc.constantFrom<Policy>(undefined, 'same-network', 'isolated'),
    }),
    { selector: ({ number }) => number },
  )
  .map((rows) => rows.map(({ number, network, policy }) => attached(number, network, policy)))

const address = ({ addresses }: Attached): string => addresses[0]?.address ?? ''

t.test('whoever is attached: a connection passes where the policy of its receiver says so', async (t) => {
  fc.assert(
    fc.property(arbitrary, (all) => {
      const fake = brought(...all)
      const admits: Readonly<Record<IngressPolicy, (from: Lease, to: Lease) => boolean>> = {
        'same-network': (from, to) => from.network === to.network,
        isolated: (from, to) => from === to,
      }
      for (const to of all) {
        for (const from of all) {
          const wanted = to.ingressPolicy === undefined || admits[to.ingressPolicy](from, to)
          if (passes(fake, address(from), address(to)) !== wanted) return false
        }
        if (!passes(fake, '192.0.2.1', address(to))) return false
      }
      return true
    }),
  )
  t.pass()
})

t.test('any state leads to any other, and then there is nothing to do', async (t) => {
  fc.assert(
    fc.property(arbitrary, arbitrary, (from, to) => {
      const fake = brought(...from)
      fake.apply(planIsolation(to, fake.actual()))
      t.strictSame(fake.table.dump(), brought(...to).table.dump())
      t.strictSame(planIsolation(to, fake.actual()), [])
      t.ok(hasStructure(to, fake.actual()?.structure))
    }),
    { numRuns: 50 },
  )
})

t.test('one that comes or goes leads to the same as all of it, where the structure is there', async (t) => {
  fc.assert(
    fc.property(arbitrary, (all) => {
      const [one, ...rest] = all
      if (one === undefined) return
      const without = brought(...rest)
      if (hasStructure(all, without.actual()?.structure)) {
        without.apply(planJoin(one, all))
        t.strictSame(without.table.dump(), brought(...all).table.dump())
      }
      const whole = brought(...all)
      if (hasStructure(rest, whole.actual()?.structure)) {
        whole.apply(planLeave(one, rest))
        t.strictSame(whole.table.dump(), brought(...rest).table.dump())
      }
    }),
  )
  t.end()
})

t.test('without a policy there is no table, and one that is left goes', async (t) => {
  const open = [attached(2, 'a'), attached(3, 'b')]
  t.strictSame(planIsolation(open, undefined), [])
  t.strictSame(planJoin(open[0]!, open), [])
  t.strictSame(planLeave(open[0]!, open.slice(1)), [])
  t.equal(hasStructure(open, undefined), true)
  const left = brought(attached(2, 'a', 'isolated')).actual()
  t.equal(hasStructure(open, left?.structure), false)
  t.equal(planText(planIsolation(open, left)), 'nft delete table inet netloom-isolation\n')
})

t.test('what is to be deleted is added before: then it is there, whatever others did', async (t) => {
  const [one, other] = [attached(2, 'a', 'same-network'), attached(3, 'a', 'same-network')]
  const [added, deleted] = (['elements.add', 'elements.delete'] as const).map((kind) =>
    planLeave(one, [other]).flatMap((op) => (op.kind === kind ? [op.set.name] : [])),
  )
  t.strictSame(added, deleted)
})

t.test('where two leave at once and the first took the network with it, the second does not ask for it', async (t) => {
  const [one, other] = [attached(2, 'a', 'same-network'), attached(3, 'b', 'isolated')]
  t.notMatch(planText(planLeave(one, [other])), /network_|members_/)
})

t.test('rules grow with the networks, a packet’s way does not', async (t) => {
  const networks = Array.from({ length: 7 }, (_, i) => attached(i + 2, `n${i}`, 'same-network'))
  const rules = (...all: readonly Attached[]): number | undefined => brought(...all).table.chain('forward').rules.length
  t.equal(rules(...networks), rules(networks[0]!))
})

t.test('differences are told of one container only', async (t) => {
  const [one, other] = [attached(2, 'a', 'same-network'), attached(3, 'a', 'isolated')]
  const all = [one, other]
  const fake = brought(...all)
  t.strictSame([...isolationDifferences(one, all, fake.actual())], [])
  const table = { family: 'inet', name: 'netloom-isolation' } as const
  fake.apply([{ kind: 'set.flush', table, set: 'containers_ipv4' }])
  t.strictSame(
    [...isolationDifferences(one, all, fake.actual())],
    ['set containers_ipv4 of table inet netloom-isolation lacks 10.1.0.2'],
  )
  t.strictSame([...isolationDifferences(one, all, undefined)], ['table inet netloom-isolation is missing'])
  t.strictSame([...isolationDifferences(attached(2, 'a'), [attached(2, 'a')], undefined)], [])
})

t.test('verdicts of networks are told from each other', async (t) => {
  t.strictSame(VERDICTS['same-network']('a.b'), { verdict: 'goto', chain: 'network_a.b' })
  t.strictSame(VERDICTS.isolated('a.b'), { verdict: 'goto', chain: 'isolated' })
})
