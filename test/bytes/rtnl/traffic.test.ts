import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { Attributes } from '../../../src/codec/attr.js'
import { TCA, TCA_TBF } from '../../../src/codec/rtnl/constants.js'
import {
  addFilter,
  addFilterLink,
  addFilterTable,
  decodeFilter,
  deleteFilter,
  dumpFilters,
  type FilterSpec,
} from '../../../src/codec/rtnl/filter.js'
import {
  addClsact,
  decodeQdisc,
  deleteClsact,
  deleteRootQdisc,
  dumpQdiscs,
  replaceTokenBucket,
} from '../../../src/codec/rtnl/qdisc.js'
import { sameTokenBucket } from '../../../src/codec/rtnl/tbf.js'
import { TCMSG_BYTES } from '../../../src/codec/rtnl/tcmsg.js'
import { lastByteOfSource } from '../../../src/codec/rtnl/u32.js'
import { HEADER_BYTES } from '../../../src/codec/wire.js'
import {
  captures,
  checkRefusals,
  checkRequests,
  encode,
  known,
  type Refusal,
  repliesOf,
  type RequestTable,
  type ShapeOptions,
} from './captured.js'

/** v0 of the captures, br0, and i0. */
const [LINK, BRIDGE, IFB] = [4, 2, 5]

const mac = '0a:58:0a:f4:01:05'
const redirect4 = { index: LINK, family: IPV4, priority: 4, to: 'ingress', target: BRIDGE } as const
const redirect6 = { ...redirect4, family: IPV6, priority: 16 }
const limit4 = { index: LINK, family: IPV4, priority: 5 }
const limit6 = { index: LINK, family: IPV6, priority: 17 }
const handle = { table: 4, bucket: 5, node: 0xf42 }
const limited: FilterSpec = { ...limit4, handle, source: { address: '10.244.1.5' }, to: 'egress', target: IFB }

const root = { index: LINK, handle: 0x6e6c }
const slow = { rate: 1_000_000, burst: 20_000, limit: 45_000 }
const fast = { rate: 10_000_000_000, burst: 1_000_000, limit: 5_000_000 }
/**
 * tc sends a table of times, and in the parameters how it was made; the kernel looks at neither where it is told the
 * link layer. What is left of the parameters is compared below.
 */
const withoutTable: ShapeOptions = { without: ['/2/1', '/2/2'] }

const requests: RequestTable = {
  'add clsact': [addClsact(LINK)],
  'add clsact that is there': [addClsact(LINK)],
  'redirect IPv4': [addFilter(redirect4)],
  'redirect IPv6': [addFilter(redirect6)],
  'redirect IPv4 of one source': [addFilter({ ...redirect4, source: { mac, address: '10.244.1.5' } })],
  'redirect IPv6 of one source': [addFilter({ ...redirect6, source: { mac, address: 'fd00:244:1::5' } })],
  'add hash table': [addFilterTable({ ...limit4, tableId: 4, buckets: 256 })],
  'add hash table that is there': [addFilterTable({ ...limit4, tableId: 4, buckets: 256 })],
  'lead to hash table': [addFilterLink({ ...limit4, tableId: 4, hash: lastByteOfSource(IPV4) })],
  'limit IPv4 of one source': [addFilter(limited)],
  'limit a source that is there': [addFilter(limited)],
  'limit IPv6': [addFilter({ ...limit6, to: 'egress', target: IFB })],
  'list filters': [dumpFilters(LINK)],
  'delete filter': [deleteFilter({ ...limit4, handle })],
  'delete filter that is not there': [deleteFilter({ ...limit4, handle })],
  'delete filters of a priority': [deleteFilter(limit6)],
  'delete filters where none can be': [deleteFilter(limit4)],
  limit: [replaceTokenBucket({ ...root, ...slow }), withoutTable],
  'limit to more than 32 bits': [replaceTokenBucket({ ...root, ...fast }), withoutTable],
  'list qdiscs': [dumpQdiscs()],
  'delete limit': [deleteRootQdisc(root)],
  'delete limit that is not there': [deleteRootQdisc(root)],
  'delete clsact': [deleteClsact(LINK)],
  'delete clsact that is not there': [deleteClsact(LINK)],
}

checkRequests(t, 'traffic', requests)

