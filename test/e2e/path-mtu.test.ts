import t from 'tap'
import { Lab, type LabPod, sleep } from '../support/lab.js'
import { type TestContext } from '../support/node.js'
import { clearTopology, inside, ip, type LabRouting, type Topology } from '../support/topology.js'
import { sendWhole, Target } from '../support/whole-datagrams.js'

/** Packets of every size that may be sent arrive whole, and who sends larger ones is told what is not too large. */

/** Two nodes on one segment, and behind a router one like them and one that has IPv6 alone. */
const topology = (routing: LabRouting): Topology => ({
  segments: { near: [], far: [] },
  routers: {
    router: { near: ['172.31.1.1/24', 'fd00:31:1::1/64'], far: ['172.31.2.1/24', 'fd00:31:2::1/64'] },
  },
  nodes: (
    [
      ['near', 1, true],
      ['near', 1, true],
      ['far', 2, true],
      ['far', 2, false],
    ] as const
  ).map(([segment, net, dual], i) => ({
    name: `node-${i + 1}`,
    links: {
      eth0: { segment, addresses: [...(dual ? [`172.31.${net}.1${i}/24`] : []), `fd00:31:${net}::1${i}/64`] },
    },
    routers: [...(dual ? [`172.31.${net}.1`] : []), `fd00:31:${net}::1`],
    podCIDRs: [`10.244.${i + 1}.0/24`, `fd00:244:${i + 1}::/64`],
    routing,
  })),
})

interface Raised {
  readonly lab: Lab
  readonly pods: readonly LabPod[]
  readonly targets: readonly Target[]
}

async function raised(t: TestContext, routing: LabRouting): Promise<Raised> {
  const lab = await Lab.between(topology(routing))
  t.teardown(async () => {
    await lab.close()
    clearTopology()
  })
  const pods = await Promise.all(lab.nodes.map(({ name }) => lab.start({ name: `on-${name}`, node: name })))
  const targets = await Promise.all(pods.map(({ place }) => Target.at(place, 7000)))
  t.teardown(() => targets.forEach((target) => target.close()))
  return { lab, pods, targets }
}

/** Largest packet to an address that a namespace has learned of, or that its link takes. */
const pathMtu = (namespace: string, address: string): number =>
  Number(/\bmtu (\d+)/.exec(ip('-n', namespace, 'route', 'get', address))?.[1] ?? 0)

const linkMtu = (namespace: string, link: string): number =>
  (JSON.parse(ip('-n', namespace, '-j', 'link', 'show', link)) as [{ mtu: number }])[0].mtu

t.test('whole packets pass between any two pods, straight and in tunnels', async (t) => {
  const { lab, pods, targets } = await raised(t, { mode: 'auto' })
  // Over IPv6 a tunnel takes 20 bytes more; the last node prefers it, having nothing else.
  const sizes = [1450, 1450, 1450, 1430]
  t.same(
    pods.map((_, i) => linkMtu(`pod-on-node-${i + 1}`, 'eth0')),
    sizes,
  )
  t.same(
    pods.map((_, i) => linkMtu(`node-${i + 1}`, 'netloom0')),
    sizes,
  )
  for (const [from, client] of pods.entries())
    for (const [to, server] of pods.entries())
      for (const address of server.addresses) {
        if (from === to) continue
        const target = targets[to]!
        const name = `${client.name} to ${address}`
        const [own, path] = [sizes[from]!, Math.min(sizes[from]!, sizes[to]!)]
        t.equal(await sendWhole(client.place, target, address, 1400), 'arrived', `${name}: 1400`)
        t.equal(await sendWhole(client.place, target, address, path), 'arrived', `${name}: ${path}`)
        t.equal(await sendWhole(client.place, target, address, path + 1), 'too large', `${name}: ${path + 1}`)
        if (path < own) t.equal(pathMtu(`pod-${client.name}`, address), path, `${name}: and was told ${path}`)
      }

  t.test('and from nodes, whose links take more', async (t) => {
    const [, near, far, six] = pods as [LabPod, LabPod, LabPod, LabPod]
    for (const [pod, mtu] of [
      [near, 1450],
      [far, 1450],
      [six, 1430],
    ] as const)
      for (const address of pod.addresses) {
        const target = targets[pods.indexOf(pod)]!
        const { place } = lab.node('node-1')
        t.equal(await sendWhole(place, target, address, mtu), 'arrived', `${address}: ${mtu}`)
        t.equal(await sendWhole(place, target, address, mtu + 1), 'too large', `${address}: ${mtu + 1}`)
      }
  })

  t.test('large transfers by TCP have segments that fit, also where the way has to be learned', async (t) => {
    const [here, near, far, six] = pods as [LabPod, LabPod, LabPod, LabPod]
    for (const [server, mtu] of [
      [near, 1450],
      [far, 1450],
      [six, 1430],
    ] as const)
      for (const address of server.addresses) {
        const before = retransmitted(here)
        const { received, mss } = await transfer(t, here, server, address)
        t.equal(received, TRANSFER_BYTES, address)
        // Timestamps take 12 bytes of every segment.
        t.equal(mss, mtu - (address.includes(':') ? 40 : 20) - 20 - 12, `${address}: size of segments`)
        const lost = retransmitted(here) - before
        t.ok(lost <= 50, `${address}: ${lost} segments sent again`)
      }
  })
})

