import t from 'tap'
import { namespace, node, PATHS, pod, service } from '../../../support/api-objects.js'
import { ApiWorld, settle, until } from '../../../support/api-world.js'
import { type FakeWatch, type SeenRequest, status } from '../../../support/fake-api.js'

const isList = ({ path, query }: SeenRequest): boolean => path === PATHS.nodes && query['watch'] === undefined
const isWatch = ({ path, query }: SeenRequest): boolean => path === PATHS.nodes && query['watch'] === 'true'

const nodes = ({ source }: ApiWorld): string[] => [...source.store.all('Node').keys()].sort()

/** A world that knows three nodes, with its watch on them. */
async function watching(...args: Parameters<typeof ApiWorld.make>): Promise<{ world: ApiWorld; watch: FakeWatch }> {
  const world = await ApiWorld.make(...args)
  for (const name of ['n1', 'n2', 'n3']) world.api.put(PATHS.nodes, node(name))
  await world.source.start()
  return { world, watch: await watchOf(world) }
}

async function watchOf({ api }: ApiWorld, not?: FakeWatch): Promise<FakeWatch> {
  const open = (): FakeWatch | undefined => api.openWatches(PATHS.nodes).find((watch) => watch !== not)
  await until(() => open() !== undefined, 'a watch of nodes')
  return open()!
}

t.test('a watch asks for bookmarks and for an end at a time of its own', async (t) => {
  const { watch } = await watching(t)
  t.match(watch.query, { allowWatchBookmarks: 'true', resourceVersion: /^\d+$/, timeoutSeconds: '450' })
})

t.test('a watch that ends or breaks off is resumed where it was, without a list', async (t) => {
  const { world, watch } = await watching(t)
  world.api.put(PATHS.nodes, node('n4'))
  await until(() => nodes(world).length === 4)
  watch.end()
  const second = await watchOf(world, watch)
  t.ok(Number(second.query['resourceVersion']) > Number(watch.query['resourceVersion']))
  second.drop()
  world.api.put(PATHS.nodes, node('n5'))
  await until(() => nodes(world).length === 5)
  t.equal(world.api.lists(PATHS.nodes).length, 2, 'two pages, at the start')
  t.same(world.warnings(), [])
})

t.test('a bookmark moves the point from which a watch is resumed', async (t) => {
  const { world, watch } = await watching(t)
  world.api.put(PATHS.namespaces, namespace('x'))
  world.api.bookmark()
  await settle()
  watch.end()
  const second = await watchOf(world, watch)
  t.ok(Number(second.query['resourceVersion']) > Number(watch.query['resourceVersion']))
})

for (const how of ['an event of the watch', 'its refusal'] as const)
  t.test(`a version that is gone (${how}) is a list, whose difference is one batch`, async (t) => {
    const { world, watch } = await watching(t)
    const { port } = world.api
    await world.api.close()
    world.api.put(PATHS.nodes, node('n4'))
    world.api.put(PATHS.nodes, node('n2', 'other'))
    world.api.delete(PATHS.nodes, 'n3')
    world.api.compact()
    if (how === 'its refusal') world.api.fail({ status: 410, body: status(410) }, isWatch)
    await world.api.listen(port)
    await until(() => nodes(world).includes('n4'))
    t.same(world.batches.slice(1), [['- Node n3', '~ Node n2', '+ Node n4']])
    t.notOk(watch.open)
  })

t.test('a list that expires between its pages starts anew', async (t) => {
  const world = await ApiWorld.make(t)
  for (const name of ['n1', 'n2', 'n3']) world.api.put(PATHS.nodes, node(name))
  world.api.fail({ status: 410, body: status(410) }, (request) => request.query['continue'] !== undefined)
  await world.source.start()
  t.same(nodes(world), ['n1', 'n2', 'n3'])
  t.same(
    world.api.lists(PATHS.nodes).map(({ query }) => query['continue'] !== undefined),
    [false, true, false, true],
  )
})

