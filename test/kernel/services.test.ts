import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { NetloomError } from '../../src/base/errors.js'
import { Applier } from '../../src/kernel/apply.js'
import {
  clearNamespace,
  eventually,
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

const WEB = serviceObject('web', ['10.96.0.10', 'fd00:96::10'])
const V4 = (...addresses: readonly string[]): object => sliceObject({ service: 'web', addresses, node: 'node-1' })
const WORLD = [SELF, PEER, WEB, V4('10.244.1.5', '10.244.2.5'), V4('fd00:244:1::5')]

async function started(t: TestContext, objects: readonly object[] = WORLD): Promise<TestNode> {
  t.teardown(clearNamespace)
  raiseUplink()
  return new TestNode(t, objects).start()
}

/** Both Services tables as nft lists them: sets and chains, and the elements of a set, in an order of their own. */
const listing = (): string =>
  ['ip', 'ip6'].map((family) => sorted(nft('list', 'table', family, 'netloom-services'), '\n\t}\n')).join('')

const sorted = (text: string, separator: string): string =>
  text
    .replace(/elements = \{([^}]*)\}/g, (_, list: string) =>
      list
        .split(',')
        .map((one) => one.trim())
        .sort()
        .join(', '),
    )
    .split(separator)
    .map((block) => block.trim())
    .sort()
    .join('\n')

const element = (map: string, family = 'ip'): string => nft('list', 'map', family, 'netloom-services', map)

t.test('Services of both families are in the kernel when the agent is ready', async (t) => {
  const node = await started(t)
  t.match(element('frontends'), /10\.96\.0\.10 \. tcp \. 80 : goto pick_2/)
  t.match(element('slot_0'), /10\.96\.0\.10 \. tcp \. 80 : 10\.244\.1\.5 \. 8080/)
  t.match(element('slot_1'), /10\.96\.0\.10 \. tcp \. 80 : 10\.244\.2\.5 \. 8080/)
  t.match(element('frontends', 'ip6'), /fd00:96::10 \. tcp \. 80 : goto pick_1/)
  t.match(nft('list', 'set', 'ip', 'netloom-services', 'hairpin'), /10\.244\.1\.5 \. 10\.244\.1\.5/)
  t.match(node.status, { ready: true, services: { frontends: 2, endpoints: 3, desired: 2 }, problems: [] })
})

t.test('endpoints that come and go are in the kernel soon', async (t) => {
  const node = await started(t)
  node.source.put(V4('10.244.1.5', '10.244.2.5', '10.244.2.6'))
  await t.resolves(eventually(() => element('slot_2').includes('10.244.2.6')))
  node.source.put(V4('10.244.2.6'))
  await t.resolves(eventually(() => element('frontends').includes('goto pick_1')))
  node.source.remove(WEB)
  await t.resolves(eventually(() => !element('frontends').includes('10.96.0.10')))
  t.notMatch(element('slot_0'), /10\.96\.0\.10/)
  t.match(node.status.services, { frontends: 0, endpoints: 0, desired: 0 })
})

t.test('a Service of more than a thousand endpoints is taken', async (t) => {
  const node = await started(t)
  const addresses = Array.from({ length: 1000 }, (_, i) => `10.245.${i >> 8}.${i & 255}`).slice(1)
  node.source.put(V4(...addresses))
  await t.resolves(eventually(() => element('frontends').includes('goto pick_999'), 5000))
  // The first batches of a large change are in the kernel before the last, and only all of it counts as done.
  await t.resolves(eventually(() => node.status.services.endpoints === 1000, 5000))
  t.same(node.status.problems, [])
})

