import t from 'tap'
import { Attributes } from '../../../../src/codec/attr.js'
import {
  readTokenBucket,
  sameTokenBucket,
  ticksOf,
  type TokenBucket,
  writeTokenBucket,
} from '../../../../src/codec/rtnl/tbf.js'
import { Writer } from '../../../../src/codec/wire.js'

const attributes = (bucket: TokenBucket): Attributes => {
  const writer = new Writer()
  writeTokenBucket(writer, bucket)
  return new Attributes(writer.bytes())
}
const bucket: TokenBucket = { rate: 1_000_000, burst: 20_000, limit: 45_000 }

for (const rate of [1, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER]) {
  t.test(`a rate of ${rate} bytes per second comes back as it was written`, async (t) => {
    t.match(readTokenBucket(attributes({ ...bucket, rate })), { rate, limit: bucket.limit })
  })
}

t.test('no parameters are no token bucket, cut off ones are refused', async (t) => {
  t.equal(readTokenBucket(new Attributes(Buffer.alloc(0))), undefined)
  const writer = new Writer()
  writer.attrBytes(1, Buffer.alloc(35))
  t.throws(() => readTokenBucket(new Attributes(writer.bytes())), { code: 'invalid' })
})

t.test('what the kernel cannot hold is refused, and named', async (t) => {
  for (const [field, value] of [
    ['rate', 0.5],
    ['burst', 2 ** 32],
    ['limit', -1],
  ] as const)
    t.throws(() => attributes({ ...bucket, [field]: value }), { code: 'invalid', field })
})

const facts = { rate: bucket.rate, limit: bucket.limit, burstTicks: ticksOf(bucket) }

t.test('a burst is told as the time that it takes', async (t) => {
  t.equal(ticksOf(bucket), 312_500, '20 ms in ticks of 64 ns')
  t.ok(sameTokenBucket(bucket, facts))
  t.ok(sameTokenBucket(bucket, { ...facts, burstTicks: facts.burstTicks - 1 }), 'rounding')
})

const others: Readonly<Record<string, Partial<typeof facts>>> = {
  rate: { rate: 999_999 },
  limit: { limit: 45_001 },
  burst: { burstTicks: ticksOf({ ...bucket, burst: 20_001 }) },
}
for (const [name, other] of Object.entries(others)) {
  t.test(`another ${name} is another token bucket`, async (t) => {
    t.notOk(sameTokenBucket(bucket, { ...facts, ...other }))
  })
}

t.test('times beyond 32 bits are compared as the kernel cuts them off', async (t) => {
  const slow = { rate: 125, burst: 100_000, limit: 1 }
  t.ok(ticksOf(slow) > 2 ** 32)
  const cut = { rate: 125, limit: 1, burstTicks: ticksOf(slow) % 2 ** 32 }
  t.ok(sameTokenBucket(slow, cut))
  t.notOk(sameTokenBucket(slow, { ...cut, burstTicks: cut.burstTicks + 1000 }))
})
