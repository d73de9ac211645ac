import t from 'tap'
import { Keeper } from '../../src/daemon/keeper.js'
import { hostInterfaceOf } from '../../src/model/lease.js'
import { addressesOf, answerOf, bridgeCalls, PROTOCOLS, Scene, setBridgeCalls } from '../support/capable.js'
import { replaced } from '../support/faults.js'
import { eventually, ip, nft, run } from '../support/node.js'
import { throughput } from '../support/throughput.js'

/** What runtimes ask for beside an interface: runtimeConfig, args and CNI_ARGS, and the node does it. */

const hostLink = (containerId: string): string => hostInterfaceOf({ network: 'pods', containerId, ifname: 'eth0' })
const both = (hostPort: number, more: object = {}) =>
  PROTOCOLS.map((protocol) => ({ hostPort, containerPort: 80, protocol: protocol.toLowerCase(), ...more }))
const mapped = (...portMappings: readonly object[]): { config: { runtimeConfig: object } } => ({
  config: { runtimeConfig: { portMappings: portMappings.flat() } },
})
const POD = 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart'

for (const mode of ['bridge', 'ptp']) {
  t.test(`mode ${mode}: a mapped port answers the node, containers, itself, and others from outside`, async (t) => {
    const scene = await Scene.raise(t)
    const config = { ...mapped(...both(8080)).config, mode }
    const a = await scene.attach('a', { config })
    const b = await scene.attach('b', { config: { mode } })
    for (const protocol of PROTOCOLS)
      for (const address of ['192.168.50.1', 'fd00:50::1'])
        for (const [who, place] of Object.entries({ node: scene.here, b: b.place, a: a.place, out: scene.outside }))
          t.match(await answerOf(place, address, 8080, protocol), /^a saw /, `${protocol} ${address} from ${who}`)
    t.equal(await answerOf(scene.here, '127.0.0.1', 8080), 'a saw 10.244.1.1')
    t.equal(await answerOf(scene.outside, '192.168.50.1', 8080), 'a saw 192.168.50.9', 'clients keep their address')
    t.strictSame(await scene.node.cni('CHECK', 'a', { config }), { exit: 0, answer: undefined })
    await scene.node.cni('DEL', 'a', { config })
    t.equal(await answerOf(scene.outside, '192.168.50.1', 8080), 'refused')
  })
}

const RIVALS: Readonly<Record<string, readonly [first: object[], second: object[], taken: boolean]>> = {
  'everywhere twice': [both(80), both(80), true],
  'everywhere, then at one address': [both(80), both(80, { hostIP: '192.168.50.1' }), true],
  'at one address, then everywhere': [both(80, { hostIP: '192.168.50.1' }), both(80), true],
  'at one address of IPv6, then everywhere': [both(80, { hostIP: 'fd00:50::1' }), both(80), true],
  'at one address twice': [both(80, { hostIP: '192.168.50.1' }), both(80, { hostIP: '192.168.50.1' }), true],
  'at one address of each family': [both(80, { hostIP: '192.168.50.1' }), both(80, { hostIP: 'fd00:50::1' }), false],
  'at two addresses': [both(80, { hostIP: '192.168.50.1' }), both(80, { hostIP: '127.0.0.1' }), false],
  'of TCP and of UDP': [both(80).slice(0, 1), both(80).slice(1), false],
}

for (const [name, [first, second, taken]] of Object.entries(RIVALS))
  t.test(
    `host ports of two containers, ${name}: ${taken ? 'refused, with the owner' : 'both have theirs'}`,
    async (t) => {
      const { node } = await Scene.raise(t)
      for (const pod of ['a', 'b']) node.createPod(pod)
      t.equal((await node.cni('ADD', 'a', { ...mapped(first), args: `IgnoreUnknown=1;${POD}` })).exit, 0)
      const answer = await node.cni('ADD', 'b', mapped(second))
      if (!taken) return t.equal(answer.exit, 0)
      t.match(answer, { exit: 1, answer: { code: 101, details: /host port .*80.* is taken: pod shop\/cart has it/ } })
      t.notMatch(ip('link'), new RegExp(hostLink('b')))
      t.equal(node.status.pods.length, 1)
      await node.cni('DEL', 'a', mapped(first))
      return t.equal((await node.cni('ADD', 'b', mapped(second))).exit, 0, 'it is free when the owner is gone')
    },
  )

