import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Place } from '../../src/cli/demo/place.js'
import { Responder } from '../../src/cli/demo/responder.js'
import { ask } from '../../src/cli/demo/client.js'
import { hostInterfaceOf } from '../../src/model/lease.js'
import {
  clearNamespace,
  type CniAnswer,
  eventually,
  ip,
  PEER,
  raiseUplink,
  run,
  SELF,
  serviceObject,
  sliceObject,
  type TestContext,
  TestNode,
} from '../support/node.js'

async function started(t: TestContext, objects: readonly object[] = [SELF, PEER]): Promise<TestNode> {
  t.teardown(clearNamespace)
  raiseUplink()
  return new TestNode(t, objects).start()
}

const hostLink = (containerId: string, ifname = 'eth0', network = 'pods'): string =>
  hostInterfaceOf({ network, containerId, ifname })

interface Pod {
  readonly addresses: readonly string[]
  readonly place: Place
}

/** A container, attached, which answers on port 8080. */
async function attach(t: TestContext, node: TestNode, name: string, config: object = {}): Promise<Pod> {
  const place = new Place(node.createPod(name))
  const added = await node.cni('ADD', name, { config })
  if (added.exit !== 0) throw new Error(JSON.stringify(added.answer))
  const responder = new Responder(place, { pod: name, node: 'node-1' })
  await responder.listen([
    { protocol: 'TCP', port: 8080, undeclared: false },
    { protocol: 'UDP', port: 8080, undeclared: false },
  ])
  t.teardown(() => {
    responder.close()
    place.close()
  })
  return { addresses: addressesOf(added), place }
}

const addressesOf = ({ answer }: CniAnswer): string[] =>
  (answer?.ips ?? []).map(({ address }) => address.split('/')[0] ?? '')

const PTP = { mode: 'ptp' }

/** What br_netfilter does in this namespace. */
function setBridgeCalls(on: boolean): void {
  for (const name of ['iptables', 'ip6tables'])
    writeFileSync(`/proc/sys/net/bridge/bridge-nf-call-${name}`, on ? '1' : '0')
}

const bridgeCalls = (): boolean | undefined => {
  try {
    return readFileSync('/proc/sys/net/bridge/bridge-nf-call-iptables', 'utf8').trim() === '1'
  } catch {
    return undefined
  }
}

t.test('point to point: addresses, routes and neighbours on both sides, and no bridge between', async (t) => {
  const node = await started(t)
  node.createPod('a')
  const { answer } = await node.cni('ADD', 'a', { config: PTP })
  t.match(answer?.interfaces, [
    { name: hostLink('a'), mac: '0a:58:0a:f4:01:01' },
    { name: 'eth0', mac: '0a:58:0a:f4:01:02' },
  ])
  const link = ip('-d', 'link', 'show', hostLink('a'))
  t.notMatch(link, /master/)
  t.match(ip('address', 'show', hostLink('a')), /inet 10\.244\.1\.1\/32[^]*inet6 fd00:244:1::1\/128/)
  t.match(ip('route', 'show', 'proto', '111'), new RegExp(`10\\.244\\.1\\.2 dev ${hostLink('a')}`))
  t.match(ip('-6', 'route', 'show', 'proto', '111'), new RegExp(`fd00:244:1::2 dev ${hostLink('a')}`))
  t.notMatch(run('tc', 'qdisc', 'show', 'dev', hostLink('a')), /clsact|ingress/, 'its ingress is free for others')
  t.strictSame(await node.cni('CHECK', 'a', { config: PTP }), { exit: 0, answer: undefined })
  t.equal((await node.cni('DEL', 'a', { config: PTP })).exit, 0)
  t.notMatch(ip('route'), /proto 111/)
  t.notMatch(ip('link'), /nlm-/)
})

