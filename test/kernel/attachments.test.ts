import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Journal } from '../../src/ipam/journal-io.js'
import { Talk } from '../../src/kernel/talk.js'
import { hostInterfaceOf } from '../../src/model/lease.js'
import { exampleLease } from '../support/lease.js'
import {
  clearNamespace,
  type CniAnswer,
  eventually,
  ip,
  nodeObject,
  PEER,
  raiseUplink,
  SELF,
  type TestContext,
  TestNode,
} from '../support/node.js'

/** A node in a namespace with nothing but its uplink. */
async function started(t: TestContext, objects: readonly object[] = [SELF, PEER]): Promise<TestNode> {
  t.teardown(clearNamespace)
  raiseUplink()
  return new TestNode(t, objects).start()
}

const hostLink = (containerId: string, ifname = 'eth0'): string =>
  hostInterfaceOf({ network: 'pods', containerId, ifname })

/** Links of pods on the node. */
const podLinks = (): string[] =>
  (JSON.parse(ip('-j', 'link')) as { ifname: string }[])
    .map(({ ifname }) => ifname)
    .filter((name) => name.startsWith('nlm-'))

const neighbours = (): string => ip('neighbour', 'show', 'nud', 'permanent')
const addressesOf = ({ answer }: CniAnswer): string[] => (answer?.ips ?? []).map(({ address }) => address)

/** Nothing of any pod is left on the node, and its addresses are free. */
function isClean(node: TestNode): boolean {
  if (podLinks().length > 0) throw new Error(`links are left: ${podLinks().join()}`)
  if (neighbours().includes('10.244.1.')) throw new Error(`neighbours are left: ${neighbours()}`)
  if (node.status.pods.length > 0) throw new Error(`leases are left: ${JSON.stringify(node.status.pods)}`)
  return true
}

t.test('an ADD that an agent went away with is done anew, whatever there is of it', async (t) => {
  const node = await started(t)
  const inside = node.createPod('a')
  const first = await node.cni('ADD', 'a')
  t.match(await node.cni('ADD', 'a'), { exit: 1, answer: { code: 101 } }, 'a runtime that asks twice is refused')
  const again = await node.cni('ADD', 'a', { again: true })
  t.match(again, { exit: 0 })
  t.equal(addressesOf(again).length, addressesOf(first).length)
  t.strictSame(podLinks(), [hostLink('a')])
  t.equal((await node.cni('CHECK', 'a')).exit, 0)
  ip('link', 'delete', hostLink('a'))
  t.match(await node.cni('ADD', 'a', { again: true, netns: inside }), { exit: 0 }, 'half of it, too')
  t.match(await node.cni('DEL', 'a', { again: true }), { exit: 0 })
  t.match(await node.cni('DEL', 'a', { again: true }), { exit: 0 })
  t.ok(isClean(node))
  node.createPod('b')
  t.match(await node.cni('ADD', 'b', { again: true }), { exit: 0 }, 'and where there is nothing of it')
})

t.test('ADD gives a pod what its result says', async (t) => {
  const node = await started(t)
  node.createPod('a')
  const added = await node.cni('ADD', 'a')
  t.strictSame(added.answer, {
    cniVersion: '1.1.0',
    interfaces: [
      { name: hostLink('a'), mac: '0a:58:0a:f4:01:01', mtu: 1480 },
      { name: 'eth0', mac: '0a:58:0a:f4:01:02', sandbox: '/run/netns/a', mtu: 1480 },
    ],
    ips: [
      { interface: 1, address: '10.244.1.2/32', gateway: '10.244.1.1' },
      { interface: 1, address: 'fd00:244:1::2/128', gateway: 'fd00:244:1::1' },
    ],
    routes: [
      { dst: '0.0.0.0/0', gw: '10.244.1.1' },
      { dst: '::/0', gw: 'fd00:244:1::1' },
    ],
    dns: {},
  })
  const link = ip('-n', 'a', 'link', 'show', 'eth0')
  t.match(link, /0a:58:0a:f4:01:02/)
  t.match(link, /mtu 1480/)
  t.match(link, /state UP/)
  t.match(ip('-n', 'a', 'address'), /inet 10\.244\.1\.2\/32/)
  t.match(ip('-n', 'a', 'address'), /inet6 fd00:244:1::2\/128 scope global nodad/)
  t.match(ip('-n', 'a', 'route'), /default via 10\.244\.1\.1 dev eth0[^]*10\.244\.1\.1 dev eth0 .*scope link/)
  t.match(ip('-n', 'a', '-6', 'route'), /default via fd00:244:1::1 dev eth0/)
  t.match(ip('-d', 'link', 'show', hostLink('a')), /master netloom0[^]*isolated on/)
  t.match(ip('link', 'show', hostLink('a')), /0a:58:0a:f4:01:01/, "the node's end has the MAC address that is told")
  t.equal((await node.cni('CHECK', 'a')).exit, 0)
  t.match(node.status.pods, [{ containerId: 'a', ifname: 'eth0' }])
  t.same(await node.cni('DEL', 'a'), { exit: 0, answer: undefined })
  t.ok(isClean(node))
})