const MBIT = 1_000_000
const LIMITS = { ingressRate: 20 * MBIT, ingressBurst: 320_000, egressRate: 20 * MBIT, egressBurst: 320_000 }
const limited = (mode: string) => ({ mode, runtimeConfig: { bandwidth: LIMITS } })

const PLACES = [
  { mode: 'bridge', calls: false },
  { mode: 'bridge', calls: true },
  { mode: 'ptp', calls: true },
]

for (const { mode, calls } of PLACES)
  t.test(
    `limits, mode ${mode}, br_netfilter ${calls ? 'calls' : 'does not call'} iptables: both ways, and no other's`,
    { skip: bridgeCalls() === undefined ? 'br_netfilter is not loaded' : false },
    async (t) => {
      t.teardown(() => setBridgeCalls(true))
      setBridgeCalls(calls)
      const scene = await Scene.raise(t)
      const a = await scene.attach('a', { config: limited(mode) })
      const b = await scene.attach('b', { config: { mode } })
      t.match(run('tc', 'qdisc', 'show', 'dev', hostLink('a')), /tbf 6e6c: root .*rate 20Mbit burst 40000b/)
      t.equal(run('tc', 'qdisc').match(/qdisc tbf/g)?.length, 2)
      const rates: Record<string, number> = {}
      for (const [i, family] of (['IPv4', 'IPv6'] as const).entries()) {
        const gateway = ['10.244.1.1', 'fd00:244:1::1'][i]!
        for (const [name, pod] of Object.entries({ a, b })) {
          const bytes = name === 'a' ? 1_000_000 : 20_000_000
          const out = { from: pod.place, to: scene.here, address: gateway, bytes }
          const back = { from: scene.here, to: pod.place, address: pod.addresses[i]!, bytes }
          rates[`${name} sends ${family}`] = await throughput(out)
          rates[`${name} receives ${family}`] = await throughput(back)
        }
      }
      for (const [what, rate] of Object.entries(rates))
        if (what.startsWith('a')) t.ok(rate > 5 * MBIT && rate < 30 * MBIT, `${what} with ${rate / MBIT} Mbit/s`)
        else t.ok(rate > 3 * rates[what.replace('b', 'a')]!, `${what} with ${rate / MBIT} Mbit/s`)
      t.strictSame(await scene.node.cni('CHECK', 'a', { config: limited(mode) }), { exit: 0, answer: undefined })
    },
  )

const DAMAGES: Readonly<Record<string, readonly [damage: () => unknown, details: RegExp]>> = {
  'what it receives is not limited': [
    () => run('tc', 'qdisc', 'del', 'dev', hostLink('a'), 'root'),
    /nlm-.*limit|limit.*nlm-/,
  ],
  'what it sends is not led through its limit': [
    () => run('tc', 'qdisc', 'del', 'dev', 'netloom0', 'clsact'),
    /netloom0/,
  ],
  'its port does not lead to it': [
    () => nft('delete', 'element', 'inet', 'netloom-hostports', 'anywhere_ipv6', '{ udp . 8080 }'),
    /host port .*8080.*/,
  ],
  'nothing says who it may send as': [
    () => nft('flush', 'set', 'bridge', 'netloom-antispoof', 'ipv4'),
    /set ipv4 of table bridge netloom-antispoof lacks .*10\.244\.1\.2/,
  ],
  'the device of its limit is gone': [() => ip('link', 'del', hostLink('a').replace('nlm', 'nli')), /no link nli-/],
}

