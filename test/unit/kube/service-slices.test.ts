import t from 'tap'
import { type KubeObject, parseObject } from '../../../src/model/object.js'
import { ServiceSlices } from '../../../src/kube/service-slices.js'
import { deriveSlices } from '../../../src/kube/slices.js'
import { type Change, changeOf, Store } from '../../../src/kube/store.js'

/** A store with slices kept in step, and what the last step derived. */
class World {
  readonly store = new Store()
  readonly slices = new ServiceSlices(this.store)

  /** Puts objects in, or in the place of their older selves, and takes others out. */
  step(added: readonly KubeObject[], removed: readonly KubeObject[] = []): string[] {
    const changes = [
      ...added.map((object) => changeOf(this.store.get(object.kind, keyOf(object)), object)),
      ...removed.map((object) => changeOf(this.store.get(object.kind, keyOf(object)), undefined)),
    ].filter((change) => change !== undefined)
    this.store.apply(changes)
    const derived = this.slices.update(changes)
    for (const { kind, key, before } of derived) t.equal(before, this.store.get(kind, key), 'the change fits the store')
    this.store.apply(derived)
    return derived.map(textOf).sort()
  }
}

const keyOf = ({ namespace, name }: KubeObject): string => (namespace === '' ? name : `${namespace}/${name}`)

function textOf(change: Change): string {
  const { key, before, after } = change
  if (after === undefined) return `- ${key}`
  const endpoints =
    after.kind === 'EndpointSlice' ? after.endpoints.map(({ address, zone }) => [address, zone].join(' ').trim()) : []
  return `${before === undefined ? '+' : '~'} ${key}: ${endpoints.join(', ')}`
}

const object = (apiVersion: string, kind: string, value: object): KubeObject =>
  parseObject({ apiVersion, kind, ...value })!

const service = (name: string, spec: object = {}, namespace = 'shop'): KubeObject =>
  object('v1', 'Service', {
    metadata: { name, namespace },
    spec: { selector: { app: name }, ports: [{ port: 80 }], clusterIP: '10.96.0.1', ...spec },
  })

interface PodSpec {
  readonly labels?: object
  readonly node?: string
  readonly ready?: string
  readonly uid?: string
}

const pod = (
  name: string,
  ip: string,
  { labels = { app: 'web' }, node, ready = 'True', uid }: PodSpec = {},
): KubeObject =>
  object('v1', 'Pod', {
    metadata: { name, namespace: 'shop', labels, uid },
    spec: { nodeName: node },
    status: { phase: 'Running', podIP: ip, conditions: [{ type: 'Ready', status: ready }] },
  })

const node = (name: string, zone?: string): KubeObject =>
  object('v1', 'Node', {
    metadata: { name, labels: zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone } },
  })

const own = (name: string, of: string): KubeObject =>
  object('discovery.k8s.io/v1', 'EndpointSlice', {
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.9.9.9'] }],
  })

const endpoints = (name: string, metadata: object = {}): KubeObject =>
  object('v1', 'Endpoints', {
    metadata: { name, namespace: 'shop', ...metadata },
    subsets: [{ addresses: [{ ip: '10.8.8.8' }], ports: [{ port: 80 }] }],
  })

const [A, B] = [pod('a', '10.0.0.1'), pod('b', '10.0.0.2')]
const derived = 'shop/web-derived:ipv4-1'
const mirrored = 'shop/web-mirrored:ipv4-1'

t.test('pods come into and leave the slices of the Services that select them', async (t) => {
  const world = new World()
  t.same(world.step([service('web'), B, A]), [`+ ${derived}: 10.0.0.1, 10.0.0.2`], 'in order of names')
  t.same(world.step([pod('c', '10.0.0.3')]), [`~ ${derived}: 10.0.0.1, 10.0.0.2, 10.0.0.3`])
  t.same(world.step([], [A]), [`~ ${derived}: 10.0.0.2, 10.0.0.3`])
  t.same(world.step([pod('b', '10.0.0.2', { labels: { app: 'db' } })]), [`~ ${derived}: 10.0.0.3`], 'relabelled')
  t.same(world.step([pod('c', '10.0.0.4')]), [`~ ${derived}: 10.0.0.4`], 'another address')
  t.same(world.step([], [pod('c', '10.0.0.4')]), [`- ${derived}`])
  t.same(world.step([A]), [`+ ${derived}: 10.0.0.1`])
})

