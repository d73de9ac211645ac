import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseCidr, parseIp } from '../../src/base/ip.js'
import { DEFAULT_VXLAN } from '../../src/base/names.js'
import { ETHER_TYPE } from '../../src/codec/nft/types.js'
import { observeTable } from '../../src/kernel/observe.js'
import { gatewayMac } from '../../src/model/podnetwork.js'
import { planText } from '../../src/ops/text.js'
import { vtepMac } from '../../src/routes/tunnel.js'
import { TUNNEL_GUARD, tunnelGuardRuleset } from '../../src/tunnelguard/layout.js'
import { planTunnelGuard, tunnelGuardElements } from '../../src/tunnelguard/plan.js'
import { ROOT } from '../support/cni-exec.js'
import { ethernet, ipv4, udp } from '../support/frames.js'
import { connect, skipWithout } from '../support/namespaces.js'
import {
  clearNamespace,
  eventually,
  ip,
  nft,
  nodeObject,
  OperationCounter,
  PEER,
  raiseUplink,
  run,
  SELF,
  type TestContext,
  TestNode,
} from '../support/node.js'
import { FrameSender } from '../support/raw-frames.js'

const connection = connect()
const { applier, netfilter } = connection
t.teardown(() => connection.close())

const noNft = skipWithout('nft', '--version')

const RULESET = tunnelGuardRuleset(DEFAULT_VXLAN)
const ELEMENTS = tunnelGuardElements({
  own: ['192.168.50.1', 'fd00:50::1'].map((text) => parseIp(text)),
  peers: ['192.168.50.2', '192.168.50.3', 'fd00:50::2'].map((text) => parseIp(text)),
  pods: ['10.244.2.0/24', '10.244.3.0/24', 'fd00:244:2::/64'].map((text) => parseCidr(text)),
})

/** What the kernel lacks, as text. */
const missing = async (): Promise<string> =>
  planText(planTunnelGuard(RULESET, ELEMENTS, await observeTable(netfilter, RULESET)))

const list = (): string => nft('list', 'table', 'inet', TUNNEL_GUARD.name)

t.test('nft lists the table as people would write it, and loads its list again', { skip: noNft }, async (t) => {
  t.teardown(clearNamespace)
  await applier.apply(planTunnelGuard(RULESET, ELEMENTS, undefined))
  t.equal(await missing(), '')
  const before = list()
  const golden = join(ROOT, 'test', 'kernel', 'tunnelguard.nft')
  if (process.env['UPDATE'] === '1') writeFileSync(golden, before)
  t.equal(before, readFileSync(golden, 'utf8'))
  nft('flush', 'ruleset')
  const file = join(t.testdir(), 'list.nft')
  writeFileSync(file, before)
  nft('-f', file)
  t.equal(list(), before, 'identical')
  t.equal(await missing(), '', 'and nothing to do afterwards')
  await applier.apply(planTunnelGuard(RULESET, undefined, await observeTable(netfilter, RULESET)))
  t.notMatch(nft('list', 'tables'), TUNNEL_GUARD.name)
})

/** Behind a router. */
const FAR = nodeObject('node-3', ['10.244.3.0/24', 'fd00:244:3::/64'], ['192.168.99.3', 'fd00:99::3'])

async function started(t: TestContext, objects = [SELF, PEER, FAR]): Promise<TestNode> {
  t.teardown(clearNamespace)
  raiseUplink()
  return new TestNode(t, objects, { mode: 'auto' }).start()
}

t.test('a node is known before anything leads to it, and no longer when it is gone', async (t) => {
  const node = await started(t, [SELF])
  t.match(list(), /set own_ipv4 \{[^}]*elements = \{ 192\.168\.50\.1 \}/)
  const counter = new OperationCounter(t)
  node.source.put(FAR, PEER)
  await eventually(() => run('bridge', 'fdb', 'show', 'dev', 'nlx4').includes('192.168.99.3'), 10_000)
  const kinds = counter.take().flatMap((op) => ('table' in op && op.table.name !== TUNNEL_GUARD.name ? [] : [op.kind]))
  t.ok(kinds.lastIndexOf('elements.add') < kinds.indexOf('vtep.replace'))
  t.match(list(), /192\.168\.50\.2, 192\.168\.99\.3/, 'also one on the same link, which may not see this one there')
  node.source.put(nodeObject('node-3', ['10.244.3.0/24'], ['192.168.99.4']))
  await eventually(() => list().includes('192.168.99.4') && !list().includes('192.168.99.3'), 10_000)
  node.source.remove(FAR, PEER)
  await eventually(() => !list().includes('192.168.99.4'), 10_000)
  t.notMatch(list(), /10\.244\.[23]\.0/)
})

