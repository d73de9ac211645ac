import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pino } from 'pino'
import { NetloomError } from '../../../src/base/errors.js'
import { type Cidr, cidrsOverlap, formatCidr, parseCidr } from '../../../src/base/ip.js'
import { renewalMs, SubnetClaims, type Timers } from '../../../src/daemon/subnet-claims.js'
import { type ApiClient } from '../../../src/kube/api/client.js'
import { Cursor } from '../../../src/model/cursor.js'
import { claimName, readClaim } from '../../../src/subnets/claim.js'
import { type ClusterNetwork } from '../../../src/subnets/networks.js'
import { seededRandom } from '../../support/cni-exec.js'
import { until } from '../../support/api-world.js'
import { FakeLeases } from '../../support/fake-leases.js'

const network = (cidr: string, nodePrefix: number): ClusterNetwork => ({ cidr: parseCidr(cidr), nodePrefix })

/** A hundred times as fast, but for renewals, which come only when they are asked for. */
const FAST: Timers = {
  now: Date.now,
  sleep: (ms, signal) => sleep(ms < 60_000 ? ms / 100 : 2 ** 30, undefined, { signal }),
}

interface AgentOptions {
  readonly client?: ApiClient
  readonly node?: string
  readonly networks?: readonly ClusterNetwork[]
  readonly inUse?: () => readonly Cidr[]
  readonly avoid?: () => Promise<readonly Cidr[]>
  readonly random?: () => number
  readonly timers?: Timers
}

const NETWORKS = [network('10.244.0.0/16', 24), network('fd00:244::/48', 64)]

function agent(t: Test, api: FakeLeases, options: AgentOptions = {}): SubnetClaims {
  const claims = new SubnetClaims({
    client: api.client(),
    node: 'node-1',
    namespace: 'kube-system',
    networks: NETWORKS,
    inUse: () => [],
    random: () => 0.5,
    log: pino({ level: 'silent' }),
    timers: FAST,
    ...options,
  })
  t.teardown(() => claims.close())
  return claims
}

function world(...nodes: readonly string[]): FakeLeases {
  const api = new FakeLeases(() => 0.5)
  for (const node of nodes) api.addNode(node)
  return api
}

const texts = (cidrs: readonly Cidr[]): string[] => cidrs.map(formatCidr)

/** Claims of a node that is not there. */
function claimOf(api: FakeLeases, cidr: string, holderIdentity: string, spec: object = {}): string {
  const subnet = parseCidr(cidr)
  const metadata = {
    labels: { 'app.kubernetes.io/managed-by': 'netloom' },
    annotations: { 'netloom.dev/subnet': formatCidr(subnet) },
    ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: holderIdentity, uid: `uid-of-${holderIdentity}` }],
  }
  const times = {
    renewTime: '2026-01-01T00:00:00.000000Z',
    leaseDurationSeconds: 1,
    acquireTime: '2026-01-01T00:00:00Z',
  }
  api.addLease(claimName(subnet), metadata, { ...times, holderIdentity, ...spec })
  return claimName(subnet)
}

t.test('a node claims a subnet of each family, and its next start finds them', async (t) => {
  const api = world('node-1')
  const first = await agent(t, api).start()
  t.match(texts(first), [/^10\.244\.\d+\.0\/24$/, /^fd00:244:0:[\da-f]+::\/64$/])
  t.same(texts(await agent(t, api).start()), texts(first))
  t.equal(api.leases.size, 2)
  const [lease] = api.leases.values()
  t.match(lease, {
    metadata: {
      labels: { 'app.kubernetes.io/managed-by': 'netloom' },
      annotations: { 'netloom.dev/subnet': texts(first)[0] },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: api.nodes.get('node-1')?.metadata.uid }],
    },
    spec: {
      holderIdentity: 'node-1',
      leaseDurationSeconds: 1800,
      acquireTime: /^\d{4}-.*\.\d{6}Z$/,
      renewTime: /^\d{4}-.*\.\d{6}Z$/,
      leaseTransitions: 0,
    },
  })
})

t.test('a start that finds everything asks for the Node and the claims, and renews', async (t) => {
  const api = world('node-1')
  await agent(t, api).start()
  api.calls.length = 0
  await agent(t, api).start()
  t.same(api.calls, ['GET nodes', 'GET leases', 'PATCH leases', 'PATCH leases'])
})

t.test('renewals are rarer the more nodes there are', async (t) => {
  t.equal(renewalMs(3), 600_000)
  t.equal(renewalMs(5000), 20_000_000)
  const waits: number[] = []
  const timers: Timers = {
    now: Date.now,
    sleep: (ms, signal) => {
      waits.push(ms)
      return sleep(2 ** 30, undefined, { signal })
    },
  }
  const api = world('node-1')
  const claims = agent(t, api, { timers, random: () => 1 })
  await claims.start()
  t.same(waits, [660_000])
  const renewTime = (): unknown => [...api.leases.values()][0]?.spec['renewTime']
  const before = renewTime()
  claims.check()
  await until(() => renewTime() !== before, 'renewed')
})

