import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { conflistText } from '../../../src/daemon/conflist.js'
import { Installation, installedFiles } from '../../../src/daemon/installation.js'
import { draftOf } from '../../../src/daemon/place-file.js'
import { eventually } from '../../support/node.js'

const NAME = '10-netloom.conflist'
const CONFLIST = conflistText({ socket: '/run/netloom/agent.sock', cniMode: 'bridge', cniWait: 10_000 })
const executable = (version: string): string => `\u007fELF CNI plugin netloom v${version}; speaks CNI`

/** Folders of a runtime, and an agent that installs into them when told. */
class Stage {
  readonly root: string
  readonly bin: string
  readonly conf: string
  readonly list: string
  readonly plugin: string
  ready = false

  constructor(t: Test) {
    this.root = t.testdir({ 'built-netloom': executable('2.0.0') })
    this.bin = join(this.root, 'opt/cni/bin')
    this.conf = join(this.root, 'etc/cni/net.d')
    this.list = join(this.conf, NAME)
    this.plugin = join(this.bin, 'netloom')
  }

  install(t: Test, fields: Partial<ConstructorParameters<typeof Installation>[0]> = {}): Installation {
    const installation = new Installation({
      executable: join(this.root, 'built-netloom'),
      binDir: this.bin,
      confDir: this.conf,
      confName: NAME,
      conflist: CONFLIST,
      isReady: () => this.ready,
      log: pino({ level: 'silent' }),
      ...fields,
    })
    installation.start()
    t.teardown(() => installation.close())
    return installation
  }

  read(): { plugin: string; list: string } {
    return { plugin: readFileSync(this.plugin, 'utf8'), list: readFileSync(this.list, 'utf8') }
  }
}

const modeOf = (path: string): number => statSync(path).mode & 0o777

t.test('the executable is there from the start, the list once the agent is ready, and for good', async (t) => {
  const stage = new Stage(t)
  const installation = stage.install(t)
  t.equal(modeOf(stage.plugin), 0o755)
  t.notOk(existsSync(stage.list))
  stage.ready = true
  await eventually(() => existsSync(stage.list), 10_000)
  t.strictSame(stage.read(), { plugin: executable('2.0.0'), list: CONFLIST })
  t.equal(modeOf(stage.list), 0o644)
  stage.ready = false
  rmSync(stage.list)
  installation.look()
  t.ok(existsSync(stage.list), 'pods that are there want their DEL')
  t.strictSame(installation.problems(), [])
  installation.close()
  t.strictSame([readdirSync(stage.bin), readdirSync(stage.conf)], [['netloom'], [NAME]], 'and it stays')
})

t.test('what somebody changes or removes comes back, and what is right is not touched', async (t) => {
  const stage = new Stage(t)
  stage.ready = true
  const installation = stage.install(t)
  const inodes = () => [stage.plugin, stage.list].map((path) => statSync(path).ino)
  const before = inodes()
  installation.look()
  t.strictSame(inodes(), before)
  const damage: Record<string, () => void> = {
    'a list that is removed': () => rmSync(stage.list),
    'an executable that is removed': () => rmSync(stage.plugin),
    'a list with other settings': () =>
      writeFileSync(stage.list, CONFLIST.replace('"aliases": true', '"aliases": false')),
    'an executable of another release': () => writeFileSync(stage.plugin, executable('1.0.0')),
    'other rights': () => chmodSync(stage.plugin, 0o600),
    'a folder that is removed': () => rmSync(stage.conf, { recursive: true }),
  }
  for (const [name, harm] of Object.entries(damage)) {
    harm()
    installation.look()
    t.strictSame([stage.read(), modeOf(stage.plugin)], [{ plugin: executable('2.0.0'), list: CONFLIST }, 0o755], name)
  }
})