t.test('containers of both modes reach each other, their node, and themselves by a Service', async (t) => {
  const node = await started(t)
  const [a, b, c] = [await attach(t, node, 'a', PTP), await attach(t, node, 'b', PTP), await attach(t, node, 'c')]
  for (const [client, server, name] of [
    [a, b, 'b'],
    [a, c, 'c'],
    [c, a, 'a'],
    [c, b, 'b'],
  ] as const)
    for (const [i, address] of server.addresses.entries())
      for (const protocol of ['TCP', 'UDP'] as const)
        t.match(
          (await ask(client.place, protocol, address, 8080)).answer,
          { pod: name, client: client.addresses[i] },
          `${client.addresses[i]} to ${address}, ${protocol}`,
        )
  const here = new Place('/proc/self/ns/net')
  t.teardown(() => here.close())
  for (const { addresses } of [a, c])
    for (const address of addresses) t.ok((await ask(here, 'TCP', address, 8080)).answer, `the node to ${address}`)
  node.source.put(
    serviceObject('self', ['10.96.0.7']),
    sliceObject({ service: 'self', addresses: [a.addresses[0] ?? ''], node: 'node-1' }),
  )
  await eventually(() => node.status.services.endpoints === 1)
  for (const { place } of [a, b, c]) t.match((await ask(place, 'TCP', '10.96.0.7', 80)).answer, { pod: 'a' })
})

const PTP_DAMAGES: Readonly<Record<string, readonly [damage: () => unknown, details: RegExp]>> = {
  'the near end is down': [() => ip('link', 'set', hostLink('a'), 'down'), /of the node is down/],
  'the gateway’s address is gone': [
    () => ip('address', 'del', '10.244.1.1/32', 'dev', hostLink('a')),
    /does not have the gateway's address 10\.244\.1\.1/,
  ],
  'somebody put it on the bridge': [
    () => ip('link', 'set', hostLink('a'), 'master', 'netloom0'),
    /of the node is a port of link/,
  ],
  'the node takes another for it': [
    () => ip('neighbour', 'replace', '10.244.1.2', 'dev', hostLink('a'), 'lladdr', '02:00:00:00:00:09'),
    /takes 10\.244\.1\.2 on nlm-.* for 02:00:00:00:00:09/,
  ],
}

for (const [name, [damage, details]] of Object.entries(PTP_DAMAGES))
  t.test(`CHECK of a point-to-point link finds it: ${name}`, async (t) => {
    const node = await started(t)
    node.createPod('a')
    await node.cni('ADD', 'a', { config: PTP })
    damage()
    t.match(await node.cni('CHECK', 'a', { config: PTP }), { exit: 1, answer: { code: 103, details } })
    t.equal((await node.cni('DEL', 'a', { config: PTP })).exit, 0)
  })

t.test('a route to a container that somebody deletes is back within a second', async (t) => {
  const node = await started(t)
  node.createPod('a')
  await node.cni('ADD', 'a', { config: PTP })
  ip('route', 'del', '10.244.1.2')
  await t.resolves(eventually(() => ip('route').includes(`10.244.1.2 dev ${hostLink('a')}`), 1000))
  ip('-6', 'route', 'del', 'fd00:244:1::2')
  await t.resolves(eventually(() => ip('-6', 'route').includes(`fd00:244:1::2 dev ${hostLink('a')}`), 1000))
})

