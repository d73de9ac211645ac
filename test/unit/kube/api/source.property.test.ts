import t from 'tap'
import fc from 'fast-check'
import { keyOf } from '../../../../src/model/meta.js'
import { type KubeObject, readObjectOf, sameObject } from '../../../../src/model/object.js'
import { type Change } from '../../../../src/kube/store.js'
import { node, PATHS, pod, policy, service } from '../../../support/api-objects.js'
import { ApiWorld, until } from '../../../support/api-world.js'
import { type ApiObject } from '../../../support/fake-api.js'

/** What happens to a server, one after another. */
type Deed =
  | { readonly do: 'put' | 'delete'; readonly what: Subject; readonly missed: boolean }
  | { readonly do: 'compact' | 'drop' | 'end' | 'bookmark' | 'fail' | 'cut' | 'settle' }

interface Subject {
  readonly path: string
  readonly object: ApiObject
}

const subjects = fc.oneof(
  fc.record({
    path: fc.constant<string>(PATHS.nodes),
    object: fc.tuple(fc.constantFrom('n2', 'n3'), fc.constantFrom('a', 'b')).map(([name, zone]) => node(name, zone)),
  }),
  fc.record({
    path: fc.constant<string>(PATHS.services),
    object: fc
      .tuple(fc.constantFrom('x', 'y'), fc.constantFrom('10.96.0.2', '10.96.0.3', 'broken'), fc.boolean())
      .map(([name, ip, other]) =>
        service(name, ip, other ? { 'service.kubernetes.io/service-proxy-name': 'other' } : {}),
      ),
  }),
  fc.record({
    path: fc.constant<string>(PATHS.pods),
    object: fc
      .tuple(fc.constantFrom('p', 'q', 'r'), fc.constantFrom('n1', 'n2'), fc.constantFrom('a', 'b'))
      .map(([name, nodeName, app]) => pod(name, nodeName, { app })),
  }),
  fc.record({ path: fc.constant<string>(PATHS.policies), object: fc.constant(policy('deny')) }),
)

const missed = fc.integer({ min: 0, max: 9 }).map((n) => n < 3)

const deeds = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), what: subjects, missed }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), what: subjects, missed }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom('compact', 'drop', 'end', 'bookmark', 'fail', 'cut', 'settle'),
      }),
    },
  ),
  { minLength: 5, maxLength: 60, size: 'max' },
)

const keyOfRaw = ({ metadata: { name, namespace } }: ApiObject): string =>
  namespace === undefined ? name : `${namespace}/${name}`

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function happen({ api }: ApiWorld, deed: Deed): Promise<void> {
  switch (deed.do) {
    case 'put':
      return void api.put(deed.what.path, deed.what.object, deed)
    case 'delete': {
      api.delete(deed.what.path, keyOfRaw(deed.what.object), deed)
      return
    }
    case 'compact': {
      api.compact()
      return
    }
    case 'drop': {
      api.openWatches().forEach((watch) => watch.drop())
      return
    }
    case 'end': {
      api.openWatches().forEach((watch) => watch.end())
      return
    }
    case 'bookmark': {
      api.bookmark()
      return
    }
    case 'fail': {
      api.fail({ status: 500 })
      return
    }
    case 'cut': {
      api.fail('cut', ({ query }) => query['watch'] === undefined)
      return
    }
    case 'settle':
      for (let i = 0; i < 30; i++) await turn()
  }
}

/** The objects of the server as the source is to have them; broken ones cannot be compared, they keep what was. */
function wanted({ api }: ApiWorld): KubeObject[] {
  const policed = api.all(PATHS.policies).length > 0
  const read = (kind: 'Node' | 'Service' | 'Pod' | 'NetworkPolicy', path: string): KubeObject[] =>
    api.all(path).flatMap((object) => {
      try {
        return readObjectOf(kind, object) ?? []
      } catch {
        return []
      }
    })
  return [
    ...read('Node', PATHS.nodes),
    ...read('Service', PATHS.services).filter((object) => object.kind === 'Service' && object.proxied),
    ...read('Pod', PATHS.pods).filter((object) => policed || (object.kind === 'Pod' && object.nodeName === 'n1')),
    ...read('NetworkPolicy', PATHS.policies),
  ]
}

/** Keys of Services of which the server has a state that cannot be read. */
const brokenOnes = ({ api }: ApiWorld): string[] =>
  api.all(PATHS.services).flatMap((object) => {
    try {
      readObjectOf('Service', object)
      return []
    } catch {
      return [keyOfRaw(object)]
    }
  })

const KINDS = ['Node', 'Service', 'Pod', 'NetworkPolicy'] as const

function agrees(world: ApiWorld): boolean {
  const broken = brokenOnes(world)
  const is = (object: KubeObject): boolean => object.kind !== 'Service' || !broken.includes(keyOf(object))
  const held = KINDS.flatMap((kind) => [...world.source.store.all(kind).values()].filter(is))
  const want = wanted(world)
  return (
    held.length === want.length &&
    want.every((object) => sameObject(world.source.store.get(object.kind, keyOf(object)), object))
  )
}

t.test(
  'whatever happens, a source ends with what the server has, and every batch follows from those before',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(deeds, async (history) => {
        const world = await ApiWorld.make(t, { verifyMs: 0 })
        const told = new Map<string, KubeObject>()
        const faults: string[] = []
        world.source.subscribe((changes) => {
          if (new Set(changes.map(({ kind, key }) => `${kind} ${key}`)).size < changes.length)
            faults.push('twice in a batch')
          for (const change of changes) follow(told, change, faults)
        })
        try {
          world.api.put(PATHS.nodes, node('n1'))
          world.api.put(PATHS.services, service('kubernetes', '10.96.0.1'))
          await world.source.start()
          for (const deed of history) await happen(world, deed)
          world.api.heal()
          // What a watch missed is found when it has been told more than that, and ends.
          await until(
            () => {
              if (agrees(world)) return true
              world.api.bookmark()
              for (const watch of world.api.openWatches()) watch.end()
              return false
            },
            `agreement after ${JSON.stringify(history)}`,
          )
          if (faults.length > 0) throw new Error(faults.join())
        } finally {
          await world.close()
        }
      }),
      { numRuns: 40, endOnFailure: true },
    )
    t.pass()
  },
)

/** Every change begins with what the one before it ended with: the same content, not always the same object. */
function follow(told: Map<string, KubeObject>, { kind, key, before, after }: Change, faults: string[]): void {
  const id = `${kind} ${key}`
  if (!sameObject(told.get(id), before)) faults.push(`${id} was something else before`)
  if (before === after || sameObject(before, after)) faults.push(`${id} did not change`)
  if (after === undefined) told.delete(id)
  else told.set(id, after)
}
