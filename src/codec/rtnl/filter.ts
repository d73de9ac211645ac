import { FAMILIES, type Family } from '../../base/family.js'
import { Attributes } from '../attr.js'
import { type Request } from '../request.js'
import { FLAG, type Writer } from '../wire.js'
import { MIRRED, RTM, TC_H, TCA, TCA_ACT, TCA_U32 } from './constants.js'
import { checkInteger, U32 } from './fields.js'
import { buildRequest } from './request.js'
import { readTcmsg, type Tcmsg, TCMSG_BYTES, writeTcmsg } from './tcmsg.js'
import { type HashKey, type PacketSource, readSource, writeHashing, writeSource } from './u32.js'

/**
 * Filters for what a link receives, which send packets on to another link: u32 and the action mirred.
 * <linux/pkt_cls.h>, <linux/tc_act/tc_mirred.h>
 */

/** A priority of a link's filters. It belongs to one protocol, so each family needs another. */
export interface FilterPriority {
  /** Index of the link, which must have a clsact (or ingress) qdisc. */
  readonly index: number
  /** Packets of this family only; others, ARP among them, go on. */
  readonly family: Family
  /** 1 to 0xffff; the lowest is asked first. */
  readonly priority: number
}

/** A filter in a hash table; `tc` writes it TABLE:BUCKET:NODE, in hexadecimal. */
export interface FilterHandle {
  /** 1 to 0x7ff; from 0x800 on the kernel numbers the roots of priorities, tables of one bucket. */
  readonly table: number
  /** 0 to 0xff. */
  readonly bucket: number
  /** 1 to 0xfff. */
  readonly node: number
}

export interface Redirect {
  /** `ingress`: packets seem to arrive on the target. `egress`: it sends them. */
  readonly to: 'ingress' | 'egress'
  /** Index of a link. */
  readonly target: number
}

export interface FilterSpec extends FilterPriority, Redirect {
  /** Without one it stands at the root of its priority, under a number that the kernel chooses. */
  readonly handle?: FilterHandle | undefined
  /** Packets from here only; from everywhere unless given. */
  readonly source?: PacketSource | undefined
}

const TO: Readonly<Record<Redirect['to'], number>> = {
  ingress: MIRRED.INGRESS_REDIRECT,
  egress: MIRRED.EGRESS_REDIRECT,
}
/** TC_ACT_STOLEN: whoever received the packet has it no longer. */
const STOLEN = 4

/** tcmsg of something at the ingress of a link. */
const at = ({ index, family, priority }: FilterPriority, handle = 0): Tcmsg => ({
  index,
  handle,
  parent: TC_H.INGRESS,
  protocol: family.etherType,
  priority,
})

const tableNumber = (table: number): number => checkInteger(table, 0xfff, 'table') * 0x10_0000

/** Of the table and bucket, and with them of the filter: 12 bits, 8 bits, 12 bits. */
const bucketNumber = ({ table, bucket }: FilterHandle): number =>
  tableNumber(table) + checkInteger(bucket, 0xff, 'bucket') * 0x1000
const handleNumber = (handle: FilterHandle): number => bucketNumber(handle) + checkInteger(handle.node, 0xfff, 'node')

export const handleText = ({ table, bucket, node }: FilterHandle): string =>
  [table, bucket, node].map((number) => number.toString(16)).join(':')

const create = FLAG.CREATE | FLAG.EXCL

/** Writes a u32 filter. */
function writeU32(writer: Writer, message: Tcmsg, write: () => void): void {
  writeTcmsg(writer, message).attrString(TCA.KIND, 'u32')
  const options = writer.begin(TCA.OPTIONS)
  write()
  writer.end(options)
}

/**
 * Sends what comes in from a source on to another link. EEXIST where there is one of that handle; EINVAL where the link
 * has no place for filters, or there is no such table.
 */
export const addFilter = (spec: FilterSpec): Request =>
  buildRequest(
    {
      type: RTM.NEWTFILTER,
      flags: create,
      operation: `redirect ${spec.family.name} of link ${spec.index} to ${spec.to} of link ${spec.target}`,
    },
    (writer) => {
      const { handle, family, source = {} } = spec
      writeU32(writer, at(spec, handle === undefined ? 0 : handleNumber(handle)), () => {
        writeRedirect(writer, spec)
        if (handle !== undefined) writer.attrU32(TCA_U32.HASH, bucketNumber(handle))
        writeSource(writer, TCA_U32.SELECTOR, family, source)
      })
    },
  )

/** struct tc_mirred: index, capabilities, action, refcnt, bindcnt; what to do; the link. */
function writeRedirect(writer: Writer, { to, target }: Redirect): void {
  const actions = writer.begin(TCA_U32.ACTIONS)
  const first = writer.begin(1)
  writer.attrString(TCA_ACT.KIND, 'mirred')
  const options = writer.nest(TCA_ACT.OPTIONS)
  const parameters = writer.begin(MIRRED_PARAMETERS)
  writer.zeros(8).u32(STOLEN).zeros(8).u32(TO[to]).u32(target)
  writer.end(parameters).end(options).end(first).end(actions)
}

/** TCA_MIRRED_PARMS. */
const MIRRED_PARAMETERS = 2
const MIRRED_PARAMETERS_BYTES = 28

export interface FilterTable extends FilterPriority {
  /** 1 to 0x7ff. */
  readonly tableId: number
  /** A power of two, 256 at most. */
  readonly buckets: number
}

