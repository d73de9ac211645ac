import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pino } from 'pino'
import { type Cidr, cidrsOverlap, formatCidr, parseCidr } from '../../src/base/ip.js'
import { SubnetClaims } from '../../src/daemon/subnet-claims.js'
import { type ApiClient, type ApiRequest } from '../../src/kube/api/client.js'
import { HttpApiClient } from '../../src/kube/api/http-client.js'
import { readKubeconfig } from '../../src/kube/api/kubeconfig.js'
import { readPage, readWatchEvent } from '../../src/kube/api/raw.js'
import { Cursor } from '../../src/model/cursor.js'
import { type Claim, readClaim } from '../../src/subnets/claim.js'
import { type ClusterNetwork } from '../../src/subnets/networks.js'
import { seededRandom } from '../support/cni-exec.js'
import { until } from '../support/api-world.js'
import { type KubeInput } from '../support/cluster-client.js'
import { ControlPlane, withoutControlPlane } from '../support/control-plane.js'

const RBAC = 'rbac.authorization.k8s.io'
const NAME = 'netloom'

const object = (apiVersion: string, kind: string, name: string, fields: object = {}): KubeInput => ({
  apiVersion,
  kind,
  metadata: { name, ...(/^(ServiceAccount|Role|RoleBinding)$/.test(kind) ? { namespace: 'kube-system' } : {}) },
  ...fields,
})

const subjects = [{ kind: 'ServiceAccount', name: NAME, namespace: 'kube-system' }]

/** An account that may do what claims need, and nothing more. */
const ACCOUNT: readonly KubeInput[] = [
  object('v1', 'ServiceAccount', NAME),
  object(`${RBAC}/v1`, 'ClusterRole', NAME, {
    rules: [{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list'] }],
  }),
  object(`${RBAC}/v1`, 'Role', NAME, {
    rules: [
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['list', 'create', 'patch', 'delete'] },
    ],
  }),
  ...['ClusterRole', 'Role'].map((kind) =>
    object(`${RBAC}/v1`, `${kind}Binding`, NAME, { roleRef: { apiGroup: RBAC, kind, name: NAME }, subjects }),
  ),
]

const node = (name: string): KubeInput => object('v1', 'Node', name)

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases'

const network = (cidr: string, nodePrefix: number): ClusterNetwork => ({ cidr: parseCidr(cidr), nodePrefix })

/** A client whose process may die: it hears nothing any more, while what it has sent takes its course. */
class Mortal implements ApiClient {
  readonly #client: ApiClient
  #dead = false

  constructor(client: ApiClient) {
    this.#client = client
  }

  crash(): void {
    this.#dead = true
  }

  isAlive(): boolean {
    return !this.#dead
  }

  async call({ signal, ...request }: ApiRequest): Promise<unknown> {
    if (this.isAlive()) {
      const outcome = await Promise.allSettled([this.#client.call(request)])
      if (this.isAlive()) return settledAs(outcome[0])
    }
    return silence(signal)
  }
}

function settledAs(outcome: PromiseSettledResult<unknown>): unknown {
  if (outcome.status === 'rejected') throw outcome.reason
  return outcome.value
}

/** Until the call is given up. */
const silence = (signal: AbortSignal | undefined): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal?.aborted === true) reject(signal.reason as Error)
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })

/** Follows all Leases, change by change, and notes where two overlapping claims are acquired. */
class Witness {
  readonly claims = new Map<string, Claim>()
  readonly overlaps: string[] = []
  readonly #stop = new AbortController()

  static async start(t: Test, client: HttpApiClient): Promise<Witness> {
    const witness = new Witness()
    const { version } = readPage('SubnetClaim', await client.call({ method: 'GET', path: LEASES }))
    const query = { resourceVersion: version, timeoutSeconds: 600 }
    const followed = witness.#follow(await client.watch({ path: LEASES, query, signal: witness.#stop.signal }))
    followed.catch(() => undefined) // ends when it is stopped
    t.teardown(() => witness.#stop.abort())
    return witness
  }

  async #follow(batches: AsyncIterable<readonly unknown[]>): Promise<void> {
    for await (const batch of batches)
      for (const value of batch) {
        const event = readWatchEvent(value)
        if (event.type !== 'object') continue
        const claim = readClaim(new Cursor(event.object.value))
        if (event.gone || claim === undefined) this.claims.delete(event.object.key)
        else this.#see(event.object.key, claim)
      }
  }

  #see(key: string, claim: Claim): void {
    this.claims.set(key, claim)
    if (!claim.acquired) return
    for (const [other, theirs] of this.claims)
      if (other !== key && theirs.acquired && cidrsOverlap(theirs.subnet, claim.subnet))
        this.overlaps.push(`${key} of ${claim.holder} and ${other} of ${theirs.holder}`)
  }
}

