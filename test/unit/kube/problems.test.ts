import t from 'tap'
import { pino } from 'pino'
import { Problems } from '../../../src/kube/problems.js'

t.test('problems are listed by file and line, and keep their time', async (t) => {
  let now = 100
  const problems = new Problems(pino({ level: 'silent' }), () => now)
  problems.set('file b', 'b.yaml', [
    { message: 'late', line: 9 },
    { message: 'early', line: 2, column: 3, field: 'x' },
  ])
  now = 200
  problems.set('file a', 'a.yaml', [{ message: 'first' }])
  problems.set('file b', 'b.yaml', [
    { message: 'early', line: 2, column: 3, field: 'x' },
    { message: 'new', line: 5 },
  ])
  t.same(problems.list(), [
    { file: 'a.yaml', line: undefined, column: undefined, field: undefined, message: 'first', since: 200 },
    { file: 'b.yaml', line: 2, column: 3, field: 'x', message: 'early', since: 100 },
    { file: 'b.yaml', line: 5, column: undefined, field: undefined, message: 'new', since: 200 },
  ])
  problems.set('file b', 'b.yaml', [])
  problems.set('file a', 'a.yaml', [])
  t.same(problems.list(), [])
})

t.test('a problem is logged once when it comes and once when it goes', async (t) => {
  const lines: string[] = []
  const log = pino(
    { level: 'info' },
    { write: (line: string) => lines.push((JSON.parse(line) as { msg: string }).msg) },
  )
  const problems = new Problems(log)
  for (let i = 0; i < 3; i++) problems.set('x', 'a.yaml', [{ message: 'bad', line: 1, column: 2 }])
  for (let i = 0; i < 3; i++) problems.set('x', 'a.yaml', [])
  t.same(lines, ['a.yaml:1:2: bad', 'solved: a.yaml:1:2: bad'])
})
