import fc from 'fast-check'
import t from 'tap'
import { FAMILIES } from '../../../src/base/family.js'
import { bigIntToIp, formatCidr, networkOf, parseCidr } from '../../../src/base/ip.js'
import { Cursor } from '../../../src/model/cursor.js'
import { readDnsSubdomain } from '../../../src/model/name.js'
import { claimName, newLease, readClaim, renewal, takeover } from '../../../src/subnets/claim.js'

const SUBNET = fc.constantFrom(...FAMILIES).chain((family) =>
  fc
    .record({
      address: fc.bigInt(0n, 2n ** BigInt(family.bits) - 1n),
      prefix: fc.integer({ min: 1, max: family.bits }),
    })
    .map(({ address, prefix }) => networkOf(family, bigIntToIp(family, address), prefix)),
)
const NODE = { name: 'node-1', uid: 'u1' }
const TERM = { now: Date.UTC(2026, 0, 2, 3, 4, 5, 678), seconds: 1800 }

/** A Lease as the server keeps it. */
function kept(lease: object, spec: object = {}) {
  const { metadata, ...rest } = lease as { metadata: object; spec: object }
  const known = { uid: 'l1', resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' }
  return new Cursor({ ...rest, metadata: { ...metadata, ...known }, spec: { ...rest.spec, ...spec } })
}

t.test('a Lease is named after its subnet', async (t) => {
  t.equal(claimName(parseCidr('10.244.1.0/24')), 'netloom-10.244.1.0-24')
  t.equal(claimName(parseCidr('fd00:244:1::/64')), 'netloom-fd00-0244-0001-0000-0000-0000-0000-0000-64')
})

t.test('each subnet has a name of its own, which the API server allows', async () => {
  fc.assert(
    fc.property(SUBNET, SUBNET, (a, b) => {
      readDnsSubdomain(new Cursor(claimName(a)))
      return (claimName(a) === claimName(b)) === (formatCidr(a) === formatCidr(b))
    }),
  )
})

t.test('what is written is read', async (t) => {
  const subnet = parseCidr('10.244.1.0/24')
  const claim = readClaim(kept(newLease(subnet, 'kube-system', NODE, TERM)))
  t.match(claim, {
    name: 'netloom-10.244.1.0-24',
    uid: 'l1',
    version: '7',
    holder: 'node-1',
    owner: 'u1',
    transitions: 0,
  })
  t.same(claim?.subnet, subnet)
  t.equal(claim?.acquired, false, 'a claim is acquired in a second step')
  t.equal(claim?.renewed, TERM.now)
  t.equal(claim?.expires, TERM.now + 1_800_000)
})

t.test('only the first renewal acquires, and every change names the version it is of', async (t) => {
  const lease = newLease(parseCidr('10.244.1.0/24'), 'kube-system', NODE, TERM)
  const [fresh, old] = [readClaim(kept(lease))!, readClaim(kept(lease, { acquireTime: '2026-01-01T00:00:00Z' }))!]
  t.match(renewal(fresh, NODE, TERM), {
    metadata: { resourceVersion: '7', ownerReferences: [{ kind: 'Node', name: 'node-1', uid: 'u1' }] },
    spec: { acquireTime: '2026-01-02T03:04:05.678000Z', renewTime: '2026-01-02T03:04:05.678000Z' },
  })
  t.notMatch(renewal(old, NODE, TERM), { spec: { acquireTime: String } })
  t.match(takeover(old, { name: 'node-2', uid: 'u2' }, TERM), {
    metadata: { resourceVersion: '7', ownerReferences: [{ name: 'node-2', uid: 'u2' }] },
    spec: { holderIdentity: 'node-2', acquireTime: null, leaseTransitions: 1 },
  })
})

t.test('Leases for something else are no claims', async (t) => {
  t.equal(readClaim(new Cursor({ metadata: { name: 'x' }, spec: {} })), undefined)
})