for (const [name, [damage, details]] of Object.entries(DAMAGES))
  t.test(`CHECK names it: ${name}`, async (t) => {
    const { node } = await Scene.raise(t)
    // The agent puts right what others do to its tables, sooner or later than a CHECK comes.
    replaced(t, Keeper.prototype, 'drifted')
    Keeper.prototype.drifted = () => undefined
    node.createPod('a')
    const config = {
      runtimeConfig: { ...limited('bridge').runtimeConfig, ...mapped(...both(8080)).config.runtimeConfig },
    }
    t.equal((await node.cni('ADD', 'a', { config })).exit, 0)
    damage()
    t.match(await node.cni('CHECK', 'a', { config }), { exit: 1, answer: { code: 103, details } })
    t.equal((await node.cni('DEL', 'a', { config })).exit, 0)
    t.notMatch(ip('link'), /nl[mi]-/)
  })

interface Asked {
  readonly config?: object
  readonly args?: string
}

const ASKED: Readonly<Record<string, readonly [Asked, object]>> = {
  'addresses of both families': [
    { config: { runtimeConfig: { ips: ['10.244.1.77/24', 'fd00:244:1::77/64'] } } },
    { exit: 0, answer: { ips: [{ address: '10.244.1.77/32' }, { address: 'fd00:244:1::77/128' }] } },
  ],
  'an address of one family, and any of the other': [
    { config: { runtimeConfig: { ips: ['fd00:244:1::77'] } } },
    { exit: 0, answer: { ips: [{ address: '10.244.1.3/32' }, { address: 'fd00:244:1::77/128' }] } },
  ],
  'an address that somebody has': [
    { config: { runtimeConfig: { ips: ['10.244.1.2'] } } },
    { exit: 1, answer: { code: 101, details: /runtimeConfig\.ips\[0\]: 10\.244\.1\.2 belongs to pod shop\/cart/ } },
  ],
  'an address of elsewhere': [
    { config: { runtimeConfig: { ips: ['192.0.2.7'] } } },
    { exit: 1, answer: { code: 7, details: /runtimeConfig\.ips\[0\].*192\.0\.2\.7/ } },
  ],
  'the gateway’s address': [
    { config: { runtimeConfig: { ips: ['10.244.1.1'] } } },
    { exit: 1, answer: { details: /10\.244\.1\.1 is the gateway/ } },
  ],
  'an address by args.cni': [
    { config: { args: { cni: { ips: ['10.244.1.78'], mac: '02:00:00:00:00:78' } } } },
    { exit: 0, answer: { ips: [{ address: '10.244.1.78/32' }, {}], interfaces: [{}, { mac: '02:00:00:00:00:78' }] } },
  ],
  'an address and a MAC address by CNI_ARGS': [
    { args: 'IP=10.244.1.79;MAC=02:00:00:00:00:79' },
    { exit: 0, answer: { ips: [{ address: '10.244.1.79/32' }, {}], interfaces: [{}, { mac: '02:00:00:00:00:79' }] } },
  ],
  'something unknown by CNI_ARGS': [
    { args: 'COLOUR=red' },
    { exit: 1, answer: { code: 4, details: /CNI_ARGS: 'COLOUR' is not a known key/ } },
  ],
  'something unknown by CNI_ARGS that may be passed over': [{ args: 'IgnoreUnknown=true;COLOUR=red' }, { exit: 0 }],
  'a MAC address': [
    { config: { runtimeConfig: { mac: '02:00:00:00:00:80' } } },
    { exit: 0, answer: { interfaces: [{}, { mac: '02:00:00:00:00:80' }] } },
  ],
  'ranges of the runtime’s': [
    { config: { runtimeConfig: { ipRanges: [[{ subnet: '10.88.0.0/24', rangeStart: '10.88.0.9' }]] } } },
    { exit: 0, answer: { ips: [{ address: '10.88.0.9/32', gateway: '10.88.0.1' }] } },
  ],
  'name servers': [
    { config: { dns: { domain: 'x' }, runtimeConfig: { dns: { servers: ['10.96.0.10'], searches: ['a.b'] } } } },
    { exit: 0, answer: { dns: { domain: 'x', nameservers: ['10.96.0.10'], search: ['a.b'] } } },
  ],
  aliases: [{ config: { runtimeConfig: { aliases: { pods: ['cart', 'cart-1'] } } } }, { exit: 0 }],
  'aliases that no host can have': [
    { config: { runtimeConfig: { aliases: { pods: ['cart', '-'] } } } },
    { exit: 1, answer: { code: 7, details: /runtimeConfig\.aliases\.pods\[1\]/ } },
  ],
  'an InfiniBand GUID': [
    { config: { runtimeConfig: { infinibandGUID: 'c2:11:22:33:44:55:66:77' } } },
    { exit: 1, answer: { code: 2, msg: /infinibandGUID.*c2:11/ } },
  ],
}

