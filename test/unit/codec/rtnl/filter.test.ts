import t from 'tap'
import { IPV4, IPV6 } from '../../../../src/base/family.js'
import { RTM, TC_H } from '../../../../src/codec/rtnl/constants.js'
import {
  addFilter,
  addFilterLink,
  addFilterTable,
  decodeFilter,
  deleteFilter,
  dumpFilters,
  type FilterSpec,
  handleText,
} from '../../../../src/codec/rtnl/filter.js'
import { writeTcmsg } from '../../../../src/codec/rtnl/tcmsg.js'
import { lastByteOfSource } from '../../../../src/codec/rtnl/u32.js'
import { type Request } from '../../../../src/codec/request.js'
import { FLAG, Writer } from '../../../../src/codec/wire.js'
import { known } from '../../../bytes/rtnl/captured.js'

const payloadOf = ({ body }: Request): Buffer => {
  const writer = new Writer()
  body(writer)
  return writer.bytes()
}
const decoded = (request: Request) => known(decodeFilter(payloadOf(request)))
const place = { index: 3, family: IPV6, priority: 17 }
const handle = { table: 0xfff, bucket: 0xff, node: 0xfff }
const spec: FilterSpec = { ...place, handle, source: { address: 'fd00::1' }, to: 'egress', target: 9 }

t.test('a filter of a table is decoded as it was encoded', async (t) => {
  const { to, target, ...rest } = spec
  t.strictSame(decoded(addFilter(spec)), { ...rest, kind: 'u32', redirect: { to, target } })
})

t.test('a table, and what leads to it, are decoded as they were encoded', async (t) => {
  const table = { table: 4, bucket: 0, node: 0 }
  t.strictSame(decoded(addFilterTable({ ...place, tableId: 4, buckets: 256 })), {
    ...place,
    kind: 'u32',
    handle: table,
    buckets: 256,
  })
  // The kernel gives the number; a request has none.
  const link = payloadOf(addFilterLink({ ...place, tableId: 4, hash: lastByteOfSource(IPV6) }))
  t.equal(decodeFilter(link), undefined)
  link.writeUInt32LE(0x8000_0800, 8)
  t.strictSame(known(decodeFilter(link)), {
    ...place,
    kind: 'u32',
    handle: { table: 0x800, bucket: 0, node: 0x800 },
    leadsTo: 4,
  })
})

t.test('what is there already is refused, never changed', async (t) => {
  for (const { flags } of [addFilter(spec), addFilterTable({ ...place, tableId: 4, buckets: 256 })])
    t.equal(flags, FLAG.CREATE | FLAG.EXCL)
})

t.test('filters of other protocols, kinds and actions are told by their place alone', async (t) => {
  const foreign = (kind: string, protocol: number, options: Buffer): Buffer => {
    const writer = new Writer()
    writeTcmsg(writer, { index: 3, handle: 1, parent: TC_H.INGRESS, protocol, priority: 49152 })
    return writer.attrString(1, kind).attrBytes(2, options).bytes()
  }
  const common = { index: 3, priority: 49152, handle: { table: 0, bucket: 0, node: 1 } }
  t.strictSame(known(decodeFilter(foreign('bpf', 3, Buffer.alloc(9, 0xff)))), { ...common, kind: 'bpf' })
  const dropping = new Writer()
  const actions = dropping.begin(7)
  const first = dropping.begin(1)
  dropping.attrString(1, 'gact').end(first).end(actions)
  t.strictSame(known(decodeFilter(foreign('u32', IPV4.etherType, dropping.bytes()))), {
    ...common,
    kind: 'u32',
    family: IPV4,
  })
})

t.test('requests say what they do', async (t) => {
  t.match(addFilter(spec), { type: RTM.NEWTFILTER, operation: 'redirect ipv6 of link 3 to egress of link 9' })
  t.match(deleteFilter(spec), { type: RTM.DELTFILTER, operation: 'delete filter fff:ff:fff of link 3' })
  t.match(deleteFilter(place), { operation: 'delete filters of priority 17 of link 3' })
  t.match(dumpFilters(3), { type: RTM.GETTFILTER, operation: 'list filters of link 3' })
  t.equal(handleText({ table: 4, bucket: 0, node: 1 }), '4:0:1')
})

t.test('numbers that do not fit are refused, and named', async (t) => {
  for (const field of ['table', 'bucket', 'node'] as const)
    t.throws(() => addFilter({ ...spec, handle: { ...handle, [field]: handle[field] + 1 } }), {
      code: 'invalid',
      field,
    })
  t.throws(() => addFilterTable({ ...place, tableId: 1, buckets: 257 }), { code: 'invalid', field: 'buckets' })
  t.throws(() => decodeFilter(Buffer.alloc(19)), { code: 'invalid' })
})
