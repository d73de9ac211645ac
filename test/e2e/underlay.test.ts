import { type Server } from 'node:net'
import t from 'tap'
import { nodeObject } from '../../src/cli/demo/layout.js'
import { type Place } from '../../src/cli/demo/place.js'
import { ask, Lab, type LabPod, serviceValue, sleep } from '../support/lab.js'
import { type TestContext } from '../support/node.js'
import {
  clearTopology,
  demoNode,
  inside,
  ip,
  type LabRouting,
  type Topology,
  type TopologyNode,
} from '../support/topology.js'

/** Pods reach pods, nodes and the world, whatever lies between the nodes. */

const PORTS = [
  { protocol: 'TCP', port: 8080, undeclared: false },
  { protocol: 'UDP', port: 8080, undeclared: false },
] as const

const WORLD = ['203.0.113.9/24', 'fd00:9::9/64']

const at = (segment: string, net: number, host: number): TopologyNode['links'][string] => ({
  segment,
  addresses: [`172.31.${net}.${host}/24`, `fd00:31:${net}::${host}/64`],
})
const routersOf = (net: number): string[] => [`172.31.${net}.1`, `fd00:31:${net}::1`]
const podsOf = (number: number): string[] => [`10.244.${number}.0/24`, `fd00:244:${number}::/64`]

/** Knows the segments, and nothing of pods. */
const ROUTER = {
  near: ['172.31.1.1/24', 'fd00:31:1::1/64'],
  far: ['172.31.2.1/24', 'fd00:31:2::1/64'],
  world: ['203.0.113.1/24', 'fd00:9::1/64'],
}

/** Two nodes on one segment, the third on another, and the world on a third. */
const routed = (routing: LabRouting): Topology => ({
  segments: { near: [], far: [], world: WORLD },
  routers: { router: ROUTER },
  nodes: [
    { name: 'node-1', links: { eth0: at('near', 1, 11) }, routers: routersOf(1), podCIDRs: podsOf(1), routing },
    { name: 'node-2', links: { eth0: at('near', 1, 12) }, routers: routersOf(1), podCIDRs: podsOf(2), routing },
    { name: 'node-3', links: { eth0: at('far', 2, 13) }, routers: routersOf(2), podCIDRs: podsOf(3), routing },
  ],
})

async function raised(t: TestContext, topology: Topology): Promise<Lab> {
  const lab = await Lab.between(topology)
  t.teardown(async () => {
    await lab.close()
    clearTopology()
  })
  return lab
}

/** A pod on each node, called after it. */
const pods = (lab: Lab, suffix: string): Promise<LabPod[]> =>
  Promise.all(
    lab.nodes.map(({ name }) =>
      lab.start({ name: `${name}-${suffix}`, node: name, ports: PORTS, labels: { app: suffix, on: name } }),
    ),
  )

/** Every pod to every other on another node, both ways, protocols and families: who failed, and how. */
async function failures(all: readonly LabPod[]): Promise<string[]> {
  const found: string[] = []
  for (const client of all)
    for (const server of all)
      for (const [i, address] of server.addresses.entries())
        for (const protocol of ['TCP', 'UDP'] as const) {
          if (client === server) continue
          const { answer, failure } = await ask(client.place, protocol, address, 8080)
          const right = answer?.pod === server.name && answer.client === client.addresses[i]
          if (!right) found.push(`${client.name} to ${server.name} ${address} ${protocol}: ${failure ?? answer.client}`)
        }
  return found
}

/** Listens in a place and tells who came. */
async function listening(t: TestContext, place: Place, port: number): Promise<{ seen: () => string[] }> {
  let seen: string[] = []
  const server: Server = await place.listen(port, (socket) => {
    seen.push((socket.remoteAddress ?? '').replace('::ffff:', ''))
    socket.on('error', () => undefined)
    socket.end(`{"pod":"listener","node":"","port":${port},"client":""}\n`)
  })
  t.teardown(() => server.close())
  return {
    seen: () => {
      const all = seen
      seen = []
      return all
    },
  }
}

/** Routes of a node by their destination: `direct` or `vxlan`. */
async function kinds(lab: Lab, name: string): Promise<Record<string, string>> {
  const { routes } = await lab.node(name).agent.status()
  return Object.fromEntries(routes.map(({ destination, kind }) => [destination, kind]))
}

