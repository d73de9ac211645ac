import t from 'tap'
import { Resting } from '../../../src/ipam/resting.js'

t.test('in the order of release, whoever was released again stands last', async (t) => {
  const resting = new Resting()
  for (const address of ['a', 'b', 'c', 'a']) t.equal(resting.add(address), undefined)
  t.same([...resting], ['b', 'c', 'a'])
  resting.delete('c')
  t.same([...resting], ['b', 'a'])
  t.notOk(resting.has('c'))
})

t.test('the one released first is forgotten where there are too many', async (t) => {
  const resting = new Resting(2)
  t.same(
    ['a', 'b', 'a', 'c', 'd'].map((address) => resting.add(address)),
    [undefined, undefined, undefined, 'b', 'a'],
  )
  t.same([...resting], ['c', 'd'])
})
