import t from 'tap'
import { type HeldElements } from '../../../src/ops/elements.js'
import { Members } from '../../../src/tunnelguard/members.js'
import { seededRandom } from '../../support/cni-exec.js'

const elements = (...keys: readonly string[]): HeldElements =>
  new Map([['s', new Map(keys.map((key) => [key, { key: [key] }] as const))]])

const keysOf = (held: HeldElements): string[] => [...(held.get('s')?.keys() ?? [])].sort()

const changes = (members: Members): { wanted: string[]; held: string[] } => {
  const { wanted, held } = members.takeChanges()
  return { wanted: keysOf(wanted), held: keysOf(held) }
}

t.test('what a node needs comes and goes with it', async (t) => {
  const members = new Members()
  members.set('a', elements('1', '2'))
  t.same(changes(members), { wanted: ['1', '2'], held: [] })
  members.set('a', elements('2', '3'))
  t.same(changes(members), { wanted: ['2', '3'], held: ['1', '2'] })
  members.set('a')
  t.same(changes(members), { wanted: [], held: ['2', '3'] })
  t.same(changes(members), { wanted: [], held: [] })
})

t.test('what two nodes need stays until the last of them is gone', async (t) => {
  const members = new Members()
  members.set('old', elements('1'))
  members.set('new', elements('1'))
  members.takeChanges()
  members.set('old')
  t.same(keysOf(members.elements), ['1'])
  t.same(changes(members), { wanted: ['1'], held: ['1'] }, 'nothing is to be done')
  members.set('new')
  t.same(keysOf(members.elements), [])
})

t.test('what came and went between two looks is as if it never had been', async (t) => {
  const members = new Members()
  members.set('a', elements('1'))
  members.set('a')
  t.same(changes(members), { wanted: [], held: [] })
})

t.test('changes add up to what is needed, whatever happens', async (t) => {
  const random = seededRandom(4)
  const some = (from: readonly string[]): string[] => from.filter(() => random() < 0.4)
  const nodes = new Map<string, HeldElements>()
  const members = new Members()
  let held = new Set<string>()
  for (let round = 0; round < 500; round++) {
    if (random() < 0.1) {
      nodes.clear()
      for (const name of some(['a', 'b', 'c'])) nodes.set(name, elements(...some(['1', '2', '3', '4'])))
      members.replace(nodes)
    } else
      for (const name of some(['a', 'b', 'c'])) {
        const needs = random() < 0.3 ? undefined : elements(...some(['1', '2', '3', '4']))
        if (needs === undefined) nodes.delete(name)
        else nodes.set(name, needs)
        members.set(name, needs)
      }
    const change = changes(members)
    const stays = [...held].filter((key) => !change.held.includes(key))
    if (change.held.some((key) => !held.has(key))) t.fail(`round ${round}: what was not there was`)
    held = new Set([...stays, ...change.wanted])
    const wanted = [...new Set([...nodes.values()].flatMap(keysOf))].sort()
    if ([...held].sort().join() !== wanted.join()) t.fail(`round ${round}: ${[...held].join()}, not ${wanted.join()}`)
    if (keysOf(members.elements).join() !== wanted.join()) t.fail(`round ${round}: ${wanted.join()}`)
  }
  t.pass()
})