t.test('where a router knows no pods, plain routes do not carry', async (t) => {
  const lab = await raised(t, routed({ mode: 'direct' }))
  const [first, second, third] = await pods(lab, 'plain')
  t.same(await failures([first!, second!]), [], 'they do on one segment')
  t.match(await ask(first!.place, 'TCP', third!.addresses[0]!, 8080), { failure: /./ })
  const { problems } = await lab.node('node-1').agent.status()
  t.match(problems.join('\n'), /10\.244\.3\.0\/24.*gateway/, 'and the agent says so')
})

t.test('tunnels carry, whatever lies between', async (t) => {
  const lab = await raised(t, routed({ mode: 'vxlan' }))
  // What some distributions set: a packet must come by the link that its answer would take.
  for (const { name } of lab.nodes) inside(name, 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1')
  const all = await pods(lab, 'tunnel')
  const [first, , third] = all as [LabPod, LabPod, LabPod]
  t.same(await failures(all), [], "pods reach pods and see each other's own addresses")
  t.same(await kinds(lab, 'node-1'), {
    '10.244.2.0/24': 'vxlan',
    'fd00:244:2::/64': 'vxlan',
    '10.244.3.0/24': 'vxlan',
    'fd00:244:3::/64': 'vxlan',
  })

  t.test('a node, and so what runs with hostNetwork, reaches every pod', async (t) => {
    for (const node of lab.nodes)
      for (const pod of all)
        for (const address of pod.addresses)
          t.match((await ask(node.place, 'TCP', address, 8080)).answer, { pod: pod.name }, `${node.name} to ${address}`)
  })

  t.test('also through a Service, from whatever address it sends', async (t) => {
    const clusterIPs = ['10.96.0.10', 'fd00:96::10']
    await lab.write({
      ...serviceValue({ name: 'far', clusterIPs, selector: { on: 'node-3' }, ports: [{ port: 80, targetPort: 8080 }] }),
    })
    await lab.endpoints(2)
    for (const place of [lab.node('node-1').place, first.place])
      for (const address of clusterIPs)
        t.match((await ask(place, 'TCP', address, 80)).answer, { pod: third.name }, address)
  })

  t.test('a pod reaches every node', async (t) => {
    for (const node of lab.nodes) {
      const { seen } = await listening(t, node.place, 9001)
      for (const address of node.addresses) t.ok((await ask(first.place, 'TCP', address, 9001)).answer, address)
      if (node.name === 'node-1') t.same(seen(), first.addresses, 'its own sees the pod')
      else t.same(seen(), lab.node('node-1').addresses, "others see the pod's node, which is all that routers know")
    }
  })

  t.test('the world sees the node', async (t) => {
    // The world's way back to the nodes; that to pods does not exist.
    ip('route', 'add', '172.31.0.0/16', 'via', '203.0.113.1')
    ip('route', 'add', 'fd00:31::/32', 'via', 'fd00:9::1')
    const { seen } = await listening(t, lab.outside, 9002)
    for (const address of ['203.0.113.9', 'fd00:9::9'])
      t.ok((await ask(first.place, 'TCP', address, 9002)).answer, address)
    t.same(seen(), lab.node('node-1').addresses)
  })

  t.test('nothing is flooded, nothing is learned', async (t) => {
    for (const { name } of lab.nodes)
      for (const device of ['nlx4', 'nlx6']) {
        t.match(ip('-n', name, '-d', 'link', 'show', device), /nolearning/)
        t.notMatch(inside(name, 'bridge', 'fdb', 'show', 'dev', device).stdout, /00:00:00:00:00:00/)
      }
    t.equal(inside('node-1', 'bridge', 'fdb', 'show', 'dev', 'nlx4').stdout.trim().split('\n').length, 2)
  })
})

t.test('auto: straight on the same segment, in a tunnel through the router', async (t) => {
  const lab = await raised(t, routed({ mode: 'auto' }))
  for (const { name } of lab.nodes) inside(name, 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1')
  const all = await pods(lab, 'auto')
  t.same(await failures(all), [])
  t.same(await kinds(lab, 'node-1'), {
    '10.244.2.0/24': 'direct',
    'fd00:244:2::/64': 'direct',
    '10.244.3.0/24': 'vxlan',
    'fd00:244:3::/64': 'vxlan',
  })
  t.same(await kinds(lab, 'node-3'), {
    '10.244.1.0/24': 'vxlan',
    'fd00:244:1::/64': 'vxlan',
    '10.244.2.0/24': 'vxlan',
    'fd00:244:2::/64': 'vxlan',
  })

  t.test('a node on the same segment sees the pod itself, another the node', async (t) => {
    for (const [name, sees] of [
      ['node-2', all[0]!.addresses],
      ['node-3', lab.node('node-1').addresses],
    ] as const) {
      const { seen } = await listening(t, lab.node(name).place, 9003)
      for (const address of lab.node(name).addresses)
        t.ok((await ask(all[0]!.place, 'TCP', address, 9003)).answer, address)
      t.same(seen(), sees, name)
    }
  })

  t.test('a node that moves to the other segment is followed', async (t) => {
    const moved: TopologyNode = { name: 'node-2', links: { eth0: at('far', 2, 12) }, routers: [], podCIDRs: podsOf(2) }
    ip('link', 'set', 'node-2-eth0', 'master', 'far')
    for (const address of at('near', 1, 12).addresses) ip('-n', 'node-2', 'address', 'delete', address, 'dev', 'eth0')
    for (const address of at('far', 2, 12).addresses) ip('-n', 'node-2', 'address', 'add', address, 'dev', 'eth0')
    for (const router of routersOf(2)) ip('-n', 'node-2', 'route', 'replace', 'default', 'via', router)
    await lab.write(nodeObject(demoNode(moved)))
    await eventually(async () => (await kinds(lab, 'node-3'))['10.244.2.0/24'] === 'direct')
    await eventually(async () => (await kinds(lab, 'node-2'))['10.244.1.0/24'] === 'vxlan')
    await eventually(async () => (await failures(all)).length === 0)
    t.same(await failures(all), [])
    t.equal((await kinds(lab, 'node-1'))['10.244.2.0/24'], 'vxlan')
  })
})

t.test('a node that changes its address keeps its tunnels, and all find it again', async (t) => {
  const lab = await raised(t, routed({ mode: 'vxlan' }))
  const all = await pods(lab, 'move')
  const device = (): string => /^\d+/.exec(ip('-n', 'node-3', 'link', 'show', 'nlx4'))?.[0] ?? ''
  const before = device()
  for (const address of at('far', 2, 33).addresses) ip('-n', 'node-3', 'address', 'add', address, 'dev', 'eth0')
  const node: TopologyNode = { name: 'node-3', links: { eth0: at('far', 2, 33) }, routers: [], podCIDRs: podsOf(3) }
  await lab.write(nodeObject(demoNode(node)))
  for (const address of at('far', 2, 13).addresses) ip('-n', 'node-3', 'address', 'delete', address, 'dev', 'eth0')
  for (const router of routersOf(2)) ip('-n', 'node-3', 'route', 'replace', 'default', 'via', router)
  await eventually(async () => ip('-n', 'node-3', '-d', 'link', 'show', 'nlx4').includes('local 172.31.2.33'))
  await eventually(async () =>
    inside('node-1', 'bridge', 'fdb', 'show', 'dev', 'nlx4').stdout.includes('dst 172.31.2.33'),
  )
  await eventually(async () => (await failures(all)).length === 0)
  t.same(await failures(all), [])
  t.equal(device(), before, 'the device is the same')
})

t.test('of two nodes only one may find the other on its link', async (t) => {
  const lab = await raised(t, {
    segments: { near: [] },
    routers: { router: { near: ['172.31.1.14/24'] } },
    nodes: [
      ['172.31.1.11/24', []],
      ['172.31.1.13/30', ['172.31.1.14']],
    ].map(([address, routers], i) => ({
      name: `node-${i + 1}`,
      links: { eth0: { segment: 'near', addresses: [address as string] } },
      routers: routers as string[],
      podCIDRs: [`10.244.${i + 1}.0/24`],
      routing: { mode: 'auto' },
      // Where new links are strict, one that answers do not leave by would get nothing.
      sysctls: { 'net.ipv4.conf.default.rp_filter': '1' },
    })),
  })
  t.same(
    [await kinds(lab, 'node-1'), await kinds(lab, 'node-2')],
    [{ '10.244.2.0/24': 'direct' }, { '10.244.1.0/24': 'vxlan' }],
  )
  t.same(await failures(await pods(lab, 'lopsided')), [])
})

/** Nodes with a link for people and one for nodes, of which the InternalIP is on the first. */
const twofold = (routing: LabRouting): Topology => ({
  segments: { people: [], storage: [] },
  nodes: [1, 2].map((i) => ({
    name: `node-${i}`,
    links: { eth0: at('people', 1, 10 + i), net1: at('storage', 7, 10 + i) },
    routers: [],
    podCIDRs: podsOf(i),
    internalIPs: at('people', 1, 10 + i).addresses.map((text) => text.replace(/\/.*/, '')),
    routing,
  })),
})

const annotated = (value: Record<string, unknown>, addresses: string): Record<string, unknown> => ({
  ...value,
  metadata: { ...(value['metadata'] as object), annotations: { 'netloom.dev/node-addresses': addresses } },
})

const SELECTIONS: Readonly<Record<string, readonly [select: LabRouting['select'], net: number]>> = {
  'by InternalIP': [undefined, 1],
  'by the name of the link': [{ interfaces: ['net*'] }, 7],
  'by a network': [{ cidrs: ['172.31.7.0/24', 'fd00:31:7::/64'] }, 7],
}

for (const [name, [select, net]] of Object.entries(SELECTIONS))
  t.test(`of several links the one to the other nodes is chosen ${name}`, async (t) => {
    const topology = twofold({ mode: 'auto', ...(select === undefined ? {} : { select }) })
    const lab = await raised(t, topology)
    // What each agent has published: that is another part's to write.
    if (net !== 1)
      await lab.write(
        ...topology.nodes.map((node, i) =>
          annotated(nodeObject(demoNode(node)), `172.31.${net}.${11 + i}, fd00:31:${net}::${11 + i}`),
        ),
      )
    await eventually(async () =>
      (await lab.node('node-1').agent.status()).routes.some(({ gateway }) => gateway === `172.31.${net}.12`),
    )
    const all = await pods(lab, 'select')
    t.same(await failures(all), [])
    t.match(ip('-n', 'node-1', 'route', 'get', all[1]!.addresses[0]!), net === 1 ? /dev eth0/ : /dev net1/)
    t.match(ip('-n', 'node-1', '-d', 'link', 'show', 'nlx4'), new RegExp(`local 172\\.31\\.${net}\\.11`))
  })

/** The third and fourth node have no IPv4 of their own, and the fourth is behind the router. */
const ipv6Only: Topology = {
  segments: { near: [], far: [] },
  routers: { router: { near: ROUTER.near, far: ROUTER.far } },
  nodes: [
    { name: 'node-1', links: { eth0: at('near', 1, 11) }, routers: routersOf(1), podCIDRs: podsOf(1) },
    { name: 'node-2', links: { eth0: at('far', 2, 12) }, routers: routersOf(2), podCIDRs: podsOf(2) },
    {
      name: 'node-3',
      links: { eth0: { segment: 'near', addresses: ['fd00:31:1::13/64'] } },
      routers: ['fd00:31:1::1'],
      podCIDRs: podsOf(3),
    },
    {
      name: 'node-4',
      links: { eth0: { segment: 'far', addresses: ['fd00:31:2::14/64'] } },
      routers: ['fd00:31:2::1'],
      podCIDRs: podsOf(4),
    },
  ],
}

t.test('without tunnels an IPv6 address is the next hop of IPv4 pods as well', async (t) => {
  const nodes = ipv6Only.nodes.filter(({ links }) => links['eth0']?.segment === 'near')
  const lab = await raised(t, {
    segments: { near: [] },
    nodes: nodes.map((node) => ({ ...node, routers: [], routing: { mode: 'direct' } })),
  })
  const all = await pods(lab, 'hop')
  t.match(
    ip('-n', 'node-1', 'route', 'show', '10.244.3.0/24'),
    /via inet6 fd00:31:1::13 dev eth0 proto 110 src 10\.244\.1\.1/,
  )
  t.same(await failures(all), [])
  for (const node of lab.nodes)
    for (const pod of all)
      for (const address of pod.addresses)
        t.match((await ask(node.place, 'TCP', address, 8080)).answer, { pod: pod.name }, `${node.name} to ${address}`)
})

for (const mode of ['vxlan', 'auto'] as const)
  t.test(`dual-stack pods on nodes of which some have IPv6 alone: ${mode}`, async (t) => {
    const nodes = ipv6Only.nodes.map((node) => ({ ...node, routing: { mode } }))
    const lab = await raised(t, { ...ipv6Only, nodes })
    const all = await pods(lab, 'six')
    t.same(await failures(all), [])
    const [v4, v6] = ['dst 172.31.2.12', 'dst fd00:31:2::14']
    t.match(inside('node-1', 'bridge', 'fdb', 'show', 'dev', 'nlx4').stdout, v4)
    t.match(inside('node-1', 'bridge', 'fdb', 'show', 'dev', 'nlx6').stdout, v6)
    for (const node of lab.nodes)
      for (const pod of all)
        for (const address of pod.addresses)
          t.match((await ask(node.place, 'TCP', address, 8080)).answer, { pod: pod.name }, `${node.name} to ${address}`)
  })

async function eventually(check: () => Promise<boolean>, ms = 20_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${check.toString()}`)
    await sleep(50)
  }
}
