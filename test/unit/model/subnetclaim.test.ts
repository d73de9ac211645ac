import t from 'tap'
import { formatCidr } from '../../../src/base/ip.js'
import { Cursor } from '../../../src/model/cursor.js'
import { readSubnetClaim } from '../../../src/model/subnetclaim.js'

const OURS = { 'app.kubernetes.io/managed-by': 'netloom' }
const TIME = '2026-01-01T00:00:00.000000Z'

const claim = (subnet: unknown, holderIdentity: unknown = 'n1', labels: object = OURS, acquireTime: unknown = TIME) =>
  readSubnetClaim(
    new Cursor({
      metadata: { name: 'x', namespace: 'kube-system', labels, annotations: { 'netloom.dev/subnet': subnet } },
      spec: { holderIdentity, acquireTime },
    }),
  )

t.test('a claim says which subnet and whose', async (t) => {
  const parsed = claim('fd00:1::/64')
  t.match(parsed, { kind: 'SubnetClaim', namespace: 'kube-system', name: 'x', node: 'n1' })
  t.equal(parsed && formatCidr(parsed.subnet), 'fd00:1::/64')
  t.match(claim('10.0.0.0/24', ''), { node: undefined }, 'nobody holds it')
  t.match(claim('10.0.0.0/24', null), { node: undefined })
  t.match(claim('10.0.0.0/24', 'n1', OURS, null), { node: undefined }, 'it has not been acquired yet')
})

t.test('Leases for something else are no claims', async (t) => {
  t.equal(claim(undefined), undefined)
  t.equal(claim('10.0.0.0/24', 'n1', {}), undefined)
  t.equal(claim('nonsense', 'n1', { 'app.kubernetes.io/managed-by': 'helm' }), undefined)
})

t.test('bad claims are refused', async (t) => {
  t.throws(() => claim('10.0.0.0'), { code: 'invalid', field: 'metadata.annotations[netloom.dev/subnet]' })
  t.throws(() => claim('0.0.0.0/0'), { code: 'invalid' })
  t.throws(() => claim('10.0.0.0/24', 'NOT A NAME'), { code: 'invalid', field: 'spec.holderIdentity' })
})