t.test('a pod and its node reach one another, over both families', async (t) => {
  const node = await started(t)
  node.createPod('a')
  await node.cni('ADD', 'a')
  for (const target of ['10.244.1.1', 'fd00:244:1::1', '192.168.50.1'])
    t.match(ip('-n', 'a', 'route', 'get', target), /via|dev eth0/)
  for (const target of ['10.244.1.1', 'fd00:244:1::1'])
    t.doesNotThrow(() => ip('netns', 'exec', 'a', process.execPath, '-e', PROBE, target), target)
  await node.cni('DEL', 'a')
})

/** Connects to a port that nobody has: refused means that the packets went there and back. */
const PROBE = `
  const socket = require('node:net').connect({ host: process.argv[1], port: 9, timeout: 3000 })
  socket.on('error', ({ code }) => process.exit(code === 'ECONNREFUSED' ? 0 : 1))
  socket.on('timeout', () => process.exit(2))`

t.test('one container may have several interfaces', async (t) => {
  const node = await started(t)
  node.createPod('a')
  t.equal((await node.cni('ADD', 'a')).exit, 0)
  t.equal((await node.cni('ADD', 'a', { ifname: 'net1' })).exit, 0)
  t.equal(podLinks().length, 2)
  for (const ifname of ['eth0', 'net1'])
    t.same(await node.cni('CHECK', 'a', { ifname }), { exit: 0, answer: undefined }, `${ifname} is whole`)
  t.match(ip('-n', 'a', 'route', 'get', '192.0.2.1'), /dev eth0/, 'the first one is used')
  await node.cni('DEL', 'a', { ifname: 'net1' })
  t.same(await node.cni('CHECK', 'a'), { exit: 0, answer: undefined }, 'the other stays')
  await node.cni('DEL', 'a')
  t.ok(isClean(node))
})

t.test('a second ADD is refused, and the first attachment stays as it is', async (t) => {
  const node = await started(t)
  node.createPod('a')
  await node.cni('ADD', 'a')
  t.match(await node.cni('ADD', 'a'), { exit: 1, answer: { code: 101, details: /container a has eth0/ } })
  t.equal((await node.cni('CHECK', 'a')).exit, 0)
  t.equal(node.status.pods.length, 1)
})

/** Makes every conversation of the agent with the kernel slow, or do something else. */
function interpose(
  t: TestContext,
  pipeline: (own: Talk['pipeline'], ...args: Parameters<Talk['pipeline']>) => ReturnType<Talk['pipeline']>,
): () => void {
  const own = Object.getOwnPropertyDescriptor(Talk.prototype, 'pipeline')!
  Talk.prototype.pipeline = function (this: Talk, requests) {
    return pipeline((...args) => (own.value as Talk['pipeline']).apply(this, args), requests)
  }
  const restore = (): void => void Object.defineProperty(Talk.prototype, 'pipeline', own)
  t.teardown(restore)
  return restore
}

const slowly = (t: TestContext, ms: () => number): (() => void) =>
  interpose(t, async (own, requests) => {
    await sleep(ms())
    return own(requests)
  })