const DAMAGES: Readonly<Record<string, () => unknown>> = {
  'nft flush ruleset': () => nft('flush', 'ruleset'),
  'both tables were deleted': () => {
    nft('delete', 'table', 'ip', 'netloom-services')
    nft('delete', 'table', 'ip6', 'netloom-services')
  },
  'a frontend was deleted': () =>
    nft('delete', 'element', 'ip', 'netloom-services', 'frontends', '{ 10.96.0.10 . tcp . 80 }'),
  'an endpoint was deleted': () =>
    nft('delete', 'element', 'ip6', 'netloom-services', 'slot_0', '{ fd00:96::10 . tcp . 80 }'),
  'an endpoint of somebody else stands there': () =>
    nft('add', 'element', 'ip', 'netloom-services', 'slot_0', '{ 10.96.0.99 . tcp . 80 : 192.0.2.1 . 80 }'),
  'an element of another protocol stands there': () =>
    nft('add', 'element', 'ip', 'netloom-services', 'slot_0', '{ 10.96.0.98 . icmp . 1 : 192.0.2.1 . 80, 10.96.0.99 . icmp . 1 : 192.0.2.1 . 80 }'),
  'a map is empty': () => nft('flush', 'map', 'ip', 'netloom-services', 'slots'),
  'a chain lost its rules': () => nft('flush', 'chain', 'ip', 'netloom-services', 'prerouting'),
  'a rule was put in front': () => nft('insert', 'rule', 'ip', 'netloom-services', 'prerouting', 'counter', 'accept'),
  'a rule was added behind': () => nft('add', 'rule', 'ip', 'netloom-services', 'pick_1', 'counter', 'drop'),
  'a policy drops everything': () =>
    nft('add', 'chain', 'ip', 'netloom-services', 'reject_forward', '{ policy drop; }'),
  'foreign chains and sets stand in the table': () => {
    nft('add', 'set', 'ip', 'netloom-services', 'mine', '{ type ipv4_addr; flags interval; }')
    nft('add', 'chain', 'ip', 'netloom-services', 'mine')
    nft('add', 'rule', 'ip', 'netloom-services', 'mine', 'ip', 'saddr', '@mine', 'counter', 'drop')
    nft('add', 'chain', 'ip', 'netloom-services', 'hooked', '{ type filter hook input priority 5; }')
    nft('add', 'rule', 'ip', 'netloom-services', 'hooked', 'jump', 'mine')
  },
  'a pair of two addresses is masqueraded': () =>
    nft('add', 'element', 'ip', 'netloom-services', 'hairpin', '{ 10.244.1.5 . 10.244.1.6 }'),
  'a slot map is gone with its rule': () => {
    nft('flush', 'chain', 'ip', 'netloom-services', 'slot_0')
    nft('delete', 'map', 'ip', 'netloom-services', 'slot_0')
  },
  'a set has another type': () => {
    nft('flush', 'chain', 'ip', 'netloom-services', 'postrouting')
    nft('delete', 'set', 'ip', 'netloom-services', 'hairpin')
    nft('add', 'set', 'ip', 'netloom-services', 'hairpin', '{ type ipv4_addr; }')
  },
} // prettier-ignore

for (const [name, damage] of Object.entries(DAMAGES))
  t.test(`right again within a second: ${name}`, async (t) => {
    const node = await started(t)
    const intact = listing()
    damage()
    await t.resolves(eventually(() => listing() === intact, 1500))
    node.source.put(V4('10.244.2.9'))
    await t.resolves(
      eventually(() => element('slot_0').includes('10.244.2.9')),
      'and planning goes on from it',
    )
    t.same(node.status.problems, [])
  })

t.test('what others do while Services change is put right as well', async (t) => {
  const node = await started(t)
  for (let round = 0; round < 40; round++) {
    node.source.put(V4(...Array.from({ length: 1 + (round % 5) }, (_, i) => `10.244.2.${10 + round + i}`)))
    // At another moment of the agent's work each time.
    await sleep(round % 5)
    const damage = [
      ['flush', 'map', 'ip', 'netloom-services', 'frontends'],
      ['flush', 'chain', 'ip', 'netloom-services', 'prerouting'],
      ['flush', 'ruleset'],
    ][round % 3]
    try {
      nft(...(damage ?? []))
    } catch {
      // The table may be gone at this moment, by the damage of the round before.
    }
  }
  node.source.put(...WORLD)
  await sleep(300)
  await eventually(() => node.status.problems.length === 0, 3000)
  const found = listing()
  await node.restart(WORLD)
  nft('flush', 'ruleset')
  await eventually(() => listing() === found, 3000)
  t.pass()
})

