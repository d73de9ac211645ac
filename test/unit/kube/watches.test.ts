import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Watches } from '../../../src/kube/watches.js'

interface Seen {
  readonly watches: Watches
  readonly events: Set<string>
  readonly states: Map<string, string | undefined>
}

function watching(t: Test, root: string): Seen {
  const events = new Set<string>()
  const states = new Map<string, string | undefined>()
  const watches = new Watches({
    root,
    onEvent: (path) => events.add(path),
    onState: (path, problem) => states.set(path, problem),
  })
  t.teardown(() => watches.clear())
  return { watches, events, states }
}

async function until(condition: () => boolean): Promise<boolean> {
  for (let i = 0; i < 400 && !condition(); i++) await sleep(5)
  return condition()
}

t.test('an event is told with its path', async (t) => {
  const root = t.testdir({ sub: {} })
  const { watches, events } = watching(t, root)
  watches.add('', 'one')
  watches.add('sub', 'two')
  t.equal(watches.size, 2)
  writeFileSync(join(root, 'a.yaml'), '')
  writeFileSync(join(root, 'sub', 'b.yaml'), '')
  t.ok(await until(() => events.has('a.yaml') && events.has('sub/b.yaml')))
})

t.test('an event on a hidden name concerns the folder', async (t) => {
  const root = t.testdir({ sub: {} })
  const { watches, events } = watching(t, root)
  watches.add('sub', 'two')
  writeFileSync(join(root, 'sub', '..data'), '')
  t.ok(await until(() => events.has('sub')))
})

t.test('a folder that is another one is watched anew, the same one is not', async (t) => {
  const root = t.testdir({ sub: {} })
  const { watches, events } = watching(t, root)
  watches.add('sub', 'one')
  renameSync(join(root, 'sub'), join(root, 'old'))
  mkdirSync(join(root, 'sub'))
  watches.add('sub', 'two')
  writeFileSync(join(root, 'sub', 'a.yaml'), '')
  t.ok(await until(() => events.has('sub/a.yaml')))
  t.equal(watches.size, 1)
})

t.test(
  'the watch of a folder that has been deleted is dropped, as its identity may be given to the next',
  async (t) => {
    const root = t.testdir({ sub: {} })
    const { watches, events } = watching(t, root)
    watches.add('sub', 'one')
    rmSync(join(root, 'sub'), { recursive: true })
    t.ok(await until(() => events.has('sub') && watches.size === 0))
    mkdirSync(join(root, 'sub'))
    watches.add('sub', 'one')
    writeFileSync(join(root, 'sub', 'a.yaml'), '')
    t.ok(await until(() => events.has('sub/a.yaml')))
  },
)

t.test('a folder that cannot be watched says so until it can', async (t) => {
  const root = t.testdir({})
  const { watches, states } = watching(t, root)
  watches.add('sub', 'one')
  t.match(states.get('sub'), /ENOENT/)
  t.equal(watches.size, 0)
  mkdirSync(join(root, 'sub'))
  watches.add('sub', 'one')
  t.equal(states.has('sub') && states.get('sub') === undefined, true)
  t.same(watches.paths(), ['sub'])
  watches.delete('sub')
  t.equal(watches.size, 0)
})
