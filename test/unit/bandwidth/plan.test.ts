import fc from 'fast-check'
import t from 'tap'
import {
  bandwidthDifferences,
  type BandwidthDesired,
  planBandwidth,
  planForgetBandwidth,
  planSweepBandwidth,
} from '../../../src/bandwidth/plan.js'
import { IPV4 } from '../../../src/base/family.js'
import { ifbOf, type Lease, type Mode } from '../../../src/model/lease.js'
import { type Op } from '../../../src/ops/op.js'
import { opText } from '../../../src/ops/text.js'
import { exampleLease } from '../../support/lease.js'
import { FakeTraffic } from './fake-traffic.js'

const BRIDGE = 'netloom0'
const LIMIT = { rate: 8_000_000, burst: 800_000 }
const BOTH = { ingress: LIMIT, egress: LIMIT }

/** Attachment number `i`; on the bridge unless told otherwise. */
function attachment(
  i: number,
  fields: Partial<Lease> & { addresses?: never } = {},
  ips?: readonly string[],
): BandwidthDesired {
  const mode: Mode = fields.mode ?? 'bridge'
  const hostInterface = `nlm-${i}`
  const addresses = ips ?? [`10.1.0.${i}`, `fd00:1::${i.toString(16)}`]
  const lease = exampleLease({ containerId: `c${i}`, hostInterface, bandwidth: BOTH, ...fields, addresses })
  const shared = mode === 'bridge'
  return { lease, mtu: 1500, caught: { device: shared ? BRIDGE : hostInterface, shared } }
}

/** The kernel, where plans are made from what is there and applied. */
class World extends FakeTraffic {
  add(desired: BandwidthDesired): Op[] {
    const { hostInterface } = desired.lease
    if (!this.links.has(hostInterface)) this.addLink(hostInterface, 'veth')
    const ops = planBandwidth(desired, this.actual(desired.caught.device))
    this.apply(ops)
    return ops
  }

  forget(desired: BandwidthDesired): Op[] {
    const ops = planForgetBandwidth(desired, this.actual(desired.caught.device))
    this.apply(ops)
    return ops
  }

  differences = (desired: BandwidthDesired): string[] =>
    bandwidthDifferences(desired, this.actual(desired.caught.device))
}

const kinds = (ops: readonly Op[]): string[] => ops.map(({ kind }) => kind)

const PLACES: Readonly<Record<Mode, string>> = {
  bridge: 'on the bridge',
  ptp: 'on its own link',
  chained: 'on a link of another plugin',
}
for (const [mode, where] of Object.entries(PLACES)) {
  t.test(`what is planned for a container ${where} is right when it is done, and done once`, async (t) => {
    const world = new World(BRIDGE)
    const one = attachment(5, { mode: mode as Mode })
    t.not(world.add(one).length, 0)
    t.strictSame(world.differences(one), [])
    t.strictSame(world.add(one), [])
  })

  t.test(`limits of a container ${where} leave nothing`, async (t) => {
    const world = new World(BRIDGE)
    const one = attachment(5, { mode: mode as Mode })
    world.add(one)
    world.forget(one)
    t.strictSame(
      kinds(world.forget(one)).filter((kind) => kind !== 'limit.delete' && kind !== 'filter.delete'),
      ['link.delete'],
      'a second time what may be there is removed',
    )
    if (mode !== 'chained') world.deleteLink(one.lease.hostInterface)
    // Whose the place for filters is cannot be known there, and it goes with the link.
    t.strictSame(world.text(), mode === 'chained' ? ['nlm-5 clsact', 'nlm-5 filters'] : [])
  })
}

t.test('a container without limits needs nothing', async (t) => {
  const world = new World(BRIDGE)
  const one = attachment(5, { bandwidth: {} })
  t.strictSame(world.add(one), [])
  t.strictSame(world.forget(one), [])
  t.strictSame(planBandwidth(one), [])
})

t.test('each direction is limited alone', async (t) => {
  const receiving = attachment(5, { bandwidth: { ingress: LIMIT } })
  t.strictSame(kinds(planBandwidth(receiving)), ['limit.replace'])
  const sending = planBandwidth(attachment(5, { bandwidth: { egress: LIMIT } }))
  t.strictSame(kinds(sending).slice(0, 3), ['link.add', 'link.set', 'limit.replace'])
  t.match(sending[2], { device: ifbOf(receiving.lease) })
})

