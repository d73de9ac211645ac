import t from 'tap'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FileText, fixedText } from '../../../../src/kube/api/text.js'

t.test('a file is read again after a while, and at once when what it said was refused', async (t) => {
  const path = join(t.testdir({ token: 'one\n' }), 'token')
  let now = 0
  const text = new FileText(path, { field: 'user.tokenFile', freshMs: 100, now: () => now })
  t.equal(await text.read(), 'one')
  writeFileSync(path, 'two')
  now = 99
  t.equal(await text.read(), 'one')
  now = 100
  t.equal(await text.read(), 'two')
  writeFileSync(path, 'three')
  text.expire()
  t.equal(await text.read(), 'three')
})

t.test('a file that is gone or empty for a moment leaves what it said', async (t) => {
  const path = join(t.testdir({ token: 'one' }), 'token')
  const text = new FileText(path, { field: 'user.tokenFile', freshMs: 0 })
  await text.read()
  writeFileSync(path, '')
  t.equal(await text.read(), 'one')
  rmSync(path)
  t.equal(await text.read(), 'one')
})

t.test('a file that never said anything is an error that names the setting', async (t) => {
  const root = t.testdir({ empty: ' \n' })
  const read = (name: string) => new FileText(join(root, name), { field: 'user.tokenFile' }).read()
  await t.rejects(read('gone'), { code: 'invalid', field: 'user.tokenFile', message: /user\.tokenFile: .*gone/ })
  await t.rejects(read('empty'), { code: 'invalid', field: 'user.tokenFile', message: /is empty/ })
})

t.test('a text of the configuration stays', async (t) => {
  const text = fixedText('x')
  text.expire()
  t.equal(await text.read(), 'x')
})
