import t from 'tap'
import { IPV4, IPV6 } from '../../src/base/family.js'
import { parseCidr, parseIp, parseIpPrefix } from '../../src/base/ip.js'
import {
  observeAddresses,
  observeElements,
  observeLink,
  observeLinks,
  observeNeighbours,
  observeRoutes,
  observeRuleset,
  observeSysctls,
  observeTables,
} from '../../src/kernel/observe.js'
import { asActual, planStructure } from '../../src/ops/ruleset.js'
import { connect } from '../support/namespaces.js'
import { creation, everything } from './everything.js'

const connection = connect()
const { route, netfilter, applier } = connection
t.teardown(() => connection.close())

t.before(async () => {
  await applier.apply([
    { kind: 'link.add', link: { kind: 'bridge', name: 'br0', up: true } },
    { kind: 'link.add', link: { kind: 'veth', name: 'v0', up: true, peer: { name: 'v1' } } },
    { kind: 'address.add', address: { ...parseIpPrefix('10.0.0.1/24'), device: 'br0' } },
    { kind: 'route.replace', route: { destination: parseCidr('10.1.0.0/16'), device: 'br0', protocol: 110 } },
    { kind: 'route.replace', route: { destination: parseCidr('10.2.0.0/16'), device: 'br0', protocol: 4 } },
    {
      kind: 'neighbour.replace',
      neighbour: { ...parseIp('10.0.0.2'), device: 'br0', mac: '02:00:00:00:00:01' },
    },
    {
      kind: 'neighbour.replace',
      neighbour: { ...parseIp('10.0.0.3'), device: 'v0', mac: '02:00:00:00:00:01' },
    },
  ])
})

t.test('links are found by name, by index and all together', async (t) => {
  const links = await observeLinks(route)
  t.strictSame([...links.keys()].sort(), ['br0', 'lo', 'v0', 'v1'])
  const br0 = await observeLink(route, 'br0')
  t.match(br0, { name: 'br0', kind: 'bridge', up: true })
  t.strictSame(await observeLink(route, br0?.index ?? 0), br0)
  t.equal(await observeLink(route, 'nothing'), undefined)
  t.equal(await observeLink(route, 9999), undefined)
})

t.test('addresses of all links are found', async (t) => {
  const br0 = await observeLink(route, 'br0')
  const found = (await observeAddresses(route)).filter(({ index }) => index === br0?.index)
  t.match(
    found.find(({ family }) => family === IPV4),
    { address: '10.0.0.1', prefix: 24 },
  )
})

t.test('routes are found by who made them', async (t) => {
  const destinations = async (filter: object): Promise<string[]> =>
    (await observeRoutes(route, IPV4, filter)).map(({ destination }) => destination.address)
  t.strictSame(await destinations({ protocol: 110 }), ['10.1.0.0'])
  t.ok((await destinations({})).length > 3)
  t.strictSame(await observeRoutes(route, IPV6, { protocol: 110 }), [])
})

t.test('neighbours are found by their link', async (t) => {
  const br0 = await observeLink(route, 'br0')
  const found = await observeNeighbours(route, IPV4, br0?.index ?? 0)
  const pods = found.map(({ address }) => address).filter((address) => address.startsWith('10.'))
  t.strictSame(pods, ['10.0.0.2'], 'and not those of other links')
})

t.test('sysctls that this kernel does not have are left out', async (t) => {
  const values = observeSysctls(['net/ipv4/ip_forward', 'net/ipv4/netloom_nothing'])
  t.strictSame([...values], [['net/ipv4/ip_forward', '0']])
})

t.test('a ruleset is observed as it was planned, and one that is not there is not', async (t) => {
  const all = everything('inet', 'netloom-test')
  const { ruleset } = all
  t.equal(await observeRuleset(netfilter, ruleset.table), undefined)
  await applier.apply(creation(all))
  await applier.apply(creation(everything('ip', 'netloom-test')))
  await applier.apply(creation(everything('inet', 'other')))
  const actual = await observeRuleset(netfilter, ruleset.table)
  t.strictSame(actual, asActual(ruleset), 'and nothing of the tables beside it')
  t.strictSame(planStructure(ruleset, actual), { rebuild: false, before: [], after: [] })
  t.equal((await observeTables(netfilter)).length, 3)
  for (const { family, name } of await observeTables(netfilter))
    await applier.apply([{ kind: 'table.delete', table: { family, name } }])
})

t.test('elements of a set that is not there are an error', async (t) => {
  const all = everything('ip')
  await t.rejects(observeElements(netfilter, all.ruleset.table, all.ruleset.sets[0]!), { code: 'not-found' })
})