t.test('extra routes, sysctls, MAC address and MTU are as the configuration asks for', async (t) => {
  const node = await started(t)
  node.createPod('a')
  const config = {
    mtu: 1300,
    mac: '02:00:00:00:00:0a',
    routes: [
      { dst: '192.0.2.0/24' },
      { dst: '198.51.100.0/24', gw: '10.244.1.1', mtu: 1280, advmss: 1200, priority: 7, table: 100 },
    ],
    sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1', 'net.ipv4.ip_unprivileged_port_start': '7' },
  }
  const { answer } = await node.cni('ADD', 'a', { config })
  t.match(answer, {
    interfaces: [{ mtu: 1300 }, { mac: '02:00:00:00:00:0a', mtu: 1300 }],
    routes: [
      { dst: '0.0.0.0/0' },
      { dst: '::/0' },
      { dst: '192.0.2.0/24', gw: '10.244.1.1' },
      { dst: '198.51.100.0/24', mtu: 1280, advmss: 1200, priority: 7, table: 100 },
    ],
  })
  t.match(ip('-n', 'a', 'link', 'show', 'eth0'), /mtu 1300[^]*02:00:00:00:00:0a/)
  t.match(ip('-n', 'a', 'route'), /192\.0\.2\.0\/24 via 10\.244\.1\.1/)
  t.match(ip('-n', 'a', 'route', 'show', 'table', '100'), /198\.51\.100\.0\/24.*metric 7 mtu 1280 advmss 1200/)
  const sysctl = (path: string): string => ip('netns', 'exec', 'a', 'cat', `/proc/sys/${path}`).trim()
  t.equal(sysctl('net/ipv4/conf/eth0/arp_filter'), '1')
  t.equal(sysctl('net/ipv4/ip_unprivileged_port_start'), '7')
  t.strictSame(await node.cni('CHECK', 'a', { config }), { exit: 0, answer: undefined })
  ip('-n', 'a', 'route', 'flush', 'table', '100')
  t.match(await node.cni('CHECK', 'a', { config }), { exit: 1, answer: { details: /198\.51\.100\.0\/24.*table 100/ } })
})

t.test('a sysctl that does not exist undoes the attachment', async (t) => {
  const node = await started(t)
  node.createPod('a')
  const config = { sysctl: { 'net.ipv4.nothing': '1' } }
  t.match(await node.cni('ADD', 'a', { config }), { exit: 1, answer: { details: /net\.ipv4\.nothing/ } })
  t.notMatch(ip('link'), /nlm-/)
  t.same(node.status.pods, [])
})

t.test('two networks on one container: both reach, the first one has the way out', async (t) => {
  const node = await started(t)
  await attach(t, node, 'b')
  const a = await attach(t, node, 'a')
  t.equal((await node.cni('ADD', 'a', { ifname: 'net1', config: { name: 'storage', mode: 'ptp' } })).exit, 0)
  t.match(ip('-n', 'a', 'route', 'get', '192.0.2.1'), /dev eth0/)
  t.ok((await ask(a.place, 'TCP', '10.244.1.2', 8080)).answer)
  for (const [ifname, config] of [
    ['eth0', {}],
    ['net1', { name: 'storage', mode: 'ptp' }],
  ] as const)
    t.strictSame(await node.cni('CHECK', 'a', { ifname, config }), { exit: 0, answer: undefined }, ifname)
})

t.test(
  'ports follow br_netfilter: redirected while it translates, left alone while it does not',
  { skip: bridgeCalls() === undefined ? 'br_netfilter is not loaded' : false },
  async (t) => {
    t.teardown(() => setBridgeCalls(true))
    setBridgeCalls(false)
    const node = await started(t)
    const a = await attach(t, node, 'a')
    const b = await attach(t, node, 'b')
    const redirected = (): boolean => run('tc', 'filter', 'show', 'dev', hostLink('a'), 'ingress').includes('mirred')
    const works = async (): Promise<void> => {
      t.match((await ask(a.place, 'TCP', b.addresses[0] ?? '', 8080)).answer, { pod: 'b', client: a.addresses[0] })
      t.strictSame(await node.cni('CHECK', 'a'), { exit: 0, answer: undefined })
    }
    t.notOk(redirected())
    await works()
    setBridgeCalls(true)
    await t.resolves(eventually(redirected, 2000))
    await works()
    run('tc', 'qdisc', 'del', 'dev', hostLink('a'), 'clsact')
    t.match(await node.cni('CHECK', 'a'), { exit: 1, answer: { details: /does not redirect IPv4 from/ } })
    setBridgeCalls(false)
    await t.resolves(eventually(() => !run('tc', 'qdisc', 'show', 'dev', hostLink('b')).includes('clsact'), 2000))
    await works()
  },
)

