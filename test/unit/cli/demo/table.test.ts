import t from 'tap'
import { table } from '../../../../src/cli/demo/table.js'

t.test('columns are as wide as their widest cell', async (t) => {
  t.same(
    table(
      ['A', 'LONG'],
      [
        ['aaa', 'b'],
        ['c', 'd'],
      ],
    ),
    ['A    LONG', 'aaa  b', 'c    d'],
  )
})

t.test('a cell of several lines makes its row as high', async (t) => {
  t.same(
    table(
      [],
      [
        ['a', '1\n2', 'x'],
        ['b', '3', 'y'],
      ],
    ),
    ['a  1  x', '   2', 'b  3  y'],
  )
})

t.test('colours take no room', async (t) => {
  t.same(
    table(
      [],
      [
        ['\x1b[32mok\x1b[0m', 'x'],
        ['no', 'y'],
      ],
    ),
    ['\x1b[32mok\x1b[0m  x', 'no  y'],
  )
})

t.test('nothing has no heading', async (t) => {
  t.same(table(['A'], []), [])
})
