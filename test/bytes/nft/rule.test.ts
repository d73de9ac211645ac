import t from 'tap'
import { IPV6 } from '../../../src/base/family.js'
import { addRule, decodeRule, flushRules, FOREIGN_RULE, type Rule } from '../../../src/codec/nft/rule.js'
import { ruleFingerprint, ruleText } from '../../../src/codec/nft/rule.js'
import {
  connectionState,
  destinationAddress,
  destinationPort,
  type Field,
  networkProtocol,
  PROTOCOL,
  randomBelow,
  sourceAddress,
  transportProtocol,
} from '../../../src/codec/nft/statement.js'
import { type Table, tableText } from '../../../src/codec/nft/table.js'
import { CONNECTION_STATE } from '../../../src/codec/nft/types.js'
import { answers, captures, checkRequests, type Normal, type Row, type Tree } from './captured.js'
import { PORT_RULES } from '../../support/port-rules.js'
import { type Fixture, FIXTURES, LINK_TABLES } from './fixtures.js'
import { PORT_TABLE, portRuleRows } from './port-rows.js'
import { linkRules } from '../../support/link-rules.js'

const ESTABLISHED_OR_RELATED = CONNECTION_STATE.established | CONNECTION_STATE.related

/** Rules of the captures by their names, with the chain that they are in. */
function rules({ family }: Fixture): Record<string, readonly [chain: string, Rule]> {
  const source = sourceAddress(family)
  const destination = destinationAddress(family)
  const flow: Field[] = [destination, transportProtocol, destinationPort]
  return {
    'match protocol': ['c', [{ kind: 'match', field: transportProtocol, value: PROTOCOL.TCP }]],
    'match port': ['c', [{ kind: 'match', field: destinationPort, value: 80 }]],
    'match state': ['c', [{ kind: 'bits', field: connectionState, bits: ESTABLISHED_OR_RELATED }]],
    'look up address': ['c', [{ kind: 'lookup', fields: [destination], set: 'ips' }]],
    'look up pair': ['c', [{ kind: 'lookup', fields: [source, destination], set: 'pairs' }]],
    'look up intervals, negated': [
      'c',
      [
        { kind: 'lookup', fields: [source], set: 'nets' },
        { kind: 'lookup', fields: [destination], set: 'nets', negate: true },
      ],
    ],
    'verdict map': ['c', [{ kind: 'vmap', fields: flow, map: 'frontends' }]],
    'verdict map of numgen': ['c', [{ kind: 'vmap', fields: [randomBelow(3)], map: 'slots' }]],
    dnat: ['n', [{ kind: 'dnat', family, fields: flow, map: 'slot_0' }]],
    masquerade: ['s', [{ kind: 'masquerade' }]],
    'reject tcp': [
      'f',
      [
        { kind: 'match', field: transportProtocol, value: PROTOCOL.TCP },
        { kind: 'reject', family, with: 'tcp reset' },
      ],
    ],
    reject: ['f', [{ kind: 'reject', family, with: 'port-unreachable' }]],
    jump: ['c', [{ kind: 'verdict', verdict: { verdict: 'jump', chain: 'd' } }]],
    goto: ['c', [{ kind: 'verdict', verdict: { verdict: 'goto', chain: 'd' } }]],
    return: ['c', [{ kind: 'verdict', verdict: { verdict: 'return' } }]],
    drop: ['c', [{ kind: 'verdict', verdict: { verdict: 'drop' } }]],
    accept: ['c', [{ kind: 'verdict', verdict: { verdict: 'accept' } }]],
  }
}

const INET: Table = { family: 'inet', name: 't' }
const ofFamily: Rule = [{ kind: 'match', field: networkProtocol, value: IPV6.nfproto }, { kind: 'masquerade' }]

const ofLinks = (): [string, Row][] =>
  LINK_TABLES.flatMap((table) =>
    Object.entries(linkRules(table.family)).map(([name, rule]): [string, Row] => [
      `${tableText(table)}: ${name}`,
      { requests: [addRule(table, 'c', rule)], normal: bySetName },
    ]),
  )

const LOOKUP = Buffer.from('lookup\0').toString('hex')
const [EXPRESSIONS, EXPRESSION_DATA, LOOKUP_SET_ID] = [4, 2, 4]

