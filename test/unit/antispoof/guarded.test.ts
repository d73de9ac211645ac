import t from 'tap'
import { elementsOf, type Guarded, guardedOf } from '../../../src/antispoof/guarded.js'
import { exampleLease } from '../../support/lease.js'

const MAC = '0a:58:0a:01:00:02'
const LINK_LOCAL = 'fe80::858:aff:fe01:2'
const guarded = (fields: Partial<Guarded> = {}): Guarded => ({
  hostInterface: 'nlm-1',
  mac: MAC,
  addresses: ['10.1.0.2', 'fd00:1::2'],
  on: 'bridge',
  ...fields,
})

/** FAMILY SET KEY, for every element. */
const told = (...links: readonly Guarded[]): string[] =>
  elementsOf(links).flatMap(({ table, set, elements }) =>
    elements.map(({ key }) => [table.family, set.name, ...key].join(' ')),
  )

t.test('a lease says which link is guarded, and who sends by it', async (t) => {
  const lease = exampleLease({ hostInterface: 'nlm-9', mac: '0A:58:0A:01:00:02' })
  t.strictSame(guardedOf(lease, 'link'), {
    hostInterface: 'nlm-9',
    mac: MAC,
    addresses: ['10.1.0.2', 'fd00:1::2'],
    on: 'link',
  })
})

t.test('a port of a bridge has its senders where frames are judged, and sends nothing by any other way', async (t) => {
  t.strictSame(told(guarded()), [
    'bridge guarded nlm-1',
    `bridge ipv4 nlm-1 ${MAC} 10.1.0.2`,
    `bridge ipv6 nlm-1 ${MAC} fd00:1::2`,
    `bridge ipv6 nlm-1 ${MAC} ${LINK_LOCAL}`,
    'bridge advertised nlm-1 fd00:1::2',
    `bridge advertised nlm-1 ${LINK_LOCAL}`,
    'inet guarded nlm-1',
    'arp guarded nlm-1',
  ])
})

t.test('a link of its own has them where packets and ARP are judged', async (t) => {
  t.strictSame(told(guarded({ on: 'link' })), [
    'bridge guarded nlm-1',
    'inet guarded nlm-1',
    `inet ipv4 nlm-1 ${MAC} 10.1.0.2`,
    `inet ipv6 nlm-1 ${MAC} fd00:1::2`,
    `inet ipv6 nlm-1 ${MAC} ${LINK_LOCAL}`,
    'inet advertised nlm-1 fd00:1::2',
    `inet advertised nlm-1 ${LINK_LOCAL}`,
    'arp guarded nlm-1',
    `arp ipv4 nlm-1 ${MAC} 10.1.0.2`,
  ])
})

t.test('a container without IPv6 addresses still has its link-local one', async (t) => {
  const lines = told(guarded({ addresses: ['10.1.0.2'] }))
  t.strictSame(
    lines.filter((line) => line.includes('ipv6')),
    [`bridge ipv6 nlm-1 ${MAC} ${LINK_LOCAL}`],
  )
})

t.test('an address that is given as well as implied stands once', async (t) => {
  const lines = told(guarded({ addresses: [LINK_LOCAL] }))
  t.equal(new Set(lines).size, lines.length)
})

t.test('several links stand side by side', async (t) => {
  const two = guarded({ hostInterface: 'nlm-2', on: 'link' })
  t.strictSame(told(guarded(), two).sort(), [...told(guarded()), ...told(two)].sort())
})