t.test('containers share the tables of the bridge, and each has filters of its own', async (t) => {
  const world = new World(BRIDGE)
  const [one, two] = [attachment(5), attachment(6)]
  world.add(one)
  t.strictSame(kinds(world.add(two)), [
    'limit.replace',
    'link.add',
    'link.set',
    'limit.replace',
    'filter.add',
    'filter.add',
  ])
  t.strictSame(kinds(world.forget(one)), ['filter.delete', 'filter.delete', 'link.delete'])
  t.strictSame(world.differences(two), [])
  t.strictSame(kinds(world.forget(two)), ['clsact.delete', 'link.delete'], 'the last one takes the tables with it')
})

t.test('addresses that end alike have the same bucket and filters of their own', async (t) => {
  const world = new World(BRIDGE)
  // In the second and third the further bytes meet as well, once they are 12 bits.
  const pods = ['10.1.0.7', '10.1.1.7', `10.1.${0xf + 1}.7`, '10.0.0.7', '10.15.240.7'].map((address, i) =>
    attachment(i, {}, [address]),
  )
  const handles = new Map(
    pods.map((pod) => [pod.lease.addresses[0]!.address, world.add(pod).find((op) => op.kind === 'filter.add')?.handle]),
  )
  t.equal(new Set([...handles.values()].map((handle) => JSON.stringify(handle))).size, pods.length)
  for (const handle of handles.values()) t.match(handle, { table: 4, bucket: 7 })
  for (const pod of pods) t.strictSame(world.differences(pod), [])
})

t.test('an address has the same handle wherever that is free', async (t) => {
  const handleIn = (world: World): unknown => world.add(attachment(5)).find(({ kind }) => kind === 'filter.add')
  const busy = new World(BRIDGE)
  for (const i of [1, 2, 3]) busy.add(attachment(i))
  t.strictSame(handleIn(busy), handleIn(new World(BRIDGE)))
})

t.test('a handle that another address has is not taken, also after a restart', async (t) => {
  const world = new World(BRIDGE)
  const [one, two] = [attachment(1, {}, ['10.0.0.7']), attachment(2, {}, ['10.15.255.7'])]
  world.add(one)
  world.add(two)
  t.strictSame([world.add(one), world.add(two)], [[], []])
  world.forget(one)
  t.strictSame(world.differences(two), [], 'the filter of the other is the one that stays')
  t.strictSame(world.add(two), [])
})

/** What can go wrong, and what CHECK says first. */
const damages: Readonly<Record<string, readonly [(world: World, desired: BandwidthDesired) => void, RegExp]>> = {
  'the limit of what it receives is gone': [
    (world) => world.apply([{ kind: 'limit.delete', device: 'nlm-5', handle: 0x6e6c }]),
    /^link nlm-5 does not limit what it sends to 8000000 bit\/s$/,
  ],
  'its IFB device is gone': [
    (world, { lease }) => world.deleteLink(ifbOf(lease)),
    /^there is no link nli-[0-9a-f]{11}$/,
  ],
  'its IFB device is down': [
    (world, { lease }) => world.apply([{ kind: 'link.set', name: ifbOf(lease), changes: { up: false } }]),
    /^link nli-[0-9a-f]{11} is down$/,
  ],
  'the limit of what it sends is gone': [
    (world, { lease }) => world.apply([{ kind: 'limit.delete', device: ifbOf(lease), handle: 0x6e6c }]),
    /^link nli-[0-9a-f]{11} does not limit/,
  ],
  'all filters are gone': [
    (world, { caught: { device } }) => world.apply([{ kind: 'clsact.delete', device }]),
    /^link \S+ has no place for filters$/,
  ],
  'filters of one family are gone': [
    (world, { caught: { device } }) => world.apply([{ kind: 'filter.delete', device, family: IPV4, priority: 5 }]),
    /^(link netloom0 has no table of ipv4 filters|ipv4 packets that arrive on nlm-5 do not pass nli-[0-9a-f]{11})$/,
  ],
}
for (const [what, [damage, said]] of Object.entries(damages))
  for (const mode of ['bridge', 'ptp'] as const) {
    t.test(`${what} (${mode}): it is told, and put right`, async (t) => {
      const world = new World(BRIDGE)
      const one = attachment(5, { mode })
      world.add(one)
      damage(world, one)
      t.match(world.differences(one)[0], said)
      world.add(one)
      t.strictSame(world.differences(one), [])
    })
  }

