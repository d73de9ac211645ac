import { Attributes } from '../attr.js'
import { type Request } from '../request.js'
import { type Message, type Writer } from '../wire.js'
import {
  BATCH_BEGIN,
  BATCH_END,
  GEN_ATTR,
  MESSAGE,
  SUBSYSTEM,
  TABLE_ATTR,
  TABLE_FAMILY,
  type TableFamily,
} from './constants.js'

/** A table: everything netloom writes stands in tables of its own. */
export interface Table {
  readonly family: TableFamily
  readonly name: string
}

/** struct nfgenmsg: family u8, version u8, res_id be16. */
export const writeGenericHeader = (writer: Writer, family: number, resource = 0): Writer =>
  writer.u8(family).u8(0).be16(resource)

const NFGENMSG_BYTES = 4

/** The attributes behind struct nfgenmsg. */
export const readAttributes = (message: Message): Attributes => new Attributes(message.payload.subarray(NFGENMSG_BYTES))

const FAMILY_NAMES = new Map(
  Object.entries(TABLE_FAMILY).map(([name, number]) => [number as number, name as TableFamily]),
)

/** The table family of a message; undefined for one that netloom has no tables in (netdev). */
export const readFamily = (message: Message): TableFamily | undefined => FAMILY_NAMES.get(message.payload[0] ?? 0)

interface TableRequest {
  type: number
  flags?: number
  table: Table
  /** The attribute that carries the table's name. */
  attribute?: number
  operation: string
  body?: (writer: Writer) => void
}

/** A request about something in a table: generic header, the table's name, then what `body` appends. */
export const tableRequest = (request: TableRequest): Request => ({
  type: request.type,
  flags: request.flags ?? 0,
  operation: request.operation,
  body: (writer) => {
    writeGenericHeader(writer, TABLE_FAMILY[request.table.family])
    writer.attrString(request.attribute ?? 1, request.table.name)
    request.body?.(writer)
  },
})

export const tableText = ({ family, name }: Table): string => `${family} ${name}`

/** Creates the table; harmless where it exists. */
export const addTable = (table: Table): Request =>
  tableRequest({
    type: MESSAGE.NEWTABLE,
    table,
    operation: `create table ${tableText(table)}`,
    body: (writer) => writer.attrBe32(TABLE_ATTR.FLAGS, 0),
  })

/** Deletes the table with everything in it. */
export const deleteTable = (table: Table): Request =>
  tableRequest({ type: MESSAGE.DELTABLE, table, operation: `delete table ${tableText(table)}` })

export const dumpTables = (): Request => ({
  type: MESSAGE.GETTABLE,
  flags: 0,
  operation: 'list tables',
  body: (writer) => writeGenericHeader(writer, 0),
})

export function decodeTable(message: Message): Table | undefined {
  const family = readFamily(message)
  const name = readAttributes(message).string(TABLE_ATTR.NAME)
  return family === undefined || name === undefined ? undefined : { family, name }
}

const bracket = (type: number, operation: string): Request => ({
  type,
  flags: 0,
  operation,
  body: (writer) => writeGenericHeader(writer, 0, SUBSYSTEM),
})

/** Opens a transaction. */
export const beginBatch = (): Request => bracket(BATCH_BEGIN, 'begin transaction')
export const endBatch = (): Request => bracket(BATCH_END, 'commit transaction')

/** Asks for the number of the generation that the rulesets are at. */
export const getGeneration = (): Request => ({
  type: MESSAGE.GETGEN,
  flags: 0,
  operation: 'find ruleset generation',
  body: (writer) => writeGenericHeader(writer, 0),
})

/** The number of a ruleset generation (NFT_MSG_NEWGEN), which grows by one with each transaction of anybody. */
export const decodeGeneration = (message: Message): number | undefined =>
  message.type === MESSAGE.NEWGEN ? readAttributes(message).be32(GEN_ATTR.ID) : undefined
