import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import { readMatchLabels, readSelector, selects, selectorText } from '../../../src/model/selector.js'

interface Row {
  readonly selector: unknown
  readonly yes: readonly Record<string, string>[]
  readonly no: readonly Record<string, string>[]
}

const expressions = (...matchExpressions: unknown[]): unknown => ({ matchExpressions })

const ROWS: Record<string, Row> = {
  'nothing selects everything': { selector: {}, yes: [{}, { app: 'web' }], no: [] },
  'matchLabels needs each label': {
    selector: { matchLabels: { app: 'web', tier: 'front' } },
    yes: [{ app: 'web', tier: 'front', x: 'y' }],
    no: [{}, { app: 'web' }, { app: 'web', tier: 'back' }],
  },
  'In needs one of the values': {
    selector: expressions({ key: 'app', operator: 'In', values: ['a', 'b'] }),
    yes: [{ app: 'a' }, { app: 'b' }],
    no: [{}, { app: 'c' }],
  },
  'NotIn takes what has no such label': {
    selector: expressions({ key: 'app', operator: 'NotIn', values: ['a', 'b'] }),
    yes: [{}, { app: 'c' }],
    no: [{ app: 'a' }, { app: 'b' }],
  },
  'Exists takes any value, the empty one too': {
    selector: expressions({ key: 'app', operator: 'Exists' }),
    yes: [{ app: '' }, { app: 'x' }],
    no: [{}, { other: 'x' }],
  },
  'DoesNotExist is the opposite': {
    selector: expressions({ key: 'app', operator: 'DoesNotExist' }),
    yes: [{}, { other: 'x' }],
    no: [{ app: '' }],
  },
  'all requirements hold': {
    selector: {
      matchLabels: { app: 'web' },
      matchExpressions: [
        { key: 'tier', operator: 'NotIn', values: ['db'] },
        { key: 'x', operator: 'Exists' },
      ],
    },
    yes: [{ app: 'web', x: '1' }],
    no: [{ app: 'web' }, { app: 'web', x: '1', tier: 'db' }, { x: '1' }],
  },
  'a label called constructor is not there by itself': {
    selector: expressions({ key: 'constructor', operator: 'Exists' }),
    yes: [{ constructor: 'x' }],
    no: [{}],
  },
}

for (const [what, { selector, yes, no }] of Object.entries(ROWS))
  t.test(what, async (t) => {
    const parsed = readSelector(new Cursor(selector))
    for (const labels of yes) t.equal(selects(parsed, labels), true, JSON.stringify(labels))
    for (const labels of no) t.equal(selects(parsed, labels), false, JSON.stringify(labels))
  })

t.test('selectors that say the same have the same text', async (t) => {
  const a = readSelector(
    new Cursor({
      matchLabels: { b: '1', a: '2' },
      matchExpressions: [
        { key: 'c', operator: 'In', values: ['y', 'x', 'y'] },
        { key: 'd', operator: 'DoesNotExist' },
        { key: 'e', operator: 'NotIn', values: ['z'] },
        { key: 'f', operator: 'Exists' },
      ],
    }),
  )
  const b = readSelector(
    new Cursor({
      matchExpressions: [
        { key: 'f', operator: 'Exists', values: [] },
        { key: 'e', operator: 'NotIn', values: ['z'] },
        { key: 'd', operator: 'DoesNotExist' },
        { key: 'c', operator: 'In', values: ['x', 'y'] },
        { key: 'a', operator: 'In', values: ['2'] },
        { key: 'a', operator: 'In', values: ['2'] },
      ],
      matchLabels: { b: '1' },
    }),
  )
  t.same(a, b)
  t.equal(selectorText(a), selectorText(b))
  t.equal(selectorText(a), '!d,a=2,b=1,c in (x,y),e notin (z),f')
  t.equal(selectorText([]), '')
})

t.test('a Service selects by pairs', async (t) => {
  t.equal(selectorText(readMatchLabels(new Cursor({ tier: 'a', app: 'b' }))), 'app=b,tier=a')
  t.same(readMatchLabels(new Cursor(undefined)), [])
})

const REFUSALS: Record<string, [selector: unknown, field: string]> = {
  'an unknown operator': [expressions({ key: 'a', operator: 'Gt', values: ['1'] }), 's.matchExpressions[0].operator'],
  'In without values': [expressions({ key: 'a', operator: 'In' }), 's.matchExpressions[0].values'],
  'Exists with values': [expressions({ key: 'a', operator: 'Exists', values: ['1'] }), 's.matchExpressions[0].values'],
  'no key': [expressions({ operator: 'Exists' }), 's.matchExpressions[0].key'],
  'a bad key': [expressions({ key: 'a b', operator: 'Exists' }), 's.matchExpressions[0].key'],
  'a bad value': [expressions({ key: 'a', operator: 'In', values: ['a b'] }), 's.matchExpressions[0].values[0]'],
  'a number for a label': [{ matchLabels: { a: 1 } }, 's.matchLabels.a'],
  'a misspelt field': [{ matchLabel: { a: 'b' } }, 's.matchLabel'],
  'a list': [[], 's'],
}

t.test('bad selectors are refused', async (t) => {
  for (const [what, [selector, field]] of Object.entries(REFUSALS))
    t.throws(() => readSelector(new Cursor({ s: selector }).field('s')), { code: 'invalid', field }, what)
})