t.test('an upgrade replaces both, the list only when the next agent is ready', async (t) => {
  const stage = new Stage(t)
  stage.ready = true
  stage.install(t).close()
  stage.ready = false
  writeFileSync(join(stage.root, 'built-netloom'), executable('3.0.0'))
  writeFileSync(draftOf(stage.plugin), 'half a file, of a crash')
  writeFileSync(draftOf(stage.list), 'half a file, of a crash')
  const conflist = conflistText({ socket: '/run/netloom/agent.sock', cniMode: 'ptp', cniWait: 10_000 })
  const installation = stage.install(t, { conflist })
  t.strictSame(stage.read(), { plugin: executable('3.0.0'), list: CONFLIST })
  stage.ready = true
  installation.look()
  t.strictSame(stage.read(), { plugin: executable('3.0.0'), list: conflist })
  t.strictSame([readdirSync(stage.bin), readdirSync(stage.conf)], [['netloom'], [NAME]], 'and no remains')
})

t.test("others' files stay, and those in our place are told of", async (t) => {
  const stage = new Stage(t)
  stage.ready = true
  const installation = stage.install(t)
  writeFileSync(stage.list, '{"name":"mine","plugins":[{"type":"netloom"}]}')
  installation.look()
  t.match(installation.problems(), [/10-netloom\.conflist is there already, and not netloom's own: it stays/])
  t.match(stage.read().list, /mine/)
  rmSync(stage.list)
  writeFileSync(stage.plugin, '#!/bin/sh\n')
  installation.look()
  t.match(installation.problems(), [/bin\/netloom is there already/])
  t.notOk(existsSync(stage.list), 'without the executable there is no list')
  rmSync(stage.plugin)
  for (const name of ['05-other.conflist', '99-other.conflist']) writeFileSync(join(stage.conf, name), '{}')
  installation.look()
  t.match(installation.problems(), [
    /05-other\.conflist comes before 10-netloom\.conflist: runtimes attach pods to that/,
  ])
  t.strictSame(readdirSync(stage.conf), ['05-other.conflist', NAME, '99-other.conflist'])
})

t.test('what cannot be installed is a problem, until it can', async (t) => {
  const stage = new Stage(t)
  stage.ready = true
  writeFileSync(join(stage.root, 'etc'), 'a file where a folder is to be')
  const installation = stage.install(t, { executable: join(stage.root, 'nowhere') })
  t.match(installation.problems(), [/ENOENT.*nowhere/])
  writeFileSync(join(stage.root, 'nowhere'), executable('2.0.0'))
  installation.look()
  t.match(installation.problems(), [/ENOTDIR|EEXIST/])
  rmSync(join(stage.root, 'etc'))
  installation.look()
  t.strictSame(installation.problems(), [])
})

t.test('only what is asked for is installed', async (t) => {
  const stage = new Stage(t)
  stage.ready = true
  stage.install(t, { binDir: undefined, confDir: undefined })
  t.strictSame(readdirSync(stage.root), ['built-netloom'])
  stage.install(t, { binDir: undefined })
  t.strictSame(readdirSync(stage.root), ['built-netloom', 'etc'])
  stage.install(t, { confDir: undefined })
  t.strictSame(readdirSync(stage.root), ['built-netloom', 'etc', 'opt'])
})

t.test('what agents installed is found again, whatever they called it, and nothing of others', async (t) => {
  const stage = new Stage(t)
  const folders = { binDir: stage.bin, confDir: stage.conf }
  t.strictSame(installedFiles(folders), [], 'where there are not even folders')
  stage.ready = true
  stage.install(t, { confName: '00-first.conflist' }).close()
  stage.install(t).close()
  writeFileSync(join(stage.conf, '05-other.conflist'), '{"name":"mine","plugins":[{"type":"netloom"}]}')
  writeFileSync(join(stage.bin, 'bridge'), executable('1'))
  writeFileSync(draftOf(stage.plugin), '')
  t.strictSame(installedFiles(folders), [
    join(stage.conf, '00-first.conflist'),
    stage.list,
    stage.plugin,
    draftOf(stage.plugin),
  ])
  writeFileSync(stage.plugin, '#!/bin/sh\n')
  t.notOk(installedFiles(folders).includes(stage.plugin))
})
