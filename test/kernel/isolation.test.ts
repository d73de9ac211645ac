import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { type Socket } from 'node:net'
import { pino } from 'pino'
import t from 'tap'
import { ask } from '../../src/cli/demo/client.js'
import { Place } from '../../src/cli/demo/place.js'
import { Responder } from '../../src/cli/demo/responder.js'
import { isolation } from '../../src/daemon/isolation.js'
import { Keeper } from '../../src/daemon/keeper.js'
import { type Kernel } from '../../src/daemon/kernel.js'
import { type Lease } from '../../src/model/lease.js'
import { exampleLease } from '../support/lease.js'
import { connect } from '../support/namespaces.js'
import {
  clearNamespace,
  eventually,
  ip,
  nft,
  OperationCounter,
  PEER,
  raiseUplink,
  SELF,
  serviceObject,
  sliceObject,
  type TestContext,
  TestNode,
} from '../support/node.js'

const TABLE = ['inet', 'netloom-isolation'] as const

const tables = (): string => nft('list', 'tables')
const listed = (): string => nft('list', 'table', ...TABLE)
const stands = (): boolean => tables().includes(TABLE.join(' '))

async function started(t: TestContext): Promise<TestNode> {
  t.teardown(clearNamespace)
  raiseUplink()
  return new TestNode(t, [SELF, PEER]).start()
}

interface Pod {
  readonly name: string
  readonly addresses: readonly string[]
  readonly place: Place
}

const placeOf = (t: TestContext, path: string): Place => {
  const place = new Place(path)
  t.teardown(() => place.close())
  return place
}

/** A container, attached, which answers on port 8080. */
async function attach(t: TestContext, node: TestNode, name: string, config: object): Promise<Pod> {
  const place = placeOf(t, node.createPod(name))
  const { exit, answer } = await node.cni('ADD', name, { config })
  if (exit !== 0) throw new Error(JSON.stringify(answer))
  const responder = new Responder(place, { pod: name, node: 'node-1' })
  await responder.listen([
    { protocol: 'TCP', port: 8080, undeclared: false },
    { protocol: 'UDP', port: 8080, undeclared: false },
  ])
  t.teardown(() => responder.close())
  return { name, addresses: (answer?.ips ?? []).map(({ address }) => address.split('/')[0] ?? ''), place }
}

/** A machine beside the node, on its uplink. */
function outside(t: TestContext, node: TestNode): Place {
  const path = node.createPod('outside')
  ip('link', 'set', 'uplink1', 'netns', 'outside')
  for (const [address, pods, via] of [
    ['192.168.50.7/24', '10.244.1.0/24', '192.168.50.1'],
    ['fd00:50::7/64', 'fd00:244:1::/64', 'fd00:50::1'],
  ] as const) {
    ip('-n', 'outside', 'address', 'add', address, 'dev', 'uplink1', ...(address.includes(':') ? ['nodad'] : []))
    ip('-n', 'outside', 'link', 'set', 'uplink1', 'up')
    ip('-n', 'outside', 'route', 'add', pods, 'via', via)
  }
  return placeOf(t, path)
}

/** Who reaches whom, as `CLIENT > SERVER`, where both families and both protocols agree; else each of them told. */
async function reachable(clients: readonly Pick<Pod, 'name' | 'place'>[], servers: readonly Pod[]): Promise<string[]> {
  const pairs = clients.flatMap((client) => servers.filter((server) => server !== client).map((to) => ({ client, to })))
  const told = await Promise.all(
    pairs.map(async ({ client, to }) => {
      const ways = to.addresses.flatMap((address) =>
        (['TCP', 'UDP'] as const).map((protocol) => ({ address, protocol })),
      )
      const outcomes = await Promise.all(
        ways.map(async ({ address, protocol }) => {
          const { answer } = await ask(client.place, protocol, address, 8080)
          return { way: `${protocol} ${address}`, works: answer?.pod === to.name }
        }),
      )
      const pair = `${client.name} > ${to.name}`
      const working = outcomes.filter(({ works }) => works).map(({ way }) => way)
      if (working.length === 0) return []
      return working.length === 4 ? [pair] : [`${pair} only by ${working.join(', ')}`]
    }),
  )
  return told.flat().sort()
}