/** nft refers to a set by its name and by the number of the transaction that made it; either is enough. */
const bySetName: Normal = (attributes) =>
  attributes.map(([type, value]) => [
    type,
    type !== EXPRESSIONS || typeof value === 'string'
      ? value
      : value.map(([element, expression]) => [
          element,
          typeof expression === 'string' ? expression : named(expression),
        ]),
  ])

const named = (expression: Tree): Tree =>
  expression[0]?.[1] !== LOOKUP
    ? expression
    : expression.map(([type, value]) => [
        type,
        type === EXPRESSION_DATA && typeof value !== 'string' ? value.filter(([id]) => id !== LOOKUP_SET_ID) : value,
      ])

t.test('rules are added and flushed byte for byte as nft does', async (t) => {
  const rows = FIXTURES.flatMap((fixture): [string, Row][] => [
    ...Object.entries(rules(fixture)).map(([name, [chain, rule]]): [string, Row] => [
      `${tableText(fixture.table)}: ${name}`,
      { requests: [addRule(fixture.table, chain, rule)], normal: bySetName },
    ]),
    [`${tableText(fixture.table)}: flush chain`, { requests: [flushRules(fixture.table, 'c')] }],
  ])
  checkRequests(t, 'rule', {
    ...Object.fromEntries(rows),
    'inet t: match family': { requests: [addRule(INET, 's', ofFamily)] },
    ...Object.fromEntries([...ofLinks(), ...portRuleRows(bySetName)]),
  })
})

t.test("a rule's text is what nft was given for it", async (t) => {
  const { captured } = captures('rule')
  for (const fixture of FIXTURES)
    for (const [name, [chain, rule]] of Object.entries(rules(fixture)))
      t.equal(
        `add rule ${tableText(fixture.table)} ${chain} ${ruleText(rule)}`,
        captured(`${tableText(fixture.table)}: ${name}`).text,
      )
  t.equal(`add rule inet t s ${ruleText(ofFamily)}`, captured('inet t: match family').text)
  for (const table of LINK_TABLES)
    for (const [name, rule] of Object.entries(linkRules(table.family)))
      t.equal(`add rule ${tableText(table)} c ${ruleText(rule)}`, captured(`${tableText(table)}: ${name}`).text)
  for (const [name, [chain, rule]] of Object.entries(PORT_RULES))
    t.equal(`add rule inet h ${chain} ${ruleText(rule)}`, captured(`inet h: ${name}`).text)
})

t.test("the kernel's rules have the fingerprints of ours, and those of others have not", async (t) => {
  const read = answers('rules').map(decodeRule)
  // nft asks once for each table, and is answered with those of all tables of the family.
  const fingerprintsOf = (table: Table): string[] => [
    ...new Set(
      read.flatMap((rule) =>
        rule !== undefined && tableText(rule.table) === tableText(table) ? [rule.fingerprint] : [],
      ),
    ),
  ]
  for (const fixture of FIXTURES) {
    const ours = Object.values(rules(fixture))
    for (const chain of ['c', 'n', 's', 'f']) {
      const fingerprints = read
        .filter((rule) => rule?.table.family === fixture.table.family && rule.chain === chain)
        .map((rule) => rule?.fingerprint)
      const wanted = ours.filter(([at]) => at === chain).map(([, rule]) => ruleFingerprint(rule))
      t.strictSame(fingerprints.slice(0, wanted.length), wanted, `${tableText(fixture.table)} ${chain}`)
      const foreign = fingerprints.slice(wanted.length)
      t.ok(
        foreign.every((fingerprint) => !wanted.includes(fingerprint ?? '')),
        `${foreign.length} rules of others in ${chain} are told from ours`,
      )
    }
  }
  for (const table of LINK_TABLES)
    t.strictSame(fingerprintsOf(table), Object.values(linkRules(table.family)).map(ruleFingerprint), tableText(table))
  t.strictSame(
    fingerprintsOf(PORT_TABLE).sort(),
    Object.values(PORT_RULES)
      .map(([, rule]) => ruleFingerprint(rule))
      .sort(),
    tableText(PORT_TABLE),
  )
  t.equal(read.filter((rule) => rule?.fingerprint === FOREIGN_RULE).length, 1, 'a kind that netloom never writes')
})
