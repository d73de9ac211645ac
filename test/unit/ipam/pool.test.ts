import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import { type AddressRequest, Pool } from '../../../src/ipam/pool.js'
import { rangeOf } from '../../../src/ipam/range.js'
import { REMEMBERED } from '../../../src/ipam/resting.js'
import { type Lease } from '../../../src/model/lease.js'
import { exampleLease } from '../../support/lease.js'

const lease = (id: number | string, addresses: readonly string[]): Lease =>
  exampleLease({ containerId: `c${id}`, netns: `/run/netns/${id}`, addresses, hostInterface: `nlm-${id}` })

const chosen = (pool: Pool): readonly string[] => pool.choose().map(({ address }) => address)
const held = (pool: Pool, id: number | string): readonly string[] | undefined =>
  pool.find(lease(id, []))?.addresses.map(({ address }) => address)

const subnets = (...texts: readonly string[]) => texts.map((text) => parseCidr(text))

/** Takes an address for a container. */
function take(pool: Pool, id: number | string, request: AddressRequest = {}): readonly string[] {
  const addresses = pool.choose(request)
  pool.add({ ...lease(id, []), addresses })
  return addresses.map(({ address }) => address)
}

t.test('the first address behind the gateway is given first, and nothing is taken until it is added', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/24'))
  t.same(chosen(pool), ['10.1.0.2'])
  t.same(chosen(pool), ['10.1.0.2'])
  t.same(take(pool, 1), ['10.1.0.2'])
  t.same(chosen(pool), ['10.1.0.3'])
})

const SIZES: Readonly<Record<string, readonly [subnet: string, count: number, last: string]>> = {
  'neither network, gateway nor broadcast address': ['10.1.0.0/29', 5, '10.1.0.6'],
  'IPv6 has no broadcast address': ['fd00::/125', 6, 'fd00::7'],
  'a network of four': ['10.1.0.8/30', 1, '10.1.0.10'],
  'a network of two has none for pods': ['10.1.0.8/31', 0, ''],
  'a single address has none for pods': ['10.1.0.8/32', 0, ''],
  'an IPv6 network of two': ['fd00::8/127', 0, ''],
}

for (const [name, [subnet, count, last]] of Object.entries(SIZES))
  t.test(`${subnet}: ${name}`, async (t) => {
    const pool = new Pool(subnets(subnet))
    const given = Array.from({ length: count }, (_, i) => take(pool, i)[0])
    t.equal(new Set(given).size, count)
    if (count > 0) t.equal(given.at(-1), last)
    t.throws(() => pool.choose(), { code: 'exhausted', message: new RegExp(subnet.replaceAll('.', '\\.')) })
    t.notMatch(
      messageOf(() => pool.choose()),
      /-\d/,
      'no negative count in the message',
    )
  })

function messageOf(work: () => unknown): string {
  try {
    work()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

t.test('without a network nothing can be given yet', async (t) => {
  t.throws(() => new Pool([]).choose(), { code: 'unavailable', message: /podCIDRs/ })
})

t.test('an address rests as long as it can: never-used ones first, then the one released first', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/29'))
  for (let i = 0; i < 4; i++) take(pool, i)
  for (const id of [3, 1, 0]) pool.remove(lease(id, []))
  t.same(take(pool, 'a'), ['10.1.0.6'], 'the only one that was never used')
  t.same(take(pool, 'b'), ['10.1.0.5'])
  pool.remove(lease('b', []))
  t.same(take(pool, 'c'), ['10.1.0.3'])
  t.same(take(pool, 'd'), ['10.1.0.2'], 'and not 10.1.0.5, which was released last')
  t.same(take(pool, 'e'), ['10.1.0.5'])
})

t.test('it rests also when the agent starts again', async (t) => {
  const leases = [lease(1, ['10.1.0.3']), lease(2, ['10.1.0.2'])]
  const pool = new Pool([], leases, ['10.1.0.6', '10.1.0.4'])
  pool.subnets = subnets('10.1.0.0/29')
  t.same([take(pool, 'a'), take(pool, 'b'), take(pool, 'c')].flat(), ['10.1.0.5', '10.1.0.6', '10.1.0.4'])
})

t.test('in a network without end an address comes back after so many releases, not when memory is full', async (t) => {
  const pool = new Pool(subnets('fd00::/64'))
  const given = Array.from({ length: REMEMBERED + 3 }, (_, i) => {
    const [address = ''] = take(pool, i)
    pool.remove(lease(i, []))
    return address
  })
  t.equal(new Set(given).size, REMEMBERED + 1)
  t.same(given.slice(-2), ['fd00::2', 'fd00::3'], 'those released first')
})

t.test('dual stack: both or nothing', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/24', 'fd00::/126'))
  t.same(take(pool, 1), ['10.1.0.2', 'fd00::2'])
  t.same(take(pool, 2), ['10.1.0.3', 'fd00::3'])
  t.throws(() => pool.choose(), { code: 'exhausted', message: /fd00::\/126/ })
  pool.remove(lease(1, []))
  t.same(chosen(pool), ['10.1.0.4', 'fd00::2'])
})

