import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createLog } from '../../../src/base/log.js'
import { DirectorySource } from '../../../src/kube/directory.js'
import { type Change } from '../../../src/kube/store.js'

/** A source over a folder of its own, and what it has told so far. */
class World {
  readonly root: string
  readonly source: DirectorySource
  readonly batches: string[][] = []

  constructor(t: Test, files: Record<string, string> = {}, rescanMs = 60_000) {
    this.root = join(t.testdir({}), 'manifests')
    mkdirSync(this.root)
    for (const [path, text] of Object.entries(files)) this.write(path, text)
    this.source = new DirectorySource(this.root, { log: createLog('silent', 'test'), rescanMs })
    this.source.subscribe((changes) => this.batches.push(changes.map(textOf)))
    t.teardown(() => this.source.close())
  }

  write(path: string, text: string): void {
    mkdirSync(join(this.root, path, '..'), { recursive: true })
    writeFileSync(join(this.root, path), text)
  }

  path(path: string): string {
    return join(this.root, path)
  }

  names(kind: 'Node' | 'Pod' | 'Service' = 'Node'): string[] {
    return [...this.source.store.all(kind).values()].map(({ name }) => name).sort()
  }

  zone(name: string): string | undefined {
    return this.source.store.get('Node', name)?.zone
  }

  /** `file:line message` of each problem. */
  problems(): string[] {
    return this.source
      .problems()
      .map(({ file, line, message }) => `${file.slice(this.root.length + 1)}:${String(line ?? '')} ${message}`)
  }
}

const textOf = ({ kind, key, before, after }: Change): string =>
  `${before === undefined ? '+' : after === undefined ? '-' : '~'} ${kind} ${key}`

const node = (name: string, zone = 'z1'): string =>
  `apiVersion: v1\nkind: Node\nmetadata:\n  name: ${name}\n  labels: {topology.kubernetes.io/zone: ${zone}}\n`

const pod = (name: string, ip: string): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: web}}
status: {phase: Running, podIP: ${ip}, conditions: [{type: Ready, status: "True"}]}
`

const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, clusterIP: 10.96.0.1, ports: [{port: 80}]}
`

const BROKEN = 'apiVersion: v1\nkind: Node\nmetadata:\n  name: NOT A NAME\n'

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 600 && !condition(); i++) await sleep(5)
}

/** Long enough for an event to arrive and be worked on, where nothing is to happen. */
const settle = (): Promise<void> => sleep(120)

t.test('a start delivers everything as one batch', async (t) => {
  const world = new World(t, {
    'nodes.yaml': `${node('n1')}---\n${node('n2')}`,
    'deep/er/pods.yml': `${SERVICE}---\n${pod('a', '10.0.0.1')}`,
    'list.json': JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }],
    }),
    'notes.txt': 'nothing',
    '.hidden.yaml': node('hidden'),
    'app.yaml': 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n',
  })
  await world.source.start()
  t.equal(world.batches.length, 1)
  t.same(world.batches[0]?.sort(), [
    '+ EndpointSlice default/web-derived:ipv4-1',
    '+ Namespace shop',
    '+ Node n1',
    '+ Node n2',
    '+ Pod default/a',
    '+ Service default/web',
  ])
  t.same(world.problems(), [])
  await world.source.start()
  t.equal(world.batches.length, 1, 'a second start is the first')
})

t.test('a folder that is not there, or none, is a clear error', async (t) => {
  const root = t.testdir({ file: '' })
  const start = (path: string): Promise<void> => new DirectorySource(path, { log: createLog('silent', 'test') }).start()
  await t.rejects(start(join(root, 'gone')), { code: 'not-found', message: /there is no folder .*gone/ })
  await t.rejects(start(join(root, 'file')), { code: 'invalid', message: /is not a folder/ })
})

t.test('an empty folder is a start without a batch', async (t) => {
  const world = new World(t)
  await world.source.start()
  t.same(world.batches, [])
  world.write('a.yaml', node('n1'))
  await until(() => world.batches.length > 0)
  t.same(world.batches, [['+ Node n1']])
})

