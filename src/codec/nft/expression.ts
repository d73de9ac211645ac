import { Attributes, attributes } from '../attr.js'
import { type Writer } from '../wire.js'
import { DATA_ATTR, EXPR_ATTR, LIST_ELEM } from './constants.js'
import { readVerdict, type Verdict, verdictText, writeVerdict } from './types.js'

/**
 * The kernel's own expressions (the registers machine of nf_tables): what a rule is made of on the wire. Each kind is
 * a row of attribute numbers, so encoding and decoding are one loop each.
 */

/** A register value (in bytes), or a verdict. */
export type Data = Uint8Array | Verdict
export type AttributeValue = number | string | Data

export interface Expression {
  readonly name: ExpressionName
  readonly values: Readonly<Record<string, AttributeValue>>
}

type Format = 'u8' | 'be32' | 'string' | 'data'
type Row = Readonly<Record<string, readonly [attribute: number, format: Format]>>

const be32 = (attribute: number): readonly [number, Format] => [attribute, 'be32']

/**
 * Attribute numbers of <linux/netfilter/nf_tables.h> (enum nft_*_attributes). All of a kind's attributes that change
 * what it does, also those that we never write: a rule that somebody altered must not look like ours. They are written
 * in the order in which nft writes them.
 */
const ROWS = {
  payload: { dreg: be32(1), base: be32(2), offset: be32(3), length: be32(4), sreg: be32(5) },
  meta: { key: be32(2), dreg: be32(1), sreg: be32(3) },
  cmp: { sreg: be32(1), op: be32(2), data: [3, 'data'] },
  lookup: { sreg: be32(2), dreg: be32(3), set: [1, 'string'], flags: be32(5) },
  immediate: { dreg: be32(1), data: [2, 'data'] },
  numgen: { dreg: be32(1), modulus: be32(2), type: be32(3), offset: be32(4) },
  nat: {
    type: be32(1),
    family: be32(2),
    addressMin: be32(3),
    addressMax: be32(4),
    portMin: be32(5),
    portMax: be32(6),
    flags: be32(7),
  },
  masq: { flags: be32(1), portMin: be32(2), portMax: be32(3) },
  reject: { type: be32(1), code: [2, 'u8'] },
  counter: {},
  ct: { key: be32(2), dreg: be32(1), direction: [3, 'u8'], sreg: be32(4) },
  bitwise: { sreg: be32(1), dreg: be32(2), op: be32(6), length: be32(3), mask: [4, 'data'], xor: [5, 'data'] },
  fib: { flags: be32(3), result: be32(2), dreg: be32(1) },
} as const satisfies Record<string, Row>

export type ExpressionName = keyof typeof ROWS

const isRow = (name: string | undefined): name is ExpressionName => name !== undefined && Object.hasOwn(ROWS, name)

const isVerdict = (data: AttributeValue): data is Verdict => typeof data === 'object' && 'verdict' in data

/** Appends one list element (NFTA_LIST_ELEM) with the expression. */
export function writeExpression(writer: Writer, { name, values }: Expression): void {
  const element = writer.nest(LIST_ELEM)
  writer.attrString(EXPR_ATTR.NAME, name)
  const data = writer.nest(EXPR_ATTR.DATA)
  const row: Row = ROWS[name]
  for (const [key, [attribute, format]] of Object.entries(row)) {
    const value = values[key]
    if (value !== undefined) writeAttribute(writer, attribute, format, value)
  }
  writer.end(data).end(element)
}

function writeAttribute(writer: Writer, attribute: number, format: Format, value: AttributeValue): void {
  if (format === 'u8') writer.attrU8(attribute, value as number)
  else if (format === 'be32') writer.attrBe32(attribute, value as number)
  else if (format === 'string') writer.attrString(attribute, value as string)
  else {
    const mark = writer.nest(attribute)
    if (isVerdict(value)) writeVerdict(writer, value)
    else writer.attrBytes(DATA_ATTR.VALUE, value as Uint8Array)
    writer.end(mark)
  }
}

/**
 * The expressions of a rule (the value of NFTA_RULE_EXPRESSIONS); undefined where one is of a kind that we never
 * write, so the rule cannot be ours.
 */
export function readExpressions(list: Buffer): Expression[] | undefined {
  const expressions: Expression[] = []
  for (const { value } of attributes(list)) {
    const element = new Attributes(value)
    const name = element.string(EXPR_ATTR.NAME)
    if (!isRow(name)) return undefined
    expressions.push({ name, values: readRow(ROWS[name], element.nested(EXPR_ATTR.DATA)) })
  }
  return expressions
}

function readRow(row: Row, data: Attributes | undefined): Record<string, AttributeValue> {
  const values: Record<string, AttributeValue> = {}
  for (const [key, [attribute, format]] of Object.entries(row)) {
    const value = data === undefined ? undefined : readAttribute(data, attribute, format)
    if (value !== undefined) values[key] = value
  }
  return values
}

function readAttribute(data: Attributes, attribute: number, format: Format): AttributeValue | undefined {
  if (format === 'u8') return data.u8(attribute)
  if (format === 'be32') return data.be32(attribute)
  if (format === 'string') return data.string(attribute)
  const nested = data.nested(attribute)
  const verdict = nested?.nested(DATA_ATTR.VERDICT)
  return verdict === undefined ? nested?.bytes(DATA_ATTR.VALUE) : readVerdict(verdict)
}

/**
 * A text that is equal for expressions that do the same. The kernel answers with values which it filled in itself:
 * a nat range's end that equals its start, and flags that say that there is one; or leaves out what is 0, as the code
 * of a TCP reset, or the operation of a mask.
 */
export function fingerprint(expressions: readonly Expression[]): string {
  return expressions.map((expression) => `${expression.name}(${parts(expression).join(' ')})`).join(' ')
}

/** NF_NAT_RANGE_MAP_IPS and NF_NAT_RANGE_PROTO_SPECIFIED of <linux/netfilter/nf_nat.h>: registers say the same. */
const NAT_HAS_RANGE = 3

/** Attributes that are 0 unless given. */
const ZERO_IS_NONE: { readonly [K in ExpressionName]?: readonly string[] } = {
  lookup: ['flags'],
  nat: ['flags'],
  masq: ['flags'],
  reject: ['code'],
  bitwise: ['op'],
}

function parts({ name, values }: Expression): string[] {
  return Object.entries(values)
    .map(([key, value]): [string, AttributeValue] =>
      name === 'nat' && key === 'flags' ? [key, (value as number) & ~NAT_HAS_RANGE] : [key, value],
    )
    .filter(([key, value]) => !(value === 0 && ZERO_IS_NONE[name]?.includes(key) === true))
    .filter(([key, value]) => !(key.endsWith('Max') && value === values[key.replace('Max', 'Min')]))
    .map(([key, value]) => `${key}=${partText(value)}`)
    .sort()
}

function partText(value: AttributeValue): string {
  if (typeof value !== 'object') return String(value)
  return isVerdict(value) ? verdictText(value) : Buffer.from(value).toString('hex')
}
