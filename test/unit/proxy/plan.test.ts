import t from 'tap'
import { FAMILIES, type Family, IPV4, IPV6 } from '../../../src/base/family.js'
import { type Element } from '../../../src/codec/nft/element.js'
import { TYPE } from '../../../src/codec/nft/types.js'
import { type NftOp } from '../../../src/ops/op.js'
import { type FrontendChange } from '../../../src/proxy/catalog.js'
import { type Frontend, frontendKey, type Target, targetKey } from '../../../src/proxy/frontend.js'
import { addressesSet, servicesRuleset, servicesTable, slotMap } from '../../../src/proxy/layout.js'
import { type ProxyPlan } from '../../../src/proxy/draft.js'
import { planChanges, planSync } from '../../../src/proxy/plan.js'
import { emptyState, type ProxyState } from '../../../src/proxy/state.js'
import { seededRandom } from '../../support/cni-exec.js'
import { FakeServices } from './fake-services.js'

/** An address of a family with two numbers in it. */
const ip = (family: Family, net: number, host: number): string =>
  family === IPV6 ? `fd00:${net.toString(16)}::${host.toString(16)}` : `10.${net}.${host >> 8}.${host & 255}`

interface FrontendFields {
  readonly family?: Family
  readonly host?: number
  readonly port?: number
  readonly endpoints?: readonly Target[]
}

const frontend = ({ family = IPV4, host = 1, port = 80, endpoints = [] }: FrontendFields): Frontend => ({
  family,
  address: ip(family, 96, host),
  protocol: 'TCP',
  port,
  service: `default/s${host}`,
  endpoints,
})

const target = (family: Family, host: number, local = false): Target => ({
  address: ip(family, 1, host),
  port: 8080,
  local,
})

const targets = (family: Family, count: number, from = 0): Target[] =>
  Array.from({ length: count }, (_, i) => target(family, from + i + 2))

const put = (one: Frontend): FrontendChange => ({ key: frontendKey(one), frontend: one })
const drop = (one: Frontend): FrontendChange => ({ key: frontendKey(one), frontend: undefined })

/** A table brought up from nothing. */
function brought(family: Family, desired: readonly Frontend[]): { services: FakeServices; state: ProxyState } {
  const services = new FakeServices()
  const { state, plans } = planSync(family, desired, undefined)
  services.run(plans)
  return { services, state }
}

const sizeOf = ({ ops }: ProxyPlan): number =>
  ops.reduce((sum, op) => sum + ('elements' in op ? op.elements.length : 1), 0)

const whole = (random: () => number, below: number): number => Math.floor(random() * below)

/** Random changes to a few frontends, so that all meet: addresses and endpoints are shared, frontends come and go. */
class History {
  readonly desired = new Map<string, Frontend>()
  readonly #random: () => number
  readonly #family: Family

  constructor(family: Family, seed: number) {
    this.#family = family
    this.#random = seededRandom(seed)
  }

  #below(limit: number): number {
    return whole(this.#random, limit)
  }

