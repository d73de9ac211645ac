import t from 'tap'
import { foundling, foundlingOf } from '../../../src/ipam/foundling.js'
import { Pool } from '../../../src/ipam/pool.js'
import { hostInterfaceOf, macOf, parseLease } from '../../../src/model/lease.js'
import { exampleLease } from '../../support/lease.js'

const lost = exampleLease({ containerId: 'c7', addresses: ['10.1.0.7', 'fd00::7'] })
const found = foundling({ hostInterface: hostInterfaceOf(lost), addresses: lost.addresses, mode: 'bridge' })

t.test('a link without a lease keeps its addresses, and goes when the container that it belongs to goes', async (t) => {
  const pool = new Pool([], [found])
  t.throws(() => pool.add(exampleLease({ containerId: 'other', addresses: ['10.1.0.7'] })), { code: 'exists' })
  t.equal(pool.find(lost), undefined)
  t.equal(pool.find(foundlingOf(lost)), found)
  t.equal(pool.find(foundlingOf(exampleLease({ containerId: 'other' }))), undefined)
  pool.remove(foundlingOf(lost))
  t.doesNotThrow(() => pool.add(exampleLease({ containerId: 'other', addresses: ['10.1.0.7'] })))
})

t.test('it is a lease like any other in a journal, but no container can be taken for it', async (t) => {
  t.same(parseLease(JSON.parse(JSON.stringify(found))), found)
  t.equal(found.mac, macOf('10.1.0.7'))
  for (const name of [found.network, found.containerId]) t.notMatch(name, /^[a-zA-Z0-9]/)
})