t.test('tables of others are neither read into ours nor touched', async (t) => {
  t.teardown(clearNamespace)
  raiseUplink()
  nft('add', 'table', 'ip', 'foreign')
  nft('add', 'map', 'ip', 'foreign', 'frontends', '{ type ipv4_addr : verdict; }')
  nft('add', 'table', 'inet', 'netloom-services')
  const before = nft('list', 'ruleset')
  const node = await new TestNode(t, WORLD).start()
  await node.stop()
  nft('delete', 'table', 'ip', 'netloom-services')
  nft('delete', 'table', 'ip6', 'netloom-services')
  for (const family of ['bridge', 'inet', 'arp']) nft('delete', 'table', family, 'netloom-antispoof')
  for (const name of ['masquerade', 'hostports']) nft('delete', 'table', 'inet', `netloom-${name}`)
  t.equal(nft('list', 'ruleset'), before)
})

t.test(
  'an agent that starts again writes nothing where nothing changed, and only the difference where it did',
  async (t) => {
    const counter = new OperationCounter(t)
    const node = await started(t)
    t.ok(counter.take().length > 20)
    const before = listing()
    await node.restart(WORLD)
    t.same(counter.take(), [])
    t.equal(listing(), before)
    const changed = [SELF, PEER, WEB, V4('10.244.1.5', '10.244.2.7'), V4('fd00:244:1::5')]
    await node.restart(changed)
    const ops = counter.take()
    t.ok(ops.length > 0 && ops.length <= 4, `${ops.length} operations`)
    t.ok(ops.every(({ kind }) => kind.startsWith('elements.')))
    t.match(element('slot_1'), /10\.244\.2\.7/)
  },
)

t.test('an agent that finds what an earlier one left half-done completes it', async (t) => {
  const node = await started(t)
  const intact = listing()
  await node.stop()
  nft('delete', 'element', 'ip', 'netloom-services', 'slot_1', '{ 10.96.0.10 . tcp . 80 }')
  nft('add', 'element', 'ip', 'netloom-services', 'service_ips', '{ 10.96.0.77 }')
  nft('flush', 'chain', 'ip6', 'netloom-services', 'output')
  await node.restart(WORLD)
  t.equal(listing(), intact)
  node.source.remove(WEB)
  await t.resolves(
    eventually(() => !listing().includes('10.96.0.')),
    'and forgets what it took over',
  )
})

t.test('a Service that another claims the address of is told of', async (t) => {
  const node = await started(t)
  node.source.put(serviceObject('thief', ['10.96.0.10']))
  await eventually(() => node.status.problems.length > 0)
  t.match(node.status.problems, [/10\.96\.0\.10 TCP 80: Service shop\/web does not get it, Service shop\/thief has it/])
  node.source.remove(serviceObject('thief', ['10.96.0.10']))
  await t.resolves(eventually(() => node.status.problems.length === 0 && element('slot_0').includes('10.244.1.5')))
})

t.test('counts do not dip while a change is on its way', async (t) => {
  const node = await started(t)
  const seen = new Set<number>()
  for (let i = 0; i < 30; i++) {
    node.source.put(V4('10.244.1.5', `10.244.2.${10 + i}`))
    for (let look = 0; look < 3; look++) {
      seen.add(node.status.services.frontends)
      await sleep(0)
    }
  }
  t.same([...seen], [2])
})

t.test('a node is not ready before its Services have been in the kernel', async (t) => {
  const own = Object.getOwnPropertyDescriptor(Applier.prototype, 'apply')!
  t.teardown(() => Object.defineProperty(Applier.prototype, 'apply', own))
  Applier.prototype.apply = async function (this: Applier, ops, ...others) {
    if (ops.some((op) => 'table' in op && op.table.family === 'ip6')) throw new NetloomError('kernel', 'out of memory')
    return (own.value as Applier['apply']).call(this, ops, ...others)
  }
  const node = await started(t)
  t.match(node.status, { ready: false, problems: ['out of memory'] })
  node.createPod('a')
  t.match(await node.cni('ADD', 'a'), { exit: 1, answer: { code: 11, details: 'out of memory' } })
  Object.defineProperty(Applier.prototype, 'apply', own)
  await t.resolves(eventually(() => node.status.ready, 5000))
  t.same(node.status.problems, [])
  t.equal((await node.cni('ADD', 'a')).exit, 0)
})
