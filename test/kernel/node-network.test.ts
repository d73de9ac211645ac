import t from 'tap'
import {
  clearNamespace,
  eventually,
  ip,
  nft,
  nodeObject,
  OperationCounter,
  PEER,
  raiseUplink,
  SELF,
  type TestContext,
  TestNode,
  UPLINK,
} from '../support/node.js'

/** A node in a namespace with nothing but its uplink. */
async function started(t: TestContext, objects: readonly object[] = [SELF, PEER]): Promise<TestNode> {
  t.teardown(clearNamespace)
  raiseUplink()
  return new TestNode(t, objects).start()
}

interface BridgeFacts {
  readonly ifindex: number
  readonly flags: readonly string[]
  readonly mtu: number
  readonly address: string
}

const bridge = (): BridgeFacts => (JSON.parse(ip('-j', 'link', 'show', 'netloom0')) as [BridgeFacts])[0]
const addresses = (): string => ip('address', 'show', 'netloom0')
const routes = (): string => `${ip('route')}${ip('-6', 'route')}`
const OURS = [
  /10\.244\.2\.0\/24 via 192\.168\.50\.2 dev uplink0 proto 110/,
  /fd00:244:2::\/64 via fd00:50::2 dev uplink0 proto 110/,
]
const allRoutes = (): boolean => OURS.every((pattern) => pattern.test(routes()))

t.test('a node has its bridge with the gateway of each family, and a way to every other node', async (t) => {
  const node = await started(t)
  t.match(bridge(), { mtu: 1480, address: '0a:58:0a:f4:01:01' })
  t.ok(bridge().flags.includes('UP'))
  t.match(addresses(), /inet 10\.244\.1\.1\/24/)
  t.match(addresses(), /inet6 fd00:244:1::1\/64/)
  t.notMatch(addresses(), /tentative|dadfailed/)
  for (const pattern of OURS) t.match(routes(), pattern)
  t.match(nft('list', 'table', 'inet', 'netloom-masquerade'), /fully-random/)
  t.match(node.status, { ready: true, problems: [], subnets: ['10.244.1.0/24', 'fd00:244:1::/64'] })
})

const DRIFTS: Readonly<Record<string, readonly [damage: () => unknown, right: () => boolean]>> = {
  'a route was deleted by hand': [() => ip('route', 'delete', '10.244.2.0/24'), allRoutes],
  'an IPv6 route was deleted by hand': [() => ip('-6', 'route', 'delete', 'fd00:244:2::/64'), allRoutes],
  'a route leads through another gateway': [
    () => ip('route', 'replace', '10.244.2.0/24', 'via', '192.168.50.9', 'proto', '110'),
    allRoutes,
  ],
  'another program took the place of a route': [
    () => ip('route', 'replace', '10.244.2.0/24', 'via', '192.168.50.9', 'proto', 'static'),
    allRoutes,
  ],
  'a route of ours stands for nobody': [
    () => ip('route', 'add', '10.99.0.0/24', 'via', '192.168.50.9', 'proto', '110'),
    () => !routes().includes('10.99.0.0/24'),
  ],
  'a second route of ours to the same destination': [
    () => ip('route', 'add', '10.244.2.0/24', 'via', '192.168.50.2', 'proto', '110', 'metric', '50'),
    () => !routes().includes('metric 50') && allRoutes(),
  ],
  'the bridge is down': [() => ip('link', 'set', 'netloom0', 'down'), () => bridge().flags.includes('UP')],
  'the bridge has another MTU': [() => ip('link', 'set', 'netloom0', 'mtu', '1300'), () => bridge().mtu === 1480],
  'the bridge has another MAC address': [
    () => ip('link', 'set', 'netloom0', 'address', '02:00:00:00:00:01'),
    () => bridge().address === '0a:58:0a:f4:01:01',
  ],
  'the bridge lost an address': [
    () => ip('address', 'delete', '10.244.1.1/24', 'dev', 'netloom0'),
    () => addresses().includes('10.244.1.1/24'),
  ],
  'the bridge lost its IPv6 address': [
    () => ip('address', 'delete', 'fd00:244:1::1/64', 'dev', 'netloom0'),
    () => addresses().includes('fd00:244:1::1/64'),
  ],
  'the bridge got an address that is none of ours': [
    () => ip('address', 'add', '10.99.0.1/24', 'dev', 'netloom0'),
    () => !addresses().includes('10.99.0.1/24'),
  ],
  'the bridge was deleted': [
    () => ip('link', 'delete', 'netloom0'),
    () => addresses().includes('10.244.1.1/24') && addresses().includes('fd00:244:1::1/64'),
  ],
  'the bridge was renamed': [
    () => {
      ip('link', 'set', 'netloom0', 'down')
      ip('link', 'set', 'netloom0', 'name', 'old0')
    },
    () => addresses().includes('10.244.1.1/24') && bridge().flags.includes('UP'),
  ],
  'the masquerade table was deleted': [
    () => nft('delete', 'table', 'inet', 'netloom-masquerade'),
    () => nft('list', 'table', 'inet', 'netloom-masquerade').includes('fully-random'),
  ],
  'the uplink went down and came up again, which took the routes': [
    () => {
      ip('link', 'set', UPLINK, 'down')
      ip('link', 'set', UPLINK, 'up')
      ip('address', 'replace', 'fd00:50::1/64', 'dev', UPLINK, 'nodad')
    },
    allRoutes,
  ],
  'the uplink has another MTU': [() => ip('link', 'set', UPLINK, 'mtu', '1400'), () => bridge().mtu === 1400],
}

