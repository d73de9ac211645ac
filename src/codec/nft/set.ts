import { NetloomError } from '../../base/errors.js'
import { type Request } from '../request.js'
import { FLAG, type Message, type Writer } from '../wire.js'
import {
  ELEM_LIST_ATTR,
  LIST_ELEM,
  MESSAGE,
  SET_ATTR,
  SET_DESCRIPTION,
  SET_FLAG,
  VERDICT_DATA_TYPE,
} from './constants.js'
import { readAttributes, readFamily, type Table, tableRequest, tableText } from './table.js'
import { type DataType, typeBytes, typeId } from './types.js'

/** A set, or with `data` a map. */
export interface SetSpec {
  readonly name: string
  readonly key: readonly DataType[]
  readonly data?: readonly DataType[] | 'verdict'
  /** Keys are ranges: elements give a first and a last key, where the key has several parts of each part. */
  readonly interval?: boolean
}

/** What the kernel says of a set: enough to tell whether it is the one that was asked for. */
export interface SetFacts {
  readonly flags: number
  readonly keyType: number
  readonly keyBytes: number
  readonly dataType: number
  readonly dataBytes: number
}

const dataFacts = (data: SetSpec['data']): Pick<SetFacts, 'dataType' | 'dataBytes'> => {
  if (data === undefined) return { dataType: 0, dataBytes: 0 }
  if (data === 'verdict') return { dataType: VERDICT_DATA_TYPE, dataBytes: 0 }
  return { dataType: typeId(data), dataBytes: typeBytes(data) }
}

/** Each part of the key is a range of its own, which the kernel has another kind of set for (since 5.6). */
export const rangesOfParts = ({ key, interval }: SetSpec): boolean => interval === true && key.length > 1

export const setFacts = (spec: SetSpec): SetFacts => ({
  flags:
    (spec.data === undefined ? 0 : SET_FLAG.MAP) |
    (spec.interval === true ? SET_FLAG.INTERVAL : 0) |
    (rangesOfParts(spec) ? SET_FLAG.CONCATENATION : 0),
  keyType: typeId(spec.key),
  keyBytes: typeBytes(spec.key),
  ...dataFacts(spec.data),
})

export const isMap = ({ flags }: SetFacts): boolean => (flags & SET_FLAG.MAP) !== 0

export const sameSet = (a: SetFacts, b: SetFacts): boolean =>
  a.flags === b.flags &&
  a.keyType === b.keyType &&
  a.keyBytes === b.keyBytes &&
  a.dataType === b.dataType &&
  a.dataBytes === b.dataBytes

/** Creates the set; harmless where it exists with the same types. */
export const addSet = (table: Table, spec: SetSpec): Request =>
  tableRequest({
    type: MESSAGE.NEWSET,
    flags: FLAG.CREATE,
    table,
    operation: `create ${setKind(spec)} ${tableText(table)} ${spec.name}`,
    body: (writer) => {
      const facts = setFacts(spec)
      writer.attrString(SET_ATTR.NAME, spec.name).attrBe32(SET_ATTR.FLAGS, facts.flags)
      writer.attrBe32(SET_ATTR.KEY_TYPE, facts.keyType).attrBe32(SET_ATTR.KEY_LEN, facts.keyBytes)
      if (spec.data !== undefined)
        writer.attrBe32(SET_ATTR.DATA_TYPE, facts.dataType).attrBe32(SET_ATTR.DATA_LEN, facts.dataBytes)
      // The kernel wants an id from every creator; sets are referred to by name, so it need not be unique.
      writer.attrBe32(SET_ATTR.ID, 1)
      if (rangesOfParts(spec)) describeParts(writer, spec.key)
      writer.attrBytes(SET_ATTR.USERDATA, userdata(spec))
    },
  })

/** Where the parts of a key begin and end. */
function describeParts(writer: Writer, key: readonly DataType[]): void {
  const description = writer.nest(SET_ATTR.DESCRIPTION)
  const parts = writer.nest(SET_DESCRIPTION.CONCATENATION)
  for (const { bytes } of key) {
    const part = writer.nest(LIST_ELEM)
    writer.attrBe32(SET_DESCRIPTION.FIELD_LENGTH, bytes).end(part)
  }
  writer.end(parts).end(description)
}

/** TLV types of a set's user data, by which nft prints it (libnftnl, enum nftnl_udata_set_types). */
const USERDATA = { KEY_ORDER: 0, DATA_ORDER: 1, KEY_TYPEOF: 3, DATA_TYPEOF: 4, DATA_INTERVAL: 6 } as const
/** nft's kinds of expressions inside a `typeof` (enum expr_types). */
const EXPRESSION_KIND = { verdict: 1, concatenation: 13 } as const

const tlv = (type: number, value: readonly number[]): number[] => [type, value.length, ...value]
const u32 = (value: number): number[] => [value, 0, 0, 0]

