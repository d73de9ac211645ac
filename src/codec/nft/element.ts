import { invalid, NetloomError } from '../../base/errors.js'
import { bigIntToIp, familyOf, ipToBigInt } from '../../base/ip.js'
import { Attributes, attributes } from '../attr.js'
import { type Request } from '../request.js'
import { FLAG, MAX_ATTRIBUTE_BYTES, type Message, type Writer } from '../wire.js'
import { DATA_ATTR, ELEM_ATTR, ELEM_FLAG, ELEM_LIST_ATTR, LIST_ELEM, MESSAGE } from './constants.js'
import { rangesOfParts, type SetSpec } from './set.js'
import { readAttributes, readFamily, type Table, tableRequest, tableText } from './table.js'
import {
  readValue,
  readVerdict,
  type Scalar,
  typeBytes,
  valueText,
  type Verdict,
  verdictText,
  writeValue,
  writeVerdict,
} from './types.js'

/** One element of a set or map. */
export interface Element {
  /** Its parts; none at all for the element that stands for every key that no other has (`*`). */
  readonly key: readonly Scalar[]
  /** Of interval sets: the last address of the range that starts at `key`; `key` itself unless given. */
  readonly last?: string
  /** Of interval sets whose key has several parts: the last value of each part's range; `key` itself unless given. */
  readonly upTo?: readonly Scalar[]
  /** Of maps: the value's parts, or the verdict. */
  readonly data?: readonly Scalar[] | Verdict | undefined
}

/** Elements are written in messages of at most this many; fewer where long chain names would make it too much. */
export const ELEMENTS_PER_MESSAGE = 500

const write = (type: number, table: Table, spec: SetSpec, elements: readonly Element[]): Request =>
  tableRequest({
    type,
    flags: type === MESSAGE.NEWSETELEM ? FLAG.CREATE : 0,
    table,
    operation: operationText(type, table, spec, elements),
    body: (writer) => {
      writer.attrString(ELEM_LIST_ATTR.SET, spec.name)
      const list = writer.nest(ELEM_LIST_ATTR.ELEMENTS)
      // The key is enough to delete by.
      for (const element of elements)
        writeElement(writer, spec, type === MESSAGE.NEWSETELEM ? element : { ...element, data: undefined })
      writer.end(list)
    },
  })

function operationText(type: number, table: Table, spec: SetSpec, elements: readonly Element[]): string {
  const verb = type === MESSAGE.NEWSETELEM ? 'add' : 'delete'
  const [first] = elements
  const what = first === undefined ? '' : elementText(spec, first)
  return `${verb} element ${tableText(table)} ${spec.name} { ${what}${elements.length > 1 ? ', ...' : ''} }`
}

function inMessages(type: number, table: Table, spec: SetSpec, elements: readonly Element[]): Request[] {
  const requests: Request[] = []
  const bytesOf = elementBytes(spec)
  let start = 0
  let room = MAX_ATTRIBUTE_BYTES - HEADER_BYTES
  elements.forEach((element, at) => {
    const bytes = bytesOf(element)
    if (at - start === ELEMENTS_PER_MESSAGE || bytes > room) {
      if (at > start) requests.push(write(type, table, spec, elements.slice(start, at)))
      start = at
      room = MAX_ATTRIBUTE_BYTES - HEADER_BYTES
    }
    room -= bytes
  })
  if (start < elements.length) requests.push(write(type, table, spec, elements.slice(start)))
  return requests
}

/** Bytes of an attribute's header, and of one that holds 32 bits. */
const HEADER_BYTES = 4
const NUMBER_BYTES = 8
const aligned = (bytes: number): number => (bytes + 3) & ~3

/** Most bytes that an element takes in its list: element, key and value are each an attribute in the one before. */
function elementBytes({ key, data, interval }: SetSpec): (element: Element) => number {
  const keyBytes = 3 * HEADER_BYTES + aligned(typeBytes(key))
  const keysBytes = interval === true ? 2 * keyBytes + NUMBER_BYTES : keyBytes
  const valueBytes = data === undefined || data === 'verdict' ? 0 : 2 * HEADER_BYTES + aligned(typeBytes(data))
  return (element) =>
    element.data !== undefined && 'verdict' in element.data
      ? keysBytes + 2 * HEADER_BYTES + NUMBER_BYTES + chainBytes(element.data.chain)
      : keysBytes + valueBytes
}

const chainBytes = (chain: string | undefined): number =>
  chain === undefined ? 0 : HEADER_BYTES + aligned(Buffer.byteLength(chain) + 1)

/** Adds elements; an element that exists with the same value is left as it is, with another value it is an error. */
export const addElements = (table: Table, spec: SetSpec, elements: readonly Element[]): Request[] =>
  inMessages(MESSAGE.NEWSETELEM, table, spec, elements)

/** Deletes elements by their keys; one that does not exist is an error. */
export const deleteElements = (table: Table, spec: SetSpec, elements: readonly Element[]): Request[] =>
  inMessages(MESSAGE.DELSETELEM, table, spec, elements)

function writeElement(writer: Writer, spec: SetSpec, element: Element): void {
  const mark = writer.nest(LIST_ELEM)
  if (element.key.length === 0) writer.attrBe32(ELEM_ATTR.FLAGS, ELEM_FLAG.CATCHALL)
  else writeKey(writer, spec, element.key)
  if (element.key.length > 0 && rangesOfParts(spec))
    writeKey(writer, spec, element.upTo ?? element.key, ELEM_ATTR.KEY_END)
  if (element.data !== undefined) writeData(writer, spec, element.data)
  writer.end(mark)
  if (element.key.length > 0 && spec.interval === true && !rangesOfParts(spec)) writeIntervalEnd(writer, spec, element)
}

