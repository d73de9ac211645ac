import t from 'tap'
import { FAMILIES, IPV4, IPV6 } from '../../../../src/base/family.js'
import { addRule, decodeRule, dumpRules, flushRules, FOREIGN_RULE } from '../../../../src/codec/nft/rule.js'
import { type Rule, ruleFingerprint, ruleText } from '../../../../src/codec/nft/rule.js'
import { destinationAddress, PROTOCOL, sourceAddress, transportProtocol } from '../../../../src/codec/nft/statement.js'
import { type Table } from '../../../../src/codec/nft/table.js'
import { Writer } from '../../../../src/codec/wire.js'
import { messageOf, withAttributes } from './message.js'

const table: Table = { family: 'ip', name: 't' }
const accept: Rule = [{ kind: 'verdict', verdict: { verdict: 'accept' } }]

const RULES: Readonly<Record<string, Rule>> = {
  nothing: [],
  accept,
  drop: [{ kind: 'verdict', verdict: { verdict: 'drop' } }],
  jump: [{ kind: 'verdict', verdict: { verdict: 'jump', chain: 'c' } }],
  goto: [{ kind: 'verdict', verdict: { verdict: 'goto', chain: 'c' } }],
  masquerade: [{ kind: 'masquerade' }],
  'masquerade of TCP': [{ kind: 'match', field: transportProtocol, value: PROTOCOL.TCP }, { kind: 'masquerade' }],
  'masquerade of UDP': [{ kind: 'match', field: transportProtocol, value: PROTOCOL.UDP }, { kind: 'masquerade' }],
  ...Object.fromEntries(
    FAMILIES.flatMap((family): [string, Rule][] => [
      [`${family.name} source`, [{ kind: 'lookup', fields: [sourceAddress(family)], set: 's' }]],
      [`${family.name} destination`, [{ kind: 'lookup', fields: [destinationAddress(family)], set: 's' }]],
      [`${family.name} not`, [{ kind: 'lookup', fields: [sourceAddress(family)], set: 's', negate: true }]],
      [`${family.name} other set`, [{ kind: 'lookup', fields: [sourceAddress(family)], set: 'o' }]],
      [`${family.name} dnat`, [{ kind: 'dnat', family, fields: [destinationAddress(family)], map: 'm' }]],
      [`${family.name} reject`, [{ kind: 'reject', family, with: 'port-unreachable' }]],
    ]),
  ),
  reset: [{ kind: 'reject', family: IPV4, with: 'tcp reset' }],
}

t.test('a rule that is read back has the fingerprint of the one that was written', async (t) => {
  for (const [name, rule] of Object.entries(RULES))
    t.strictSame(
      decodeRule(messageOf(addRule(table, 'c', rule))),
      { table, chain: 'c', fingerprint: ruleFingerprint(rule) },
      name,
    )
})

t.test('rules that do different things have different fingerprints', async (t) => {
  const fingerprints = Object.values(RULES).map(ruleFingerprint)
  t.equal(new Set(fingerprints).size, fingerprints.length)
  t.equal(
    ruleFingerprint([{ kind: 'reject', family: IPV6, with: 'tcp reset' }]),
    ruleFingerprint(RULES['reset'] ?? []),
    'a reset is the same in both families',
  )
})

t.test('a rule is told as its statements one after the other', async (t) => {
  t.equal(ruleText(RULES['masquerade of TCP'] ?? []), 'meta l4proto tcp masquerade fully-random')
  t.equal(ruleText([]), '')
  t.equal(addRule(table, 'c', accept).operation, 'add rule ip t c accept')
  t.equal(flushRules(table, 'c').operation, 'flush chain ip t c')
  t.equal(flushRules(table).operation, 'flush table ip t')
})

t.test('a rule with a kind of expression that netloom never writes is foreign', async (t) => {
  const writer = new Writer().attrString(1, 't').attrString(2, 'c')
  const list = writer.nest(4)
  const element = writer.nest(1)
  writer.attrString(1, 'limit').end(element).end(list)
  const message = withAttributes(addRule(table, 'c', accept), writer.bytes())
  t.strictSame(decodeRule(message), { table, chain: 'c', fingerprint: FOREIGN_RULE })
  t.not(ruleFingerprint([]), FOREIGN_RULE)
})

t.test('what is no rule is none', async (t) => {
  t.equal(decodeRule(messageOf(dumpRules(table))), undefined)
  t.equal(decodeRule(messageOf(flushRules(table))), undefined)
})