t.test('a list that breaks off, or is none, changes nothing', async (t) => {
  const { world, watch } = await watching(t)
  const strange = [
    'cut',
    { text: '<html>a proxy</html>' },
    { text: '{}' },
    { text: '{"kind":"PodList","items":[],"metadata":{"resourceVersion":"9"}}' },
    { text: '{"kind":"NodeList","items":{},"metadata":{"resourceVersion":"9"}}' },
    { text: '{"kind":"NodeList","items":[]}' },
    { text: '{"kind":"NodeList","items":[{}],"metadata":{"resourceVersion":"9"}}' },
  ] as const
  for (const fault of strange) world.api.fail(fault, isList)
  world.api.compact()
  watch.drop()
  await until(() => world.api.lists(PATHS.nodes).length === 2 + strange.length + 2)
  await watchOf(world, watch)
  t.equal(world.batches.length, 1)
  t.same(world.problems(), [])
})

t.test('no nodes at all, or all but the own one, is never believed', async (t) => {
  const { world, watch } = await watching(t)
  for (const items of [[], [node('n2')]])
    world.api.fail({ status: 200, body: { kind: 'NodeList', metadata: { resourceVersion: '9' }, items } }, isList, 3)
  world.api.compact()
  watch.drop()
  await until(() => world.problems().some((text) => text.includes('not a single Node')))
  await until(() => world.problems().some((text) => text.includes('no Node n1 any more')))
  await watchOf(world, watch)
  t.same(nodes(world), ['n1', 'n2', 'n3'])
  t.equal(world.batches.length, 1)
  t.same(world.problems(), [])
  t.match(world.warnings()[0], /^Node: lists not a single Node, which no cluster is without; what is known is kept$/)
})

t.test('no pods at all is believed when a second list says the same', async (t) => {
  const world = await ApiWorld.make(t, { confirmMs: 300 })
  world.api.put(PATHS.pods, pod('a', 'n1'))
  await world.source.start()
  await until(() => world.api.openWatches(PATHS.pods).length === 1)
  world.api.delete(PATHS.pods, 'shop/a', { missed: true })
  world.api.compact()
  world.api.openWatches(PATHS.pods)[0]?.drop()
  await until(() => world.problems().length === 1)
  t.match(world.problems(), [/^Pod: lists no Pod any more; what is known is kept until a second list says the same$/])
  t.equal(world.source.store.all('Pod').size, 1)
  await until(() => world.source.store.all('Pod').size === 0)
  t.equal(world.api.lists(PATHS.pods).length, 3)
  await until(() => world.problems().length === 0)
})

t.test('a watch of which nothing is heard is given up and resumed', async (t) => {
  const { world, watch } = await watching(t, { silenceMs: 300 })
  watch.mute = true
  world.api.put(PATHS.nodes, node('n4'))
  await until(() => nodes(world).length === 4)
  t.notOk(watch.open)
  t.equal(world.api.lists(PATHS.nodes).length, 2, 'without a list')
  t.same(world.warnings(), [])
})

t.test('a watch that is heard of now and then goes on', async (t) => {
  const { world, watch } = await watching(t, { silenceMs: 1000 })
  for (let i = 0; i < 20; i++) {
    await settle()
    world.api.bookmark()
  }
  t.ok(watch.open)
})

t.test('what a watch missed is found when it ends after a while, and is told and logged', async (t) => {
  const { world, watch } = await watching(t, { verifyMs: 0 })
  world.api.put(PATHS.nodes, node('n4'), { missed: true })
  world.api.delete(PATHS.nodes, 'n3', { missed: true })
  world.api.put(PATHS.nodes, node('n2', 'other'))
  await until(() => world.source.store.get('Node', 'n2')?.zone === 'other')
  t.same(nodes(world), ['n1', 'n2', 'n3'])
  watch.end()
  await until(() => nodes(world).includes('n4'))
  t.same(world.batches.slice(2), [['- Node n3', '+ Node n4']])
  t.match(
    world.logged.find(({ msg }) => msg.includes('missed')),
    { level: 40, kind: 'Node', missed: 2 },
  )
  const verify = world.api.lists(PATHS.nodes)[2]
  t.match(verify?.query, { resourceVersionMatch: 'Exact', resourceVersion: /^\d+$/ }, 'as of what the watch has told')
})