t.test('of several calls for one attachment at the same time, only the first is carried out', async (t) => {
  const node = await started(t)
  node.createPod('a')
  const restore = slowly(t, () => 30)
  const answers = await Promise.all([node.cni('ADD', 'a'), node.cni('ADD', 'a'), node.cni('DEL', 'a')])
  restore()
  t.same(
    answers.map(({ exit, answer }) => (exit === 0 ? 0 : answer?.code)),
    [0, 11, 11],
    'the others are told to come again',
  )
  t.equal((await node.cni('CHECK', 'a')).exit, 0)
})

const FAILURES: Readonly<
  Record<string, readonly [damage: (node: TestNode) => void, fields: object, error: { code: number; details?: RegExp }]>
> = {
  'the pod has an interface of that name': [
    () => ip('-n', 'a', 'link', 'add', 'eth0', 'type', 'bridge'),
    {},
    { code: 101, details: /File exists|EEXIST/ },
  ],
  'the namespace is not there': [(node) => node.deletePod('a'), {}, { code: 3, details: /CNI_NETNS \/run\/netns\/a/ }],
  'the namespace is a file': [
    () => undefined,
    { netns: '/etc/hostname' },
    { code: 4, details: /not a network namespace/ },
  ],
  'the namespace is a folder': [
    () => undefined,
    { netns: '/run/netns' },
    { code: 4, details: /not a network namespace/ },
  ],
  "the namespace is the node's own": [
    () => undefined,
    { netns: '/proc/self/ns/net' },
    { code: 4, details: /node's own namespace/ },
  ],
  'the namespace is one of another kind': [
    () => undefined,
    { netns: '/proc/self/ns/mnt' },
    { code: 4, details: /not a network namespace/ },
  ],
}

for (const [name, [damage, fields, error]] of Object.entries(FAILURES))
  t.test(`a failed ADD leaves nothing behind: ${name}`, async (t) => {
    const node = await started(t)
    node.createPod('a')
    damage(node)
    t.match(await node.cni('ADD', 'a', fields), { exit: 1, answer: error })
    t.ok(isClean(node))
    if (name.startsWith('the pod has'))
      t.match(ip('-n', 'a', '-d', 'link', 'show', 'eth0'), /bridge/, 'the other stays')
  })

t.test('an ADD that fails in the pod, half-way, takes back what it made on the node', async (t) => {
  const node = await started(t)
  node.createPod('a')
  // The pod's own conversation breaks off when its address is to be set.
  const restore = interpose(t, (own, requests) => {
    if (requests.some(({ operation }) => /10\.244\.1\.2\/32/.test(operation))) throw new Error('broken off')
    return own(requests)
  })
  t.match(await node.cni('ADD', 'a'), { exit: 1, answer: { details: /broken off/ } })
  restore()
  t.ok(isClean(node))
  t.same(addressesOf(await node.cni('ADD', 'a')).length, 2, 'and the next ADD works')
})

const GONE: Readonly<Record<string, (node: TestNode) => void>> = {
  'nothing is gone': () => undefined,
  'the link was deleted': () => ip('link', 'delete', hostLink('a')),
  "the pod's end was deleted": () => ip('-n', 'a', 'link', 'delete', 'eth0'),
  'the namespace is gone': (node) => node.deletePod('a'),
  'the bridge is gone': () => ip('link', 'delete', 'netloom0'),
  'the neighbours are gone': () => ip('neighbour', 'flush', 'dev', 'netloom0', 'nud', 'permanent'),
  'bridge, namespace and link are gone': (node) => {
    node.deletePod('a')
    ip('link', 'delete', 'netloom0')
  },
}

for (const [name, damage] of Object.entries(GONE))
  t.test(`DEL succeeds, once and again: ${name}`, async (t) => {
    const node = await started(t)
    node.createPod('a')
    await node.cni('ADD', 'a')
    damage(node)
    t.same(await node.cni('DEL', 'a'), { exit: 0, answer: undefined })
    t.ok(isClean(node))
    t.same(await node.cni('DEL', 'a', { netns: '' }), { exit: 0, answer: undefined })
  })

t.test('DEL of what never was succeeds', async (t) => {
  const node = await started(t)
  t.same(await node.cni('DEL', 'nobody', { netns: '' }), { exit: 0, answer: undefined })
})

t.test('DEL without a lease still deletes the link, which a lost state directory left', async (t) => {
  const node = await started(t)
  ip('link', 'add', hostLink('a'), 'type', 'veth', 'peer', 'name', 'old0')
  t.equal((await node.cni('DEL', 'a')).exit, 0)
  t.same(podLinks(), [])
})

/** Counts requests by what they do, as they are sent. */
function countRequests(t: TestContext): (pattern: RegExp) => number {
  const operations: string[] = []
  interpose(t, (own, requests) => {
    operations.push(...requests.map(({ operation }) => operation))
    return own(requests)
  })
  return (pattern) => operations.filter((operation) => pattern.test(operation)).length
}

t.test('50 pods at once, in and out: all differ, and links go in a few requests', async (t) => {
  const node = await started(t)
  const names = Array.from({ length: 50 }, (_, i) => `p${i}`)
  for (const name of names) node.createPod(name)
  const added = await Promise.all(names.map((name) => node.cni('ADD', name)))
  t.ok(added.every(({ exit }) => exit === 0))
  const addresses = added.flatMap(addressesOf)
  t.equal(new Set(addresses).size, 100)
  t.equal(new Set(podLinks()).size, 50)
  const checks = await Promise.all(names.map((name) => node.cni('CHECK', name)))
  t.ok(checks.every(({ exit }) => exit === 0))
  const count = countRequests(t)
  const deleted = await Promise.all(names.map((name) => node.cni('DEL', name)))
  t.ok(deleted.every(({ exit }) => exit === 0))
  const deletions = count(/^delete links? /)
  t.ok(deletions >= 1 && deletions <= 10, `${deletions} requests to delete 50 links`)
  t.ok(isClean(node))
})

t.test('pods come and go in every order at once, and nothing is left at the end', async (t) => {
  const node = await started(t)
  const names = Array.from({ length: 12 }, (_, i) => `p${i}`)
  for (const name of names) node.createPod(name)
  const lives = names.map(async (name, i) => {
    for (let round = 0; round < 6; round++) {
      await sleep((i * 7 + round * 3) % 11)
      t.equal((await node.cni('ADD', name)).exit, 0, `${name} comes`)
      if ((i + round) % 3 === 0) t.equal((await node.cni('CHECK', name)).exit, 0, `${name} is right`)
      t.equal((await node.cni('DEL', name)).exit, 0, `${name} goes`)
    }
  })
  await Promise.all(lives)
  t.ok(isClean(node))
})

t.test('a network that is full says so, and goes on when an address is free again', async (t) => {
  const node = await started(t, [nodeObject('node-1', ['10.244.1.0/29'], ['192.168.50.1'])])
  const names = Array.from({ length: 6 }, (_, i) => `p${i}`)
  for (const name of names) node.createPod(name)
  const answers = await Promise.all(names.map((name) => node.cni('ADD', name)))
  const refused = answers.filter(({ exit }) => exit !== 0)
  t.match(refused, [{ answer: { code: 102, msg: 'no free address', details: /10\.244\.1\.0\/29/ } }])
  t.equal(podLinks().length, 5)
  const [given] = names.filter((_, i) => answers[i]?.exit === 0)
  const [waiting] = names.filter((_, i) => answers[i]?.exit !== 0)
  await node.cni('DEL', given!)
  t.equal((await node.cni('ADD', waiting!)).exit, 0)
})

const DRIFTS: Readonly<Record<string, readonly [damage: () => void, says: RegExp]>> = {
  "the node's end is down": [() => ip('link', 'set', hostLink('a'), 'down'), /of the node is down/],
  'it left the bridge': [() => ip('link', 'set', hostLink('a'), 'nomaster'), /no port of bridge netloom0/],
  'the port is not isolated': [() => ip('link', 'set', hostLink('a'), 'type', 'bridge_slave', 'isolated', 'off'), /not isolated/],
  'the link is gone': [() => ip('link', 'delete', hostLink('a')), /node has no link/],
  "the pod's end is down": [() => ip('-n', 'a', 'link', 'set', 'eth0', 'down'), /of the container is down/],
  "the pod's end has another MAC address": [() => ip('-n', 'a', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:09'), /MAC address 02:00:00:00:00:09/],
  'an address is missing': [() => ip('-n', 'a', 'address', 'delete', '10.244.1.2/32', 'dev', 'eth0'), /does not have address 10\.244\.1\.2/],
  'an IPv6 address is missing': [() => ip('-n', 'a', 'address', 'delete', 'fd00:244:1::2/128', 'dev', 'eth0'), /does not have address fd00:244:1::2/],
  'the default route is gone': [() => ip('-n', 'a', 'route', 'delete', 'default'), /no route to 0\.0\.0\.0\/0 through 10\.244\.1\.1/],
  'the IPv6 default route is gone': [() => ip('-n', 'a', '-6', 'route', 'delete', 'default'), /no route to ::\/0 through fd00:244:1::1/],
  'the route to the gateway is gone': [() => ip('-n', 'a', 'route', 'delete', '10.244.1.1'), /no route to 10\.244\.1\.1\/32/],
  'another link took its name': [
    () => {
      ip('-n', 'a', 'link', 'set', 'eth0', 'down')
      ip('-n', 'a', 'link', 'set', 'eth0', 'name', 'old')
      ip('-n', 'a', 'link', 'add', 'eth0', 'type', 'bridge')
    },
    /not the other end/,
  ],
} // prettier-ignore

for (const [name, [damage, details]] of Object.entries(DRIFTS))
  t.test(`CHECK finds it: ${name}`, async (t) => {
    const node = await started(t)
    node.createPod('a')
    await node.cni('ADD', 'a')
    damage()
    t.match(await node.cni('CHECK', 'a'), { exit: 1, answer: { code: 103, details } })
    t.equal((await node.cni('DEL', 'a')).exit, 0)
  })

t.test('CHECK of what was never attached', async (t) => {
  const node = await started(t)
  node.createPod('a')
  t.match(await node.cni('CHECK', 'a'), { exit: 1, answer: { code: 3 } })
})

t.test('GC takes what the runtime no longer has, of its own network alone', async (t) => {
  const node = await started(t)
  for (const name of ['keep', 'drop', 'other']) node.createPod(name)
  for (const name of ['keep', 'drop']) await node.cni('ADD', name)
  await node.cni('ADD', 'other', { config: { name: 'elsewhere' } })
  const gc = { 'cni.dev/valid-attachments': [{ containerID: 'keep', ifname: 'eth0' }] }
  t.same(await node.cni('GC', '', { config: gc }), { exit: 0, answer: undefined })
  t.same(node.status.pods.map(({ containerId }) => containerId).sort(), ['keep', 'other'])
  t.equal(podLinks().length, 2)
  t.same(await node.cni('GC', '', {}), { exit: 0, answer: undefined }, 'as cnitool calls it, without a list')
  t.equal(node.status.pods.length, 2, 'nothing is known to be garbage then')
})

t.test('GC, DEL and a new ADD of one container at the same time do not take the new one', async (t) => {
  const node = await started(t)
  node.createPod('a')
  let turn = 0
  slowly(t, () => (turn = (turn * 5 + 3) % 17))
  for (let round = 0; round < 20; round++) {
    t.equal((await node.cni('ADD', 'a')).exit, 0)
    const gc = node.cni('GC', '', { config: { 'cni.dev/valid-attachments': [] } })
    await sleep(round % 7)
    while ((await node.cni('DEL', 'a')).exit !== 0) await sleep(1)
    t.equal((await node.cni('ADD', 'a')).exit, 0)
    await gc
    t.equal((await node.cni('CHECK', 'a')).exit, 0, `round ${round}`)
    t.equal(node.status.pods.length, 1)
    await node.cni('DEL', 'a')
  }
  t.ok(isClean(node))
})

t.test('a bridge that was made anew has its pods again', async (t) => {
  const node = await started(t)
  for (const name of ['a', 'b']) node.createPod(name)
  await Promise.all(['a', 'b'].map((name) => node.cni('ADD', name)))
  ip('link', 'delete', 'netloom0')
  await t.resolves(
    eventually(
      () => ip('-d', 'link', 'show', hostLink('b')).includes('master netloom0') && neighbours().includes('10.244.1.3'),
    ),
  )
  for (const name of ['a', 'b']) t.same(await node.cni('CHECK', name), { exit: 0, answer: undefined })
  t.doesNotThrow(() => ip('netns', 'exec', 'a', process.execPath, '-e', PROBE, '10.244.1.1'))
})

t.test('an agent that starts again knows its pods, and gives nobody their addresses', async (t) => {
  const node = await started(t)
  for (const name of ['a', 'b', 'c']) node.createPod(name)
  const [a] = await Promise.all([node.cni('ADD', 'a'), node.cni('ADD', 'b')])
  await node.restart([SELF, PEER])
  t.equal(node.status.pods.length, 2)
  t.equal((await node.cni('CHECK', 'a')).exit, 0)
  const c = await node.cni('ADD', 'c')
  t.notOk(addressesOf(c).some((address) => addressesOf(a).includes(address)))
  for (const name of ['a', 'b', 'c']) t.equal((await node.cni('DEL', name)).exit, 0)
  t.ok(isClean(node))
})

t.test('after a crash, leases without links and links without leases are cleared away', async (t) => {
  const node = await started(t)
  for (const name of ['a', 'b']) node.createPod(name)
  await node.cni('ADD', 'a')
  await node.stop()
  // It ended between the lease and the link of one, and between the link and the lease of another.
  mkdirSync(node.stateDir, { recursive: true })
  const journal = new Journal(join(node.stateDir, 'leases'))
  journal.add(
    exampleLease({
      containerId: 'b',
      netns: '/run/netns/b',
      addresses: ['10.244.1.3', 'fd00:244:1::3'],
      hostInterface: hostLink('b'),
    }),
  )
  journal.close()
  ip('link', 'add', hostLink('c'), 'type', 'veth', 'peer', 'name', 'old0')
  await node.restart([SELF, PEER])
  t.same(podLinks(), [hostLink('a')])
  t.same(node.status.pods.map(({ containerId }) => containerId), ['a']) // prettier-ignore
  t.equal((await node.cni('CHECK', 'a')).exit, 0)
  t.equal((await node.cni('ADD', 'b')).exit, 0, 'and the runtime may try again')
})

t.test('a torn journal costs the torn record and nothing else', async (t) => {
  const node = await started(t)
  for (const name of ['a', 'b']) node.createPod(name)
  await node.cni('ADD', 'a')
  await node.cni('ADD', 'b')
  await node.stop()
  const { readFileSync, writeFileSync } = await import('node:fs')
  const path = join(node.stateDir, 'leases')
  writeFileSync(path, readFileSync(path).subarray(0, -5))
  await node.restart([SELF, PEER])
  t.same(node.status.pods.map(({ containerId }) => containerId), ['a']) // prettier-ignore
  t.same(podLinks(), [hostLink('a')], 'the link of the lost lease is nobody’s')
})

t.test('calls under way when the agent stops are finished', async (t) => {
  const node = await started(t)
  const names = Array.from({ length: 8 }, (_, i) => `p${i}`)
  for (const name of names) node.createPod(name)
  const calls = Promise.allSettled(names.map((name) => node.cni('ADD', name)))
  await sleep(2)
  await node.stop()
  const answers = await calls
  const done = names.filter((_, i) => {
    const outcome = answers[i]
    return outcome?.status === 'fulfilled' && outcome.value.exit === 0
  })
  await node.restart([SELF, PEER])
  const known = node.status.pods.map(({ containerId }) => containerId)
  for (const name of done) t.ok(known.includes(name), `${name} is known`)
  for (const name of known) t.equal((await node.cni('CHECK', name)).exit, 0, `${name} is whole`)
  for (const name of names) await node.cni('DEL', name)
  t.ok(isClean(node))
})
