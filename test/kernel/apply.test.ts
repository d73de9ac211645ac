import t from 'tap'
import { closeSync, readFileSync } from 'node:fs'
import { FAMILIES, type Family, IPV4, IPV6 } from '../../src/base/family.js'
import { parseCidr, parseIp, parseIpPrefix } from '../../src/base/ip.js'
import { type SetSpec } from '../../src/codec/nft/set.js'
import { type Table } from '../../src/codec/nft/table.js'
import { TYPE } from '../../src/codec/nft/types.js'
import { lastByteOfSource } from '../../src/codec/rtnl/u32.js'
import { createNamespace, deleteNamespace, inNamespace, openNamespace } from '../../src/kernel/netns.js'
import { observeElements, observeRuleset, observeTables } from '../../src/kernel/observe.js'
import {
  observeAddresses,
  observeFilters,
  observeLink,
  observeLinks,
  observeNeighbours,
  observeQdiscs,
  observeRoutes,
} from '../../src/kernel/observe.js'
import { type Talk } from '../../src/kernel/talk.js'
import { type NftOp, type Op } from '../../src/ops/op.js'
import { opText } from '../../src/ops/text.js'
import { connect, type Connection, run, skipWithout } from '../support/namespaces.js'

const MAC = '02:00:00:00:00:01'
const PROTOCOL_NUMBER = 110

interface Place extends Connection {
  readonly namespace: number
}

/** A namespace that nothing is in but what the test makes. */
function place(t_: Pick<typeof t, 'teardown'>, name: string): Place {
  const namespace = openNamespace(createNamespace(name))
  const connection = inNamespace(namespace, () => connect({ namespace }))
  t_.teardown(() => {
    connection.close()
    closeSync(namespace)
    deleteNamespace(name)
  })
  return { ...connection, namespace }
}

const limited = (family: Family) => ({ device: 'v0', family, priority: family.bytes + 1 })
const PLACE = { table: 4, bucket: 0xfe, node: 0x1b }

/** A plan that uses every kind of operation on the network, each after what it needs. */
const PLAN: readonly Op[] = [
  { kind: 'sysctl.set', path: 'net/ipv4/ip_forward', value: '1' },
  { kind: 'link.add', link: { kind: 'bridge', name: 'br0', mac: MAC, up: true, bridge: { forwardDelay: 0 } } },
  { kind: 'link.add', link: { kind: 'veth', name: 'v0', mac: '02:00:00:00:00:02', mtu: 1400, peer: { name: 'v1' } } },
  { kind: 'sysctl.set', path: 'net/ipv6/conf/br0/accept_ra', value: '0' },
  { kind: 'link.set', name: 'v0', changes: { master: 2, group: 7 } },
  { kind: 'link.set', name: 'v0', changes: { up: true, alias: "a pod's" } },
  { kind: 'link.set', name: 'v1', changes: { up: true } },
  { kind: 'port.set', name: 'v0', port: { isolated: true, hairpin: true, learning: false, unicastFlood: false } },
  { kind: 'address.add', address: { ...parseIpPrefix('10.0.0.1/24'), device: 'br0' } },
  { kind: 'address.add', address: { ...parseIpPrefix('fd00::1/64'), device: 'br0', noDad: true } },
  { kind: 'address.add', address: { ...parseIpPrefix('10.0.9.9/32'), device: 'br0', noPrefixRoute: true } },
  {
    kind: 'route.replace',
    route: {
      destination: parseCidr('10.1.0.0/16'),
      gateway: '10.0.0.2',
      device: 'br0',
      protocol: PROTOCOL_NUMBER,
      mtu: 1300,
    },
  },
  {
    kind: 'route.replace',
    route: { destination: parseCidr('fd00:1::/48'), gateway: 'fd00::2', device: 'br0', protocol: PROTOCOL_NUMBER },
  },
  {
    kind: 'route.replace',
    route: {
      destination: parseCidr('10.2.0.0/16'),
      gateway: '192.0.2.1',
      device: 'br0',
      protocol: PROTOCOL_NUMBER,
      onlink: true,
    },
  },
  { kind: 'neighbour.replace', neighbour: { ...parseIp('10.0.0.2'), device: 'br0', mac: '02:00:00:00:00:22' } },
  { kind: 'neighbour.replace', neighbour: { ...parseIp('fd00::2'), device: 'br0', mac: '02:00:00:00:00:22' } },
  { kind: 'fdb.replace', device: 'v0', mac: '02:00:00:00:00:33' },
  { kind: 'clsact.add', device: 'v0' },
  ...FAMILIES.map((family): Op => ({ kind: 'ingress.redirect', device: 'v0', family, target: 'br0' })),
  {
    kind: 'ingress.redirect',
    device: 'v0',
    family: IPV6,
    target: 'br0',
    source: { mac: '02:00:00:00:00:33', address: 'fe80::33' },
  },
  { kind: 'link.add', link: { kind: 'ifb', name: 'i0', mac: '02:00:00:00:00:03', mtu: 1400 } },
  { kind: 'limit.replace', device: 'i0', handle: 0x6e6c, rate: 1_000_000, burst: 20_000, limit: 45_000 },
  { kind: 'limit.replace', device: 'v0', handle: 0x6e6c, rate: 10_000_000_000, burst: 1_000_000, limit: 5_000_000 },
  ...FAMILIES.flatMap((family): Op[] => [
    { kind: 'filter.table', ...limited(family), tableId: family.bytes, buckets: 256 },
    { kind: 'filter.link', ...limited(family), tableId: family.bytes, hash: lastByteOfSource(family) },
  ]),
  {
    kind: 'filter.add',
    ...limited(IPV4),
    handle: PLACE,
    source: { address: '10.0.26.254' },
    to: 'egress',
    target: 'i0',
  },
  { kind: 'filter.add', ...limited(IPV6), to: 'egress', target: 'i0' },
]