t.test('a given size counts, where the path takes less than the links', async (t) => {
  const { pods, targets } = await raised(t, { mode: 'vxlan', mtu: 1350 })
  for (const segment of ['near', 'far']) ip('-n', 'router', 'link', 'set', segment, 'mtu', '1400')
  t.equal(linkMtu('pod-on-node-1', 'eth0'), 1350)
  t.equal(linkMtu('node-1', 'nlx6'), 1330)
  for (const address of pods[2]!.addresses) {
    t.equal(await sendWhole(pods[0]!.place, targets[2]!, address, 1350), 'arrived', address)
    t.equal(await sendWhole(pods[0]!.place, targets[2]!, address, 1351), 'too large', address)
  }
  for (const address of pods[3]!.addresses)
    t.equal(await sendWhole(pods[0]!.place, targets[3]!, address, 1330), 'arrived', address)
  t.match(
    inside('router', 'nstat', '-az', 'IpFragCreates').stdout,
    /IpFragCreates +0 /,
    'and no router had to cut anything',
  )
})

t.test('without tunnels packets are as large as the links take', async (t) => {
  const { pods, targets } = await raised(t, { mode: 'direct' })
  t.equal(linkMtu('pod-on-node-1', 'eth0'), 1500)
  for (const address of pods[1]!.addresses) {
    t.equal(await sendWhole(pods[0]!.place, targets[1]!, address, 1500), 'arrived', address)
    t.equal(await sendWhole(pods[0]!.place, targets[1]!, address, 1501), 'too large', address)
  }
})

const TRANSFER_BYTES = 4 << 20

/** Segments that a pod has sent again so far. */
const retransmitted = ({ name }: LabPod): number =>
  Number(/TcpRetransSegs +(\d+)/.exec(inside(`pod-${name}`, 'nstat', '-az', 'TcpRetransSegs').stdout)?.[1])

/** Sends some megabytes; answers how many bytes came, and the size of segments at the end. */
async function transfer(
  t: TestContext,
  from: LabPod,
  to: LabPod,
  address: string,
): Promise<{ received: number; mss: number }> {
  let received = 0
  const server = await to.place.listen(7001, (socket) => {
    socket.on('data', (data: Buffer) => (received += data.length))
    socket.on('error', () => undefined)
  })
  const client = from.place.connect(address, 7001)
  t.teardown(() => client.destroy())
  client.write(Buffer.alloc(TRANSFER_BYTES))
  for (let i = 0; received < TRANSFER_BYTES && i < 200; i++) await sleep(50)
  const sockets = inside(`pod-${from.name}`, 'ss', '-tinH', 'dport', '=', ':7001').stdout
  client.destroy()
  server.close()
  return { received, mss: Number(/\bmss:(\d+)/.exec(sockets)?.[1]) }
}