/** An interface as another plugin makes it, and its result. */
function made(node: TestNode, name: string): object {
  node.createPod(name)
  ip('link', 'add', 'foreign0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
  ip('address', 'add', '10.9.0.1/32', 'dev', 'foreign0')
  ip('link', 'set', 'foreign0', 'up')
  ip('route', 'add', '10.9.0.2', 'dev', 'foreign0')
  ip('-n', name, 'address', 'add', '10.9.0.2/32', 'dev', 'eth0')
  ip('-n', name, 'link', 'set', 'eth0', 'up')
  ip('-n', name, 'route', 'add', '10.9.0.1', 'dev', 'eth0')
  ip('-n', name, 'route', 'add', 'default', 'via', '10.9.0.1')
  return {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'foreign0' }, { name: 'eth0', sandbox: `/run/netns/${name}`, note: 'kept' }],
    ips: [{ address: '10.9.0.2/32', gateway: '10.9.0.1', interface: 1 }],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: { nameservers: ['10.96.0.10'] },
  }
}

t.test('behind another plugin: its result is passed on, its links are left alone, and Services work', async (t) => {
  const node = await started(t)
  const prevResult = made(node, 'a')
  const before = ip('-d', 'link', 'show', 'foreign0')
  const config = { prevResult }
  const { exit, answer } = await node.cni('ADD', 'a', { config })
  t.equal(exit, 0)
  t.match(answer, {
    interfaces: [{ name: 'foreign0' }, { name: 'eth0', sandbox: '/run/netns/a' }],
    ips: [{ address: '10.9.0.2/32', gateway: '10.9.0.1', interface: 1 }],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: { nameservers: ['10.96.0.10'] },
  })
  t.equal(ip('-d', 'link', 'show', 'foreign0'), before)
  t.match(node.status.pods, [{ containerId: 'a', addresses: ['10.9.0.2'] }])
  const b = await attach(t, node, 'b')
  node.source.put(serviceObject('b', ['10.96.0.8']), sliceObject({ service: 'b', addresses: [b.addresses[0] ?? ''] }))
  await eventually(() => node.status.services.endpoints === 1)
  const place = new Place('/run/netns/a')
  t.teardown(() => place.close())
  t.match((await ask(place, 'TCP', '10.96.0.8', 80)).answer, { pod: 'b', client: '10.9.0.2' })
  t.strictSame(await node.cni('CHECK', 'a', { config }), { exit: 0, answer: undefined })
  ip('-n', 'a', 'link', 'set', 'eth0', 'down')
  t.match(await node.cni('CHECK', 'a', { config }), { exit: 1, answer: { details: /eth0 of the container is down/ } })
  t.equal((await node.cni('DEL', 'a', { config })).exit, 0)
  t.match(ip('link', 'show', 'foreign0'), /foreign0/, 'which the other plugin deletes')
  t.notOk(node.status.pods.some(({ containerId }) => containerId === 'a'))
})

t.test('behind a plugin that made another interface: ours comes beside it', async (t) => {
  const node = await started(t)
  const prevResult = made(node, 'a')
  const { answer } = await node.cni('ADD', 'a', { ifname: 'net1', config: { prevResult } })
  t.match(answer, {
    interfaces: [{ name: 'foreign0' }, { name: 'eth0' }, { name: hostLink('a', 'net1') }, { name: 'net1' }],
    ips: [{ interface: 1 }, { interface: 3 }, { interface: 3 }],
  })
})

t.test('behind a plugin that tells of an interface which is not there', async (t) => {
  const node = await started(t)
  const prevResult = made(node, 'a')
  ip('link', 'delete', 'foreign0')
  t.match(await node.cni('ADD', 'a', { config: { prevResult } }), {
    exit: 1,
    answer: { code: 3, details: /prevResult\.interfaces\[1\]/ },
  })
  t.match(await node.cni('ADD', 'a', { config: { prevResult: { ips: [{ address: 'x' }] } } }), {
    exit: 1,
    answer: { code: 7, details: /prevResult\.ips\[0\]\.address/ },
  })
  t.same(node.status.pods, [])
})