/** Operations that say where something of that name or place is already. */
const ONCE: ReadonlySet<Op['kind']> = new Set([
  'link.add',
  'clsact.add',
  'ingress.redirect',
  'filter.table',
  'filter.link',
  'filter.add',
])

const REMOVALS: readonly Op[] = [
  { kind: 'filter.delete', ...limited(IPV4), handle: PLACE },
  { kind: 'filter.delete', ...limited(IPV6) },
  { kind: 'limit.delete', device: 'v0', handle: 0x6e6c },
  { kind: 'clsact.delete', device: 'v0' },
  { kind: 'neighbour.delete', neighbour: { ...parseIp('10.0.0.2'), device: 'br0', mac: '02:00:00:00:00:22' } },
  { kind: 'route.delete', route: { destination: parseCidr('10.1.0.0/16'), device: 'br0', protocol: PROTOCOL_NUMBER } },
  { kind: 'route.delete', route: { destination: parseCidr('fd00:1::/48'), protocol: PROTOCOL_NUMBER } },
  { kind: 'address.delete', address: { ...parseIpPrefix('fd00::1/64'), device: 'br0' } },
  { kind: 'link.delete', name: 'v0' },
]

/** All that a plan can have made, but for what the kernel chooses itself. */
async function state(route: Talk, namespace: number): Promise<unknown> {
  const links = await observeLinks(route)
  const br0 = links.get('br0')?.index ?? 0
  const routes = await Promise.all(
    FAMILIES.map((family) => observeRoutes(route, family, { protocol: PROTOCOL_NUMBER })),
  )
  const neighbours = await Promise.all(FAMILIES.map((family) => observeNeighbours(route, family, br0)))
  const sysctl = (path: string): string => inNamespace(namespace, () => readFileSync(`/proc/sys/net/${path}`, 'utf8'))
  const text = (items: readonly object[]): string[] => items.map((item) => JSON.stringify(item)).sort()
  return {
    links: text([...links.values()].map(({ mac, ...link }) => (link.name === 'v1' ? link : { mac, ...link }))),
    // Link-local addresses come from MAC addresses, and that of v1 is chosen by chance.
    addresses: text((await observeAddresses(route)).filter(({ scope }) => scope === 0)),
    routes: text(routes.flat()),
    qdiscs: text(await observeQdiscs(route)),
    filters: text(await observeFilters(route, links.get('v0')?.index ?? 0)),
    neighbours: text(neighbours.flat().filter(({ state: nud }) => nud === 128)),
    forwarding: sysctl('ipv4/ip_forward'),
    acceptRa: links.has('br0') ? sysctl('ipv6/conf/br0/accept_ra') : '',
  }
}