t.test('where the cluster allocates subnets nothing is claimed, and what was is withdrawn', async (t) => {
  const api = world('node-1')
  await agent(t, api).start()
  api.nodes.get('node-1')!.spec['podCIDRs'] = ['10.1.0.0/24']
  t.same(texts(await agent(t, api).start()), ['10.1.0.0/24'])
  t.equal(api.leases.size, 0)
})

t.test("subnets of other Nodes' spec.podCIDRs are not claimed", async (t) => {
  const api = world('node-1')
  api.addNode('node-2', ['10.0.0.0/25'])
  t.same(texts(await agent(t, api, { networks: [network('10.0.0.0/24', 25)] }).start()), ['10.0.0.128/25'])
})

t.test('networks that the host is connected to are not claimed', async (t) => {
  const api = world('node-1')
  const claims = agent(t, api, {
    networks: [network('10.0.0.0/24', 25)],
    avoid: () => Promise.resolve([parseCidr('10.0.0.64/27')]),
  })
  t.same(texts(await claims.start()), ['10.0.0.128/25'])
})

t.test('a Lease of the name that is no claim is left alone', async (t) => {
  const api = world('node-1')
  const name = claimName(parseCidr('10.0.0.0/25'))
  api.addLease(name, {}, {})
  t.same(texts(await agent(t, api, { networks: [network('10.0.0.0/24', 25)] }).start()), ['10.0.0.128/25'])
  t.same(api.leases.get(name)?.spec, {})
})

t.test('the claim of a new Node of the same name becomes its own', async (t) => {
  const api = world('node-1')
  const before = await agent(t, api).start()
  api.nodes.delete('node-1')
  const { uid } = api.addNode('node-1').metadata
  t.same(texts(await agent(t, api).start()), texts(before))
  for (const { metadata } of api.leases.values()) t.match(metadata.ownerReferences, [{ name: 'node-1', uid }])
})

t.test('with no subnet left', async (t) => {
  const networks = [network('10.0.0.0/24', 25)]

  t.test('the node says so, and gets the first that is released', async (t) => {
    const api = world('node-1', 'node-2', 'node-3')
    await agent(t, api, { node: 'node-2', networks }).start()
    await agent(t, api, { node: 'node-3', networks }).start()
    const claims = agent(t, api, { networks })
    const started = claims.start()
    await until(() => claims.problems().length > 0, 'a problem')
    t.same(claims.problems(), [
      'no IPv4 subnet is free for this node: 2 of 2 of /25 in 10.0.0.0/24 are taken; add a network to cluster-networks',
    ])
    api.deleteNode('node-3')
    t.equal((await started).length, 1)
    t.same(claims.problems(), [])
  })

  t.test('an expired claim of a Node that is gone is taken over', async (t) => {
    const api = world('node-1', 'node-2')
    await agent(t, api, { node: 'node-2', networks }).start()
    const [other] = [...api.leases.keys()]
    const free = ['10.0.0.0/25', '10.0.0.128/25'].find((text) => claimName(parseCidr(text)) !== other)!
    const name = claimOf(api, free, 'gone', { leaseTransitions: 4 })
    t.same(texts(await agent(t, api, { networks }).start()), [free])
    t.match(api.leases.get(name), {
      metadata: { ownerReferences: [{ name: 'node-1' }] },
      spec: { holderIdentity: 'node-1', leaseTransitions: 5, acquireTime: String },
    })
  })

  t.test('no claim of a Node that is there is, nor one that has not expired', async (t) => {
    const api = world('node-1', 'down')
    claimOf(api, '10.0.0.0/25', 'down')
    claimOf(api, '10.0.0.128/25', 'gone', { renewTime: '2999-01-01T00:00:00.000000Z' })
    const claims = agent(t, api, { networks })
    claims.start().catch(() => undefined) // ended with the test
    await until(() => claims.problems().length > 0, 'a problem')
    t.match(claims.problems(), [/^no IPv4 subnet is free/])
    t.same(
      [...api.leases.values()].map(({ spec }) => spec['holderIdentity']),
      ['down', 'gone'],
    )
  })
})

