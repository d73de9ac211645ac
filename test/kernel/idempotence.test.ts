import { rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { hostInterfaceOf } from '../../src/model/lease.js'
import { Faults } from '../support/faults.js'
import { clearNamespace, eventually, ip, nft, PEER, raiseUplink, SELF, TestNode } from '../support/node.js'
import { traces } from '../support/traces.js'

/** Runtimes call again, or too late: each verb is right the second time as well. */

const RATE = 100_000_000
const CONFIG = {
  runtimeConfig: {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
    bandwidth: { ingressRate: RATE, ingressBurst: RATE, egressRate: RATE, egressBurst: RATE },
  },
}

const CONFIGS: Readonly<Record<string, object>> = {
  bridge: CONFIG,
  ptp: { ...CONFIG, mode: 'ptp' },
  'bridge of a further network': {
    ...CONFIG,
    ipam: { type: 'netloom', ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] },
  },
}

async function started(t: Test, config: object): Promise<TestNode> {
  t.teardown(clearNamespace)
  raiseUplink()
  const node = await new TestNode(t).start()
  // What the first container brings with it stays.
  node.createPod('first')
  await node.cni('ADD', 'first', { config })
  await node.cni('DEL', 'first', { config })
  return node
}

const hostLink = hostInterfaceOf({ network: 'pods', containerId: 'a', ifname: 'eth0' })
const inside = (): string => ['link', 'address', 'route', '-6 route'].map(insideOf).join('')
const insideOf = (object: string): string => ip('-n', 'a', ...object.split(' '))
const everything = (node: TestNode): string => traces() + inside() + JSON.stringify(node.status)

/** Tables that were made anew are listed in another order. */
const sorted = (text: string): string => text.split('\n').toSorted().join('\n')

const LOST: Readonly<Record<string, (node: TestNode) => unknown>> = {
  nothing: () => undefined,
  'the namespace': (node) => node.deletePod('a'),
  "the container's interface": () => ip('-n', 'a', 'link', 'delete', 'eth0'),
  "the node's end": () => ip('link', 'delete', hostLink),
  'the bridge': () => ip('link', 'delete', 'netloom0'),
  'the rule set': () => nft('flush', 'ruleset'),
}

for (const [name, config] of Object.entries(CONFIGS)) {
  t.test(`${name}: a second ADD is refused with code 101 and changes nothing`, async (t) => {
    const node = await started(t, config)
    node.createPod('a')
    t.equal((await node.cni('ADD', 'a', { config })).exit, 0)
    const before = everything(node)
    for (const again of [config, { ...config, mode: 'ptp' }, { ...config, runtimeConfig: {} }])
      t.match(await node.cni('ADD', 'a', { config: again }), { exit: 1, answer: { code: 101 } })
    t.equal(everything(node), before)
    t.strictSame(await node.cni('CHECK', 'a', { config }), { exit: 0, answer: undefined })
  })

  for (const [what, lose] of Object.entries(LOST))
    t.test(`${name}: DEL succeeds and leaves nothing where ${what} is gone`, async (t) => {
      const node = await started(t, config)
      const clean = traces()
      node.createPod('a')
      await node.cni('ADD', 'a', { config })
      lose(node)
      for (const netns of ['/run/netns/a', '']) t.equal((await node.cni('DEL', 'a', { config, netns })).exit, 0)
      await eventually(() => sorted(traces()) === sorted(clean), 2000).catch(() => undefined)
      t.equal(sorted(traces()), sorted(clean))
      t.match(node.status, { pods: [], problems: [] })
      t.match(await node.cni('CHECK', 'a', { config, netns: '/run/netns/first' }), { exit: 1, answer: { code: 3 } })
    })

  t.test(`${name}: DEL succeeds and leaves nothing where the whole state directory is gone`, async (t) => {
    const node = await started(t, config)
    const clean = traces()
    node.createPod('a')
    await node.cni('ADD', 'a', { config })
    await node.stop()
    rmSync(node.stateDir, { recursive: true })
    await node.restart([SELF, PEER])
    t.equal((await node.cni('DEL', 'a', { config })).exit, 0)
    t.equal(traces(), clean)
    t.equal((await node.cni('ADD', 'a', { config })).exit, 0, 'and the next ADD works')
  })
}

t.test('GC leaves alone what is just being attached, and takes what is not named', async (t) => {
  const node = await started(t, CONFIG)
  for (const pod of ['a', 'b']) node.createPod(pod)
  await node.cni('ADD', 'b')
  const none = { 'cni.dev/valid-attachments': [] }
  const [added, collected] = await Promise.all([
    node.cni('ADD', 'a', { config: CONFIG }),
    node.cni('GC', '', { config: none }),
  ])
  t.strictSame([added.exit, collected.exit], [0, 0])
  t.match(node.status.pods, [{ containerId: 'a' }])
  t.strictSame(await node.cni('CHECK', 'a', { config: CONFIG }), { exit: 0, answer: undefined })
  t.equal((await node.cni('GC', '', { config: none })).exit, 0)
  t.same(node.status.pods, [])
})

t.test('a GC that fails for one container releases the others, and has released them when it answers', async (t) => {
  const node = await started(t, CONFIG)
  const faults = new Faults(t)
  const pods = ['a', 'b', 'c', 'd', 'e']
  for (const pod of pods) {
    node.createPod(pod)
    await node.cni('ADD', pod)
  }
  const config = { 'cni.dev/valid-attachments': [] }
  faults.arm({ from: 1, once: true })
  const failed = await node.cni('GC', '', { config })
  const refused = faults.disarm()
  t.match(failed, { exit: 1, answer: { details: /ENOMEM/ } }, refused.join())
  t.ok(node.status.pods.length < pods.length, `${node.status.pods.length} are left`)
  t.equal((await node.cni('GC', '', { config })).exit, 0)
  t.same(node.status.pods, [])
})
