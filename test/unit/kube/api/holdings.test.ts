import t from 'tap'
import { Holdings } from '../../../../src/kube/api/holdings.js'
import { rawObject } from '../../../../src/kube/api/raw.js'
import { node } from '../../../support/api-objects.js'
import { textOf } from '../../../support/api-world.js'

const raw = (name: string, zone?: string) => rawObject(node(name, zone))
const broken = (name: string) => rawObject(node(name, 'no zone at all'))

/** Holdings of nodes, and what they reported. */
function world() {
  const reports: string[] = []
  const holdings = new Holdings('Node', (key, error, kept) =>
    reports.push(`${key} ${error === undefined ? 'right' : kept ? 'kept' : 'left out'}`),
  )
  const list = (...objects: ReturnType<typeof raw>[]): string[] => {
    const listing = holdings.listing()
    for (const object of objects) listing.add(object)
    return holdings.replace(listing).map(textOf)
  }
  return { holdings, reports, list }
}

t.test('objects come, change and go; what says the same is no change', async (t) => {
  const { holdings } = world()
  t.match(holdings.put(raw('a')), { kind: 'Node', key: 'a', before: undefined, after: { zone: 'z1' } })
  t.equal(holdings.put(raw('a')), undefined)
  t.match(holdings.put(raw('a', 'z2')), { before: { zone: 'z1' }, after: { zone: 'z2' } })
  t.match(holdings.delete('a'), { before: { zone: 'z2' }, after: undefined })
  t.equal(holdings.delete('a'), undefined)
  t.equal(holdings.size, 0)
})

t.test('a list answers what is different', async (t) => {
  const { holdings, list } = world()
  t.same(list(raw('a'), raw('b'), raw('c')), ['+ Node a', '+ Node b', '+ Node c'])
  t.same(list(raw('a'), raw('b', 'z2'), raw('d')), ['- Node c', '~ Node b', '+ Node d'])
  t.same(list(raw('a'), raw('b', 'z2'), raw('d')), [])
  t.ok(holdings.has('d'))
})

t.test('what a list says counts when it is whole', async (t) => {
  const { holdings, reports } = world()
  const listing = holdings.listing()
  listing.add(raw('a'))
  listing.add(broken('b'))
  t.equal(holdings.size, 0)
  t.same(reports, [])
  t.equal(listing.count, 2)
  t.ok(listing.has('b'), 'it is there, though nobody can read it')
})

t.test('an object that cannot be read keeps its last good state, in a list as well', async (t) => {
  const { holdings, reports, list } = world()
  list(raw('a'), broken('b'))
  t.equal(holdings.put(broken('a')), undefined)
  t.same(list(broken('a')), [], 'b was never held')
  t.ok(holdings.has('a'))
  t.same(reports, ['b left out', 'a kept', 'b right', 'a kept'])
  t.match(list(raw('a', 'z2')), ['~ Node a'])
  holdings.put(broken('a'))
  holdings.delete('a')
  t.same(reports.slice(4), ['a right', 'a kept', 'a right'])
})
