import t from 'tap'
import { closeSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import {
  createNamespace,
  deleteNamespace,
  inNamespace,
  NAMESPACE_DIR,
  namespacePath,
  openNamespace,
} from '../../src/kernel/netns.js'
import { run, skipWithout } from '../support/namespaces.js'

const here = (): string => readlinkSync('/proc/thread-self/ns/net')
const mounts = (): string[] =>
  readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${NAMESPACE_DIR}/`))

const HOME = here()
t.afterEach(async (test) => {
  t.equal(here(), HOME, `${test.name}: the thread is where it was`)
})

t.test('a namespace is created under its name, another than ours, and deleted without a trace', async (t) => {
  const path = createNamespace('one')
  t.equal(path, namespacePath('one'))
  const inside = inNamespace(path, here)
  t.not(inside, HOME)
  t.equal(inNamespace(path, here), inside, 'and it is the same each time')
  deleteNamespace('one')
  t.strictSame(readdirSync(NAMESPACE_DIR), [])
  t.strictSame(mounts(), [])
})

t.test('a name that is taken is refused, and the namespace that has it stays', async (t) => {
  const path = createNamespace('one')
  const inside = inNamespace(path, here)
  t.throws(() => createNamespace('one'), { code: 'exists', operation: 'create network namespace one' })
  t.equal(inNamespace(path, here), inside)
  deleteNamespace('one')
})

t.test('a name that cannot be a file is refused', async (t) => {
  t.throws(() => createNamespace('no/such/folder'), { code: 'io' })
})

t.test('deleting what is not there is an error of its own', async (t) => {
  t.throws(() => deleteNamespace('nothing'), { code: 'not-found' })
})

t.test('the file of a namespace whose creation was cut off is deleted', async (t) => {
  mkdirSync(NAMESPACE_DIR, { recursive: true })
  writeFileSync(namespacePath('half'), '')
  deleteNamespace('half')
  t.equal(existsSync(namespacePath('half')), false)
})

t.test('the thread comes back when the work throws', async (t) => {
  const path = createNamespace('one')
  const failure = new Error('of the work')
  t.throws(
    () =>
      inNamespace(path, () => {
        throw failure
      }),
    failure,
  )
  t.equal(here(), HOME)
  deleteNamespace('one')
})

t.test('work inside work comes back step by step', async (t) => {
  const [one, two] = [createNamespace('one'), createNamespace('two')]
  const seen = inNamespace(one, () => [here(), inNamespace(two, here), here()])
  t.equal(seen[0], seen[2])
  t.not(seen[0], seen[1])
  deleteNamespace('one')
  deleteNamespace('two')
})

t.test('work that goes on later is refused, and its failure is not left unhandled', async (t) => {
  const path = createNamespace('one')
  t.throws(() => inNamespace(path, async () => 1), { code: 'internal', message: /synchronous/ })
  t.throws(
    () =>
      inNamespace(path, async () => {
        throw new Error('too late')
      }),
    { code: 'internal' },
  )
  await new Promise(setImmediate)
  deleteNamespace('one')
})

t.test('a namespace can be entered by its descriptor, which keeps it when its name is gone', async (t) => {
  const path = createNamespace('one')
  const fd = openNamespace(path)
  const inside = inNamespace(fd, here)
  deleteNamespace('one')
  t.equal(inNamespace(fd, here), inside)
  closeSync(fd)
  t.throws(() => inNamespace(99_999, here), { code: 'kernel', operation: 'enter network namespace' })
})

t.test('a namespace that is not there, or is none, is refused', async (t) => {
  t.throws(() => inNamespace(namespacePath('nothing'), here), { code: 'io', message: /ENOENT/ })
  t.throws(() => inNamespace('/dev/null', here), { code: 'kernel' })
})

t.test('no descriptor is left open', async (t) => {
  const path = createNamespace('one')
  const count = (): number => readdirSync('/proc/self/fd').length
  inNamespace(path, here)
  const before = count()
  for (let i = 0; i < 50; i++) {
    inNamespace(path, here)
    try {
      inNamespace('/dev/null', here)
    } catch {
      // refused, as the test above says
    }
  }
  t.equal(count(), before)
  deleteNamespace('one')
})

t.test('a worker thread moves alone', async (t) => {
  const path = createNamespace('one')
  const source = new URL('../../src/kernel/netns.js', import.meta.url).href
  const program = `
    import { parentPort } from 'node:worker_threads'
    import { readlinkSync } from 'node:fs'
    const { enterNamespace, inNamespace } = await import('${source}')
    const here = () => readlinkSync('/proc/thread-self/ns/net')
    const home = here()
    const visited = inNamespace('${path}', here)
    const back = here()
    enterNamespace('${path}')
    parentPort.postMessage({ home, visited, back, moved: here() })`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`))
  const seen = await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  const inside = inNamespace(path, here)
  t.strictSame(seen, { home: HOME, visited: inside, back: HOME, moved: inside })
  t.equal(here(), HOME)
  deleteNamespace('one')
})

t.test('ip netns finds our namespaces, and we delete its', { skip: skipWithout('ip', '-V') }, async (t) => {
  createNamespace('ours')
  t.match(run('ip', ['netns', 'list']).stdout, /^ours/m)
  t.equal(run('ip', ['-n', 'ours', 'link', 'show', 'lo']).status, 0)
  t.equal(run('ip', ['netns', 'add', 'theirs']).status, 0)
  deleteNamespace('theirs')
  deleteNamespace('ours')
  t.equal(run('ip', ['netns', 'list']).stdout, '')
})
