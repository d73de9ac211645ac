import t, { type Test } from 'tap'
import {
  bandwidthDifferences,
  type BandwidthDesired,
  planBandwidth,
  planForgetBandwidth,
} from '../../src/bandwidth/plan.js'
import { planHostSide, planPodSide } from '../../src/cni/attach.js'
import { Place } from '../../src/cli/demo/place.js'
import { parseCidr, parseIpPrefix } from '../../src/base/ip.js'
import { handleText } from '../../src/codec/rtnl/filter.js'
import { type Bandwidth } from '../../src/model/bandwidth.js'
import { hostInterfaceOf, ifbOf, type Mode } from '../../src/model/lease.js'
import { createNamespace, deleteNamespace, inNamespace } from '../../src/kernel/netns.js'
import { observeLink, observeTraffic } from '../../src/kernel/observe.js'
import { exampleLease } from '../support/lease.js'
import { connect, type Connection } from '../support/namespaces.js'
import { ip, run, type TestContext } from '../support/node.js'
import { throughput } from '../support/throughput.js'

const MTU = 1500
const SUBNETS = ['10.244.1.0/24', 'fd00:244:1::/64'].map((text) => parseCidr(text))
const GATEWAYS = ['10.244.1.1', 'fd00:244:1::1']
/** Half a second's worth for the faster of two limits. */
const BYTES = 1_000_000
const MBIT = 1_000_000
/** A burst of a few packets, less than the kernel puts into one where nobody limits it. */
const limit = (mbit: number) => ({ rate: mbit * MBIT, burst: 20_000 * 8 })

const tc = (...args: readonly string[]): string => run('tc', ...args)

/** A node with its bridge, in the namespace of the test. */
class Node {
  readonly connection: Connection
  readonly place = new Place('/proc/self/ns/net')
  readonly #namespaces: string[] = []
  readonly #places: Place[] = [this.place]

  private constructor() {
    this.connection = connect()
  }

  static async raise(t: TestContext): Promise<Node> {
    const node = new Node()
    t.teardown(() => node.close())
    ip('link', 'set', 'lo', 'up')
    await node.connection.applier.apply([
      { kind: 'link.add', link: { kind: 'bridge', name: 'netloom0', mtu: MTU, up: true, bridge: { forwardDelay: 0 } } },
      { kind: 'link.set', name: 'netloom0', changes: { mac: '0a:58:0a:f4:01:01' } },
      ...GATEWAYS.map((address, i) => ({
        kind: 'address.add' as const,
        address: { ...parseIpPrefix(`${address}/${SUBNETS[i]?.prefix ?? 0}`), device: 'netloom0', noDad: i === 1 },
      })),
    ])
    return node
  }

  /** Attaches a container as the agent does; on a link of its own, it is attached to nothing else. */
  async attach(name: string, last: number, mode: Mode = 'bridge'): Promise<Pod> {
    const attachment = { network: 'pods', containerId: name, ifname: 'eth0' }
    const addresses = [`10.244.1.${last}`, `fd00:244:1::${last}`]
    const hostInterface = hostInterfaceOf(attachment)
    const lease = exampleLease({ ...attachment, hostInterface, addresses, mode, mtu: MTU, netns: `/run/netns/${name}` })
    const place = new Place(createNamespace(name))
    this.#namespaces.push(name)
    this.#places.push(place)
    const index = (await observeLink(this.connection.route, 'netloom0'))?.index ?? 0
    const bridge = { name: 'netloom0', index, mac: '0a:58:0a:f4:01:01' }
    const surroundings = { bridge, covered: SUBNETS, redirect: true }
    await this.connection.applier.apply(planHostSide(lease, surroundings, place.namespace))
    const inside = inNamespace(place.namespace, () => connect({ namespace: place.namespace }))
    await inside.applier.apply(planPodSide(lease))
    inside.close()
    const caught = { device: mode === 'bridge' ? 'netloom0' : hostInterface, shared: mode === 'bridge' }
    return { place, desired: { lease, caught, mtu: MTU } }
  }

  async limit({ desired }: Pod, bandwidth: Bandwidth): Promise<Limited> {
    const limited = { ...desired, lease: { ...desired.lease, bandwidth } }
    await this.connection.applier.apply(planBandwidth(limited, await this.traffic(limited)))
    return limited
  }

  async forget(limited: Limited): Promise<void> {
    await this.connection.applier.apply(planForgetBandwidth(limited, await this.traffic(limited)))
  }

  traffic = ({ caught: { device } }: BandwidthDesired) => observeTraffic(this.connection.route, device)

