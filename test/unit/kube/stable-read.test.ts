import { appendFileSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readStable } from '../../../src/kube/stable-read.js'
import { stampOf } from '../../../src/kube/scan.js'

t.test('a file has its text and the stamp of that state', async (t) => {
  const path = join(t.testdir({ 'a.yaml': 'kind: Pöd\n' }), 'a.yaml')
  t.same(await readStable(path), { text: 'kind: Pöd\n', stamp: stampOf(await stat(path, { bigint: true })) })
})

t.test('a file that is written to while it is read is not believed', async (t) => {
  const path = join(t.testdir({ 'a.yaml': '' }), 'a.yaml')
  writeFileSync(path, Buffer.alloc(32 * 1024 * 1024, 0x20))
  const reading = readStable(path)
  const writing = setInterval(() => appendFileSync(path, 'x'), 0)
  t.equal(await reading, undefined)
  clearInterval(writing)
})

t.test('a file that is too large is not read, one that is gone is an error', async (t) => {
  const path = join(t.testdir({ 'a.yaml': '12345678' }), 'a.yaml')
  await t.rejects(readStable(path, 7), { code: 'invalid', message: /8 bytes, more than 7/ })
  t.equal((await readStable(path, 8))?.text, '12345678')
  await t.rejects(readStable(`${path}.gone`), { code: 'ENOENT' })
})