for (const [name, [damage, right]] of Object.entries(DRIFTS))
  t.test(`right again within a second: ${name}`, async (t) => {
    await started(t)
    t.ok(allRoutes())
    damage()
    t.notOk(isRight(right), 'it is damaged')
    await t.resolves(eventually(right, 1500))
  })

function isRight(check: () => boolean): boolean {
  try {
    return check()
  } catch {
    return false
  }
}

t.test("others' routes, links and tables are left alone", async (t) => {
  t.teardown(clearNamespace)
  raiseUplink()
  ip('route', 'add', '10.50.0.0/16', 'via', '192.168.50.9')
  ip('route', 'add', '10.244.7.0/24', 'via', '192.168.50.9', 'proto', 'static')
  ip('link', 'add', 'foreign0', 'type', 'bridge')
  nft('add', 'table', 'inet', 'foreign')
  nft('add', 'chain', 'inet', 'foreign', 'c')
  const before = [
    ip('route', 'show', 'proto', 'static'),
    ip('route', 'show', '10.50.0.0/16'),
    ip('link', 'show', 'foreign0'),
  ]
  const node = await new TestNode(t, [SELF, PEER]).start()
  node.source.remove(PEER)
  await eventually(() => !OURS.some((pattern) => pattern.test(routes())))
  t.same(
    [ip('route', 'show', 'proto', 'static'), ip('route', 'show', '10.50.0.0/16'), ip('link', 'show', 'foreign0')],
    before,
  )
  t.match(nft('list', 'table', 'inet', 'foreign'), /chain c/)
})

t.test('nodes that come, move and go are followed', async (t) => {
  const node = await started(t, [SELF])
  t.notOk(allRoutes())
  node.source.put(PEER)
  await t.resolves(eventually(allRoutes))
  node.source.put(nodeObject('node-2', ['10.244.2.0/24'], ['192.168.50.7']))
  await t.resolves(
    eventually(() => /10\.244\.2\.0\/24 via 192\.168\.50\.7/.test(routes()) && !/fd00:244:2/.test(routes())),
  )
  node.source.remove(PEER)
  await t.resolves(eventually(() => !routes().includes('proto 110')))
})

t.test('one node that cannot be reached hurts no other: the rest of the network stands', async (t) => {
  const lost = nodeObject('node-0', ['10.244.9.0/24'], ['203.0.113.9'])
  const node = await started(t, [SELF, lost, PEER])
  await t.resolves(eventually(allRoutes))
  t.match(nft('list', 'table', 'inet', 'netloom-masquerade'), /10\.244\.9\.0\/24/)
  t.equal(node.status.ready, true)
  t.match(node.status.problems.join('\n'), /10\.244\.9\.0\/24/)
  node.createPod('pod-a')
  t.equal((await node.cni('ADD', 'pod-a')).exit, 0, 'pods are attached')
  await node.cni('DEL', 'pod-a')
  const config = { ipam: { type: 'netloom', ranges: [[{ subnet: '10.88.0.0/24' }]] } }
  t.equal((await node.cni('ADD', 'pod-a', { config })).exit, 0, 'also with addresses of further networks')
  t.equal((await node.cni('DEL', 'pod-a', { config })).exit, 0, 'and released')
  node.source.put(nodeObject('node-0', ['10.244.9.0/24'], ['192.168.50.3']))
  await t.resolves(
    eventually(() => routes().includes('10.244.9.0/24 via 192.168.50.3') && node.status.problems.length === 0),
  )
})

t.test('without a Node object or its network the agent says so, and takes up work as soon as they come', async (t) => {
  const node = await started(t, [])
  t.match(node.status, { ready: false, problems: [/no Node object named node-1/] })
  node.createPod('pod-a')
  t.match(await node.cni('ADD', 'pod-a'), { exit: 1, answer: { code: 11, details: /no Node object/ } })
  t.match(await node.cni('STATUS', 'pod-a'), { exit: 1, answer: { code: 50 } })
  node.source.put(nodeObject('node-1', [], ['192.168.50.1']))
  await eventually(() => node.status.problems.join().includes('no spec.podCIDRs'))
  node.source.put(SELF)
  await eventually(() => node.status.ready)
  t.equal((await node.cni('ADD', 'pod-a')).exit, 0)
  await node.cni('DEL', 'pod-a')
})