/** A type's `typeof` record: the kind of expression it came from, then that expression's own data. */
const typeOf = (kind: number, own: readonly number[] = []): number[] => [...tlv(0, u32(kind)), ...tlv(1, own)]

/** The expressions by which a key is declared where its types alone do not tell its size. */
const expressionsOf = (key: readonly DataType[]): readonly NonNullable<DataType['typeOf']>[] | undefined =>
  key.some(({ unsized }) => unsized === true)
    ? key.map(({ name, typeOf }) => {
        if (typeOf !== undefined) return typeOf
        throw new NetloomError('internal', `a key with a type of no size cannot have a part of type ${name}`)
      })
    : undefined

/** A key's `typeof` record; in a concatenation its parts are numbered. */
const typeOfKey = (parts: readonly (readonly number[])[]): readonly number[] =>
  parts.length === 1
    ? (parts[0] ?? [])
    : typeOf(
        EXPRESSION_KIND.concatenation,
        parts.flatMap((part, place) => tlv(place, part)),
      )

/** User data as nft itself writes it, so that every nft lists the set in the form in which it can be loaded again. */
function userdata({ key, data }: SetSpec): Uint8Array {
  const order = (types: readonly DataType[]): number => (types.length === 1 ? (types[0]?.order ?? 0) : 0)
  const bytes = tlv(USERDATA.KEY_ORDER, u32(order(key)))
  if (data !== undefined) bytes.push(...tlv(USERDATA.DATA_ORDER, u32(data === 'verdict' ? 0 : order(data))))
  const expressions = expressionsOf(key)
  if (expressions !== undefined) {
    bytes.push(...tlv(USERDATA.KEY_TYPEOF, typeOfKey(expressions.map(({ userdata }) => [...userdata]))))
    if (data === 'verdict') bytes.push(...tlv(USERDATA.DATA_TYPEOF, typeOf(EXPRESSION_KIND.verdict)))
  } else {
    if (key.length > 1) bytes.push(...tlv(USERDATA.KEY_TYPEOF, typeOf(EXPRESSION_KIND.concatenation)))
    if (data !== undefined && data !== 'verdict' && data.length > 1)
      bytes.push(...tlv(USERDATA.DATA_TYPEOF, typeOf(EXPRESSION_KIND.concatenation)))
  }
  if (data !== undefined) bytes.push(...tlv(USERDATA.DATA_INTERVAL, u32(0)))
  return Uint8Array.from(bytes)
}

export const deleteSet = (table: Table, name: string): Request =>
  tableRequest({
    type: MESSAGE.DELSET,
    table,
    operation: `delete set ${tableText(table)} ${name}`,
    body: (writer) => writer.attrString(SET_ATTR.NAME, name),
  })

/** Deletes all elements of a set. */
export const flushSet = (table: Table, name: string): Request =>
  tableRequest({
    type: MESSAGE.DELSETELEM,
    table,
    operation: `flush set ${tableText(table)} ${name}`,
    body: (writer) => writer.attrString(ELEM_LIST_ATTR.SET, name),
  })

export const dumpSets = (table: Table): Request =>
  tableRequest({ type: MESSAGE.GETSET, table, operation: `list sets of ${tableText(table)}` })

export function decodeSet(message: Message): { table: Table; name: string; facts: SetFacts } | undefined {
  const family = readFamily(message)
  const attributes = readAttributes(message)
  const table = attributes.string(SET_ATTR.TABLE)
  const name = attributes.string(SET_ATTR.NAME)
  if (family === undefined || table === undefined || name === undefined) return undefined
  const number = (attribute: number): number => attributes.be32(attribute) ?? 0
  const dataType = number(SET_ATTR.DATA_TYPE)
  return {
    table: { family, name: table },
    name,
    facts: {
      flags: number(SET_ATTR.FLAGS),
      keyType: number(SET_ATTR.KEY_TYPE),
      keyBytes: number(SET_ATTR.KEY_LEN),
      dataType,
      // The kernel answers the size of its own struct for verdicts.
      dataBytes: dataType === VERDICT_DATA_TYPE ? 0 : number(SET_ATTR.DATA_LEN),
    },
  }
}

export const setKind = ({ data }: SetSpec): 'set' | 'map' => (data === undefined ? 'set' : 'map')

/** The set's declaration in nft's grammar, what stands between its braces. */
export function setText({ key, data, interval }: SetSpec): string {
  const expressions = expressionsOf(key)
  const keys =
    expressions === undefined ? `type ${typeNames(key)}` : `typeof ${expressions.map(({ text }) => text).join(' . ')}`
  const values = data === undefined ? '' : ` : ${data === 'verdict' ? data : typeNames(data)}`
  return `${keys}${values};${interval === true ? ' flags interval;' : ''}`
}

const typeNames = (types: readonly DataType[]): string => types.map(({ name }) => name).join(' . ')