t.test('a plan is applied in its order, with links that it makes itself', async (t) => {
  const { applier, route, namespace } = place(t, 'one')
  await applier.apply(PLAN)
  const links = await observeLinks(route)
  t.match(links.get('br0'), { kind: 'bridge', up: true, mac: MAC })
  t.match(links.get('v0'), { kind: 'veth', up: true, group: 7, mtu: 1400, master: links.get('br0')?.index })
  t.match(links.get('v0'), { alias: "a pod's", port: { isolated: true, hairpin: true, unicastFlood: false } })
  const addresses = await observeAddresses(route)
  for (const address of ['10.0.0.1', 'fd00::1', '10.0.9.9'])
    t.ok(
      addresses.some((other) => other.address === address && !other.tentative),
      address,
    )
  t.equal((await observeRoutes(route, IPV4, { protocol: PROTOCOL_NUMBER })).length, 2)
  t.match(await observeRoutes(route, IPV6, { protocol: PROTOCOL_NUMBER }), [{ gateway: 'fd00::2' }])
  const neighbours = await observeNeighbours(route, IPV4, links.get('br0')?.index ?? 0)
  t.match(
    neighbours.find(({ address }) => address === '10.0.0.2'),
    { mac: '02:00:00:00:00:22' },
  )
  const forwarding = (): string => readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8')
  t.equal(inNamespace(namespace, forwarding), '1\n', 'the sysctl of the namespace')
  t.equal(forwarding(), '0\n', 'and not that of the process')
})

t.test('applying what is applied already changes nothing, and removing what is gone is no error', async (t) => {
  const { applier, route, namespace } = place(t, 'one')
  await applier.apply(PLAN)
  const before = await state(route, namespace)
  const again = PLAN.filter(({ kind }) => !ONCE.has(kind))
  await applier.apply(again)
  t.strictSame(await state(route, namespace), before)
  await applier.apply(REMOVALS)
  await applier.apply(REMOVALS)
  t.equal(await observeLink(route, 'v0'), undefined)
  for (const name of ['br0', 'i0']) await applier.apply([{ kind: 'link.delete', name }])
  await applier.apply(REMOVALS)
  t.strictSame([...(await observeLinks(route)).keys()], ['lo'])
})

t.test('links that were made are answered, with their indexes', async (t) => {
  const { applier, route } = place(t, 'one')
  const made = await applier.apply([
    { kind: 'link.add', link: { kind: 'veth', name: 'a0', peer: { name: 'a1' } } },
    { kind: 'link.add', link: { kind: 'veth', name: 'b0', peer: { name: 'b1' } } },
  ])
  t.strictSame([...made.keys()], ['a0', 'b0'])
  t.equal(made.get('b0')?.index, (await observeLink(route, 'b0'))?.index)
})

t.test('a link that is made anew is not taken for the one before', async (t) => {
  const { applier, route } = place(t, 'one')
  const make: Op = { kind: 'link.add', link: { kind: 'veth', name: 'v0', up: true, peer: { name: 'v1' } } }
  const address: Op = { kind: 'address.add', address: { ...parseIpPrefix('10.0.0.1/24'), device: 'v0' } }
  const known = new Map([...(await applier.apply([make]))].map(([name, { index }]) => [name, index]))
  await applier.apply([{ kind: 'link.delete', name: 'v0' }, make, address], known)
  const [found] = await observeAddresses(route)
  t.equal(found?.index, (await observeLink(route, 'v0'))?.index)
  t.not(found?.index, known.get('v0'))
})

t.test('a refusal names the operation as a person would type it, with the words of the kernel', async (t) => {
  const { applier } = place(t, 'one')
  const route: Op = {
    kind: 'route.replace',
    route: { destination: parseCidr('10.1.0.0/16'), gateway: '192.0.2.1', protocol: PROTOCOL_NUMBER },
  }
  await t.rejects(applier.apply([route]), {
    code: 'kernel',
    operation: opText(route),
    message: /^ip route replace 10\.1\.0\.0\/16 via 192\.0\.2\.1 proto 110: .*: Nexthop has invalid gateway/,
  })
  const sysctl: Op = { kind: 'sysctl.set', path: 'net/ipv4/ip_forward', value: 'x' }
  await t.rejects(applier.apply([sysctl]), { code: 'io', operation: opText(sysctl), errno: 22 })
})

