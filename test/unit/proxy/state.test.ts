import t from 'tap'
import { IPV4 } from '../../../src/base/family.js'
import { type Element } from '../../../src/codec/nft/element.js'
import { adopt, emptyState, goesTo } from '../../../src/proxy/state.js'

const at = (host: number, protocol = 6): Element['key'] => [`10.96.0.${host}`, protocol, 80]
const verdict = (host: number, chain: string): Element => ({ key: at(host), data: { verdict: 'goto', chain } })
const slot = (host: number, endpoint: number): Element => ({ key: at(host), data: [`10.1.0.${endpoint}`, 8080] })

t.test('an empty state holds nothing', async (t) => {
  const state = emptyState(IPV4)
  t.equal(state.slots + state.frontends.size + state.addresses.size + state.hairpin.size + state.counted.size, 0)
})

t.test('a frontend of which every slot is there is taken over, each endpoint in its slot', async (t) => {
  const { frontends, strayFrontends, straySlots } = adopt({
    frontends: [verdict(1, 'pick_2'), verdict(2, 'pick_1')],
    slots: [[slot(2, 9), slot(1, 2)], [slot(1, 3)]],
  })
  t.same(frontends.get('10.96.0.1 TCP 80'), {
    key: at(1),
    targets: [
      { address: '10.1.0.2', port: 8080 },
      { address: '10.1.0.3', port: 8080 },
    ],
  })
  t.same(frontends.get('10.96.0.2 TCP 80')?.targets, [{ address: '10.1.0.9', port: 8080 }])
  t.same([strayFrontends, straySlots], [[], [[], []]])
})

const BROKEN: Readonly<Record<string, readonly Element[]>> = {
  'a slot is missing': [verdict(1, 'pick_3')],
  'the chain is none that draws': [verdict(1, 'slot_0')],
  'the number is written otherwise': [verdict(1, 'pick_02')],
  'nothing is to be drawn': [verdict(1, 'pick_0')],
  'there are not so many slots': [verdict(1, 'pick_9')],
  'the verdict comes back': [{ key: at(1), data: { verdict: 'jump', chain: 'pick_2' } }],
  'the verdict leads nowhere': [{ key: at(1), data: { verdict: 'accept' } }],
  'the protocol is none of a Service': [{ key: at(1, 1), data: { verdict: 'goto', chain: 'pick_2' } }],
}

for (const [name, frontends] of Object.entries(BROKEN))
  t.test(`a frontend is a stray with all its slots where ${name}`, async (t) => {
    const adoption = adopt({ frontends, slots: [[slot(1, 2)], [slot(1, 3)], []] })
    t.equal(adoption.frontends.size, 0)
    t.same(adoption.strayFrontends, frontends)
    t.same(adoption.straySlots, [[slot(1, 2)], [slot(1, 3)], []])
  })

t.test('what stands in a slot that its frontend does not use is a stray', async (t) => {
  const others = [
    { key: at(1, 1), data: ['10.1.0.8', 1] },
    { key: at(2, 1), data: ['10.1.0.8', 1] },
  ]
  const adoption = adopt({ frontends: [verdict(1, 'pick_1')], slots: [[slot(1, 2), ...others], [slot(1, 3)]] })
  t.equal(adoption.frontends.size, 1)
  t.same(adoption.straySlots, [others, [slot(1, 3)]])
})

t.test('only a goto is followed', async (t) => {
  t.equal(goesTo({ verdict: 'goto', chain: 'x' }), 'x')
  t.equal(goesTo({ verdict: 'jump', chain: 'x' }), undefined)
  t.equal(goesTo(['10.1.0.2', 80]), undefined)
  t.equal(goesTo(undefined), undefined)
})
