import t from 'tap'
import { Cursor } from '../../../src/model/cursor.js'
import { SharedTexts } from '../../../src/model/shared-texts.js'

t.test('a text is checked once, however often it is read', async (t) => {
  const checked: string[] = []
  const texts = new SharedTexts((text) => {
    checked.push(text)
    return undefined
  })
  for (const text of ['a', 'b', 'a', 'a', 'b']) t.equal(texts.read(new Cursor(text)), text)
  t.same(checked, ['a', 'b'])
})

t.test('a text that was refused is refused again', async (t) => {
  const texts = new SharedTexts((text) => (text === 'bad' ? 'is bad' : undefined))
  const place = new Cursor({ spec: { x: 'bad' } }).field('spec').field('x')
  for (let i = 0; i < 2; i++) t.throws(() => texts.read(place), { field: 'spec.x', message: 'spec.x: "bad" is bad' })
})

t.test('a full pool starts again and goes on checking', async (t) => {
  let checks = 0
  const texts = new SharedTexts(() => {
    checks++
    return undefined
  }, 2)
  for (const text of ['a', 'b', 'c', 'a', 'b', 'c']) t.equal(texts.read(new Cursor(text)), text)
  t.equal(checks, 6)
})
