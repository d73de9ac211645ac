import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { planSweep } from '../../../src/cni/sweep.js'
import { NUD } from '../../../src/codec/rtnl/constants.js'
import { planText } from '../../../src/ops/text.js'
import { exampleLease } from '../../support/lease.js'

const BRIDGE = { name: 'netloom0', index: 7, mac: '0a:58:0a:01:00:01' }
const LEASE = exampleLease({ addresses: ['10.1.0.2', 'fd00:1::2'] })

const neighbour = (address: string, state: number = NUD.PERMANENT) => ({
  family: address.includes(':') ? IPV6 : IPV4,
  ...{ address, state, index: 7, flags: 0, protocol: 0, mac: '0a:58:0a:01:00:09' },
})

const route = (address: string, fields: { protocol?: number; index?: number } = {}) => ({
  destination: address.includes(':') ? { family: IPV6, address, prefix: 128 } : { family: IPV4, address, prefix: 32 },
  ...{ protocol: 111, index: 7, table: 254, type: 1, scope: 0, dead: false },
  ...fields,
})

t.test('what leads to a container without a lease goes from the bridge, and nothing else', (t) => {
  const found = {
    neighbours: [
      ...['10.1.0.2', 'fd00:1::2', '10.1.0.9', 'fd00:1::9'].map((address) => neighbour(address)),
      neighbour('10.1.0.8', NUD.REACHABLE),
    ],
    routes: [
      route('10.1.0.2'),
      route('10.88.0.9'),
      route('10.88.0.8', { index: 8 }),
      route('10.88.0.7', { protocol: 4 }),
    ] as never,
  }
  t.equal(
    planText(planSweep([LEASE], BRIDGE, found)),
    `ip neighbour delete 10.1.0.9 dev netloom0
ip neighbour delete fd00:1::9 dev netloom0
ip route delete 10.88.0.9/32 dev netloom0 proto 111
`,
  )
  t.end()
})