t.test('networks that change: old leases stay, and count where the networks overlap', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/24'))
  for (let i = 0; i < 6; i++) take(pool, i)
  pool.subnets = subnets('10.2.0.0/24')
  t.same(take(pool, 'new'), ['10.2.0.2'])
  t.same(held(pool, 0), ['10.1.0.2'])
  pool.subnets = subnets('10.1.0.0/28')
  const given = Array.from({ length: 7 }, (_, i) => take(pool, `again${i}`)[0])
  t.equal(new Set(given).size, 7)
  t.notOk(
    given.some((address) => ['10.1.0.2', '10.1.0.7'].includes(address ?? '')),
    'those of the old leases are taken',
  )
  t.throws(() => pool.choose(), { code: 'exhausted' })
})

t.test("a lease at what is the gateway's or the network's address now does not lead outside", async (t) => {
  for (const old of ['10.1.0.64', '10.1.0.65', '10.1.0.127']) {
    const pool = new Pool(subnets('10.1.0.64/26'), [lease('old', [old])])
    const host = Number(chosen(pool)[0]?.split('.')[3])
    t.ok(host >= 66 && host <= 126, `${old} was given last, ${host} comes next`)
  }
})

t.test('an address has one owner', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/24'), [lease(1, ['10.1.0.2'])])
  t.throws(() => pool.add(lease(2, ['10.1.0.3', '10.1.0.2'])), { code: 'exists', message: /10\.1\.0\.2.*c1/ })
  t.equal(pool.find(lease(2, [])), undefined, 'and nothing of the other was taken')
  t.equal(pool.remove(lease(9, [])), undefined)
})

t.test('a lease that is replaced gives its former addresses back', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/29'), [lease(1, ['10.1.0.2'])])
  pool.add(lease(1, ['10.1.0.3']))
  t.doesNotThrow(() => pool.add(lease(2, ['10.1.0.2'])))
})

const ranges = (...texts: readonly string[]) => subnets(...texts).map((subnet) => rangeOf(subnet))

t.test('an address of every set, the next range of a set where the first is full', async (t) => {
  const pool = new Pool(subnets('10.9.0.0/24'))
  const sets = [ranges('10.1.0.0/30', '10.1.1.0/30'), ranges('fd00::/64')]
  t.same(pool.choose({ sets }), [
    { address: '10.1.0.2', prefix: 30, gateway: '10.1.0.1' },
    { address: 'fd00::2', prefix: 64, gateway: 'fd00::1' },
  ])
  t.same([take(pool, 1, { sets }), take(pool, 2, { sets })].flat(), ['10.1.0.2', 'fd00::2', '10.1.1.2', 'fd00::3'])
  t.throws(() => pool.choose({ sets }), {
    code: 'exhausted',
    message: 'no free address in 10.1.0.0/30, 10.1.1.0/30: all 2 are in use',
  })
  pool.remove(lease(2, []))
  t.same(take(pool, 3, { sets }), ['10.1.1.2', 'fd00::4'])
})