t.test('a Pod removed from a file leaves its Service within 50 ms', async (t) => {
  const world = new World(t, { 'web.yaml': `${SERVICE}---\n${pod('a', '10.0.0.1')}---\n${pod('b', '10.0.0.2')}` })
  await world.source.start()
  const times: number[] = []
  for (let i = 0; i < 5; i++) {
    for (const pods of [pod('a', '10.0.0.1'), `${pod('a', '10.0.0.1')}---\n${pod('b', '10.0.0.2')}`]) {
      const count = world.batches.length
      const start = performance.now()
      world.write('web.yaml', `${SERVICE}---\n${pods}`)
      await new Promise<void>((resolve) => {
        const end = world.source.subscribe(() => {
          end()
          resolve()
        })
      })
      times.push(performance.now() - start)
      t.equal(world.batches.length, count + 1)
      t.match(world.batches[count], [/^[+-] Pod default\/b$/, '~ EndpointSlice default/web-derived:ipv4-1'])
    }
  }
  const median = times.sort((a, b) => a - b)[5]!
  t.ok(median < 50, `took ${median.toFixed(1)} ms`)
})

t.test('comments and another format are no change', async (t) => {
  const world = new World(t, { 'a.yaml': node('n1') })
  await world.source.start()
  world.write('a.yaml', `# a comment\n---\n${node('n1')}`)
  await settle()
  world.write(
    'a.yaml',
    '{"kind": "Node", "apiVersion": "v1", "metadata": {"labels": {"topology.kubernetes.io/zone": "z1"}, "name": "n1"}}',
  )
  await settle()
  t.equal(world.batches.length, 1)
})

t.test('a broken file keeps its last good state and says where it is broken', async (t) => {
  const world = new World(t, { 'a.yaml': `${node('n1')}---\n${node('n2')}`, 'b.yaml': node('n3') })
  await world.source.start()
  world.write('a.yaml', `${node('n1', 'changed')}---\n${BROKEN}`)
  world.write('b.yaml', node('n3', 'z9'))
  await until(() => world.problems().length > 0 && world.zone('n3') === 'z9')
  t.same(world.names(), ['n1', 'n2', 'n3'])
  t.equal(world.zone('n1'), 'z1', 'the file as a whole keeps its state')
  const [problem] = world.source.problems()
  t.match(problem, {
    file: world.path('a.yaml'),
    line: 10,
    column: 9,
    field: 'metadata.name',
    message: /not a DNS name/,
  })
  t.ok(Math.abs(Date.now() - (problem?.since ?? 0)) < 60_000)

  await sleep(20)
  world.write('a.yaml', `# still\n${BROKEN}`)
  await until(() => world.source.problems()[0]?.line === 5)
  world.write('a.yaml', node('n1', 'mended'))
  await until(() => world.problems().length === 0)
  t.equal(world.zone('n1'), 'mended')
  t.same(world.names(), ['n1', 'n3'])
})

t.test('a file that is broken at the start is absent, the others load', async (t) => {
  const world = new World(t, { 'a.yaml': `${node('n1')}---\n${BROKEN}`, 'b.yaml': node('n2'), 'c.yaml': '{"a": ' })
  await world.source.start()
  t.same(world.names(), ['n2'])
  t.same(
    world.source.problems().map(({ file, line }) => [file.slice(world.root.length + 1), line]),
    [
      ['a.yaml', 10],
      ['c.yaml', 1],
    ],
  )
  rmSync(world.path('c.yaml'))
  world.write('a.yaml', node('n1'))
  await until(() => world.problems().length === 0)
  t.same(world.names(), ['n1', 'n2'])
})

t.test('a file cut off in the middle, or emptied, keeps its last good state', async (t) => {
  const world = new World(t, { 'a.yaml': `${node('n1')}---\n${node('n2')}` })
  await world.source.start()
  const text = `${node('n1', 'new')}---\n${node('n2', 'new')}`
  truncateSync(world.path('a.yaml'), 0)
  await until(() => world.problems().length > 0)
  t.match(world.problems(), [/a.yaml: is empty; its last good state is kept/])
  t.same(world.names(), ['n1', 'n2'])
  const file = openSync(world.path('a.yaml'), 'w')
  writeSync(file, text.slice(0, text.indexOf('{topology') + 12))
  await until(() => !world.problems().join().includes('empty'))
  t.equal(world.problems().length, 1)
  t.same(world.names(), ['n1', 'n2'])
  writeSync(file, text.slice(text.indexOf('{topology') + 12))
  closeSync(file)
  await until(() => world.problems().length === 0)
  t.equal(world.batches.length, 2, 'nothing was told in between')
  t.equal(world.zone('n2'), 'new')
})

t.test('a file that is written piece by piece is read as a whole in the end', async (t) => {
  const world = new World(t, { 'a.yaml': `${SERVICE}---\n${pod('p0', '10.0.0.1')}` })
  await world.source.start()
  const pods = Array.from({ length: 40 }, (_, i) => pod(`p${i}`, `10.0.1.${i + 1}`))
  const file = openSync(world.path('a.yaml'), 'w')
  writeSync(file, SERVICE)
  for (const text of pods) {
    writeSync(file, `---\n${text}`)
    await sleep(0)
  }
  closeSync(file)
  await until(() => world.names('Pod').length === 40)
  t.equal(world.names('Pod').length, 40)
  t.same(world.problems(), [])
})

