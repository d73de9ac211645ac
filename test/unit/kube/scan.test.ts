import { execFileSync } from 'node:child_process'
import { renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Scan, scan } from '../../../src/kube/scan.js'

const look = (root: string, at = '', known: Iterable<string> = []): Promise<Scan> =>
  scan({ root, at, known: new Set(known), onDirectory: () => undefined })

t.test('manifests are found in all folders that are not hidden', async (t) => {
  const root = t.testdir({
    'a.yaml': '',
    'b.yml': '',
    'c.json': '',
    'README.md': '',
    'd.yaml.bak': '',
    '.e.yaml': '',
    sub: { 'f.yaml': '', deep: { 'g.yaml': '' }, '.git': { 'h.yaml': '' } },
  })
  const found = await look(root)
  t.same([...found.files.keys()].sort(), ['a.yaml', 'b.yml', 'c.json', 'sub/deep/g.yaml', 'sub/f.yaml'])
  t.same([...found.directories.keys()], ['', 'sub', 'sub/deep'])
  t.equal(found.unreadable.size, 0)
  t.same([...(await look(root, 'sub')).files.keys()].sort(), ['sub/deep/g.yaml', 'sub/f.yaml'])
  t.same([...(await look(root, 'a.yaml')).files.keys()], ['a.yaml'])
  t.same((await look(root, 'gone')).files.size, 0)
})

t.test('a folder is announced before it is read', async (t) => {
  const root = t.testdir({ sub: { 'a.yaml': '' } })
  const late: string[] = []
  const onDirectory = (path: string): void => {
    late.push(path)
    if (path === 'sub') writeFileSync(join(root, 'sub/b.yaml'), '')
  }
  const found = await scan({ root, at: '', known: new Set(), onDirectory })
  t.same(late, ['', 'sub'])
  t.same([...found.files.keys()].sort(), ['sub/a.yaml', 'sub/b.yaml'])
})

t.test('stamps differ when contents do, also where time and size are the same', async (t) => {
  const root = t.testdir({ 'a.yaml': 'one', 'b.yaml': 'two' })
  const before = await look(root)
  t.same(await look(root), before)
  utimesSync(join(root, 'a.yaml'), 1, 1)
  const dated = await look(root)
  t.not(dated.files.get('a.yaml'), before.files.get('a.yaml'))
  writeFileSync(join(root, 'a.yaml'), 'eno')
  utimesSync(join(root, 'a.yaml'), 1, 1)
  t.not((await look(root)).files.get('a.yaml'), dated.files.get('a.yaml'))
  writeFileSync(join(root, 'new'), 'two')
  renameSync(join(root, 'new'), join(root, 'b.yaml'))
  t.not((await look(root)).files.get('b.yaml'), before.files.get('b.yaml'))
})

t.test('links are followed, but a folder is entered once', async (t) => {
  const root = t.testdir({ real: { 'a.yaml': '' }, '.hidden': { 'b.yaml': '' } })
  symlinkSync('..', join(root, 'real', 'loop'))
  symlinkSync('real', join(root, 'again'))
  symlinkSync('.hidden', join(root, 'shown'))
  symlinkSync('.hidden/b.yaml', join(root, 'linked.yaml'))
  const found = await look(root)
  t.same([...found.files.keys()].sort(), ['again/a.yaml', 'linked.yaml', 'shown/b.yaml'])
  t.same((await look(root, 'real', found.directories.values())).files.size, 0, 'known at another place')
})

t.test('a link that leads nowhere may come back', async (t) => {
  const root = t.testdir({ 'a.yaml': '' })
  symlinkSync('nowhere.yaml', join(root, 'b.yaml'))
  symlinkSync('loop.yaml', join(root, 'loop.yaml'))
  const found = await look(root)
  t.same([...found.files.keys()], ['a.yaml'])
  t.match(Object.fromEntries(found.unreadable), { 'b.yaml': /leads nowhere/, 'loop.yaml': /ELOOP/ })
})

t.test('a pipe is no manifest', async (t) => {
  const root = t.testdir({})
  execFileSync('mkfifo', [join(root, 'pipe.yaml')])
  t.same((await look(root)).files.size, 0)
})
