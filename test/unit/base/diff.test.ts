import t from 'tap'
import { diff, type Difference, keyBy } from '../../../src/base/diff.js'

const map = (text: string): Map<string, string> =>
  new Map(
    text
      .split(' ')
      .filter(Boolean)
      .map((pair) => pair.split('=') as [string, string]),
  )

const none: Difference<string, string> = { added: [], changed: [], removed: [] }
const cases: Record<string, readonly [desired: string, actual: string, Partial<Difference<string, string>>]> = {
  'nothing from nothing': ['', '', {}],
  'equal collections': ['a=1 b=2', 'b=2 a=1', {}],
  'an item that is wanted': ['a=1 b=2', 'a=1', { added: [['b', '2']] }],
  'an item that is not wanted': ['a=1', 'a=1 b=2', { removed: [['b', '2']] }],
  'an item that differs': ['a=1', 'a=2', { changed: [['a', '1', '2']] }],
  'everything at once, in the order of the collections': [
    'd=1 a=1 c=1 e=1',
    'f=1 c=2 a=1 b=1',
    {
      added: [
        ['d', '1'],
        ['e', '1'],
      ],
      changed: [['c', '1', '2']],
      removed: [
        ['f', '1'],
        ['b', '1'],
      ],
    },
  ],
}

for (const [name, [desired, actual, expected]] of Object.entries(cases)) {
  t.test(`difference of ${name}`, async (t) => {
    const found = diff(map(desired), map(actual), (a, b) => a === b)
    t.strictSame(found, { ...none, ...expected })
  })
}

t.test('a difference applied to what is there makes what is wanted', async (t) => {
  const desired = map('a=1 b=2 c=3')
  const actual = map('b=9 c=3 d=4')
  const { added, changed, removed } = diff(desired, actual, (a, b) => a === b)
  for (const [key] of removed) actual.delete(key)
  for (const [key, value] of [...added, ...changed]) actual.set(key, value)
  t.strictSame(Object.fromEntries(actual), Object.fromEntries(desired))
})

t.test('sides of two types are compared by the function that is given', async (t) => {
  const desired = new Map([['a', 1]])
  t.strictSame(
    diff(desired, map('a=1'), (number, text) => String(number) === text),
    none,
  )
})

t.test('items are keyed, the last of one key wins', async (t) => {
  const items = ['ax', 'by', 'az']
  t.strictSame(
    [...keyBy(items, (item) => item.charAt(0))],
    [
      ['a', 'az'],
      ['b', 'by'],
    ],
  )
})