const RED = 'red.network-1'

/** Of red containers 1 and 2, and a blue one whose network has no policy. */
const FROM_RED = ['red1 > blue', 'red2 > blue']
const REACHES: Readonly<Record<string, readonly string[]>> = {
  open: ['blue > red1', 'blue > red2', 'red1 > red2', 'red2 > red1', ...FROM_RED],
  'same-bridge': ['red1 > red2', 'red2 > red1', ...FROM_RED],
  'same-network': ['red1 > red2', 'red2 > red1', ...FROM_RED],
  isolated: FROM_RED,
}

for (const mode of ['bridge', 'ptp'])
  for (const [ingressPolicy, pairs] of Object.entries(REACHES))
    t.test(`${ingressPolicy}, in mode ${mode}: who reaches whom`, async (t) => {
      const node = await started(t)
      const red = { name: RED, ingressPolicy, mode }
      const reds = [await attach(t, node, 'red1', red), await attach(t, node, 'red2', red)]
      const pods = [...reds, await attach(t, node, 'blue', { name: 'blue', mode })]
      t.strictSame(await reachable(pods, pods), [...pairs].sort())
      const others = [
        { name: 'node', place: placeOf(t, '/proc/self/ns/net') },
        { name: 'outside', place: outside(t, node) },
      ]
      t.strictSame(
        await reachable(others, pods),
        others.flatMap(({ name }) => ['blue', 'red1', 'red2'].map((pod) => `${name} > ${pod}`)),
      )
      for (const { name } of reds)
        t.strictSame(await node.cni('CHECK', name, { config: red }), { exit: 0, answer: undefined })
      if (ingressPolicy !== 'open') {
        const before = nft('list', 'ruleset')
        nft('flush', 'ruleset')
        t.equal(loaded(before), before, 'nft lists it so that it can load it again')
      }
      for (const { name } of pods) {
        const config = name === 'blue' ? { name, mode } : red
        t.equal((await node.cni('DEL', name, { config })).exit, 0)
        if (name === 'red2') t.notOk(stands(), 'the last container that has a policy takes the table with it')
      }
    })

/** What nft lists after it loaded a list. */
function loaded(list: string): string {
  execFileSync('nft', ['-f', '-'], { input: list })
  return nft('list', 'ruleset')
}

t.test('Services open no way around it, and to itself every container has one', async (t) => {
  const node = await started(t)
  const red1 = await attach(t, node, 'red1', { name: RED, ingressPolicy: 'isolated' })
  const red2 = await attach(t, node, 'red2', { name: RED, ingressPolicy: 'isolated', mode: 'ptp' })
  const green1 = await attach(t, node, 'green1', { name: 'green', ingressPolicy: 'same-network' })
  const green2 = await attach(t, node, 'green2', { name: 'green', ingressPolicy: 'same-network' })
  const services = { red1: '10.96.0.1', red2: '10.96.0.2', green1: '10.96.0.3' }
  for (const pod of [red1, red2, green1])
    node.source.put(
      serviceObject(pod.name, [services[pod.name as keyof typeof services]]),
      sliceObject({ service: pod.name, addresses: [pod.addresses[0] ?? ''], node: 'node-1' }),
    )
  await eventually(() => node.status.services.endpoints === 3)
  const works = async ({ place }: Pod, service: keyof typeof services): Promise<boolean> =>
    (await ask(place, 'TCP', services[service], 80)).answer?.pod === service
  const tried = await Promise.all([
    works(red1, 'red1'),
    works(red2, 'red2'),
    works(green1, 'green1'),
    works(green2, 'green1'),
    works(red1, 'green1'),
    works(green1, 'red1'),
    works(red1, 'red2'),
  ])
  t.strictSame(tried, [true, true, true, true, false, false, false])
})

t.test('ports of the node open no way around it either, but lead in from outside', async (t) => {
  const node = await started(t)
  const red = {
    name: RED,
    ingressPolicy: 'same-network',
    runtimeConfig: { portMappings: [{ hostPort: 7080, containerPort: 8080, protocol: 'tcp' }] },
  }
  await attach(t, node, 'red1', red)
  const others = [
    await attach(t, node, 'red2', { name: RED, ingressPolicy: 'same-network' }),
    await attach(t, node, 'blue', { name: 'blue' }),
    { place: outside(t, node) },
    { place: placeOf(t, '/proc/self/ns/net') },
  ]
  const answers = await Promise.all(others.map(({ place }) => ask(place, 'TCP', '192.168.50.1', 7080)))
  t.strictSame(
    answers.map(({ answer }) => answer?.pod),
    ['red1', undefined, 'red1', 'red1'],
  )
})

