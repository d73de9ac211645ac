import t from 'tap'
import { cidrContains, parseCidr } from '../../../src/base/ip.js'
import { Pool } from '../../../src/ipam/pool.js'
import { type Lease } from '../../../src/model/lease.js'
import { gatewayOf } from '../../../src/model/podnetwork.js'
import { seededRandom } from '../../support/cni-exec.js'
import { exampleLease } from '../../support/lease.js'

const lease = (id: number | string, addresses: readonly string[]): Lease =>
  exampleLease({ containerId: `c${id}`, netns: `/run/netns/${id}`, addresses, hostInterface: `nlm-${id}` })

const chosen = (pool: Pool): readonly string[] => pool.choose().map(({ address }) => address)
const held = (pool: Pool, id: number | string): readonly string[] | undefined =>
  pool.find(lease(id, []))?.addresses.map(({ address }) => address)

const subnets = (...texts: readonly string[]) => texts.map((text) => parseCidr(text))

/** Takes an address for a container. */
function take(pool: Pool, id: number | string): readonly string[] {
  const addresses = chosen(pool)
  pool.add(lease(id, addresses))
  return addresses
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

t.test('an address rests as long as it can before it is given again', async (t) => {
  const pool = new Pool(subnets('10.1.0.0/29'))
  for (let i = 0; i < 5; i++) take(pool, i)
  for (const id of [3, 1]) pool.remove(lease(id, []))
  t.same(take(pool, 'a'), ['10.1.0.3'])
  pool.remove(lease('a', []))
  t.same(take(pool, 'b'), ['10.1.0.5'], 'and not 10.1.0.3, which was used last')
})

t.test('it rests also when the agent starts again', async (t) => {
  const before = new Pool(subnets('10.1.0.0/24'))
  for (let i = 0; i < 8; i++) take(before, i)
  before.remove(lease(2, []))
  const after = new Pool([], before.leases.values())
  after.subnets = subnets('10.1.0.0/24')
  t.same(chosen(after), ['10.1.0.10'])
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

t.test('under any sequence of changes nobody shares an address, and every address is fit for a pod', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed)
    const sets = [['10.1.0.0/28'], ['10.1.0.0/28', 'fd00:1::/124'], ['10.1.0.8/29', 'fd00:1::/125'], ['10.1.0.0/27']]
    const pool = new Pool(subnets(...sets[0]!))
    const owners = new Map<string, string>()
    for (let step = 0; step < 600; step++) {
      const id = Math.floor(random() * 24)
      const present = pool.find(lease(id, []))
      if (random() < 0.03) pool.subnets = subnets(...sets[Math.floor(random() * sets.length)]!)
      else if (present !== undefined) {
        t.same(pool.remove(present), present)
        for (const { address } of present.addresses) owners.delete(address)
      } else {
        const message = messageOf(() => take(pool, id))
        const addresses = held(pool, id) ?? []
        if (message !== '') check(pool, owners, message)
        for (const [i, address] of addresses.entries()) {
          const subnet = pool.subnets[i]!
          if (owners.has(address)) t.fail(`seed ${seed}, step ${step}: ${address} has two owners`)
          if (!cidrContains(subnet, address) || address === gatewayOf(subnet) || address === subnet.address)
            t.fail(`seed ${seed}, step ${step}: ${address} is not for a pod`)
          owners.set(address, `c${id}`)
        }
      }
    }
    t.equal([...pool.leases.values()].flatMap(({ addresses }) => addresses).length, owners.size)
  }

  /** A refusal names the network, and that network is full indeed. */
  function check(pool: Pool, owners: ReadonlyMap<string, string>, message: string): void {
    const network = /no free address in (\S+): /.exec(message)?.[1] ?? ''
    const subnet = parseCidr(network)
    const free = 2 ** (subnet.family.bits - subnet.prefix) - (subnet.family.bytes === 4 ? 3 : 2)
    const usable = [...owners.keys()].filter(
      (address) => cidrContains(subnet, address) && address !== subnet.address && address !== gatewayOf(subnet),
    )
    if (usable.length < free - 1) t.fail(`${message}, but only ${usable.length} of ${free} are taken`)
  }
})

t.test('looking for a free address does not walk through the network', async (t) => {
  const pool = new Pool(subnets('fd00::/64', '10.0.0.0/8'))
  for (let i = 0; i < 500; i++) take(pool, i)
  t.same(chosen(pool), ['fd00::1f6', '10.0.1.246'])
})
