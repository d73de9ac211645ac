import t from 'tap'
import { Attributes } from '../../../../src/codec/attr.js'
import {
  type Expression,
  type ExpressionName,
  fingerprint,
  readExpressions,
  writeExpression,
} from '../../../../src/codec/nft/expression.js'
import { Writer } from '../../../../src/codec/wire.js'

const LIST = 4

function listOf(expressions: readonly Expression[]): Buffer {
  const writer = new Writer()
  const list = writer.nest(LIST)
  for (const expression of expressions) writeExpression(writer, expression)
  return new Attributes(writer.end(list).bytes()).bytes(LIST) ?? Buffer.alloc(0)
}

/** Each kind with all of its attributes. */
const EXPRESSIONS: { readonly [K in ExpressionName]: Expression['values'] } = {
  payload: { dreg: 1, base: 1, offset: 16, length: 4, sreg: 2 },
  meta: { dreg: 1, key: 16, sreg: 3 },
  cmp: { sreg: 1, op: 0, data: Buffer.of(6) },
  lookup: { set: 'frontends', sreg: 1, dreg: 0, flags: 1 },
  immediate: { dreg: 0, data: { verdict: 'goto', chain: 'pick_2' } },
  numgen: { dreg: 1, modulus: 3, type: 1, offset: 7 },
  nat: { type: 1, family: 2, addressMin: 1, addressMax: 2, portMin: 9, portMax: 10, flags: 16 },
  masq: { flags: 16, portMin: 1, portMax: 2 },
  reject: { type: 0, code: 3 },
  counter: {},
  ct: { key: 2, dreg: 1, direction: 0, sreg: 2 },
  bitwise: { sreg: 1, dreg: 2, op: 1, length: 4, mask: Buffer.of(32, 0, 0, 0), xor: Buffer.of(0, 0, 0, 0) },
  fib: { flags: 2, result: 3, dreg: 1 },
}

const all = Object.entries(EXPRESSIONS).map(([name, values]): Expression => ({ name: name as ExpressionName, values }))

t.test('every kind of expression survives writing and reading, with every attribute', async (t) => {
  for (const expression of all) t.strictSame(readExpressions(listOf([expression])), [expression], expression.name)
  t.strictSame(readExpressions(listOf(all)), all, 'in order')
})

t.test('each attribute is part of the fingerprint', async (t) => {
  for (const { name, values } of all)
    for (const key of Object.keys(values)) {
      const rest = Object.fromEntries(Object.entries(values).filter(([other]) => other !== key))
      t.not(fingerprint([{ name, values: rest }]), fingerprint([{ name, values }]), `${name} without ${key}`)
    }
})

t.test('what the kernel fills in or leaves out does not change the fingerprint', async (t) => {
  const pairs: Record<string, [Expression, Expression]> = {
    'ends of nat ranges, and the flags that say that there are ranges': [
      { name: 'nat', values: { type: 1, family: 2, addressMin: 1, portMin: 9 } },
      { name: 'nat', values: { type: 1, family: 2, addressMin: 1, addressMax: 1, portMin: 9, portMax: 9, flags: 3 } },
    ],
    'flags of a lookup': [
      { name: 'lookup', values: { set: 's', sreg: 1 } },
      { name: 'lookup', values: { set: 's', sreg: 1, flags: 0 } },
    ],
    'the operation of a mask': [
      { name: 'bitwise', values: { sreg: 1, dreg: 1, length: 4 } },
      { name: 'bitwise', values: { sreg: 1, dreg: 1, length: 4, op: 0 } },
    ],
    'the code of a reset': [
      { name: 'reject', values: { type: 1, code: 0 } },
      { name: 'reject', values: { type: 1 } },
    ],
  }
  for (const [name, [ours, kernels]] of Object.entries(pairs))
    t.equal(fingerprint([ours]), fingerprint([kernels]), name)
})

t.test('what somebody else altered does', async (t) => {
  const nat = { type: 1, family: 2, addressMin: 1, portMin: 9 }
  const PERSISTENT = 8
  t.not(
    fingerprint([{ name: 'nat', values: { ...nat, flags: 3 | PERSISTENT } }]),
    fingerprint([{ name: 'nat', values: nat }]),
  )
  t.not(fingerprint([{ name: 'nat', values: { ...nat, addressMax: 2 } }]), fingerprint([{ name: 'nat', values: nat }]))
  t.not(fingerprint(all), fingerprint(all.toReversed()), 'the order counts')
})

t.test('a rule with an expression that netloom never writes is not read at all', async (t) => {
  const writer = new Writer()
  const element = writer.nest(1)
  writer.attrString(1, 'limit').end(element)
  t.equal(readExpressions(Buffer.concat([listOf(all), writer.bytes()])), undefined)
  for (const name of ['toString', 'constructor', '']) {
    const inherited = new Writer()
    const mark = inherited.nest(1)
    t.equal(readExpressions(inherited.attrString(1, name).end(mark).bytes()), undefined, `'${name}'`)
  }
})

t.test('a malformed list is refused', async (t) => {
  t.throws(() => readExpressions(Buffer.from('ff7f0100', 'hex')), { code: 'invalid' })
  const bad = Buffer.from(listOf([{ name: 'meta', values: { dreg: 1, key: 16 } }]))
  bad.writeUInt16LE(6, bad.indexOf(Buffer.from('08000100', 'hex'))) // a register of two bytes
  t.throws(() => readExpressions(bad), { code: 'invalid' })
})