/** Makes a hash table of filters (`... handle 4: u32 divisor 256`); EEXIST where it is there. */
export const addFilterTable = (spec: FilterTable): Request =>
  buildRequest(
    { type: RTM.NEWTFILTER, flags: create, operation: `add filter table ${spec.tableId} to link ${spec.index}` },
    (writer) =>
      writeU32(writer, at(spec, tableNumber(spec.tableId)), () =>
        U32.write(writer, TCA_U32.DIVISOR, checkInteger(spec.buckets, 256, 'buckets'), 'buckets'),
      ),
  )

export interface FilterLink extends FilterPriority {
  readonly tableId: number
  readonly hash: HashKey
}

/** Lets the packets of a priority look into a table, in the bucket that the hash key says. */
export const addFilterLink = (spec: FilterLink): Request =>
  buildRequest(
    { type: RTM.NEWTFILTER, flags: create, operation: `look into filter table ${spec.tableId} of link ${spec.index}` },
    (writer) =>
      writeU32(writer, at(spec), () => {
        writer.attrU32(TCA_U32.LINK, tableNumber(spec.tableId))
        writeHashing(writer, TCA_U32.SELECTOR, spec.hash)
      }),
  )

/**
 * Takes away one filter, or all of a priority. ENOENT where there is none, EINVAL where the link has no place for
 * filters.
 */
export function deleteFilter(spec: FilterPriority & { readonly handle?: FilterHandle | undefined }): Request {
  const { index, priority, handle } = spec
  const what = handle === undefined ? `filters of priority ${priority}` : `filter ${handleText(handle)}`
  return buildRequest({ type: RTM.DELTFILTER, flags: 0, operation: `delete ${what} of link ${index}` }, (writer) => {
    if (handle === undefined) writeTcmsg(writer, at(spec))
    else writeTcmsg(writer, at(spec, handleNumber(handle))).attrString(TCA.KIND, 'u32')
  })
}

/** Asks for the filters of what a link receives: none where it has no place for them. */
export const dumpFilters = (index: number): Request =>
  buildRequest({ type: RTM.GETTFILTER, flags: 0, operation: `list filters of link ${index}` }, (writer) =>
    writeTcmsg(writer, { index, handle: 0, parent: TC_H.INGRESS }),
  )

/** A filter or a table of filters as the kernel has it. */
export interface Filter {
  /** Index of the link. */
  readonly index: number
  /** Undefined for one that is about another protocol, or about all. */
  readonly family?: Family | undefined
  readonly priority: number
  readonly kind: string
  /** Of a u32 filter; of a table `bucket` and `node` are 0. */
  readonly handle: FilterHandle
  /** This is a table, of so many buckets. */
  readonly buckets?: number | undefined
  /** Number of the table that it leads to. */
  readonly leadsTo?: number | undefined
  /** What it matches; undefined where it looks at more than that. */
  readonly source?: PacketSource | undefined
  /** The target is 0 where that link is gone. */
  readonly redirect?: Redirect | undefined
}

/**
 * Reads the payload of RTM_NEWTFILTER or RTM_DELTFILTER; undefined for one that only says that there is a priority.
 * @throws NetloomError `invalid` where it is malformed.
 */
export function decodeFilter(payload: Buffer): Filter | undefined {
  const { index, handle, protocol, priority } = readTcmsg(payload)
  const attributes = new Attributes(payload.subarray(TCMSG_BYTES))
  if (handle === 0) return undefined
  const kind = attributes.string(TCA.KIND) ?? ''
  const family = FAMILIES.find(({ etherType }) => etherType === protocol)
  const [table, bucket, node] = [handle >>> 20, (handle >>> 12) & 0xff, handle & 0xfff]
  const options = kind === 'u32' ? attributes.nested(TCA.OPTIONS) : undefined
  return {
    index,
    family,
    priority,
    kind,
    handle: { table, bucket, node },
    ...(options === undefined ? {} : readU32(options, family)),
  }
}

function readU32(
  options: Attributes,
  family: Family | undefined,
): Pick<Filter, 'buckets' | 'leadsTo' | 'source' | 'redirect'> {
  const link = options.u32(TCA_U32.LINK)
  const selector = options.bytes(TCA_U32.SELECTOR)
  const understood = family !== undefined && selector !== undefined && link === undefined
  return {
    buckets: options.u32(TCA_U32.DIVISOR),
    leadsTo: link === undefined ? undefined : link >>> 20,
    source: understood ? readSource(family, selector) : undefined,
    redirect: readRedirect(options.nested(TCA_U32.ACTIONS)),
  }
}

/** Of the first action; it ends the packet's way, so that there is no second. */
function readRedirect(actions: Attributes | undefined): Redirect | undefined {
  const action = actions?.nested(1)
  if (action?.string(TCA_ACT.KIND) !== 'mirred') return undefined
  const parameters = action.nested(TCA_ACT.OPTIONS)?.bytes(MIRRED_PARAMETERS)
  if (parameters === undefined || parameters.length < MIRRED_PARAMETERS_BYTES) return undefined
  const does = parameters.readUInt32LE(20)
  const to = (['ingress', 'egress'] as const).find((direction) => TO[direction] === does)
  return to === undefined ? undefined : { to, target: parameters.readUInt32LE(24) }
}