t.test('an editor that writes another file and renames it is noticed', async (t) => {
  const world = new World(t, { 'a.yaml': node('n1') })
  await world.source.start()
  for (const [i, temporary] of ['a.yaml~', '.a.yaml.swp', '4913'].entries()) {
    world.write(temporary, node('n1', `v${i}`))
    renameSync(world.path(temporary), world.path('a.yaml'))
    await until(() => world.zone('n1') === `v${i}`)
    t.equal(world.zone('n1'), `v${i}`, temporary)
  }
  t.equal(world.batches.length, 4)
})

t.test('deleted files and folders take their objects along', async (t) => {
  const world = new World(t, { 'a.yaml': node('n1'), 'sub/b.yaml': node('n2'), 'sub/deep/c.yaml': node('n3') })
  await world.source.start()
  rmSync(world.path('a.yaml'))
  await until(() => world.names().length === 2)
  t.same(world.names(), ['n2', 'n3'])
  rmSync(world.path('sub'), { recursive: true })
  await until(() => world.names().length === 0)
  t.same(world.names(), [])
  t.same(world.problems(), [])
})

t.test('files and folders that come, move and are filled later are followed', async (t) => {
  const world = new World(t)
  await world.source.start()
  mkdirSync(world.path('one/two'), { recursive: true })
  await settle()
  world.write('one/two/a.yaml', node('n1'))
  await until(() => world.names().length === 1)
  t.same(world.names(), ['n1'])

  renameSync(world.path('one'), world.path('moved'))
  await settle()
  t.same(world.names(), ['n1'])
  t.same(world.batches, [['+ Node n1']], 'the same object at another place is no change')
  world.write('moved/two/a.yaml', node('n1', 'z2'))
  await until(() => world.zone('n1') === 'z2')
  t.equal(world.zone('n1'), 'z2')

  renameSync(world.path('moved/two/a.yaml'), world.path('a.yaml'))
  world.write('b.yaml', node('n2'))
  await until(() => world.names().length === 2)
  t.same(world.batches.flat(), ['+ Node n1', '~ Node n1', '+ Node n2'])
})

t.test('an object in two files is a problem that names both, and the first by path counts', async (t) => {
  const world = new World(t, { 'b.yaml': node('n1', 'second'), 'a.yaml': node('n1', 'first') })
  await world.source.start()
  t.equal(world.zone('n1'), 'first')
  t.same(world.problems(), ['b.yaml:1 Node n1 is in a.yaml already, which counts'])
  rmSync(world.path('a.yaml'))
  await until(() => world.problems().length === 0)
  t.equal(world.zone('n1'), 'second')
  world.write('a.yaml', node('n1', 'third'))
  await until(() => world.problems().length === 1)
  t.equal(world.zone('n1'), 'third')
  t.same(world.batches.at(-1), ['~ Node n1'])
})

t.test('a mounted ConfigMap is followed through its links', async (t) => {
  const world = new World(t, { '..1/a.yaml': node('n1', 'one'), '..1/sub/b.yaml': node('n2', 'one') })
  symlinkSync('..1', world.path('..data'))
  symlinkSync('..data/a.yaml', world.path('a.yaml'))
  symlinkSync('..data/sub', world.path('sub'))
  await world.source.start()
  t.same(world.names(), ['n1', 'n2'])
  for (const [number, zone] of [
    [2, 'two'],
    [3, 'three'],
  ]) {
    world.write(`..${String(number)}/a.yaml`, node('n1', String(zone)))
    world.write(`..${String(number)}/sub/b.yaml`, node('n2', String(zone)))
    symlinkSync(`..${String(number)}`, world.path('..data_tmp'))
    renameSync(world.path('..data_tmp'), world.path('..data'))
    rmSync(world.path(`..${Number(number) - 1}`), { recursive: true })
    await until(() => world.zone('n2') === zone && world.zone('n1') === zone)
    t.same([world.zone('n1'), world.zone('n2')], [zone, zone])
  }
  t.notOk(world.batches.flat().some((change) => change.startsWith('-')))
})