t.test('this node is known by another address as soon as its object says so', async (t) => {
  const node = await started(t)
  node.source.put(nodeObject('node-1', ['10.244.1.0/24', 'fd00:244:1::/64'], ['192.168.50.1', 'fd00:50::1', '192.168.50.9']))
  await eventually(() => list().includes('192.168.50.9'), 10_000)
  t.match(list(), /192\.168\.50\.1, 192\.168\.50\.9/)
}) // prettier-ignore

const DAMAGES: Readonly<Record<string, readonly string[]>> = {
  'the table is gone': ['delete', 'table', 'inet', TUNNEL_GUARD.name],
  'a chain is empty': ['flush', 'chain', 'inet', TUNNEL_GUARD.name, 'sender'],
  'a stranger may send': ['add', 'element', 'inet', TUNNEL_GUARD.name, 'peers_ipv4', '{ 192.0.2.66 }'],
  'a node may not': ['delete', 'element', 'inet', TUNNEL_GUARD.name, 'peers_ipv4', '{ 192.168.99.3 }'],
}

t.test('what others did to the table is undone at once', { skip: noNft }, async (t) => {
  const node = await started(t)
  const right = list()
  for (const [name, damage] of Object.entries(DAMAGES)) {
    nft(...damage)
    await t.resolves(
      eventually(() => nft('list', 'ruleset').includes(right), 10_000),
      name,
    )
  }
  t.same(node.status.problems, [])
})

t.test('a node without tunnels has no table, and takes one away that is left', async (t) => {
  const node = await started(t)
  await node.stop()
  await new TestNode(t, [SELF, PEER]).start()
  t.notMatch(nft('list', 'tables'), TUNNEL_GUARD.name)
})

/** How many have come out of our tunnel, and of another program's at the same port. */
const WITNESS = `
  add table inet witness
  add counter inet witness ours
  add counter inet witness theirs
  add chain inet witness c { type filter hook prerouting priority -299; }
  add rule inet witness c iifname nlx4 udp dport 9000 counter name ours
  add rule inet witness c iifname foreign0 udp dport 9000 counter name theirs`

const packets = (counter: string): number =>
  Number(/packets (\d+)/.exec(nft('list', 'counter', 'inet', 'witness', counter))?.[1])

/** What a pod sends to the node as if it were the other node, with a packet of one of that one's pods inside. */
function forged(pod: string, vni: number, destination: string): Buffer {
  const inner = ipv4({ source: '10.244.2.5', destination: '10.244.1.1' }, udp(9, 9000))
  const vxlan = Buffer.of(0x08, 0, 0, 0, 0, 0, vni, 0)
  const payload = Buffer.concat([vxlan, ethernet({ source: '02:00:00:00:00:09', destination }, ETHER_TYPE.ip, inner)])
  const outer = ipv4({ source: '192.168.50.2', destination: '192.168.50.1' }, udp(40_000, DEFAULT_VXLAN.port, payload))
  return ethernet({ source: pod, destination: gatewayMac([parseCidr('10.244.1.0/24')]) }, ETHER_TYPE.ip, outer)
}

for (const [kind, config] of Object.entries({ 'on the bridge': {}, 'on a link of its own': { mode: 'ptp' } }))
  t.test(`a pod that may send as others is no node: ${kind}`, async (t) => {
    const node = await started(t)
    node.createPod('a')
    const { answer } = await node.cni('ADD', 'a', { config: { spoofCheck: false, ...config } })
    const mac = answer!.interfaces!.find(({ name }) => name === 'eth0')!.mac
    // Who else is at the port is left alone.
    ip('link', 'add', 'foreign0', 'type', 'vxlan', 'id', '42', 'local', '192.168.50.1', 'dstport', '4789')
    ip('link', 'set', 'foreign0', 'up')
    for (const name of ['all', 'netloom0', 'foreign0']) writeFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, '0')
    const foreignMac = /link\/ether (\S+)/.exec(ip('link', 'show', 'foreign0'))![1]!
    const file = join(t.testdir(), 'witness.nft')
    writeFileSync(file, WITNESS)
    nft('-f', file)
    const sender = new FrameSender('/run/netns/a', 'eth0')
    t.teardown(() => sender.close())

    /** How many of ours came when that of the other has. */
    const ours = async (): Promise<number> => {
      const [before, known] = [packets('ours'), packets('theirs')]
      sender.send(forged(mac, DEFAULT_VXLAN.vni, vtepMac('node-1')))
      sender.send(forged(mac, 42, foreignMac))
      await eventually(() => packets('theirs') > known, 10_000)
      return packets('ours') - before
    }
    t.equal(await ours(), 0)
    await node.stop()
    nft('delete', 'table', 'inet', TUNNEL_GUARD.name)
    t.equal(await ours(), 1, 'it is where nothing guards the tunnel')
  })
