import { Attributes } from '../attr.js'
import { type Request } from '../request.js'
import { FLAG } from '../wire.js'
import { RTM, TC_H, TCA } from './constants.js'
import { buildRequest } from './request.js'
import { readTcmsg, TCMSG_BYTES, writeTcmsg } from './tcmsg.js'
import { readTokenBucket, type TokenBucket, type TokenBucketFacts, writeTokenBucket } from './tbf.js'

/** Queueing disciplines: struct tcmsg and its attributes, <linux/pkt_sched.h>. */

/** A queueing discipline as the kernel has it. */
export interface Qdisc {
  /** Index of the link. */
  readonly index: number
  readonly kind: string
  /** Its number, the upper 16 bits of the kernel's: `tc` prints 0x8001 as `8001:`. 0 has who was not asked for. */
  readonly handle: number
  /** TC_H. */
  readonly parent: number
  readonly tokenBucket?: TokenBucketFacts | undefined
}

/** clsact has one handle and no other. */
const CLSACT_HANDLE = 0xffff_0000

/** Gives a link a place for filters (`tc qdisc add dev LINK clsact`); EEXIST where it has one. */
export const addClsact = (index: number): Request =>
  clsact(index, { type: RTM.NEWQDISC, flags: FLAG.CREATE | FLAG.EXCL, operation: `add clsact to link ${index}` })

/** Takes it away with all filters; ENOENT where there was none, EINVAL where there is none any more. */
export const deleteClsact = (index: number): Request =>
  clsact(index, { type: RTM.DELQDISC, flags: 0, operation: `delete clsact of link ${index}` })

const clsact = (index: number, head: Omit<Request, 'body'>): Request =>
  buildRequest(head, (writer) =>
    writeTcmsg(writer, { index, handle: CLSACT_HANDLE, parent: TC_H.CLSACT }).attrString(TCA.KIND, 'clsact'),
  )

export interface RootQdisc {
  /** Index of the link. */
  readonly index: number
  /** 1 to 0x7fff, without a minor number. */
  readonly handle: number
}

const rootTcmsg = ({ index, handle }: RootQdisc) => ({ index, handle: handle * 0x10000, parent: TC_H.ROOT })

/**
 * Limits what a link sends (`tc qdisc replace dev LINK root handle N: tbf`). One with the same handle is changed in
 * place; any other at the root goes.
 */
export const replaceTokenBucket = (spec: RootQdisc & TokenBucket): Request =>
  buildRequest(
    {
      type: RTM.NEWQDISC,
      flags: FLAG.CREATE | FLAG.REPLACE,
      operation: `limit link ${spec.index} to ${spec.rate} bytes per second`,
    },
    (writer) => {
      writeTcmsg(writer, rootTcmsg(spec)).attrString(TCA.KIND, 'tbf')
      const options = writer.nest(TCA.OPTIONS)
      writeTokenBucket(writer, spec)
      writer.end(options)
    },
  )

/** Brings the default back; EINVAL where the root has another handle, ENOENT where it has none. */
export const deleteRootQdisc = (spec: RootQdisc): Request =>
  buildRequest({ type: RTM.DELQDISC, flags: 0, operation: `delete root qdisc of link ${spec.index}` }, (writer) =>
    writeTcmsg(writer, rootTcmsg(spec)),
  )

/** Asks for those of all links: the kernel knows no filter. */
export const dumpQdiscs = (): Request =>
  buildRequest({ type: RTM.GETQDISC, flags: 0, operation: 'list qdiscs' }, (writer) =>
    writeTcmsg(writer, { index: 0, handle: 0, parent: 0 }),
  )

/**
 * Reads the payload of RTM_NEWQDISC or RTM_DELQDISC.
 * @throws NetloomError `invalid` where it is malformed.
 */
export function decodeQdisc(payload: Buffer): Qdisc {
  const { index, handle, parent } = readTcmsg(payload)
  const attributes = new Attributes(payload.subarray(TCMSG_BYTES))
  const kind = attributes.string(TCA.KIND) ?? ''
  const options = kind === 'tbf' ? attributes.nested(TCA.OPTIONS) : undefined
  return {
    index,
    kind,
    handle: handle >>> 16,
    parent,
    tokenBucket: options === undefined ? undefined : readTokenBucket(options),
  }
}