  /** Up to three changes of different frontends, as one batch. */
  step(): FrontendChange[] {
    const changes = new Map<string, FrontendChange>()
    for (let i = this.#below(3); i >= 0; i--) {
      const at = frontend({ family: this.#family, host: 1 + this.#below(4), port: 80 + this.#below(3) })
      const change = this.#below(6) === 0 ? drop(at) : put({ ...at, endpoints: this.#endpoints(at) })
      changes.set(change.key, change)
    }
    for (const { key, frontend: now } of changes.values())
      if (now === undefined) this.desired.delete(key)
      else this.desired.set(key, now)
    return [...changes.values()]
  }

  /** Mostly one endpoint more or less, sometimes all anew or none. */
  #endpoints(at: Frontend): Target[] {
    const present = [...(this.desired.get(frontendKey(at))?.endpoints ?? [])]
    const kind = this.#below(10)
    if (kind === 0) return []
    if (kind < 3) return targets(this.#family, this.#below(8), this.#below(20))
    const address = this.#below(24)
    const without = present.filter((one) => one.address !== ip(this.#family, 1, address))
    return without.length < present.length ? without : [...present, target(this.#family, address, this.#below(3) === 0)]
  }
}

for (const family of FAMILIES)
  t.test(`${family.name}: after every one of thousands of changes the table is what is wanted`, async (t) => {
    for (let seed = 1; seed <= 10; seed++) {
      const history = new History(family, seed)
      const { services, state } = brought(family, [])
      for (let step = 0; step < 400; step++) {
        services.run(planChanges(state, history.step()))
        const wrong = services.differences([...history.desired.values()])
        if (wrong.length > 0) t.fail(`seed ${seed}, step ${step}: ${wrong.join('; ')}`)
      }
      t.pass(`seed ${seed}`)
    }
  })

t.test('what a restarted agent takes over is what the one before it would have gone on from', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const history = new History(IPV4, seed)
    const { services, state: first } = brought(IPV4, [])
    let state = first
    for (let restart = 0; restart < 20; restart++) {
      for (let step = 0; step < 10; step++) services.run(planChanges(state, history.step()))
      // While the agent was away, the world went on.
      for (let step = restart % 3; step > 0; step--) history.step()
      const sync = planSync(IPV4, [...history.desired.values()], services.observe())
      services.run(sync.plans)
      state = sync.state
      t.same(services.differences([...history.desired.values()]), [], `seed ${seed}, restart ${restart}`)
    }
  }
})

t.test('no transaction leaves a frontend half-way between its old and its new endpoints', async (t) => {
  const count = 3000
  const all = (from: number): Frontend[] =>
    Array.from({ length: count }, (_, i) => frontend({ host: i + 1, endpoints: targets(IPV4, 1 + (i % 3), from + i) }))
  const [old, next] = [all(0), all(1)]
  const { services, state } = brought(IPV4, old)
  let transactions = 0
  services.run(planChanges(state, next.map(put)), () => {
    transactions++
    const mixed = old.filter((before, i) => {
      const found = services.connect(before).sort().join()
      return ![before, next[i]!].some(({ endpoints }) => endpoints.map(targetKey).sort().join() === found)
    })
    t.equal(mixed.length, 0)
  })
  t.ok(transactions > 2, `${transactions} transactions`)
  t.same(services.differences(next), [])
})

/** Bytes follow elements; what a structure needs counts as well. */
const MOST = 3 * 2000

t.test('no transaction outgrows what a socket takes', async (t) => {
  const check = (plans: Iterable<ProxyPlan>, services: FakeServices): number[] => {
    const sizes: number[] = []
    services.run(plans, (plan) => sizes.push(sizeOf(plan)))
    return sizes
  }
  const many = Array.from({ length: 4000 }, (_, i) =>
    frontend({ host: i + 1, endpoints: targets(IPV4, 5, i).map((one) => ({ ...one, local: true })) }),
  )
  const wide = frontend({ host: 9999, endpoints: targets(IPV4, 1500) })
  const services = new FakeServices()
  const first = planSync(IPV4, [...many, wide], undefined)
  t.ok(Math.max(...check(first.plans, services)) <= MOST, 'from nothing')
  t.ok(Math.max(...check(planSync(IPV4, [], services.observe()).plans, services)) <= MOST, 'down to nothing')
  t.same(services.differences([]), [])

  const again = planSync(IPV4, many, services.observe())
  t.ok(Math.max(...check(again.plans, services)) <= MOST, 'and up again')
  services.ruleset.apply([{ kind: 'set.flush', table: servicesTable(IPV4), set: 'slot_0' }])
  t.ok(Math.max(...check(planSync(IPV4, many, services.observe()).plans, services)) <= MOST, 'all damaged')
  t.same(services.differences(many), [])
  t.ok(Math.max(...check(planChanges(planSync(IPV4, many, services.observe()).state, []), services), 0) === 0)
})

t.test('one Service that becomes very large grows the structure in several transactions', async (t) => {
  const { services, state } = brought(IPV4, [frontend({ endpoints: targets(IPV4, 1) })])
  const wide = frontend({ endpoints: targets(IPV4, 1200) })
  let most = 0
  services.run(planChanges(state, [put(wide)]), ({ ops }) => {
    most = Math.max(most, ops.filter(({ kind }) => kind !== 'elements.add').length)
  })
  t.ok(most <= 1000, `${most} operations on the structure in one transaction`)
  t.same(services.differences([wide]), [])
})

class CountingMap<K, V> extends Map<K, V> {
  accesses = 0

  override get(key: K): V | undefined {
    this.accesses++
    return super.get(key)
  }

  override *entries(): MapIterator<[K, V]> {
    for (const entry of super.entries()) {
      this.accesses++
      yield entry
    }
    return undefined
  }

  override [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries()
  }

  override *keys(): MapIterator<K> {
    for (const [key] of this.entries()) yield key
    return undefined
  }

  override *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value
    return undefined
  }
}

t.test('one changed endpoint costs a few elements, with 10,000 Services as with 100', async (t) => {
  const costs = [100, 10_000].map((size) => {
    const maps = {
      frontends: new CountingMap<string, never>(),
      addresses: new CountingMap<string, number>(),
      hairpin: new CountingMap<string, number>(),
      counted: new CountingMap<string, never>(),
    }
    const state: ProxyState = { ...emptyState(IPV4), ...maps }
    const services = new FakeServices()
    services.run(planSync(IPV4, [], undefined).plans)
    const all = Array.from({ length: size }, (_, i) => frontend({ host: i + 1, endpoints: targets(IPV4, 10, i) }))
    services.run(planChanges(state, [...all, frontend({ host: size + 1, endpoints: targets(IPV4, 11) })].map(put)))
    const [one] = all as [Frontend]
    const [first, ...others] = one.endpoints as [Target, ...Target[]]
    const steps: Record<string, FrontendChange> = {
      'one more': put({ ...one, endpoints: [...one.endpoints, target(IPV4, 60_000, true)] }),
      'one less': put(one),
      'one less, from the start': put({ ...one, endpoints: others }),
      'one in the place of another': put({ ...one, endpoints: [...others.slice(1), first] }),
      'back again': put({ ...one, endpoints: others }),
      'the whole frontend goes': drop(one),
      'and comes': put(one),
    }
    return Object.entries(steps).map(([name, change]) => {
      const before = services.ruleset.elements
      for (const map of Object.values(maps)) map.accesses = 0
      services.run(planChanges(state, [change]))
      const looked = Object.values(maps).reduce((sum, { accesses }) => sum + accesses, 0)
      return { name, elements: services.ruleset.elements - before, looked }
    })
  })
  t.same(costs[1], costs[0], 'the size of the cluster makes no difference')
  for (const { name, elements, looked } of costs[1] ?? []) {
    const most = name.startsWith('the whole') || name.startsWith('and') ? 12 : 6
    t.ok(elements > 0 && elements <= most, `${name}: ${elements} elements`)
    t.ok(looked <= 20, `${name}: ${looked} look-ups`)
  }
})

t.test('a change that changes nothing writes nothing', async (t) => {
  const one = frontend({ endpoints: targets(IPV4, 3) })
  const { services, state } = brought(IPV4, [one])
  t.equal(services.run(planChanges(state, [put({ ...one, endpoints: [...one.endpoints].reverse() })])), 0)
  t.equal(services.run(planChanges(state, [drop(frontend({ host: 77 }))])), 0, 'one that never was')
})

t.test('a frontend may change twice in one batch: the last counts', async (t) => {
  const { services, state } = brought(IPV4, [])
  const last = frontend({ endpoints: targets(IPV4, 2) })
  services.run(planChanges(state, [put(frontend({ endpoints: targets(IPV4, 3) })), drop(last), put(last)]))
  t.same(services.differences([last]), [])
})

t.test('a state is only brought up to date when the kernel took the operations', async (t) => {
  const one = frontend({ endpoints: targets(IPV4, 3) })
  const { state } = brought(IPV4, [])
  const [refused] = [...planChanges(state, [put(one)])]
  const [again] = [...planChanges(state, [put(one)])]
  t.same(again?.ops, refused?.ops)
  again?.commit()
  t.same(
    [...planChanges(state, [put(one)])].flatMap(({ ops }) => ops),
    [],
  )
})

const WANTED = (family: Family): Frontend[] => [
  frontend({ family, endpoints: [target(family, 2, true), ...targets(family, 2, 1)] }),
  frontend({ family, port: 81, endpoints: targets(family, 1) }),
  frontend({ family, host: 2, endpoints: [] }),
  frontend({ family, host: 3, endpoints: [target(family, 2, true)] }),
]

t.test('an identical table costs no operation', async (t) => {
  for (const family of FAMILIES) {
    const { services } = brought(family, WANTED(family))
    const sync = planSync(family, WANTED(family), services.observe())
    t.equal(services.run(sync.plans), 0, family.name)
    t.same(services.differences(WANTED(family)), [])
    const later = frontend({ family, host: 3, endpoints: [] })
    services.run(planChanges(sync.state, [put(later)]))
    t.same(services.differences([...WANTED(family).slice(0, 3), later]), [], 'and planning goes on from it')
  }
})

/** Something that a hand, another program or another version did to the table. */
type Damage = (family: Family) => NftOp[]

const elements =
  (kind: 'elements.add' | 'elements.delete', name: string, ...list: ((family: Family) => Element)[]): Damage =>
  (family) => {
    const set = servicesRuleset(family, 3).sets.find((one) => one.name === name)!
    return [{ kind, table: servicesTable(family), set, elements: list.map((element) => element(family)) }]
  }

const key =
  (host: number, port: number, protocol = 6) =>
  (family: Family): Element => ({ key: [ip(family, 96, host), protocol, port] })

const slotted =
  (host: number, port: number, protocol = 6) =>
  (family: Family): Element => ({ ...key(host, port, protocol)(family), data: [ip(family, 9, 9), 9] })

const leading =
  (element: (family: Family) => Element, chain: string, verdict: 'goto' | 'jump' = 'goto') =>
  (family: Family): Element => ({ ...element(family), data: { verdict, chain } })

const all =
  (...damages: readonly Damage[]): Damage =>
  (family) =>
    damages.flatMap((damage) => damage(family))

const DAMAGES: Readonly<Record<string, Damage>> = {
  'a slot lost its element': elements('elements.delete', 'slot_1', key(1, 80)),
  'the first slot of all lost its elements': (family) => [
    { kind: 'set.flush', table: servicesTable(family), set: 'slot_0' },
  ],
  'a slot leads to another endpoint': all(
    elements('elements.delete', 'slot_1', key(1, 80)),
    elements('elements.add', 'slot_1', slotted(1, 80)),
  ),
  'a slot beyond the number of endpoints is filled': elements('elements.add', 'slot_2', slotted(1, 81)),
  'slots are filled for nobody': elements('elements.add', 'slot_0', slotted(7, 80), slotted(1, 80, 17)),
  'slots are filled for protocols that no Service has': elements(
    'elements.add',
    'slot_0',
    slotted(7, 80, 1),
    slotted(8, 80, 1),
    slotted(8, 80, 47),
  ),
  'a frontend of nobody': elements('elements.add', 'frontends', leading(key(7, 80), 'pick_1')),
  'a frontend of a protocol that no Service has': elements(
    'elements.add',
    'frontends',
    leading(key(7, 80, 1), 'pick_1'),
    leading(key(1, 80, 1), 'pick_1'),
  ),
  'a frontend draws one of fewer': all(
    elements('elements.delete', 'frontends', key(1, 80)),
    elements('elements.add', 'frontends', leading(key(1, 80), 'pick_2')),
  ),
  'a frontend draws one of more': all(
    elements('elements.delete', 'frontends', key(1, 81)),
    elements('elements.add', 'frontends', leading(key(1, 81), 'pick_3')),
  ),
  'a frontend leads straight into a slot': all(
    elements('elements.delete', 'frontends', key(1, 81)),
    elements('elements.add', 'frontends', leading(key(1, 81), 'slot_0')),
  ),
  'a frontend jumps instead of going': all(
    elements('elements.delete', 'frontends', key(1, 81)),
    elements('elements.add', 'frontends', leading(key(1, 81), 'pick_1', 'jump')),
  ),
  'a frontend is gone, its slots are not': elements('elements.delete', 'frontends', key(1, 80)),
  'a number leads into another slot': all(
    elements('elements.delete', 'slots', () => ({ key: [1] })),
    elements(
      'elements.add',
      'slots',
      leading(() => ({ key: [1] }), 'slot_0'),
    ),
  ),
  'a number jumps into its slot': all(
    elements('elements.delete', 'slots', () => ({ key: [1] })),
    elements(
      'elements.add',
      'slots',
      leading(() => ({ key: [1] }), 'slot_1', 'jump'),
    ),
  ),
  'a number leads nowhere': elements('elements.delete', 'slots', () => ({ key: [2] })),
  'more numbers lead somewhere': elements(
    'elements.add',
    'slots',
    leading(() => ({ key: [7] }), 'slot_1'),
  ),
  'an address of a Service is missing': elements('elements.delete', 'service_ips', (family) => ({
    key: [ip(family, 96, 1)],
  })),
  'an address of nobody': elements('elements.add', 'service_ips', (family) => ({ key: [ip(family, 96, 77)] })),
  'a hairpin pair is missing': elements('elements.delete', 'hairpin', (family) => ({
    key: [ip(family, 1, 2), ip(family, 1, 2)],
  })),
  'a hairpin pair of nobody': elements('elements.add', 'hairpin', (family) => ({
    key: [ip(family, 1, 77), ip(family, 1, 77)],
  })),
  'pairs of two addresses are masqueraded': elements(
    'elements.add',
    'hairpin',
    (family) => ({ key: [ip(family, 1, 2), ip(family, 1, 3)] }),
    (family) => ({ key: [ip(family, 1, 9), ip(family, 1, 2)] }),
  ),
  'a chain lost its rule': (family) => [
    { kind: 'rules.flush', table: servicesTable(family), chain: 'slot_1' },
    { kind: 'rules.flush', table: servicesTable(family), chain: 'prerouting' },
  ],
  'a foreign rule stands in front': (family) => [
    { kind: 'rules.flush', table: servicesTable(family), chain: 'prerouting' },
    {
      kind: 'rule.add',
      table: servicesTable(family),
      chain: 'prerouting',
      rule: [{ kind: 'verdict', verdict: { verdict: 'accept' } }],
    },
  ],
  'a foreign chain, set and map with rules and elements': (family) => {
    const table = servicesTable(family)
    const set = { name: 'mine', key: [TYPE.inet_service], data: 'verdict' } as const
    return [
      { kind: 'chain.add', table, chain: { name: 'mine' } },
      { kind: 'chain.add', table, chain: { name: 'other' } },
      { kind: 'set.add', table, set },
      { kind: 'elements.add', table, set, elements: [{ key: [1], data: { verdict: 'goto', chain: 'other' } }] },
      { kind: 'rule.add', table, chain: 'mine', rule: [{ kind: 'verdict', verdict: { verdict: 'goto', chain: 'other' } }] }, // prettier-ignore
      { kind: 'rule.add', table, chain: 'output', rule: [{ kind: 'verdict', verdict: { verdict: 'jump', chain: 'mine' } }] }, // prettier-ignore
    ]
  },
  'more slots than any Service needs': (family) => {
    const table = servicesTable(family)
    const { sets, chains } = servicesRuleset(family, 6)
    const wider = sets.slice(-3)
    const more = chains.filter(({ chain }) => /_(3|4|5|6)$/.test(chain.name) && chain.name !== 'pick_3')
    return [
      ...wider.map((set): NftOp => ({ kind: 'set.add', table, set })),
      ...more.map(({ chain }): NftOp => ({ kind: 'chain.add', table, chain })),
      { kind: 'elements.add', table, set: slotMap(family, 5), elements: [slotted(1, 80)(family)] },
    ]
  },
  'a slot map is gone, with its rule': (family) => [
    { kind: 'rules.flush', table: servicesTable(family), chain: 'slot_1' },
    { kind: 'set.delete', table: servicesTable(family), set: 'slot_1' },
  ],
  'the set of addresses is gone, with its rules': (family) => [
    { kind: 'rules.flush', table: servicesTable(family), chain: 'reject_forward' },
    { kind: 'rules.flush', table: servicesTable(family), chain: 'reject_output' },
    { kind: 'set.delete', table: servicesTable(family), set: 'service_ips' },
  ],
  'a chain at a hook is gone': (family) => [
    { kind: 'rules.flush', table: servicesTable(family), chain: 'prerouting' },
    { kind: 'chain.delete', table: servicesTable(family), chain: 'prerouting' },
  ],
  'a chain at a hook has another priority: the table is made anew': (family) => {
    const { chain } = servicesRuleset(family, 0).chains[0]!
    return [
      { kind: 'rules.flush', table: servicesTable(family), chain: chain.name },
      { kind: 'chain.delete', table: servicesTable(family), chain: chain.name },
      {
        kind: 'chain.add',
        table: servicesTable(family),
        chain: { name: chain.name, base: { type: 'nat', hook: 'prerouting', priority: 7 } },
      },
    ]
  },
  'a set is of another type: the table is made anew': (family) => {
    const table = servicesTable(family)
    return [
      { kind: 'rules.flush', table, chain: 'reject_forward' },
      { kind: 'rules.flush', table, chain: 'reject_output' },
      { kind: 'set.delete', table, set: 'service_ips' },
      { kind: 'set.add', table, set: { ...addressesSet(family), key: [TYPE.inet_service] } },
    ]
  },
  'everything is empty': (family) => {
    const table = servicesTable(family)
    return servicesRuleset(family, 3).sets.map(({ name }): NftOp => ({ kind: 'set.flush', table, set: name }))
  },
}

for (const [name, damage] of Object.entries(DAMAGES))
  t.test(`put right: ${name}`, async (t) => {
    for (const family of FAMILIES) {
      const { services } = brought(family, WANTED(family))
      const intact = services.ruleset.dump()
      services.ruleset.apply(damage(family))
      t.not(services.ruleset.dump().join('\n'), intact.join('\n'), 'it is damaged')
      const sync = planSync(family, WANTED(family), services.observe())
      services.run(sync.plans)
      t.same(structureOf(services), structureOf(brought(family, WANTED(family)).services), `${family.name} structure`)
      t.same(services.differences(WANTED(family)), [], family.name)
      t.equal(services.run(planSync(family, WANTED(family), services.observe()).plans), 0, 'nothing is left to do')
      const gone = WANTED(family).map(drop)
      services.run(planChanges(sync.state, gone))
      t.same(services.differences([]), [], 'the state that was taken over is true')
    }
  })

/** Structure and picks, without the elements that may stand in any order of slots. */
const structureOf = (services: FakeServices): string[] =>
  services.ruleset.dump().filter((line) => !/^set (slot_\d+|frontends) \{/.test(line))

t.test('all damages at once, in any order, are put right', async (t) => {
  const random = seededRandom(4)
  const harmless = Object.entries(DAMAGES)
  for (let round = 0; round < 200; round++) {
    const { services } = brought(IPV4, WANTED(IPV4))
    for (const [, damage] of harmless.filter(() => random() < 0.3).sort(() => random() - 0.5)) {
      try {
        services.ruleset.apply(damage(IPV4))
      } catch {
        // Two damages may exclude one another; what the first of them did stays.
      }
    }
    services.run(planSync(IPV4, WANTED(IPV4), services.observe()).plans)
    const wrong = services.differences(WANTED(IPV4))
    t.same(wrong, [], `round ${round}`)
  }
})

t.test('an undamaged frontend stays reachable in every transaction that mends another', async (t) => {
  const sound = WANTED(IPV4).slice(1)
  for (const [name, damage] of Object.entries(DAMAGES)) {
    if (/anew|empty|of all|leads nowhere|lost its rule|foreign rule|is gone|number/.test(name)) continue
    const { services } = brought(IPV4, WANTED(IPV4))
    services.ruleset.apply(damage(IPV4))
    const before = sound.map((one) => isMisled(services, one))
    services.run(planSync(IPV4, WANTED(IPV4), services.observe()).plans, () => {
      const wrong = sound.filter((one, i) => before[i] === false && isMisled(services, one))
      t.same(wrong, [], name)
    })
  }
})

/** True where connections to a frontend do not reach its endpoints, or are cut off in the middle. */
function isMisled(services: FakeServices, one: Frontend): boolean {
  try {
    return services.differences([one]).some((line) => line.includes('goes to'))
  } catch {
    return true
  }
}