t.test('a server that wants to be left alone is, for as long as it says', async (t) => {
  const world = await ApiWorld.make(t)
  world.api.put(PATHS.nodes, node('n1'))
  world.api.fail({ status: 429, headers: { 'retry-after': '1' }, body: status(429) }, isList)
  const begun = performance.now()
  await world.source.start()
  t.ok(performance.now() - begun > 950)
  t.same(world.warnings(), [], 'once is no problem')
})

t.test('a server that keeps failing is a problem until it does not', async (t) => {
  const world = await ApiWorld.make(t)
  world.api.put(PATHS.nodes, node('n1'))
  world.api.fail({ status: 500, body: status(500) }, isList, 1000)
  const started = world.source.start()
  await until(() => world.problems().length === 1)
  t.same(world.problems(), ['Node: list failed: made up: 500'])
  world.api.heal()
  await started
  t.same(world.problems(), [])
})

t.test('a watch that is refused again and again is replaced by a list', async (t) => {
  const { world, watch } = await watching(t)
  world.api.fail({ status: 500, body: status(500) }, isWatch, 3)
  watch.drop()
  await watchOf(world, watch)
  t.equal(world.api.lists(PATHS.nodes).length, 4)
})

t.test('a watch that says nonsense is replaced by a list', async (t) => {
  const { world, watch } = await watching(t)
  world.api.put(PATHS.nodes, node('n4'), { missed: true })
  watch.write('{"type":"ADDED","object":\n')
  await until(() => nodes(world).includes('n4'))
  const second = await watchOf(world, watch)
  world.api.put(PATHS.nodes, node('n5'), { missed: true })
  second.send({ type: 'HELLO', object: { metadata: { resourceVersion: '9' } } })
  await until(() => nodes(world).includes('n5'))
  t.pass()
})

t.test('events before one that cannot be read count', async (t) => {
  const { world, watch } = await watching(t)
  const line = (value: object): string => `${JSON.stringify(value)}\n`
  const object = { ...node('n9'), metadata: { name: 'n9', resourceVersion: '99' } }
  world.api.fail('hang', isList, 10)
  watch.write(line({ type: 'ADDED', object }) + line({ type: 'ERROR', object: status(500) }))
  await until(() => nodes(world).includes('n9'))
  t.pass()
})

t.test('watches that end at once are no reason to ask without a pause', async (t) => {
  const { world, watch } = await watching(t, { shortestWatchMs: 60_000, firstBackoffMs: 10_000, mostBackoffMs: 10_000 })
  watch.end()
  await until(() => world.logged.some(({ msg }) => msg === 'asking the API server failed'))
  t.match(world.logged.at(-1), { step: 'watch', waitMs: 5000, err: { message: /ended a watch at once/ } })
})

t.test('one kind that fails leaves the others alone', async (t) => {
  const { world } = await watching(t)
  world.api.fail('hang', ({ path }) => path === PATHS.nodes, 100)
  world.api.openWatches(PATHS.nodes)[0]?.drop()
  await until(() => world.api.openWatches(PATHS.services).length === 1)
  world.api.put(PATHS.services, service('web', '10.96.0.1'))
  await until(() => world.source.store.all('Service').size === 1)
  t.pass()
})

t.test('a watch that stands is right again, though nothing happens that it could tell', async (t) => {
  const { world, watch } = await watching(t)
  world.api.fail({ status: 403, body: status(403) }, isWatch)
  watch.drop()
  await until(() => world.problems().length === 1)
  t.same(world.problems(), ['Node: watch failed: made up: 403'])
  await until(() => world.problems().length === 0)
  t.pass()
})
