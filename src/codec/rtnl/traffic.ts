import { type Family } from '../../base/family.js'
import { type Request } from '../request.js'
import { FLAG, type Writer } from '../wire.js'
import { AF } from './constants.js'
import { buildRequest } from './request.js'

/** Traffic control: <linux/rtnetlink.h> (struct tcmsg), <linux/pkt_sched.h>, <linux/pkt_cls.h>, <linux/tc_act/tc_mirred.h>. */

const RTM_NEWQDISC = 36
const RTM_DELQDISC = 37
const RTM_NEWTFILTER = 44

/** TC_H_CLSACT and the place of filters for what the link receives, TC_H_MIN_INGRESS. */
const CLSACT_PARENT = 0xffff_fff1
const CLSACT_HANDLE = 0xffff_0000
const INGRESS_PARENT = 0xffff_fff2

const TCA = { KIND: 1, OPTIONS: 2 } as const
const TCA_U32 = { SELECTOR: 5, ACTIONS: 7 } as const
const TCA_ACT = { KIND: 1, OPTIONS: 2 } as const
const TCA_MIRRED_PARMS = 2
const TC_ACT_STOLEN = 4
const TCA_INGRESS_REDIR = 3
const TC_U32_TERMINAL = 1

interface Tcmsg {
  readonly index: number
  readonly handle: number
  readonly parent: number
}

const writeTcmsg = (writer: Writer, { index, handle, parent }: Tcmsg): Writer =>
  writer.u8(AF.UNSPEC).zeros(3).u32(index).u32(handle).u32(parent)

/** The kinds go without a surplus of bytes, but with their NUL. */
const writeKind = (writer: Writer, attribute: number, kind: string): Writer => writer.attrString(attribute, kind)

/** Gives a link a place for filters (`tc qdisc add dev LINK clsact`); EEXIST where it has one. */
export const addClsact = (index: number): Request => clsact(RTM_NEWQDISC, FLAG.CREATE | FLAG.EXCL, index)

/** Takes it away with all filters; ENOENT where there is none. */
export const deleteClsact = (index: number): Request => clsact(RTM_DELQDISC, 0, index)

const clsact = (type: number, flags: number, index: number): Request =>
  buildRequest(
    { type, flags, operation: `${type === RTM_NEWQDISC ? 'add clsact to' : 'delete clsact of'} link ${index}` },
    (writer) => {
      writeTcmsg(writer, { index, handle: CLSACT_HANDLE, parent: CLSACT_PARENT }).u32(0)
      writeKind(writer, TCA.KIND, 'clsact')
    },
  )

export interface IngressRedirect {
  readonly index: number
  /** Packets of this family only; others, ARP among them, go on. */
  readonly family: Family
  /** Index of the link that they seem to have arrived on from here on. */
  readonly target: number
}

/**
 * Lets what a link receives arrive on another link (`tc filter add dev LINK ingress protocol ip pref 1 u32 match
 * u32 0 0 action mirred ingress redirect dev TARGET`). u32 rather than matchall: it is older and everywhere.
 */
export const addIngressRedirect = ({ index, family, target }: IngressRedirect): Request =>
  buildRequest(
    {
      type: RTM_NEWTFILTER,
      flags: FLAG.CREATE | FLAG.EXCL,
      operation: `redirect ${family.name} of link ${index} to link ${target}`,
    },
    (writer) => {
      // A priority belongs to one protocol; the families have one each.
      writeTcmsg(writer, { index, handle: 0, parent: INGRESS_PARENT }).be16(family.etherType).u16(family.bytes)
      writeKind(writer, TCA.KIND, 'u32')
      const options = writer.begin(TCA.OPTIONS)
      writeActions(writer, target)
      writeSelector(writer)
      writer.end(options)
    },
  )

function writeActions(writer: Writer, target: number): void {
  const actions = writer.begin(TCA_U32.ACTIONS)
  const first = writer.begin(1)
  writeKind(writer, TCA_ACT.KIND, 'mirred')
  const options = writer.nest(TCA_ACT.OPTIONS)
  const parameters = writer.begin(TCA_MIRRED_PARMS)
  // struct tc_mirred: index, capabilities, action, refcnt, bindcnt; what to do; the link.
  writer.zeros(8).u32(TC_ACT_STOLEN).zeros(8).u32(TCA_INGRESS_REDIR).u32(target)
  writer.end(parameters).end(options).end(first).end(actions)
}

/** struct tc_u32_sel with one key that every packet matches: mask 0, value 0. */
function writeSelector(writer: Writer): void {
  const selector = writer.begin(TCA_U32.SELECTOR)
  writer.u8(TC_U32_TERMINAL).u8(0).u8(1).zeros(13).zeros(16)
  writer.end(selector)
}
