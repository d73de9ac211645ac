import t from 'tap'
import { readBandwidthKeys } from '../../../src/model/bandwidth.js'
import { Cursor } from '../../../src/model/cursor.js'

const read = (value: unknown) => readBandwidthKeys(new Cursor({ bandwidth: value }).field('bandwidth'))

t.test('rates and bursts as runtimes write them', async (t) => {
  const ingress = { ingressRate: 1_000_000, ingressBurst: 80_000 }
  t.strictSame(read(ingress), { ingress: { rate: 1_000_000, burst: 80_000 } })
  t.strictSame(read({ ...ingress, egressRate: 2_000_000, egressBurst: 160_000 }), {
    ingress: { rate: 1_000_000, burst: 80_000 },
    egress: { rate: 2_000_000, burst: 160_000 },
  })
})

t.test('what is absent, empty or 0 limits nothing', async (t) => {
  for (const value of [undefined, {}, { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 }])
    t.equal(read(value), undefined)
})

const REFUSED: Readonly<Record<string, readonly [value: unknown, field: string]>> = {
  'a rate without a burst': [{ ingressRate: 1000 }, 'bandwidth.ingressBurst'],
  'a burst without a rate': [{ egressBurst: 80_000 }, 'bandwidth.egressRate'],
  'a negative rate': [{ ingressRate: -1, ingressBurst: 80_000 }, 'bandwidth.ingressRate'],
  'a burst that holds no packet': [{ ingressRate: 1000, ingressBurst: 8000 }, 'bandwidth.ingressBurst'],
  'a burst that the kernel cannot hold': [{ ingressRate: 1000, ingressBurst: 2 ** 36 }, 'bandwidth.ingressBurst'],
  'a rate in words': [{ ingressRate: '1M', ingressBurst: 80_000 }, 'bandwidth.ingressRate'],
}

for (const [name, [value, field]] of Object.entries(REFUSED))
  t.test(`refused, with the field: ${name}`, async (t) => {
    t.throws(() => read(value), { code: 'invalid', field })
  })