t.test('what is excluded is not given, and a network that is excluded as a whole says so', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/28'))
  const exclude = subnets('10.1.0.2/31', '10.1.0.8/29', 'fd00::/64')
  t.same(
    [1, 2, 3, 4].flatMap((id) => take(pool, id, { exclude })),
    ['10.1.0.4', '10.1.0.5', '10.1.0.6', '10.1.0.7'],
  )
  t.throws(() => pool.choose({ exclude }), { message: /10\.1\.0\.0\/28: all 4 are in use/ })
  t.throws(() => pool.choose({ exclude: subnets('10.1.0.0/24') }), { code: 'exhausted', message: /excluded/ })
})

t.test(
  "no gateway is given: the node's, another set's, or another network's as long as somebody uses it",
  async (t) => {
    const pool = new Pool(subnets('10.1.0.0/29'))
    const wide = { ...rangeOf(parseCidr('10.1.0.0/28')), gateway: '10.1.0.2' }
    const other = { ...rangeOf(parseCidr('10.2.0.0/24')), gateway: '10.1.0.3' }
    t.same(take(pool, 1, { sets: [[wide], [other]] }), ['10.1.0.4', '10.2.0.1'])
    t.same(take(pool, 2, { sets: [[{ ...wide, gateway: '10.1.0.15' }]] }), ['10.1.0.5'])
    pool.remove(lease(1, []))
    t.same(take(pool, 3, { sets: [[{ ...wide, gateway: '10.1.0.15' }]] }), ['10.1.0.2'])
    pool.subnets = []
    t.same(take(pool, 4, { sets: [[{ ...wide, gateway: '10.1.0.15' }]] }), ['10.1.0.1'])
  },
)

const asked = (...addresses: readonly string[]) =>
  addresses.map((address, i) => ({ address, field: `runtimeConfig.ips[${i}]` }))

t.test('an address that is asked for by name is given, also if it is excluded or rests', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/24', 'fd00::/64'))
  t.same(take(pool, 1, { requested: asked('10.1.0.9') }), ['10.1.0.9', 'fd00::2'])
  pool.remove(lease(1, []))
  const exclude = subnets('10.1.0.8/29')
  t.same(take(pool, 2, { requested: asked('fd00::77', '10.1.0.9'), exclude }), ['10.1.0.9', 'fd00::77'])
  t.same(pool.find(lease(2, []))?.addresses[1], { address: 'fd00::77', prefix: 64, gateway: 'fd00::1' })
})

t.test('an address that somebody has is refused, with its owner', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/24'))
  pool.add({ ...lease(1, ['10.1.0.5']), pod: 'shop/web' })
  pool.add({ ...lease(2, ['10.1.0.6']), ipam: 'host-local' })
  const refusal = (address: string, owner: RegExp) => {
    t.throws(() => pool.choose({ requested: asked(address) }), {
      code: 'exists',
      field: 'runtimeConfig.ips[0]',
      message: owner,
    })
  }
  refusal('10.1.0.5', /^runtimeConfig\.ips\[0\]: 10\.1\.0\.5 belongs to pod shop\/web$/)
  refusal('10.1.0.6', /10\.1\.0\.6 belongs to container c2/)
  pool.add({ ...lease(3, []), addresses: [{ address: '10.7.0.2', prefix: 24, gateway: '10.1.0.7' }] })
  refusal('10.1.0.7', /10\.1\.0\.7 is a gateway/)
})

t.test('addresses of another IPAM plugin are not given, and no reason to refuse a lease', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/29'))
  pool.add({ ...lease('foreign', ['10.1.0.2']), ipam: 'dhcp' })
  pool.add({ ...lease('chained', ['10.1.0.3']), mode: 'chained' })
  t.same(chosen(pool), ['10.1.0.4'])
  t.doesNotThrow(() => pool.add(lease('ours', ['10.1.0.2'])))
  t.doesNotThrow(() => pool.add({ ...lease('twice', ['10.1.0.2']), ipam: 'dhcp' }))
  for (const id of ['foreign', 'chained', 'twice']) pool.remove(lease(id, []))
  t.same(chosen(pool), ['10.1.0.3'], 'ours has 10.1.0.2 still')
})

t.test('looking for a free address does not walk through the network', async (t) => {
  const pool = new Pool(subnets('fd00::/64', '10.0.0.0/8'))
  for (let i = 0; i < 500; i++) take(pool, i)
  t.same(chosen(pool), ['fd00::1f6', '10.0.1.246'])
})
