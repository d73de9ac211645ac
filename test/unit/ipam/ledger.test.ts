import t from 'tap'
import { Ledger } from '../../../src/ipam/ledger.js'
import { type Lease } from '../../../src/model/lease.js'
import { exampleLease, type LeaseFields } from '../../support/lease.js'

const lease = (containerId: string, addresses: readonly string[], fields: LeaseFields = {}): Lease =>
  exampleLease({ containerId, addresses, ...fields })

function ledgerOf(...leases: readonly Lease[]): Ledger {
  const ledger = new Ledger()
  for (const add of leases) ledger.apply({ add })
  return ledger
}

const ids = ({ leases }: Ledger): string[] => [...leases.values()].map(({ containerId }) => containerId)

t.test('a lease that is replaced stands last, and what it no longer has is released', async (t) => {
  const ledger = ledgerOf(lease('a', ['10.1.0.2', '10.1.0.3']), lease('b', ['10.1.0.4']), lease('a', ['10.1.0.3']))
  t.same(ids(ledger), ['b', 'a'])
  t.same([...ledger.released], ['10.1.0.2'])
})

t.test('addresses of other plugins are not remembered when they are released', async (t) => {
  const foreign = [lease('a', ['10.1.0.2'], { ipam: 'dhcp' }), lease('b', ['10.1.0.3'], { mode: 'chained' })]
  const ledger = ledgerOf(...foreign)
  for (const remove of foreign) ledger.apply({ remove })
  t.same([...ledger.released], [])
})

t.test('its records come to the same, however many were released', async (t) => {
  const ledger = ledgerOf(lease('stays', ['10.9.0.2']))
  const released = Array.from({ length: 600 }, (_, i) => `10.1.${i >> 8}.${i & 255}`)
  ledger.apply({ released })
  const records = ledger.records()
  t.equal(records.length, 4, 'three for the addresses, one for the lease')
  const again = new Ledger()
  for (const record of records) again.apply(record)
  t.same([...again.released], released)
  t.same(ids(again), ['stays'])
})

t.test('of leases that share an address the latest stays', async (t) => {
  const ledger = ledgerOf(
    lease('old', ['10.1.0.2', 'fd00::2']),
    lease('foreign', ['10.1.0.2'], { ipam: 'dhcp' }),
    lease('middle', ['fd00::2', '10.1.0.5']),
    lease('late', ['10.1.0.2', 'fd00::2']),
  )
  t.same(ledger.dropSuperseded().map(({ containerId }) => containerId), ['middle', 'old']) // prettier-ignore
  t.same(ids(ledger), ['foreign', 'late'])
  t.same([...ledger.released], ['10.1.0.5'])
})