/** A connection to an echo in another container, and what comes back for a word. */
async function converse(t: TestContext, from: Place, to: Pod): Promise<(word: string) => Promise<string>> {
  const sockets: Socket[] = []
  const server = await to.place.listen(9000, (socket) => {
    sockets.push(socket)
    socket.pipe(socket)
  })
  const socket = from.connect(to.addresses[0] ?? '', 9000)
  t.teardown(() => {
    for (const one of [socket, ...sockets]) one.destroy()
    server.close()
  })
  await once(socket, 'connect')
  return async (word) => {
    socket.write(word)
    const [data] = (await once(socket, 'data')) as [Buffer]
    return data.toString()
  }
}

t.test('connections that stand go on, whatever happens to the table', async (t) => {
  const node = await started(t)
  const blue = await attach(t, node, 'blue', { name: 'blue' })
  const early = await converse(t, blue.place, await attach(t, node, 'open', { name: RED }))
  const red = await attach(t, node, 'red', { name: RED, ingressPolicy: 'isolated' })
  const own = await converse(t, red.place, blue)
  const says = async (): Promise<void> => {
    t.strictSame([await early('a'), await own('b')], ['a', 'b'])
  }
  await says()
  nft('delete', 'table', ...TABLE)
  await eventually(stands)
  await says()
})

const DAMAGES: Readonly<Record<string, readonly string[]>> = {
  'the table deleted': ['delete', 'table', ...TABLE],
  'the hook flushed': ['flush', 'chain', ...TABLE, 'forward'],
  'a network emptied': ['flush', 'set', ...TABLE, `members_ipv4_${RED}`],
  'a verdict deleted': ['delete', 'element', ...TABLE, 'policies_ipv6', '{ fd00:244:1::2 }'],
  'a stranger let in': ['add', 'element', ...TABLE, `members_ipv4_${RED}`, '{ 10.244.1.9 }'],
  'a rule put in front': ['insert', 'rule', ...TABLE, 'forward', 'accept'],
}

t.test('what others do to the table is put right', async (t) => {
  const node = await started(t)
  const config = { name: RED, ingressPolicy: 'same-network' }
  for (const name of ['red1', 'red2']) await attach(t, node, name, config)
  const before = listed()
  for (const [name, damage] of Object.entries(DAMAGES)) {
    nft(...damage)
    t.not(stands() && listed(), before, name)
    await t.resolves(
      eventually(() => stands() && listed() === before, 2000),
      name,
    )
  }
  await node.stop()
  nft('delete', 'table', ...TABLE)
  await node.start()
  t.equal(listed(), before, 'also while no agent was running')
})

t.test('a node whose networks have no policy has no table, and nobody asks for one', async (t) => {
  const node = await started(t)
  const counter = new OperationCounter(t)
  const config = { name: RED, ingressPolicy: 'open' }
  await attach(t, node, 'a', config)
  t.equal((await node.cni('DEL', 'a', { config })).exit, 0)
  t.strictSame(
    counter.take().filter((op) => 'table' in op && typeof op.table === 'object' && op.table.name === TABLE[1]),
    [],
  )
  t.notOk(stands())
})

t.test('a container that comes to others costs a handful of elements', async (t) => {
  const node = await started(t)
  const config = { name: RED, ingressPolicy: 'same-network' }
  await attach(t, node, 'red1', config)
  const counter = new OperationCounter(t)
  const own = (): string[] =>
    counter
      .take()
      .filter((op) => 'table' in op && typeof op.table === 'object' && op.table.name === TABLE[1])
      .map((op) => `${op.kind} ${'set' in op && typeof op.set === 'object' ? op.set.name : ''}`)
  await attach(t, node, 'red2', config)
  const sets = ['ipv4', 'ipv6'].flatMap((family) =>
    ['containers', 'members', 'policies'].map((set) => `${set}_${family}${set === 'members' ? `_${RED}` : ''}`),
  )
  t.strictSame(own().sort(), sets.map((set) => `elements.add ${set}`).sort())
  await attach(t, node, 'blue', { name: 'blue' })
  t.strictSame(own(), ['elements.add containers_ipv4', 'elements.add containers_ipv6'])
})