t.test('claims on a real API server', { skip: withoutControlPlane() }, async (t) => {
  const plane = await ControlPlane.start()
  t.teardown(() => plane.stop())
  await plane.apply(...ACCOUNT)
  const token = await plane.serviceAccountToken('kube-system', NAME)
  const open = async (kubeconfig: string): Promise<HttpApiClient> => {
    const client = new HttpApiClient(await readKubeconfig(kubeconfig), { userAgent: 'netloom/test' })
    t.teardown(() => client.close())
    return client
  }
  const kubeconfig = plane.kubeconfig({ token })
  const credential = plane.certificate({ name: 'witness', groups: ['system:masters'] })
  const admin = await open(plane.kubeconfig({ credential }))
  const random = seededRandom(20_261_125)

  const agent = (client: ApiClient, name: string, networks: readonly ClusterNetwork[], inUse: readonly Cidr[] = []) => {
    const log = pino({ level: 'silent' })
    const options = { client, node: name, namespace: 'kube-system', networks, inUse: () => inUse, random, log }
    const claims = new SubnetClaims(options)
    t.teardown(() => claims.close())
    return claims
  }

  for (const { name, sizes } of [
    { name: 'subnets of one size and two families', sizes: [24] },
    { name: 'subnets of three sizes', sizes: [22, 24, 26] },
  ])
    t.test(`fifty nodes at once, with crashes: ${name}`, async (t) => {
      const witness = await Witness.start(t, admin)
      const confirmed = new Map<string, readonly Cidr[]>()
      let crashes = 0
      const run = async (name: string, size: number): Promise<void> => {
        // Small ones leave at least 31 of 64 of the largest whole, whichever they take.
        const networks = [network('10.244.0.0/16', size), network('fd00:244::/56', 64)]
        const client = await open(kubeconfig)
        for (let lives = Math.floor(3 * random()); lives > 0; lives--) {
          const mortal = new Mortal(client)
          agent(mortal, name, networks)
            .start()
            .catch(() => undefined) // a dead process tells nobody
          await sleep(1500 * random())
          mortal.crash()
          crashes++
        }
        const subnets = await agent(client, name, networks).start()
        confirmed.set(name, subnets)
        const again = await agent(client, name, networks, subnets).start()
        t.same(again.map(formatCidr), subnets.map(formatCidr), 'the next start keeps them')
      }
      const names = Array.from({ length: 50 }, (_, i) => `node-${sizes.length}-${i}`)
      await plane.apply(...names.map(node))
      await Promise.all(names.map((name, i) => run(name, sizes[i % sizes.length]!)))
      t.ok(crashes > 20, `${crashes} crashes`)
      await until(() => [...witness.claims.values()].filter(({ acquired }) => acquired).length >= 100, 'all is seen')
      t.same(witness.overlaps, [])
      const all = [...confirmed.values()].flat()
      t.equal(all.length, 100)
      const overlapping = all.filter((a, i) => all.slice(i + 1).some((b) => cidrsOverlap(a, b)))
      t.same(overlapping.map(formatCidr), [])
      for (const name of names) await plane.delete(node(name))
      await until(() => witness.claims.size === 0, 'all are released with their Nodes')
    })

  t.test('the subnet of a deleted Node goes to one that waits for it', async (t) => {
    const client = await open(kubeconfig)
    const networks = [network('10.1.0.0/24', 25)]
    await plane.apply(node('a'), node('b'), node('c'))
    const [lost] = await agent(client, 'a', networks).start()
    await agent(client, 'b', networks).start()
    const waiting = agent(client, 'c', networks)
    const started = waiting.start()
    await until(() => waiting.problems().length > 0, 'a problem')
    t.match(waiting.problems(), [/^no IPv4 subnet is free for this node: 2 of 2 of \/25 in 10\.1\.0\.0\/24 are taken/])
    await plane.delete(node('a'))
    t.same((await started).map(formatCidr), [formatCidr(lost!)])
    t.same(waiting.problems(), [])
  })

  t.test('an account that may not says so', async (t) => {
    await plane.apply(object('v1', 'ServiceAccount', 'nobody'), node('d'))
    const poor = await open(plane.kubeconfig({ token: await plane.serviceAccountToken('kube-system', 'nobody') }))
    const claims = agent(poor, 'd', [network('10.2.0.0/24', 25)])
    claims.start().catch(() => undefined) // ended with the test
    await until(() => claims.problems().length > 0, 'a problem')
    t.match(claims.problems(), [/^claiming subnets failed: nodes "d" is forbidden: .*cannot get resource "nodes"/])
  })
})