t.test('says what is in the way, and goes on when it is not any more', async (t) => {
  const api = new FakeLeases(() => 0.5)
  const real = api.client()
  let denied = false
  const client: ApiClient = {
    call: async (request) => {
      if (denied) throw new NetloomError('denied', 'leases is forbidden')
      return real.call(request)
    },
  }
  const claims = agent(t, api, { client })
  const started = claims.start()
  await until(() => claims.problems().length > 0, 'no Node')
  t.same(claims.problems(), ['claiming subnets failed: there is no Node node-1 yet, as which kubelet registers'])
  denied = true
  await until(() => claims.problems().join().includes('forbidden'), 'denied')
  api.addNode('node-1')
  denied = false
  t.equal((await started).length, 2)
  t.same(claims.problems(), [])
})

t.test('closed before it has a subnet, its start ends with an error', async (t) => {
  const claims = agent(t, new FakeLeases(() => 0.5))
  const started = t.rejects(claims.start(), { code: 'unavailable' })
  await claims.close()
  await started
})

t.test('a claim that was deleted is made again where it is in use', async (t) => {
  const api = world('node-1')
  const claims: SubnetClaims = agent(t, api, { inUse: () => claims.held })
  const before = texts(await claims.start())
  api.leases.clear()
  for (let i = 0; i < 40; i++) api.addNode(`other-${i}`)
  claims.check()
  await until(() => api.leases.size === 2, 'claimed again')
  t.same(texts(claims.held), before)
})

/** Agents on nodes of their own, killed at any moment and started again, and what each has been confirmed. */
class Storm {
  readonly api: FakeLeases
  readonly confirmed = new Map<string, readonly Cidr[]>()
  readonly overlaps: string[] = []
  crashes = 0
  readonly #t: Test
  readonly #random: () => number

  constructor(t: Test, seed: number) {
    this.#t = t
    this.#random = seededRandom(seed)
    this.api = new FakeLeases(this.#random, 4)
    this.api.faults = { refused: 0.03, lost: 0.08, late: 0.05 }
    this.api.onChange = () => this.#inspect()
  }

  /** Runs a node until it is confirmed; crashes it now and then on the way, and once after. */
  async run(node: string, networks: readonly ClusterNetwork[]): Promise<void> {
    const lives = Math.floor(this.#random() * 4)
    for (let life = 0; life < lives; life++) await this.#live(node, networks, 40 * this.#random())
    await this.#live(node, networks)
    await this.#live(node, networks)
  }

  /** One process; what it was confirmed is in use ever after. */
  async #live(node: string, networks: readonly ClusterNetwork[], crashAfterMs?: number): Promise<void> {
    const client = this.api.client()
    const inUse = (): readonly Cidr[] => this.confirmed.get(node) ?? []
    const claims = agent(this.#t, this.api, { client, node, networks, inUse, random: this.#random })
    const started = claims.start().then((subnets) => this.#confirm(node, subnets))
    if (crashAfterMs === undefined) return started
    started.catch(() => undefined) // a dead process tells nobody
    await sleep(crashAfterMs)
    client.crash()
    this.crashes++
  }

  #confirm(node: string, subnets: readonly Cidr[]): void {
    const before = this.confirmed.get(node)
    if (before !== undefined && texts(before).join() !== texts(subnets).join())
      this.overlaps.push(`${node} had ${texts(before).join()} and now has ${texts(subnets).join()}`)
    for (const [other, theirs] of this.confirmed)
      if (other !== node && theirs.some((a) => subnets.some((b) => cidrsOverlap(a, b))))
        this.overlaps.push(`${node} ${texts(subnets).join()} and ${other} ${texts(theirs).join()}`)
    this.confirmed.set(node, subnets)
  }

  /** What the server holds: never are two overlapping claims acquired. */
  #inspect(): void {
    const claims = [...this.api.leases.values()].flatMap((lease) => readClaim(new Cursor(lease)) ?? [])
    const acquired = claims.filter((claim) => claim.acquired)
    for (const [i, a] of acquired.entries())
      for (const b of acquired.slice(i + 1))
        if (a.holder !== b.holder && cidrsOverlap(a.subnet, b.subnet)) this.overlaps.push(`${a.name} and ${b.name}`)
  }
}

for (const { name, sizes } of [
  { name: 'subnets of one size', sizes: [26] },
  { name: 'subnets of three sizes', sizes: [25, 26, 28] },
])
  t.test(`fifty nodes at once, crashing, on a server that loses answers: ${name}`, async (t) => {
    for (const seed of [1, 2, 3]) {
      const storm = new Storm(t, seed)
      const nodes = Array.from({ length: 50 }, (_, i) => ({ name: `node-${i}`, size: sizes[i % sizes.length]! }))
      for (const node of nodes) storm.api.addNode(node.name)
      await Promise.all(nodes.map(({ name, size }) => storm.run(name, [network('10.244.0.0/19', size)])))
      t.same(storm.overlaps, [], `seed ${seed}`)
      t.equal(storm.confirmed.size, 50)
      t.ok(storm.crashes > 20)
    }
  })
