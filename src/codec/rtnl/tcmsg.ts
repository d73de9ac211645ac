import { type Writer } from '../wire.js'
import { AF } from './constants.js'
import { checkInteger, MAX_U32 } from './fields.js'
import { checkPayload } from './request.js'

/** What all messages of traffic control begin with: struct tcmsg of <linux/rtnetlink.h>. */

export const TCMSG_BYTES = 20

export interface Tcmsg {
  /** Index of the link. */
  readonly index: number
  /** The object's own number; 0 leaves it to the kernel, or means whatever is there. */
  readonly handle: number
  /** Where it hangs: TC_H. */
  readonly parent: number
  /** Of filters: EtherType, in network order, and priority. */
  readonly protocol?: number
  readonly priority?: number
}

export const writeTcmsg = (writer: Writer, { index, handle, parent, protocol, priority }: Tcmsg): Writer =>
  writer
    .u8(AF.UNSPEC)
    .zeros(3)
    .u32(checkInteger(index, MAX_U32, 'index'))
    .u32(checkInteger(handle, MAX_U32, 'handle'))
    .u32(parent)
    .be16(protocol ?? 0)
    .u16(checkInteger(priority ?? 0, 0xffff, 'priority'))

/** @throws NetloomError `invalid` where the payload is too short. */
export function readTcmsg(payload: Buffer): Required<Tcmsg> {
  checkPayload(payload, 'tcmsg', TCMSG_BYTES)
  return {
    index: payload.readUInt32LE(4),
    handle: payload.readUInt32LE(8),
    parent: payload.readUInt32LE(12),
    protocol: payload.readUInt16BE(16),
    priority: payload.readUInt16LE(18),
  }
}
