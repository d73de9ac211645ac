import t from 'tap'
import { type Target, targetKey } from '../../../src/proxy/frontend.js'
import { place } from '../../../src/proxy/place.js'
import { seededRandom } from '../../support/cni-exec.js'

const targets = (count: number): Target[] =>
  Array.from({ length: count }, (_, i) => ({ address: `10.244.0.${i + 2}`, port: 8080, local: false }))

const whole = (random: () => number, below: number): number => Math.floor(random() * below)

t.test('endpoints that stay keep their slots, gaps are filled, and as few as possible move', async (t) => {
  const random = seededRandom(1)
  for (let round = 0; round < 3000; round++) {
    const before = targets(whole(random, 12)).map(({ address, port }) => ({ address, port }))
    const wanted = targets(16)
      .filter(() => random() < 0.4)
      .sort(() => random() - 0.5)
    const after = place(before, wanted)
    t.same(after.map(targetKey).sort(), wanted.map(targetKey).sort(), 'exactly the wanted, each once')
    const keep = new Set(wanted.map(targetKey))
    before.forEach((one, slot) => {
      if (!keep.has(targetKey(one)) || slot >= wanted.length) return
      t.same(after[slot], one, `slot ${slot} of ${wanted.length} keeps its endpoint`)
    })
  }
})

t.test('a chain of changes keeps an endpoint in its slot until the gap in front of it has to be filled', async (t) => {
  const [a, b, c, d] = targets(4) as [Target, Target, Target, Target]
  const names = (slots: readonly Pick<Target, 'address'>[]): string =>
    slots.map(({ address }) => 'abcd'[Number(address.split('.')[3]) - 2]).join('')
  const steps = [
    [[a, b, c], 'abc'],
    [[c, b, a], 'abc'],
    [[c, b], 'cb'],
    [[c, b, d], 'cbd'],
    [[d, a], 'ad'],
    [[], ''],
  ] as const
  let slots: ReturnType<typeof place> = []
  for (const [wanted, text] of steps) {
    slots = place(slots, wanted)
    t.equal(names(slots), text)
  }
})