t.test('an unknown policy is refused, and the key is named', async (t) => {
  const node = await started(t)
  node.createPod('a')
  t.match(await node.cni('ADD', 'a', { config: { ingressPolicy: 'closed' } }), {
    exit: 1,
    answer: { code: 7, details: /ingressPolicy.*closed/ },
  })
  t.same(node.status.pods, [])
})

const policed = (number: number, fields: Partial<Lease> = {}): Lease =>
  exampleLease({
    ingressPolicy: 'same-network',
    ...fields,
    containerId: `c${number}`,
    addresses: [`10.1.0.${number}`, `fd00:1::${number}`],
  })

/** The feature alone, over leases that come and go as they do at an agent. */
class Bare {
  readonly leases: Lease[] = []
  readonly #connection = connect()
  readonly keeper = new Keeper(isolation(this.#connection), {
    // Of which a keeper needs no more.
    kernel: this.#connection as unknown as Kernel,
    leases: () => this.leases,
    log: pino({ level: 'silent' }),
  })

  constructor(t: TestContext) {
    t.teardown(async () => {
      await this.keeper.reconciler.close()
      this.#connection.close()
      nft('flush', 'ruleset')
    })
  }

  async add(...leases: Lease[]): Promise<void> {
    this.leases.push(...leases)
    await Promise.all(leases.map((lease) => this.keeper.add(lease)))
  }

  /** All at once; each is attached until what was kept for it is gone, and a while longer. */
  async remove(...leases: Lease[]): Promise<void> {
    await Promise.all(leases.map((lease) => this.keeper.remove(lease)))
    for (const lease of leases) this.leases.splice(this.leases.indexOf(lease), 1)
  }

  differences(lease: Lease): Promise<readonly string[]> {
    return this.keeper.differences(lease)
  }
}

t.test('networks come and go at once, whatever they are called', async (t) => {
  const bare = new Bare(t)
  const names = ['a', 'A', 'drop', 'a_b', 'a.b', 'a-b', '0', '1.2.3.4', 'ipv4_a', 'x'.repeat(65), 'x'.repeat(500)]
  const leases = names.map((network, i) => policed(i + 2, { network }))
  await bare.add(...leases)
  for (const lease of leases) t.strictSame(await bare.differences(lease), [], lease.network)
  const before = nft('list', 'ruleset')
  nft('flush', 'ruleset')
  t.equal(loaded(before), before, 'nft lists it so that it can load it again')
  for (const lease of leases) t.strictSame(await bare.differences(lease), [], `${lease.network}, loaded again`)
  const [first, second, ...rest] = leases as [Lease, Lease, ...Lease[]]
  await bare.remove(...rest)
  t.match(listed(), /chain network_a /)
  t.notMatch(listed(), /network_[^aA]/)
  await bare.remove(first, second)
  t.notOk(stands())
})

t.test('what is wrong with the isolation of a container is told', async (t) => {
  const bare = new Bare(t)
  const [one, other] = [policed(2), policed(3, { network: 'others', ingressPolicy: 'isolated' })]
  await bare.add(one, other)
  nft('delete', 'element', ...TABLE, 'policies_ipv4', '{ 10.1.0.2 }')
  nft('add', 'element', ...TABLE, 'themselves_ipv4', '{ 10.1.0.2 . 10.1.0.2 }')
  const name = `table ${TABLE.join(' ')}`
  t.strictSame(await bare.differences(one), [
    `set policies_ipv4 of ${name} lacks 10.1.0.2 : goto network_pods`,
    `set themselves_ipv4 of ${name} has 10.1.0.2 . 10.1.0.2`,
  ])
  t.strictSame(await bare.differences(other), [])
  nft('flush', 'chain', ...TABLE, 'isolated')
  t.strictSame(await bare.differences(other), [`${name} has other sets, chains or rules`])
  nft('delete', 'table', ...TABLE)
  t.strictSame(await bare.differences(other), [`${name} is missing`])
})