for (const [name, [asked, expected]] of Object.entries(ASKED))
  t.test(`a runtime may ask for ${name}`, async (t) => {
    const { node } = await Scene.raise(t)
    for (const pod of ['first', 'a']) node.createPod(pod)
    await node.cni('ADD', 'first', { args: `IgnoreUnknown=1;${POD}` })
    const answer = await node.cni('ADD', 'a', asked)
    t.match(answer, expected)
    if (answer.exit !== 0) return t.equal(node.status.pods.length, 1)
    t.match(node.status.pods, [{}, { addresses: addressesOf(answer) }])
    t.strictSame(await node.cni('CHECK', 'a', asked), { exit: 0, answer: undefined })
    return t.equal((await node.cni('DEL', 'a', asked)).exit, 0)
  })

const RANGES = { type: 'netloom', ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] }

for (const ipMasq of [true, false])
  t.test(
    `a further network, ipMasq ${ipMasq}: gateway, routes and masquerade come and go with its containers`,
    async (t) => {
      const scene = await Scene.raise(t)
      // Outside knows the way back to those who keep their address.
      ip('-n', 'outside', 'route', 'add', '10.88.0.0/24', 'via', '192.168.50.1')
      ip('-n', 'outside', 'route', 'add', 'fd00:88::/64', 'via', 'fd00:50::1')
      await scene.serve(scene.outside, 'outside', 9090)
      const config = { ipam: RANGES, ipMasq }
      const [before, rules] = [ip('-br', 'address', 'show', 'dev', 'netloom0'), nft('list', 'ruleset')]
      const a = await scene.attach('a', { config })
      const b = await scene.attach('b', { config })
      const c = await scene.attach('c')
      t.match(ip('address', 'show', 'dev', 'netloom0'), /10\.88\.0\.1\/32[^]*fd00:88::1\/128/)
      for (const [i, [address, client]] of [
        ['192.168.50.9', '192.168.50.1'],
        ['fd00:50::9', 'fd00:50::1'],
      ].entries()) {
        t.equal(await answerOf(a.place, address!, 9090), `outside saw ${ipMasq ? client : a.addresses[i]}`)
        t.equal(await answerOf(a.place, b.addresses[i]!, 80), `b saw ${a.addresses[i]}`)
        t.equal(await answerOf(a.place, c.addresses[i]!, 80), `c saw ${a.addresses[i]}`)
        t.equal(await answerOf(c.place, a.addresses[i]!, 80), `a saw ${c.addresses[i]}`)
        const routes = ip(i === 0 ? '-4' : '-6', 'route', 'show', 'proto', '111')
        for (const { addresses } of [a, b]) t.match(routes, new RegExp(`^${addresses[i]} dev netloom0`, 'm'))
      }
      t.strictSame(await scene.node.cni('CHECK', 'a', { config }), { exit: 0, answer: undefined })
      await scene.node.cni('DEL', 'a', { config })
      t.match(ip('address', 'show', 'dev', 'netloom0'), /10\.88\.0\.1\/32/, 'it stays for the other')
      for (const pod of ['b', 'c']) await scene.node.cni('DEL', pod, pod === 'b' ? { config } : {})
      t.equal(ip('route', 'show', 'proto', '111') + ip('-6', 'route', 'show', 'proto', '111'), '')
      const addresses = (text: string): string[] => text.split(/\s+/).slice(2)
      await eventually(() => nft('list', 'ruleset') === rules)
      t.strictSame(addresses(ip('-br', 'address', 'show', 'dev', 'netloom0')), addresses(before))
    },
  )