const refusals: Readonly<Record<string, Refusal>> = {
  'add clsact that is there': ['exists', /add clsact to link 4: file already exists \(EEXIST\): Exclusivity flag on/i],
  'add hash table that is there': ['exists', /add filter table 4 to link 4: .*EEXIST.*Filter already exists/],
  'limit a source that is there': ['exists', /redirect ipv4 of link 4 to egress of link 5: .*Filter already exists/],
  'delete filter that is not there': ['not-found', /delete filter 4:5:f42 of link 4: .*ENOENT.*handle not found/],
  'delete filters where none can be': [
    'kernel',
    /delete filters of priority 5 of link 4: .*EINVAL.*Parent Qdisc doesn't/,
  ],
  'delete limit that is not there': ['kernel', /delete root qdisc of link 4: .*EINVAL.*Invalid handle/],
  // Of a link that never had one the kernel says ENOENT, of one that had one EINVAL.
  'delete clsact that is not there': ['kernel', /delete clsact of link 4: .*EINVAL.*Invalid handle/i],
}

checkRefusals(t, 'traffic', requests, refusals)

t.test('what the kernel looks at in the parameters of a limit is what tc sends', async (t) => {
  const parameters = (message: Buffer): Buffer | undefined =>
    new Attributes(message.subarray(HEADER_BYTES + TCMSG_BYTES)).nested(TCA.OPTIONS)?.bytes(TCA_TBF.PARMS)
  for (const name of ['limit', 'limit to more than 32 bits']) {
    const ours = parameters(encode(requests[name]![0]))
    const theirs = parameters(Buffer.from(captures('traffic').captured(name).request, 'hex'))
    t.equal(ours?.length, theirs?.length)
    // Link layer; rate; limit. Between them the kind of table, no peak rate, and the burst as a time.
    for (const [from, to] of [
      [1, 4],
      [8, 12],
      [12, 24],
      [24, 28],
      [32, 36],
    ] as const)
      // prettier-ignore
      t.equal(ours?.toString('hex', from, to), theirs?.toString('hex', from, to), `${name}: bytes ${from} to ${to}`)
  }
})

t.test('qdiscs are read as the kernel tells of them', async (t) => {
  const found = known(
    repliesOf(captures('traffic').captured('list qdiscs'))
      .filter(({ type }) => type !== 3)
      .map(({ payload }) => decodeQdisc(payload)),
  )
  const limit = found.find(({ kind }) => kind === 'tbf')
  t.match(limit, {
    index: LINK,
    handle: 0x6e6c,
    parent: 0xffff_ffff,
    tokenBucket: { rate: fast.rate, limit: fast.limit },
  })
  t.ok(sameTokenBucket(fast, limit!.tokenBucket!))
  t.match(
    found.find(({ kind }) => kind === 'clsact'),
    { index: LINK, handle: 0xffff, parent: 0xffff_fff1 },
  )
})

t.test('filters are read as the kernel tells of them', async (t) => {
  const found = known(
    repliesOf(captures('traffic').captured('list filters'))
      .filter(({ type }) => type !== 3)
      .flatMap(({ payload }) => decodeFilter(payload) ?? []),
  )
  const common = { index: LINK, kind: 'u32' }
  const at = (table: number, bucket: number, node: number) => ({ handle: { table, bucket, node } })
  const arrives = { redirect: { to: 'ingress', target: BRIDGE } }
  const leaves = { redirect: { to: 'egress', target: IFB } }
  const rows = [
    { family: IPV4, priority: 4, ...at(0x800, 0, 0), buckets: 1 },
    { family: IPV4, priority: 4, ...at(0x800, 0, 0x800), source: {}, ...arrives },
    { family: IPV4, priority: 4, ...at(0x800, 0, 0x801), source: { mac, address: '10.244.1.5' }, ...arrives },
    { family: IPV4, priority: 5, ...at(4, 0, 0), buckets: 256 },
    { family: IPV4, priority: 5, ...at(0x802, 0, 0), buckets: 1 },
    { family: IPV4, priority: 5, ...at(0x802, 0, 0x800), leadsTo: 4 },
    { family: IPV4, priority: 5, handle, source: { address: '10.244.1.5' }, ...leaves },
    { family: IPV6, priority: 16, ...at(0x801, 0, 0), buckets: 1 },
    { family: IPV6, priority: 16, ...at(0x801, 0, 0x800), source: {}, ...arrives },
    { family: IPV6, priority: 16, ...at(0x801, 0, 0x801), source: { mac, address: 'fd00:244:1::5' }, ...arrives },
    { family: IPV6, priority: 17, ...at(0x803, 0, 0), buckets: 1 },
    { family: IPV6, priority: 17, ...at(0x803, 0, 0x800), source: {}, ...leaves },
  ].map((row) => ({ ...common, ...row }))
  const key = ({
    priority,
    handle: { table, bucket, node },
  }: Pick<FilterSpec, 'priority'> & { handle: typeof handle }) =>
    [priority, table, bucket, node].map((number) => String(number).padStart(5)).join()
  const sorted = <T extends Parameters<typeof key>[0]>(items: readonly T[]): T[] =>
    items.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
  t.strictSame(sorted(found), sorted(rows))
})
