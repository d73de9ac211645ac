import { type Request } from '../request.js'
import { FLAG, type Message } from '../wire.js'
import { MESSAGE, RULE_ATTR } from './constants.js'
import { type Expression, fingerprint, readExpressions, writeExpression } from './expression.js'
import { lower, type Statement, statementText } from './statement.js'
import { readAttributes, readFamily, type Table, tableRequest, tableText } from './table.js'

/** What a chain does with a packet, one statement after the other. */
export type Rule = readonly Statement[]

export const ruleText = (rule: Rule): string => rule.map(statementText).join(' ')

const expressionsOf = (rule: Rule): Expression[] => rule.flatMap(lower)

/** Equal for rules that do the same; compare with that of {@link decodeRule}. */
export const ruleFingerprint = (rule: Rule): string => fingerprint(expressionsOf(rule))

/** Appends a rule to a chain. */
export const addRule = (table: Table, chain: string, rule: Rule): Request =>
  tableRequest({
    type: MESSAGE.NEWRULE,
    flags: FLAG.CREATE | FLAG.APPEND,
    table,
    operation: `add rule ${tableText(table)} ${chain} ${ruleText(rule)}`,
    body: (writer) => {
      writer.attrString(RULE_ATTR.CHAIN, chain)
      const list = writer.nest(RULE_ATTR.EXPRESSIONS)
      for (const expression of expressionsOf(rule)) writeExpression(writer, expression)
      writer.end(list)
    },
  })

/** Deletes all rules of a chain, or of the whole table. */
export const flushRules = (table: Table, chain?: string): Request =>
  tableRequest({
    type: MESSAGE.DELRULE,
    table,
    operation: `flush ${chain === undefined ? `table ${tableText(table)}` : `chain ${tableText(table)} ${chain}`}`,
    body: (writer) => {
      if (chain !== undefined) writer.attrString(RULE_ATTR.CHAIN, chain)
    },
  })

export const dumpRules = (table: Table): Request =>
  tableRequest({ type: MESSAGE.GETRULE, table, operation: `list rules of ${tableText(table)}` })

/** Stands for a rule with an expression that netloom never writes. */
export const FOREIGN_RULE = '?'

/** The chain of a rule and the rule's fingerprint, or {@link FOREIGN_RULE} in its place. */
export function decodeRule(message: Message): { table: Table; chain: string; fingerprint: string } | undefined {
  const family = readFamily(message)
  const attributes = readAttributes(message)
  const table = attributes.string(RULE_ATTR.TABLE)
  const chain = attributes.string(RULE_ATTR.CHAIN)
  const list = attributes.bytes(RULE_ATTR.EXPRESSIONS)
  if (family === undefined || table === undefined || chain === undefined) return undefined
  const expressions = list === undefined ? [] : readExpressions(list)
  return {
    table: { family, name: table },
    chain,
    fingerprint: expressions === undefined ? FOREIGN_RULE : fingerprint(expressions),
  }
}
