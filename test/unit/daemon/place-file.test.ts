import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { clearDraft, draftOf, placedAt, placeFile, stampOf } from '../../../src/daemon/place-file.js'

t.test('a file is in place with its bytes and rights, whatever the mask is, and nothing beside it', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, 'a')
  const mask = process.umask(0o077)
  t.teardown(() => process.umask(mask))
  for (const [text, mode] of [
    ['one', 0o755],
    ['another one', 0o644],
  ] as const) {
    placeFile({ path, bytes: Buffer.from(text), mode })
    t.equal(readFileSync(path, 'utf8'), text)
    t.match(placedAt(path), { path, mode })
    t.strictSame(readdirSync(folder), ['a'])
  }
})

t.test('who has the former file open keeps it whole', async (t) => {
  const path = join(t.testdir({ a: 'former' }), 'a')
  const { ino } = statSync(path)
  placeFile({ path, bytes: Buffer.from('next'), mode: 0o644 })
  t.not(statSync(path).ino, ino)
})

t.test('what a crash left is taken away, and is in nobody’s way', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, '10-a.conflist')
  writeFileSync(draftOf(path), 'half')
  t.notMatch(draftOf(path), /\.(conf|conflist|json)$/, 'a runtime would not take it either')
  placeFile({ path, bytes: Buffer.from('whole'), mode: 0o644 })
  t.strictSame(readdirSync(folder), ['10-a.conflist'])
  writeFileSync(draftOf(path), 'half')
  clearDraft(path)
  clearDraft(join(folder, 'nowhere', 'a'))
  t.strictSame(readdirSync(folder), ['10-a.conflist'])
})

t.test('what cannot be put in place is an error, and the former file stays', async (t) => {
  const folder = t.testdir({ a: {} })
  t.throws(() => placeFile({ path: join(folder, 'a'), bytes: Buffer.from('x'), mode: 0o644 }), { code: 'EISDIR' })
  t.throws(() => placeFile({ path: join(folder, 'nowhere', 'a'), bytes: Buffer.alloc(0), mode: 0o644 }), {
    code: 'ENOENT',
  })
  t.throws(() => placedAt(folder), { code: 'EISDIR' })
})

t.test('a stamp changes with whatever is done to the file', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, 'a')
  const stamps = new Set([stampOf(path)])
  t.equal(stampOf(path), '')
  writeFileSync(path, 'a')
  stamps.add(stampOf(path))
  t.equal(stampOf(path), stampOf(path))
  chmodSync(path, 0o600)
  stamps.add(stampOf(path))
  placeFile({ path, bytes: Buffer.from('a'), mode: 0o600 })
  stamps.add(stampOf(path))
  t.equal(stamps.size, 4)
  mkdirSync(join(folder, 'b'))
  t.equal(placedAt(join(folder, 'c')), undefined)
})