t.test('hundreds of operations are one plan', async (t) => {
  const { applier, route } = place(t, 'one')
  const make: Op = { kind: 'link.add', link: { kind: 'veth', name: 'v0', up: true, peer: { name: 'v1' } } }
  const routes = Array.from({ length: 500 }, (_, i): Op => ({
    kind: 'route.replace',
    route: { destination: parseCidr(`10.${i >> 8}.${i & 255}.0/24`), device: 'v0', protocol: PROTOCOL_NUMBER },
  }))
  await applier.apply([make, ...routes])
  t.equal((await observeRoutes(route, IPV4, { protocol: PROTOCOL_NUMBER })).length, 500)
})

t.test('operations on a hundred different links are one plan', async (t) => {
  const { applier, route } = place(t, 'one')
  const names = Array.from({ length: 100 }, (_, i) => `v${i}`)
  await applier.apply(
    names.map((name): Op => ({ kind: 'link.add', link: { kind: 'veth', name, peer: { name: `p${name}` } } })),
  )
  await applier.apply(
    names.map((device, i): Op => ({ kind: 'address.add', address: { ...parseIpPrefix(`10.0.${i}.1/24`), device } })),
  )
  t.equal((await observeAddresses(route)).filter(({ address }) => address.startsWith('10.0.')).length, 100)
})

const table: Table = { family: 'ip', name: 't' }
const set: SetSpec = { name: 's', key: [TYPE.ipv4_addr] }

t.test('a transaction is done as a whole or not at all', async (t) => {
  const { applier, netfilter } = place(t, 'one')
  const structure: NftOp[] = [
    { kind: 'table.add', table },
    { kind: 'set.add', table, set },
    { kind: 'elements.add', table, set, elements: [{ key: ['10.0.0.1'] }] },
  ]
  const impossible: NftOp = { kind: 'elements.delete', table, set, elements: [{ key: ['10.0.0.9'] }] }
  await t.rejects(applier.apply([...structure, impossible]), {
    code: 'not-found',
    operation: 'delete element ip t s { 10.0.0.9 }',
  })
  t.strictSame(await observeTables(netfilter), [])
  await applier.apply(structure)
  const more: NftOp = { kind: 'elements.add', table, set, elements: [{ key: ['10.0.0.2'] }] }
  await t.rejects(applier.apply([more, impossible]))
  t.strictSame(await observeElements(netfilter, table, set), [{ key: ['10.0.0.1'] }])
  await t.rejects(applier.apply([{ kind: 'table.delete', table }, impossible]))
  t.ok(await observeRuleset(netfilter, table))
})

t.test('a chain of a type that its family does not have is refused by its name', async (t) => {
  const { applier, netfilter } = place(t, 'one')
  await t.rejects(
    applier.apply([
      { kind: 'table.add', table: { family: 'bridge', name: 't' } },
      {
        kind: 'chain.add',
        table: { family: 'bridge', name: 't' },
        chain: { name: 'c', base: { type: 'nat', hook: 'prerouting', priority: 0 } },
      },
    ]),
    { code: 'not-found', operation: 'create chain bridge t c' },
  )
  t.strictSame(await observeTables(netfilter), [])
})

/** The words of a line as a shell would split them, as far as our lines go: single quotes, and escaped ones between. */
const argv = (line: string): string[] =>
  (line.match(/(?:'[^']*'|\\'|[^\s'])+/g) ?? []).map((word) =>
    word.replace(/'([^']*)'|\\(')/g, (_, a, b) => String(a ?? b)),
  )

const missing = ['ip', 'bridge', 'tc', 'sysctl']
  .map((program) => skipWithout(program, '-V'))
  .find((why) => why !== false)

t.test('the lines of a plan, typed in, do the same as the plan', { skip: missing ?? false }, async (t) => {
  const [one, two] = [place(t, 'one'), place(t, 'two')]
  await one.applier.apply(PLAN)
  for (const op of PLAN) {
    const [program = '', ...args] = argv(opText(op))
    const { status, stderr } = inNamespace(two.namespace, () => run(program, args))
    t.equal(status, 0, `${opText(op)} ${stderr}`)
  }
  t.strictSame(await state(two.route, two.namespace), await state(one.route, one.namespace))
  await one.applier.apply(REMOVALS)
  for (const op of REMOVALS) {
    const [program = '', ...args] = argv(opText(op))
    const { status, stderr } = inNamespace(two.namespace, () => run(program, args))
    t.equal(status, 0, `${opText(op)} ${stderr}`)
  }
  t.strictSame(await state(two.route, two.namespace), await state(one.route, one.namespace))
})