function writeData(writer: Writer, spec: SetSpec, data: NonNullable<Element['data']>): void {
  const mark = writer.nest(ELEM_ATTR.DATA)
  if ('verdict' in data && spec.data === 'verdict') writeVerdict(writer, data)
  else if ('verdict' in data || spec.data === 'verdict' || spec.data === undefined)
    throw new NetloomError('internal', `an element's data is of another kind than the data of ${spec.name}`)
  else writeValue(writer, spec.data, data)
  writer.end(mark)
}

function writeKey(writer: Writer, spec: SetSpec, key: readonly Scalar[], attribute: number = ELEM_ATTR.KEY): void {
  const mark = writer.nest(attribute)
  writeValue(writer, spec.key, key)
  writer.end(mark)
}

/** The kernel keeps an interval as two elements: its start, and the first key behind it. */
function writeIntervalEnd(writer: Writer, spec: SetSpec, { key, last = String(key[0]) }: Element): void {
  const family = familyOf(last)
  if (family === undefined) throw invalid('last', `'${last}' is not an IP address`)
  const behind = ipToBigInt(last) + 1n
  // An interval up to the last address of all has no end.
  if (behind === 1n << BigInt(family.bits)) return
  const mark = writer.nest(LIST_ELEM)
  writer.attrBe32(ELEM_ATTR.FLAGS, ELEM_FLAG.INTERVAL_END)
  writeKey(writer, spec, [bigIntToIp(family, behind)])
  writer.end(mark)
}

export const dumpElements = (table: Table, set: string): Request =>
  tableRequest({
    type: MESSAGE.GETSETELEM,
    table,
    operation: `list elements of ${tableText(table)} ${set}`,
    body: (writer) => writer.attrString(ELEM_LIST_ATTR.SET, set),
  })

/** The elements of one message of a dump, or of a notification. Interval sets are read with {@link joinIntervals}. */
export function decodeElements(message: Message, spec: SetSpec): RawElement[] {
  const list = readAttributes(message).bytes(ELEM_LIST_ATTR.ELEMENTS)
  return list === undefined ? [] : [...attributes(list)].map(({ value }) => decodeElement(new Attributes(value), spec))
}

/** An element as the kernel keeps it; `end` marks the key behind an interval. */
export type RawElement = Element & { readonly end?: true }

function decodeElement(element: Attributes, spec: SetSpec): RawElement {
  const key = decodeKey(element, ELEM_ATTR.KEY, spec) ?? []
  const upTo = decodeKey(element, ELEM_ATTR.KEY_END, spec)
  const range = upTo?.some((value, part) => value !== key[part]) === true
  const end = ((element.be32(ELEM_ATTR.FLAGS) ?? 0) & ELEM_FLAG.INTERVAL_END) !== 0
  const data = decodeData(element.nested(ELEM_ATTR.DATA), spec)
  return { key, ...(range ? { upTo } : {}), ...(data === undefined ? {} : { data }), ...(end ? { end } : {}) }
}

function decodeKey(element: Attributes, attribute: number, spec: SetSpec): Scalar[] | undefined {
  const bytes = element.nested(attribute)?.bytes(DATA_ATTR.VALUE)
  return bytes === undefined ? undefined : readValue(spec.key, bytes)
}

function decodeData(data: Attributes | undefined, spec: SetSpec): Element['data'] {
  if (data === undefined || spec.data === undefined) return undefined
  const verdict = data.nested(DATA_ATTR.VERDICT)
  if (verdict !== undefined) return readVerdict(verdict)
  const value = data.bytes(DATA_ATTR.VALUE)
  return value === undefined || spec.data === 'verdict' ? undefined : readValue(spec.data, value)
}

/** Intervals from the starts and ends that a dump of an interval set answers in any order. */
export function joinIntervals(raw: readonly RawElement[]): Element[] {
  const points = raw
    .filter(({ key }) => key.length > 0)
    .map((element) => ({ element, at: ipToBigInt(String(element.key[0])) }))
    .sort((a, b) =>
      a.at === b.at ? Number(b.element.end ?? false) - Number(a.element.end ?? false) : a.at < b.at ? -1 : 1,
    )
  const intervals = points.flatMap(({ element }, i): Element[] => {
    const family = familyOf(String(element.key[0]))
    if (element.end === true || family === undefined) return []
    const next = points[i + 1]?.at ?? 1n << BigInt(family.bits)
    return [{ ...element, last: bigIntToIp(family, next - 1n) }]
  })
  return [...intervals, ...raw.filter(({ key }) => key.length === 0)]
}

function keyText({ key: types }: SetSpec, { key, last, upTo }: Element): string {
  if (key.length === 0) return '*'
  if (last !== undefined && last !== key[0]) return `${valueText(types, key)}-${last}`
  const ranges = types.map((type, i) => [key[i], upTo?.[i] ?? key[i]].map((value) => type.text(value ?? '')))
  return ranges.map(([first, end]) => (first === end ? first : `${first}-${end}`)).join(' . ')
}

/** The element in nft's grammar. */
export function elementText(spec: SetSpec, element: Element): string {
  const { data } = element
  const keys = keyText(spec, element)
  if (data === undefined || spec.data === undefined) return keys
  const value = 'verdict' in data ? verdictText(data) : valueText(spec.data === 'verdict' ? [] : spec.data, data)
  return `${keys} : ${value}`
}

/** The set that a message about elements names. */
export function decodeElementsHeader(message: Message): { table: Table; set: string } | undefined {
  const family = readFamily(message)
  const list = readAttributes(message)
  const table = list.string(ELEM_LIST_ATTR.TABLE)
  const set = list.string(ELEM_LIST_ATTR.SET)
  if (family === undefined || table === undefined || set === undefined) return undefined
  return { table: { family, name: table }, set }
}