t.test('a pod that becomes unready changes the slice, one that changes in other ways does not', async (t) => {
  const world = new World()
  world.step([service('web'), A])
  t.equal(world.step([pod('a', '10.0.0.1', { ready: 'False' })]).length, 1)
  t.match([...world.store.slicesOf('shop/web')][0]?.endpoints[0], { ready: false })
  t.same(world.step([pod('a', '10.0.0.1', { ready: 'False', uid: 'x' })]), [])
})

t.test('a Service that changes has its slices made anew, one that goes loses them', async (t) => {
  const world = new World()
  world.step([service('web'), A, pod('d', '10.0.0.9', { labels: { app: 'db' } })])
  t.same(world.step([service('web', { selector: { app: 'db' } })]), [`~ ${derived}: 10.0.0.9`])
  t.same(world.step([service('web', { selector: undefined })]), [`- ${derived}`])
  t.same(world.step([service('web')]), [`+ ${derived}: 10.0.0.1`])
  t.same(world.step([service('web', { sessionAffinity: 'ClientIP' })]), [], 'what slices do not say changes none')
  t.same(world.step([], [service('web')]), [`- ${derived}`])
  t.same(world.step([B]), [])
})

t.test("a user's own slice takes the place of the derived ones until the last one goes", async (t) => {
  const world = new World()
  world.step([service('web'), A])
  t.same(world.step([own('mine', 'web')]), [`- ${derived}`])
  t.same(world.step([own('mine-2', 'web'), B]), [])
  t.same(world.step([], [own('mine', 'web')]), [])
  t.same(world.step([], [own('mine-2', 'web')]), [`+ ${derived}: 10.0.0.1, 10.0.0.2`])
  t.same(world.step([own('mine', 'other')]), [], 'a slice of another Service')
  t.same(world.step([own('mine', 'web')]), [`- ${derived}`], 'a slice that changes over to this Service')
  t.same(world.step([own('mine', 'other')]), [`+ ${derived}: 10.0.0.1, 10.0.0.2`], 'and back')
})

t.test('Endpoints take the place of derived slices, own slices that of both', async (t) => {
  const world = new World()
  world.step([service('web'), A])
  t.same(world.step([endpoints('web')]), [`+ ${mirrored}: 10.8.8.8`, `- ${derived}`].sort())
  t.same(world.step([own('mine', 'web')]), [`- ${mirrored}`])
  t.same(world.step([], [own('mine', 'web')]), [`+ ${mirrored}: 10.8.8.8`])
  t.same(world.step([], [endpoints('web')]), [`+ ${derived}: 10.0.0.1`, `- ${mirrored}`].sort())
  const skipped = endpoints('web', { labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } })
  t.same(world.step([skipped]), [], 'Endpoints that are not to be mirrored do not count')
})

t.test('a Service without a selector has the slices of its Endpoints', async (t) => {
  const world = new World()
  t.same(world.step([service('web', { selector: undefined }), endpoints('web')]), [`+ ${mirrored}: 10.8.8.8`])
})

t.test('endpoints follow the zone of their node', async (t) => {
  const world = new World()
  world.step([service('web'), pod('a', '10.0.0.1', { node: 'n1' })])
  t.same(world.step([node('n1', 'z1')]), [`~ ${derived}: 10.0.0.1 z1`])
  t.same(world.step([node('n1', 'z2'), node('n2', 'z9')]), [`~ ${derived}: 10.0.0.1 z2`])
  t.same(world.step([], [node('n1')]), [`~ ${derived}: 10.0.0.1`])
})

