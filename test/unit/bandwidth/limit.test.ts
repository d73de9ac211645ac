import t from 'tap'
import { limitFaults, limitRemoval, tokenBucketOf } from '../../../src/bandwidth/limit.js'
import { type Op } from '../../../src/ops/op.js'
import { planText } from '../../../src/ops/text.js'
import { FakeTraffic } from './fake-traffic.js'

const MTU = 1500
const limit = { rate: 8_000_000, burst: 800_000 }

t.test('rates and bursts are bytes, and what waits would be sent in 25 milliseconds', async (t) => {
  t.strictSame(tokenBucketOf(limit, MTU), { rate: 1_000_000, burst: 100_000, limit: 125_000 })
})

const extremes: Readonly<Record<string, readonly [limit: typeof limit, mtu: number, bucket: object]>> = {
  'a burst smaller than a packet is a packet': [{ rate: 8000, burst: 800 }, 1500, { burst: 1518, limit: 1543 }],
  'a packet may be a large one': [{ rate: 8000, burst: 12_800 }, 9000, { burst: 9018 }],
  'less than a byte per second is a byte': [
    { rate: 1, burst: 80_000 },
    1500,
    { rate: 1, burst: 10_000, limit: 10_000 },
  ],
  'more may not wait than the kernel can count': [
    { rate: 8e15, burst: 0xffff_ffff * 8 },
    1500,
    { rate: 1e15, burst: 0xffff_ffff, limit: 0xffff_ffff },
  ],
}
for (const [name, [asked, mtu, bucket]] of Object.entries(extremes)) {
  t.test(name, async (t) => t.match(tokenBucketOf(asked, mtu), bucket))
}

const faults = (traffic: FakeTraffic, wanted: typeof limit | undefined) => [
  ...limitFaults({ device: 'v0', limit: wanted, mtu: MTU }, traffic.actual('v0')),
]
const repair = (traffic: FakeTraffic, wanted: typeof limit | undefined): Op[] =>
  faults(traffic, wanted).flatMap((fault) => fault.repair)

t.test('a limit is made where there is none, and left alone where it is right', async (t) => {
  const traffic = new FakeTraffic('v0')
  const plan = repair(traffic, limit)
  t.equal(planText(plan), 'tc qdisc replace dev v0 root handle 6e6c: tbf rate 8000000bit burst 100000b limit 125000b\n')
  traffic.apply(plan)
  t.strictSame(faults(traffic, limit), [])
})

t.test("another rate, and somebody else's limit, are replaced", async (t) => {
  const traffic = new FakeTraffic('v0')
  traffic.apply(repair(traffic, { ...limit, rate: 4_000_000 }))
  t.match(faults(traffic, limit), [{ text: 'link v0 does not limit what it sends to 8000000 bit/s' }])
  traffic.apply([{ kind: 'limit.replace', device: 'v0', handle: 0x8001, ...tokenBucketOf(limit, MTU) }])
  t.equal(faults(traffic, limit).length, 1)
})

t.test('a limit that nobody asked for goes if it is ours', async (t) => {
  const traffic = new FakeTraffic('v0')
  traffic.apply(repair(traffic, limit))
  t.strictSame(repair(traffic, undefined), [limitRemoval('v0')])
  traffic.apply([{ kind: 'limit.replace', device: 'v0', handle: 0x8001, ...tokenBucketOf(limit, MTU) }])
  t.strictSame(faults(traffic, undefined), [])
})