t.test('a Node object that vanishes takes nothing down', async (t) => {
  const node = await started(t)
  node.source.remove(SELF)
  await eventually(() => node.status.problems.length > 0)
  t.match(addresses(), /10\.244\.1\.1\/24/)
  t.ok(allRoutes())
})

t.test('a network that changes moves the gateway', async (t) => {
  const node = await started(t)
  node.source.put(nodeObject('node-1', ['10.244.1.0/25', 'fd00:244:1::/72'], ['192.168.50.1', 'fd00:50::1']))
  await t.resolves(eventually(() => addresses().includes('10.244.1.1/25') && addresses().includes('fd00:244:1::1/72')))
  t.notMatch(addresses(), /\/24|\/64 scope global/)
  node.source.put(nodeObject('node-1', ['10.77.0.0/24'], ['192.168.50.1']))
  await t.resolves(eventually(() => addresses().includes('10.77.0.1/24') && !addresses().includes('10.244.1.1')))
})

t.test('other subnets than those of running pods are refused, and the pods keep their network', async (t) => {
  const node = await started(t)
  node.createPod('pod-a')
  t.equal((await node.cni('ADD', 'pod-a')).exit, 0)
  const elsewhere = nodeObject('node-1', ['10.77.0.0/24'], ['192.168.50.1', 'fd00:50::1'])
  node.source.put(elsewhere)
  await t.resolves(eventually(() => /drain the node/.test(node.status.problems.join()), 5000))
  t.match(addresses(), /10\.244\.1\.1\/24/)
  t.same(node.status.subnets, ['10.244.1.0/24', 'fd00:244:1::/64'])
  node.createPod('pod-b')
  t.equal((await node.cni('ADD', 'pod-b')).exit, 0, 'more pods come to the subnets that there are')
  await node.restart([elsewhere])
  t.match(node.status, { ready: true, problems: [/drain the node/], subnets: ['10.244.1.0/24', 'fd00:244:1::/64'] })
  for (const pod of ['pod-a', 'pod-b']) t.equal((await node.cni('DEL', pod)).exit, 0)
  await t.resolves(
    eventually(() => node.status.subnets.join() === '10.77.0.0/24', 10_000),
    'no pod is in the way now',
  )
  t.same(node.status.problems, [])
})

t.test('a subnet that overlaps a network of the host is refused', async (t) => {
  const node = await started(t, [nodeObject('node-1', ['192.168.0.0/16'], ['192.168.50.1'])])
  t.match(node.status, { ready: false, problems: [/192\.168\.0\.0\/16 overlaps 192\.168\.50\.0\/24.*uplink0/] })
  t.notMatch(ip('link'), /netloom0/)
  node.source.put(SELF)
  await t.resolves(eventually(() => node.status.ready, 5000))
  t.same(node.status.problems, [])
})

t.test('a link of the name that is no bridge is left alone, and told of', async (t) => {
  t.teardown(clearNamespace)
  raiseUplink()
  ip('link', 'add', 'netloom0', 'type', 'veth', 'peer', 'name', 'old0')
  const node = await new TestNode(t).start()
  t.match(node.status, { ready: false, problems: [/netloom0 is there already, and is no bridge/] })
  t.match(ip('-d', 'link', 'show', 'netloom0'), /veth/)
  ip('link', 'delete', 'netloom0')
  await t.resolves(eventually(() => node.status.ready, 11_000))
})

t.test('an agent that starts again changes nothing that is right', async (t) => {
  const counter = new OperationCounter(t)
  const node = await started(t)
  t.ok(counter.take().length > 10)
  const before = `${addresses()}${routes()}`.replace(/valid_lft.*/g, '')
  await node.restart([SELF, PEER])
  t.same(counter.take(), [])
  t.equal(`${addresses()}${routes()}`.replace(/valid_lft.*/g, ''), before)
})

t.test('what the agent does itself does not make it look again and again', async (t) => {
  const counter = new OperationCounter(t)
  const node = await started(t)
  for (let i = 0; i < 5; i++) node.createPod(`pod-${i}`)
  await Promise.all([0, 1, 2, 3, 4].map((i) => node.cni('ADD', `pod-${i}`)))
  await Promise.all([0, 1, 2, 3, 4].map((i) => node.cni('DEL', `pod-${i}`)))
  counter.take()
  await new Promise((resolve) => setTimeout(resolve, 1500))
  t.same(counter.take(), [], 'the node rests')
})

t.test("the bridge keeps its MTU, whatever its ports' are", async (t) => {
  const node = await started(t)
  const mtu = (): number => bridge().mtu
  node.createPod('pod-small')
  t.equal((await node.cni('ADD', 'pod-small', { config: { mtu: 1300 } })).exit, 0)
  t.equal(mtu(), 1480)
  t.match(ip('-n', 'pod-small', 'link', 'show', 'eth0'), /mtu 1300/)
  await node.cni('DEL', 'pod-small')
  t.equal(mtu(), 1480)
})