t.test('a filter that leads elsewhere, or stands where no packet finds it, is replaced', async (t) => {
  const world = new World(BRIDGE, 'other')
  const one = attachment(5, {}, ['10.1.0.5'])
  world.add(one)
  const right = [...world.filters(BRIDGE)]
  const place = { device: BRIDGE, family: IPV4, priority: 5, source: { address: '10.1.0.5' }, to: 'egress' } as const
  for (const wrong of [
    { handle: { table: 4, bucket: 6, node: 9 }, target: ifbOf(one.lease) },
    { target: ifbOf(one.lease) },
    { handle: { table: 4, bucket: 5, node: 9 }, target: 'other' },
  ]) {
    world.apply([{ kind: 'filter.add', ...place, ...wrong }])
    t.strictSame(world.differences(one), [
      `packets of 10.1.0.5 that arrive on netloom0 do not pass ${ifbOf(one.lease)}`,
    ])
    t.strictSame(kinds(world.add(one)), ['filter.delete'])
    t.strictSame(world.filters(BRIDGE), right)
  }
})

t.test('what somebody else has on the shared device stays', async (t) => {
  const world = new World(BRIDGE, 'other')
  const one = attachment(5)
  world.apply([
    { kind: 'clsact.add', device: BRIDGE },
    { kind: 'filter.add', device: BRIDGE, family: IPV4, priority: 100, to: 'ingress', target: 'other' },
  ])
  world.add(one)
  t.notOk(kinds(world.forget(one)).includes('clsact.delete'))
  t.equal(world.filters(BRIDGE).filter(({ priority }) => priority === 100).length, 1)
})

t.test('a filter that was left behind does not catch whoever has the address next', async (t) => {
  const world = new World(BRIDGE)
  const [before, other] = [attachment(5), attachment(6)]
  world.add(before)
  world.add(other)
  world.deleteLink(ifbOf(before.lease))
  const lease = exampleLease({
    containerId: 'new',
    hostInterface: 'nlm-9',
    addresses: ['10.1.0.5'],
  })
  const next = { ...before, lease }
  t.match(world.differences(next), ['packets of 10.1.0.5 are led away from netloom0'])
  t.strictSame(kinds(world.add(next)), ['filter.delete'])
  t.strictSame(world.differences(next), [])
  const limited = { ...before, lease: { ...lease, bandwidth: BOTH } }
  world.add(limited)
  t.strictSame(world.differences(limited), [])
  t.strictSame(world.differences(other), [])
})

t.test('what a crash left is swept, and nothing else', async (t) => {
  const world = new World(BRIDGE)
  const pods = [1, 2, 3].map((i) => attachment(i))
  for (const pod of pods) world.add(pod)
  world.addLink('ifb0', 'ifb')
  const sweep = (leases: readonly Lease[]): Op[] => planSweepBandwidth(leases, BRIDGE, world.actual(BRIDGE))
  t.strictSame(sweep(pods.map(({ lease }) => lease)), [])
  const plan = sweep([pods[1]!.lease])
  t.strictSame(kinds(plan).sort(), [...Array<string>(4).fill('filter.delete'), 'link.delete', 'link.delete'])
  world.apply(plan)
  t.strictSame(sweep([pods[1]!.lease]), [])
  t.strictSame(world.differences(pods[1]!), [])
  t.match(sweep([]).map(opText), ['tc qdisc delete dev netloom0 clsact', /^ip link delete dev nli-/])
})

t.test('containers come and go in any order: each has its filters, and the last leaves nothing', async (t) => {
  // Few values for each byte, so that addresses share buckets and handles.
  const address = fc
    .tuple(fc.constantFrom(0, 15, 31), fc.constantFrom(0, 1, 239, 240, 255), fc.constantFrom(5, 6))
    .map(([a, b, c]) => `10.${a}.${b}.${c}`)
  const property = fc.property(fc.array(address, { maxLength: 60 }), (steps) => {
    const world = new World(BRIDGE)
    const present = new Map<string, BandwidthDesired>()
    for (const [i, ip] of steps.entries()) {
      const there = present.get(ip)
      const pod = there ?? attachment(i, { bandwidth: { egress: LIMIT } }, [ip])
      if (there === undefined) {
        world.add(pod)
        present.set(ip, pod)
      } else {
        world.forget(pod)
        present.delete(ip)
      }
      for (const other of present.values()) if (world.differences(other).length > 0) return false
      const catching = world.filters(BRIDGE).filter(({ source }) => source?.address !== undefined)
      if (catching.length !== present.size) return false
    }
    for (const pod of present.values()) world.forget(pod)
    return world.text().length === 0
  })
  fc.assert(property, { seed: 7, numRuns: 200 })
  t.pass()
})
