import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { render } from '../../../../src/cli/demo/render.js'
import { type Report } from '../../../../src/cli/demo/report.js'

/** A case is a folder with report.json and the text for it; UPDATE=1 writes the texts anew. */
const CASES = 'test/golden/demo'

const reportOf = (name: string): Report => JSON.parse(readFileSync(join(CASES, name, 'report.json'), 'utf8')) as Report

for (const name of readdirSync(CASES))
  t.test(`a report reads as in golden ${name}`, async (t) => {
    const file = join(CASES, name, 'report.txt')
    const text = render(reportOf(name), { colour: false })
    if (process.env['UPDATE'] !== undefined) writeFileSync(file, text)
    t.equal(text, readFileSync(file, 'utf8'))
  })

t.test('colours mark what is good and what is not, and change no column', async (t) => {
  const plain = render(reportOf('failing'), { colour: false })
  const coloured = render(reportOf('failing'), { colour: true })
  t.match(coloured, /\x1b\[31mFAIL\x1b\[0m/)
  t.match(coloured, /\x1b\[32mok\x1b\[0m/)
  t.equal(coloured.replace(/\x1b\[\d+m/g, ''), plain)
})

t.test('with more columns than fit beside each other the matrix goes on below', async (t) => {
  const report = reportOf('healthy')
  const columns = Array.from({ length: 30 }, (_, i) => `default/s${i}:80/TCP`)
  const rows = [{ pod: 'default/a', cells: columns.map(() => 'ok' as const) }]
  const text = render({ ...report, reachability: { ...report.reachability, columns, rows } }, { colour: false })
  t.equal(text.match(/^ {2}default\/a( +ok)+$/gm)?.length, 3)
})

t.test('with very many pods only totals and failures are shown', async (t) => {
  const report = reportOf('healthy')
  const rows = Array.from({ length: 60 }, (_, i) => ({ pod: `default/p${i}`, cells: ['ok' as const] }))
  const failures = Array.from({ length: 80 }, (_, i) => `default/p${i} is unhappy`)
  const reachability = { ...report.reachability, columns: ['default/s:80/TCP'], rows }
  const text = render({ ...report, reachability, failures, ok: false }, { colour: false })
  t.match(text, /60 pods x 1 Service ports/)
  t.match(text, /and 30 more \(--json shows all\)/)
})
