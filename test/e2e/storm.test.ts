import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createNamespace, deleteNamespace } from '../../src/kernel/netns.js'
import { hostInterfaceOf } from '../../src/model/lease.js'
import { Lab, type LabNode } from '../support/lab.js'
import { type CniAnswer, eventually, ip, type TestContext } from '../support/node.js'
import { ExecRuntime } from '../support/runtime.js'

/** Many containers come and go at once, by the real executable, and the agent is killed among it. */

const MIB = 8 << 20
const LIMITS = { ingressRate: MIB, ingressBurst: MIB, egressRate: MIB, egressBurst: MIB }
const FURTHER = { type: 'netloom', ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] }

interface Container {
  readonly containerId: string
  readonly config: object
}

/** Every container is of another kind than its neighbours. */
const containers = (count: number): Container[] =>
  Array.from({ length: count }, (_, i) => ({
    containerId: `storm-${i}`,
    config: {
      mode: i % 2 === 0 ? 'bridge' : 'ptp',
      ...(i % 7 === 0 ? { ipam: FURTHER } : {}),
      runtimeConfig: {
        ...(i % 3 === 0 ? { portMappings: [{ hostPort: 20_000 + i, containerPort: 80, protocol: 'tcp' }] } : {}),
        ...(i % 10 === 0 ? { bandwidth: LIMITS } : {}),
      },
    },
  }))

function createNamespaces(t: TestContext, all: readonly Container[]): void {
  for (const { containerId } of all) {
    createNamespace(containerId)
    t.teardown(() => deleteNamespace(containerId))
  }
}

const linksOf = ({ name }: LabNode): string[] =>
  (JSON.parse(ip('-n', name, '-j', 'link')) as { readonly ifname: string }[])
    .map(({ ifname }) => ifname)
    .filter((ifname) => /^nl[mi]-/.test(ifname))

const inNode = ({ name }: LabNode, program: string, ...args: readonly string[]): string =>
  ip('netns', 'exec', name, program, ...args)

/** Those that should be there are, as they were made, with addresses of their own; and of the others nothing is. */
async function consistent(t: Test, all: readonly Container[], there: ReadonlySet<string>): Promise<void> {
  const { pods } = await node.agent.status()
  t.strictSame(pods.map(({ containerId }) => containerId).sort(), [...there].sort())
  const addresses = pods.flatMap(({ addresses }) => addresses)
  t.equal(addresses.length, 2 * there.size)
  t.equal(new Set(addresses).size, addresses.length, 'nobody shares an address')
  const checked = await Promise.all(all.map((one) => runtime.insist({ ...one, command: 'CHECK' })))
  const wrong = checked.flatMap((answer, i) => {
    const { containerId } = all[i]!
    const right = there.has(containerId) ? answer.exit === 0 : answer.answer?.code === 3
    return right ? [] : [`${containerId}: ${JSON.stringify(answer)}`]
  })
  t.strictSame(wrong, [], 'CHECK finds those that are there, and no other')
  const expected = [...there].map((containerId) => hostInterfaceOf({ network: 'pods', containerId, ifname: 'eth0' }))
  const links = linksOf(node)
  t.strictSame(links.filter((name) => name.startsWith('nlm-')).sort(), expected.sort())
  const limited = all.filter((one, i) => i % 10 === 0 && there.has(one.containerId))
  t.equal(links.filter((name) => name.startsWith('nli-')).length, limited.length)
  const ports = all.flatMap((one, i) => (i % 3 === 0 && there.has(one.containerId) ? [20_000 + i] : []))
  const rules = inNode(node, 'nft', 'list', 'map', 'inet', 'netloom-hostports', 'anywhere_ipv4')
  const open = [...rules.matchAll(/tcp \. (\d+) :/g)].map(([, port]) => Number(port))
  t.strictSame(
    open.sort((a, b) => a - b),
    ports,
    'of the host ports those of the containers that are there are open',
  )
}

/** Nothing at all is left. */
async function empty(t: Test): Promise<void> {
  t.strictSame((await node.agent.status()).pods, [])
  t.strictSame(linksOf(node), [])
  const { name } = node
  for (const family of ['-4', '-6'])
    t.equal(ip('-n', name, family, 'route', 'show', 'table', 'all', 'proto', '111'), '')
  t.equal(ip('-n', name, 'neighbour', 'show', 'nud', 'permanent'), '')
  await eventually(() => !/10\.88\.|fd00:88:|nlm-|nli-/.test(inNode(node, 'nft', 'list', 'ruleset')), 5000)
  await eventually(() => !/10\.88\.|fd00:88:/.test(ip('-n', name, 'address')), 5000)
}

/** Says of each container what it is to be in the end: two in three stay. */
const stays = (i: number): boolean => i % 3 !== 1

t.setTimeout(120_000)
const lab = await Lab.raise(1)
t.teardown(() => lab.close())
const node = lab.node('node-1')
const runtime = new ExecRuntime(node.agent.socket)

t.test('200 ADD and DEL at once, some twice: what should be there is, and nothing else', async (t) => {
  const all = containers(200)
  createNamespaces(t, all)
  const answers = await Promise.all(
    all.map(async (one, i): Promise<readonly CniAnswer[]> => {
      const add = { ...one, command: 'ADD' }
      const added = await Promise.all([runtime.insist(add), ...(i % 4 === 0 ? [runtime.insist(add)] : [])])
      if (stays(i)) return added
      await Promise.all([runtime.detach(one), ...(i % 4 === 1 ? [runtime.detach(one)] : [])])
      return added
    }),
  )
  const codes = (answer: CniAnswer): number => answer.answer?.code ?? 0
  for (const [i, answer] of answers.entries()) {
    const expected = i % 4 === 0 ? [0, 101] : [0]
    t.strictSame(answer.map(codes).sort(), expected, JSON.stringify(answer.filter(({ exit }) => exit !== 0)))
  }
  const staying = all.filter((_, i) => stays(i))
  await consistent(t, all, new Set(staying.map(({ containerId }) => containerId)))

  t.test('GC releases exactly those that the runtime does not name', async (t) => {
    const kept = staying.filter((_, i) => i % 2 === 0)
    const valid = kept.map(({ containerId }) => ({ containerID: containerId, ifname: 'eth0' }))
    const config = { 'cni.dev/valid-attachments': valid }
    t.strictSame(await runtime.insist({ containerId: '', command: 'GC', config }), { exit: 0, answer: undefined })
    await consistent(t, all, new Set(kept.map(({ containerId }) => containerId)))
  })

  t.test('and nothing is left when all are gone', async (t) => {
    await Promise.all(all.map((one) => runtime.detach(one)))
    await empty(t)
  })
})

t.test('the agent is killed in the middle of it, twice: what is tried again comes right', async (t) => {
  const all = containers(100)
  createNamespaces(t, all)
  let done = 0
  const storm = Promise.all(
    all.map(async (one, i) => {
      await runtime.attach(one)
      done++
      if (!stays(i)) await runtime.detach(one)
      done++
    }),
  )
  for (const share of [0.3, 0.9]) {
    while (done < all.length * share) await sleep(2)
    await node.agent.kill()
    await node.startAgent().ready()
  }
  await storm
  await consistent(t, all, new Set(all.filter((_, i) => stays(i)).map(({ containerId }) => containerId)))
  await Promise.all(all.map((one) => runtime.detach(one)))
  await empty(t)
})