  differences = async (desired: BandwidthDesired): Promise<string[]> =>
    bandwidthDifferences(desired, await this.traffic(desired))

  /** Mbit/s from the container to the node, and back. */
  async rates({ place, desired: { lease } }: Pod, bytes = BYTES): Promise<Rates> {
    const rates: Rates = { ipv4: { egress: 0, ingress: 0 }, ipv6: { egress: 0, ingress: 0 } }
    for (const [i, { family }] of SUBNETS.entries()) {
      const [gateway = '', address = ''] = [GATEWAYS[i], lease.addresses[i]?.address]
      const ways = { egress: { from: place, to: this.place, address: gateway }, ingress: { from: this.place, to: place, address } } // prettier-ignore
      for (const way of ['egress', 'ingress'] as const)
        rates[family.name][way] = (await throughput({ ...ways[way], bytes })) / MBIT
    }
    return rates
  }

  close(): void {
    for (const place of this.#places) place.close()
    for (const name of this.#namespaces) deleteNamespace(name)
    const links = JSON.parse(ip('-j', 'link')) as { readonly ifname: string }[]
    for (const { ifname } of links) if (/^(netloom0|nlm-|nli-)/.test(ifname)) tryDelete(ifname)
    this.connection.close()
  }
}

/** The veth of a container may be gone with its namespace, in a moment or already. */
function tryDelete(name: string): void {
  try {
    ip('link', 'delete', name)
  } catch (error) {
    if (!(error instanceof Error) || !/Cannot find device/.test(error.message)) throw error
  }
}

interface Pod {
  readonly place: Place
  readonly desired: BandwidthDesired
}
type Limited = BandwidthDesired
type Rates = Record<'ipv4' | 'ipv6', Record<'egress' | 'ingress', number>>

/** Within a factor of what was asked for, which leaves room for a machine that is busy with other things. */
const near = (rate: number, mbit: number): boolean => rate > mbit * 0.5 && rate < mbit * 1.5

function checkRates(t: Test, rates: Rates, wanted: { readonly egress: number; readonly ingress: number }): void {
  for (const family of ['ipv4', 'ipv6'] as const)
    for (const way of ['egress', 'ingress'] as const) {
      const rate = rates[family][way]
      t.ok(near(rate, wanted[way]), `${family} ${way}: ${rate.toFixed(1)} Mbit/s, limited to ${wanted[way]}`)
    }
}

const fast = (rates: Rates): boolean =>
  Object.values(rates).every(({ egress, ingress }) => egress > 100 && ingress > 100)

/** All of traffic control that somebody put there. */
const left = (): string[] => [
  ...tc('qdisc').split('\n').filter((line) => /tbf|nli-|dev netloom0 (?!root)/.test(line)),
  ...tc('filter', 'show', 'dev', 'netloom0', 'ingress').split('\n').filter((line) => line !== ''),
  ...ip('link').split('\n').filter((line) => line.includes('nli-')),
] // prettier-ignore

const WAYS: Readonly<Record<string, readonly [Mode, prepare: (pod: Pod) => unknown]>> = {
  'on the bridge, its packets led past it': ['bridge', () => undefined],
  'on the bridge, its packets bridged': [
    'bridge',
    ({ desired: { lease } }) => tc('qdisc', 'delete', 'dev', lease.hostInterface, 'clsact'),
  ],
  'on a link of its own': ['ptp', () => undefined],
}
for (const [where, [mode, prepare]] of Object.entries(WAYS)) {
  t.test(`a container is as fast as it may be in each direction, over both families: ${where}`, async (t) => {
    const node = await Node.raise(t)
    const pod = await node.attach('a', 2, mode)
    prepare(pod)
    const before = await node.rates(pod)
    t.ok(fast(before), `without limits: ${JSON.stringify(before)}`)
    const limited = await node.limit(pod, { ingress: limit(16), egress: limit(8) })
    t.strictSame(await node.differences(limited), [])
    checkRates(t, await node.rates(pod), { ingress: 16, egress: 8 })
    await node.forget(limited)
    ip('link', 'delete', limited.lease.hostInterface)
    t.strictSame(left(), [])
  })
}

t.test('containers that share the bridge are limited each for itself, and others not at all', async (t) => {
  const node = await Node.raise(t)
  const pods = [await node.attach('a', 2), await node.attach('b', 3), await node.attach('c', 4)] as const
  const [a, b, c] = pods
  const limited = [await node.limit(a, { egress: limit(8) }), await node.limit(b, { egress: limit(16) })] as const
  const send = ({ place }: Pod) => throughput({ from: place, to: node.place, address: GATEWAYS[0] ?? '', bytes: BYTES })
  const [first = 0, second = 0, third = 0] = (await Promise.all([send(a), send(b), send(c)])).map((rate) => rate / MBIT)
  t.ok(near(first, 8), `8: ${first}`)
  t.ok(near(second, 16), `16: ${second}`)
  t.ok(third > 100, `none: ${third}`)
  await node.forget(limited[0])
  t.strictSame(await node.differences(limited[1]), [])
  t.ok((await send(a)) / MBIT > 100, 'the one that is forgotten is as fast as it can be')
  t.ok(near((await send(b)) / MBIT, 16), 'the other is not')
  await node.forget(limited[1])
  for (const { desired } of pods) ip('link', 'delete', desired.lease.hostInterface)
  t.strictSame(left(), [])
})

t.test('what is there already is left as it is, and what somebody took away comes back', async (t) => {
  const node = await Node.raise(t)
  const pod = await node.attach('a', 2)
  const both = { ingress: limit(16), egress: limit(8) }
  const limited = await node.limit(pod, both)
  // The kernel numbers actions anew.
  const all = () => `${tc('qdisc')}${tc('filter', 'show', 'dev', 'netloom0', 'ingress')}`.replace(/\tindex \d+/g, '')
  const before = all()
  t.strictSame(planBandwidth(limited, await node.traffic(limited)), [])
  const ifb = ifbOf(limited.lease)
  const own = (await node.traffic(limited)).filters.find(({ source }) => source?.address === 'fd00:244:1::2')
  const handle = handleText(own?.handle ?? { table: 0, bucket: 0, node: 0 })
  const damages: (() => unknown)[] = [
    () => tc('qdisc', 'delete', 'dev', limited.lease.hostInterface, 'root'),
    () => tc('qdisc', 'replace', 'dev', limited.lease.hostInterface, 'root', 'tbf', 'rate', '1mbit', 'burst', '10kb', 'limit', '10kb'),
    () => tc('qdisc', 'change', 'dev', ifb, 'root', 'handle', '6e6c:', 'tbf', 'rate', '1mbit', 'burst', '10kb', 'limit', '10kb'),
    () => tc('filter', 'delete', 'dev', 'netloom0', 'ingress', 'protocol', 'ipv6', 'pref', '17', 'handle', handle, 'u32'),
    () => tc('qdisc', 'delete', 'dev', 'netloom0', 'clsact'),
    () => ip('link', 'set', ifb, 'down'),
  ] // prettier-ignore
  for (const damage of damages) {
    damage()
    t.not((await node.differences(limited)).length, 0, damage.toString())
    await node.limit(pod, both)
    t.strictSame(await node.differences(limited), [])
    t.equal(all(), before)
  }
  ip('link', 'delete', ifb)
  t.match(await node.differences(limited), [/there is no link nli-/, /does not limit/, /do not pass/, /do not pass/])
  await node.limit(pod, both)
  t.strictSame(await node.differences(limited), [])
})

t.test('tc lists what is there', async (t) => {
  const node = await Node.raise(t)
  const limited = await node.limit(await node.attach('a', 2), { ingress: limit(16), egress: limit(80_000) })
  const ifb = ifbOf(limited.lease)
  const qdiscs = JSON.parse(tc('-j', 'qdisc')) as { readonly dev: string; readonly kind: string }[]
  const tbf = (dev: string) => qdiscs.find((qdisc) => qdisc.dev === dev && qdisc.kind === 'tbf')
  const options = { rate: 2_000_000, burst: 20_000, lat: 25_000 }
  t.match(tbf(limited.lease.hostInterface), { handle: '6e6c:', root: true, options })
  t.match(tbf(ifb), { options: { rate: 10_000_000_000 } })
  const filters = tc('filter', 'show', 'dev', 'netloom0', 'ingress')
  t.match(filters, /protocol ip pref 5 u32 chain 0 fh 4: ht divisor 256/)
  t.match(filters, /link 4:[^\n]*\n\s+match 00000000\/00000000 at 0\s+\n?\s*hash mask 000000ff at 12/)
  t.match(filters, /fh 4:2:\w+ order \d+ key ht 4 bkt 2 terminal[^]*match 0af40102\/ffffffff at 12/)
  t.match(filters, new RegExp(`mirred \\(Egress Redirect to device ${ifb}\\) stolen`))
  t.match(filters, /protocol ipv6 pref 17 u32 chain 0 fh 6: ht divisor 256/)
  t.type(JSON.parse(tc('-j', 'filter', 'show', 'dev', 'netloom0', 'ingress')), Array)
})
