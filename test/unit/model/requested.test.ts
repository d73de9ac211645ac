import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import { readRequested, type RequestedAddress } from '../../../src/model/requested.js'

const read = (value: unknown): RequestedAddress =>
  readRequested(new Cursor({ runtimeConfig: { ips: [value] } }).field('runtimeConfig').field('ips').item(0))

t.test('an address with or without a prefix, canonical, with the place that asked for it', async (t) => {
  const field = 'runtimeConfig.ips[0]'
  t.same(read('10.1.0.5'), { address: '10.1.0.5', field })
  t.same(read('10.1.0.5/16'), { address: '10.1.0.5', field })
  t.same(read('FD00:0::5/64'), { address: 'fd00::5', field })
  for (const value of ['10.1.0.300', '10.1.0.5/33', '10.1.0.5/', '', 'web', 7, null])
    t.throws(() => read(value), { code: 'invalid', field }, String(value))
})