t.test('a link that leads nowhere keeps what it led to', async (t) => {
  const world = new World(t, { '.real/a.yaml': node('n1') })
  symlinkSync('.real/a.yaml', world.path('a.yaml'))
  await world.source.start()
  renameSync(world.path('.real'), world.path('.away'))
  await until(() => world.problems().length > 0)
  t.same(world.names(), ['n1'])
  t.match(world.problems(), [/a link that leads nowhere/])
  renameSync(world.path('.away'), world.path('.real'))
  await until(() => world.problems().length === 0)
  t.same(world.names(), ['n1'])
  t.equal(world.batches.length, 1)
})

t.test('a folder that vanishes keeps everything until it is back', async (t) => {
  const world = new World(t, { 'a.yaml': node('n1'), 'sub/b.yaml': node('n2') }, 25)
  await world.source.start()
  const away = `${world.root}-away`
  renameSync(world.root, away)
  await until(() => world.problems().length > 0)
  t.match(world.problems(), [/ENOENT.*its last good state is kept/])
  t.same(world.names(), ['n1', 'n2'])
  const since = world.source.problems()[0]?.since
  await sleep(80)
  t.equal(world.source.problems()[0]?.since, since, 'it is one problem, not a new one at every look')

  writeFileSync(join(away, 'a.yaml'), node('n1', 'z2'))
  renameSync(away, world.root)
  await until(() => world.problems().length === 0 && world.zone('n1') === 'z2')
  t.equal(world.zone('n1'), 'z2')
  t.same(world.problems(), [])
  t.same(world.names(), ['n1', 'n2'])
})

t.test('a folder that is replaced by an empty one keeps everything, by a filled one takes that', async (t) => {
  const world = new World(t, { 'a.yaml': node('n1') }, 25)
  await world.source.start()
  renameSync(world.root, `${world.root}-away`)
  mkdirSync(world.root)
  await until(() => world.problems().join().includes('another folder'))
  t.same(world.names(), ['n1'])
  const since = world.source.problems()[0]?.since
  await sleep(80)
  t.equal(world.source.problems()[0]?.since, since)
  world.write('b.yaml', node('n2'))
  await until(() => world.problems().length === 0 && world.names().includes('n2'))
  t.same(world.names(), ['n2'])
  t.same(world.problems(), [])
  world.write('b.yaml', node('n2', 'z2'))
  await until(() => world.zone('n2') === 'z2')
  t.equal(world.zone('n2'), 'z2')
})

t.test('deleting the last file of the same folder is believed', async (t) => {
  const world = new World(t, { 'a.yaml': node('n1') }, 25)
  await world.source.start()
  rmSync(world.path('a.yaml'))
  await until(() => world.names().length === 0)
  t.same(world.names(), [])
  t.same(world.problems(), [])
})

t.test('what notifications miss a look at everything finds', async (t) => {
  const world = new World(t, {}, 25)
  const outside = join(t.testdirName, 'outside.yaml')
  writeFileSync(outside, node('n1'))
  symlinkSync(outside, world.path('a.yaml'))
  await world.source.start()
  writeFileSync(outside, node('n1', 'z2'))
  await until(() => world.zone('n1') === 'z2')
  t.equal(world.zone('n1'), 'z2')
})

t.test(
  'a file that may not be read keeps its last good state',
  { skip: process.getuid?.() === 0 ? 'root may read everything' : false },
  async (t) => {
    const world = new World(t, { 'a.yaml': node('n1') })
    await world.source.start()
    chmodSync(world.path('a.yaml'), 0)
    await until(() => world.problems().length > 0)
    t.match(world.problems(), [/EACCES/])
    t.same(world.names(), ['n1'])
    chmodSync(world.path('a.yaml'), 0o644)
    await until(() => world.problems().length === 0)
  },
)

t.test('a file that is too large keeps its last good state', async (t) => {
  const world = new World(t, { 'a.yaml': node('n1') })
  await world.source.start()
  truncateSync(world.path('a.yaml'), 65 * 1024 * 1024)
  await until(() => world.problems().length > 0)
  t.match(world.problems(), [/68157440 bytes, more than/])
  t.same(world.names(), ['n1'])
  rmSync(world.path('a.yaml'))
  await until(() => world.problems().length === 0)
  t.same(world.names(), [])
})

t.test('after closing nobody is told anything', async (t) => {
  const world = new World(t, { 'a.yaml': node('n1') }, 10)
  await world.source.start()
  appendFileSync(world.path('a.yaml'), `---\n${node('n2')}`)
  await world.source.close()
  await settle()
  t.same(world.batches, [['+ Node n1']])
  await world.source.close()
})

t.test('a source that is closed while it starts ends', async (t) => {
  const world = new World(t, { 'a.yaml': node('n1') })
  const started = world.source.start()
  await world.source.close()
  await started
  t.same(world.batches, [])
})