t.test('slices that do not change stay the same objects', async (t) => {
  const world = new World()
  world.step([service('web', { clusterIP: undefined, clusterIPs: ['10.96.0.1', 'fd00::1'] }), A])
  const before = world.store.get('EndpointSlice', derived)
  const dual = parseObject({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'z', namespace: 'shop', labels: { app: 'web' } },
    status: { podIPs: [{ ip: 'fd00::9' }] },
  })!
  t.same(world.step([dual]), ['+ shop/web-derived:ipv6-1: fd00::9'])
  t.equal(world.store.get('EndpointSlice', derived), before)
})

t.test('a changed pod costs what its own Services cost, whatever the size of the cluster', async (t) => {
  const world = new World()
  const services = [
    ...Array.from({ length: 2000 }, (_, i) => service(`s${i}`)),
    ...Array.from({ length: 2000 }, (_, i) => service(`s${i}`, { selector: { app: 'web' } }, 'elsewhere')),
  ]
  const pods = Array.from({ length: 2000 }, (_, i) =>
    pod(`p${i}`, `10.1.${i >> 8}.${i & 255}`, { labels: { app: `s${i}`, all: 'alike' } }),
  )
  world.step([...services, ...pods])
  t.equal(world.store.all('EndpointSlice').size, 2000)

  const before = world.slices.comparisons
  t.same(world.step([pod('p7', '10.2.0.1', { labels: { app: 's8', all: 'alike' } })]), [
    '- shop/s7-derived:ipv4-1',
    '~ shop/s8-derived:ipv4-1: 10.2.0.1, 10.1.0.8',
  ])
  t.ok(world.slices.comparisons - before <= 4, `${world.slices.comparisons - before} selectors compared`)

  const loaded = world.slices.comparisons
  const fresh = new World()
  fresh.step([...services, ...pods])
  t.ok(fresh.slices.comparisons <= 4 * pods.length, `${loaded} selectors compared to load`)
})

/** Small and repeatable (the generator of Numerical Recipes, chapter 7). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

t.test('after any sequence of changes the slices are those derived from scratch', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = randomNumbers(seed)
    const world = new World()
    const pick = <T>(items: readonly T[]): T => items[random(items.length)]!
    const labels = (): object => ({ app: pick(['s0', 's1', 's2']), tier: pick(['x', 'y']) })
    const anything: (() => KubeObject)[] = [
      () =>
        pod(`p${random(6)}`, `10.0.0.${1 + random(6)}`, {
          labels: labels(),
          node: pick(['n1', 'n2']),
          ready: pick(['True', 'False']),
        }),
      () =>
        service(
          `s${random(3)}`,
          pick([{}, { selector: labels() }, { selector: undefined }, { ports: [{ port: 81 }] }]),
        ),
      () => node(pick(['n1', 'n2']), pick([undefined, 'z1', 'z2'])),
      () => own(`mine-${random(2)}`, `s${random(3)}`),
    ]
    for (let i = 0; i < 60; i++) {
      const added = pick(anything)()
      const removed = pick(anything)()
      world.step([added], keyOf(added) === keyOf(removed) || random(2) === 0 ? [] : [removed])
      compareWithScratch(world.store, `seed ${seed}, step ${i}`)
    }
  }

  function compareWithScratch(store: Store, where: string): void {
    for (const [key, service] of store.all('Service')) {
      const all = [...store.slicesOf(key)]
      const derived = all.filter(({ name }) => name.includes(':'))
      const pods = [...store.podsIn(service.namespace)]
        .filter(({ labels }) => service.selector?.every(({ key, values }) => labels[key] === values[0]) === true)
        .sort((a, b) => (a.name < b.name ? -1 : 1))
      const zoneOf = (name: string): string | undefined => store.get('Node', name)?.zone
      const wanted = all.length > derived.length ? [] : deriveSlices(service, pods, zoneOf)
      t.same(derived, wanted, `${where}: ${key}`)
    }
  }
})
