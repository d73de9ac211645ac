import t from 'tap'
import fc from 'fast-check'
import { compileShape, prune, type Shape } from '../../../../src/kube/api/prune.js'

function pruned(text: string, shape: Shape): string {
  const bytes = Buffer.from(text)
  return bytes.subarray(0, prune(bytes, compileShape(shape))).toString()
}

t.test('only the fields of the shape are left, in lists as well', async (t) => {
  const text = '{"a": {"x":1, "y" :[{}, "]"]}, "b":[ {"c":"}\\"","d":2},{"d":[3]} ,4], "e":null,"f":-1.5e3}'
  const rows: [shape: Shape, left: string][] = [
    [true, text],
    [{}, '{}'],
    [{ a: { x: true } }, '{"a":{"x":1}}'],
    [{ a: true, f: true }, '{"a":{"x":1, "y" :[{}, "]"]},"f":-1.5e3}'],
    [{ b: { c: true } }, '{"b":[{"c":"}\\""},{},4]}'],
    [{ e: { deep: true }, f: { deep: true } }, '{"e":null,"f":-1.5e3}'],
  ]
  for (const [shape, left] of rows) t.equal(pruned(text, shape), left)
})

t.test('names are compared whole', async (t) => {
  t.equal(pruned('{"aa":1,"a":2,"ab":3,"ä":4}', { a: true, ä: true }), '{"a":2,"ä":4}')
})

t.test('what is no object stays what it is, for the parser to judge', async (t) => {
  for (const text of ['7', '"x"', 'null', 'true', '[1,2]', '[]', '<html>']) t.equal(pruned(text, { a: true }), text)
})

/** What pruning is to leave, of parsed values. */
function cut(value: unknown, shape: Shape): unknown {
  if (shape === true || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => cut(item, shape))
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, of]) =>
      Object.hasOwn(shape, key) ? [[key, cut(of, shape[key] ?? true)] as const] : [],
    ),
  )
}

const NAMES = ['a', 'b', 'items', 'ключ', 'x y']
const shapes = fc.letrec<{ shape: Shape }>((tie) => ({
  shape: fc.oneof(
    { maxDepth: 3 },
    fc.constant<Shape>(true),
    fc.dictionary(fc.constantFrom(...NAMES), tie('shape'), { maxKeys: 3 }),
  ),
})).shape

const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...NAMES), tie('value'), { maxKeys: 4 }),
  ),
})).value

t.test('pruning a text and parsing it is parsing it and pruning the value', async (t) => {
  fc.assert(
    fc.property(values, shapes, fc.constantFrom(undefined, 1), (value, shape, indent) => {
      const text = JSON.stringify(value, null, indent)
      const expected: unknown = JSON.parse(JSON.stringify(cut(JSON.parse(text), shape)))
      return JSON.stringify(JSON.parse(pruned(text, shape))) === JSON.stringify(expected)
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

t.test('a text that ends before its time is refused, or left as broken as it is', async (t) => {
  const text = '{"a":{"b":[1,"x\\"y",{"c":true}]},"d":[{"e":null}]}'
  for (const shape of [true, {}, { a: { b: true } }, { d: { e: true } }] as const)
    for (let end = 0; end < text.length; end++) {
      const parse = (): unknown => JSON.parse(pruned(text.slice(0, end), shape))
      t.throws(parse, text.slice(0, end))
    }
  t.throws(() => pruned('['.repeat(1000), {}), { code: 'unavailable', message: /too deep/ })
  for (const broken of ['{x:1}', '{"a" 1}', '{"a":}', '{"b":,"a":1}'])
    t.throws(() => pruned(broken, { a: true }), broken)
})
