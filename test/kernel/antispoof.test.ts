import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { ANTISPOOF } from '../../src/antispoof/layout.js'
import { type Guarded } from '../../src/antispoof/guarded.js'
import {
  antispoofDifferences,
  type AntispoofActual,
  planAntispoof,
  planGuard,
  planUnguard,
} from '../../src/antispoof/plan.js'
import { ETHER_TYPE, ICMPV6_TYPE } from '../../src/codec/nft/types.js'
import { createNamespace, deleteNamespace } from '../../src/kernel/netns.js'
import { observeTable } from '../../src/kernel/observe.js'
import { linkLocalOf } from '../../src/model/linklocal.js'
import { ipToBytes } from '../../src/base/ip.js'
import { ANTISPOOF_TABLE } from '../../src/base/names.js'
import { planText } from '../../src/ops/text.js'
import { Place } from '../../src/cli/demo/place.js'
import {
  arp,
  BROADCAST,
  type Ends,
  ethernet,
  hopByHop,
  icmpv6,
  ipv4,
  ipv6,
  tagged,
  type Transport,
  udp,
} from '../support/frames.js'
import { connect, eventually, nft, run, skipWithout } from '../support/namespaces.js'
import { ip, type TestContext } from '../support/node.js'
import { FrameSender } from '../support/raw-frames.js'

const connection = connect()
const { applier, netfilter } = connection
t.teardown(() => connection.close())

const noNft = skipWithout('nft', '--version')

const GATEWAY = { mac: '0a:58:0a:01:00:01', ipv4: '10.1.0.1', ipv6: 'fd00:1::1' }
const POD = { mac: '0a:58:0a:01:00:02', ipv4: '10.1.0.2', ipv6: 'fd00:1::2' }
const OTHER = { mac: '0a:58:0a:01:00:03', ipv4: '10.1.0.3', ipv6: 'fd00:1::3' }
const LINK_LOCAL = linkLocalOf(POD.mac)
const LINK = 'nlm-pod'
const KINDS = ['bridge', 'link'] as const

const guardedOn = (on: Guarded['on']): Guarded => ({
  hostInterface: LINK,
  mac: POD.mac,
  addresses: [POD.ipv4, POD.ipv6],
  on,
})

async function observe(): Promise<AntispoofActual> {
  const tables = await Promise.all(ANTISPOOF.map((ruleset) => observeTable(netfilter, ruleset)))
  return new Map(
    tables.flatMap((there, i) => (there === undefined ? [] : [[ANTISPOOF[i]!.table.family, there] as const])),
  )
}

const sync = async (desired: readonly Guarded[]): Promise<unknown> =>
  applier.apply(planAntispoof(desired, await observe()))

/**
 * Counts what of the container's link came through the guard, each frame once: right behind it, in all the tables that
 * a frame may come to. What is sent to port 9 is counted on its own.
 */
const WITNESSES = [
  ['bridge', 'prerouting', 0],
  ['inet', 'prerouting', -299],
  ['arp', 'input', 1],
] as const

const WITNESS = WITNESSES.map(
  ([family, hook, priority]) => `
    add table ${family} witness
    add counter ${family} witness seen
    add counter ${family} witness known
    add chain ${family} witness c { type filter hook ${hook} priority ${priority}; }
    ${family === 'arp' ? '' : `add rule ${family} witness c iifname ${LINK} udp dport 9 counter name known accept`}
    add rule ${family} witness c iifname ${LINK} counter name seen`,
).join('')

/** Sends frames as the container, and tells what comes of them. */
class Trial {
  readonly #sender = new FrameSender('/run/netns/pod', 'eth0')
  #counts = { seen: 0, known: 0 }

  /** Whether a frame comes through. When the one behind it, which is known to, has come, it has or never will. */
  async passes(frame: Buffer): Promise<boolean> {
    const before = this.#counts
    this.#sender.send(frame)
    this.#sender.send(frame4({}, udp(9, 9)))
    const known = (): boolean => (this.#counts = witnessed()).known > before.known
    if (!(await eventually(known))) throw new Error('nothing comes through at all')
    return this.#counts.seen > before.seen
  }

  close(): void {
    this.#sender.close()
  }
}

function witnessed(): { seen: number; known: number } {
  const counts = { seen: 0, known: 0 }
  for (const [, name, packets] of nft(['list', 'counters']).matchAll(/counter (seen|known) \{\s+packets (\d+)/g))
    counts[name as keyof typeof counts] += Number(packets)
  return counts
}

const setSysctl = (place: Place, path: string, value: string): void =>
  place.run(() => writeFileSync(`/proc/sys/${path}`, value))

/** A container without addresses, whose kernel says nothing by itself, on a bridge or on a link of its own. */
function raise(t: TestContext, on: Guarded['on']): Trial {
  t.teardown(clear)
  const place = new Place(createNamespace('pod'))
  setSysctl(place, 'net/ipv6/conf/default/disable_ipv6', '1')
  place.close()
  attach(on)
  nft(['-f', '-'], WITNESS)
  const trial = new Trial()
  t.teardown(() => trial.close())
  return trial
}

function attach(on: Guarded['on']): void {
  ip(
    'link',
    'add',
    LINK,
    'address',
    GATEWAY.mac,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'address',
    POD.mac,
    'netns',
    'pod',
  )
  if (on === 'bridge') {
    ip('link', 'add', 'netloom0', 'address', GATEWAY.mac, 'type', 'bridge', 'mcast_snooping', '0')
    ip('link', 'set', LINK, 'master', 'netloom0')
    ip('link', 'set', 'netloom0', 'up')
    ip('link', 'set', LINK, 'type', 'bridge_slave', 'isolated', 'on', 'learning', 'off')
  }
  const device = on === 'bridge' ? 'netloom0' : LINK
  ip('address', 'add', `${GATEWAY.ipv4}/32`, 'dev', device)
  ip('address', 'add', `${GATEWAY.ipv6}/128`, 'dev', device, 'nodad')
  ip('link', 'set', LINK, 'up')
  ip('-n', 'pod', 'link', 'set', 'eth0', 'up')
}

function clear(): void {
  deleteNamespace('pod')
  for (const name of [LINK, 'netloom0']) run('ip', ['link', 'delete', name])
  nft(['flush', 'ruleset'])
}

const OWN: Ends = { source: POD.mac, destination: GATEWAY.mac }
const V4: Ends = { source: POD.ipv4, destination: GATEWAY.ipv4 }
const V6: Ends = { source: POD.ipv6, destination: GATEWAY.ipv6 }
const ALL_NODES = 'ff02::1'
const DATA = udp(40_000, 40_001)

const frame4 = (ends: Partial<Ends> = {}, transport: Transport = DATA, frame: Partial<Ends> = {}): Buffer =>
  ethernet({ ...OWN, ...frame }, ETHER_TYPE.ip, ipv4({ ...V4, ...ends }, transport))
const frame6 = (ends: Partial<Ends> = {}, transport: Transport = DATA, frame: Partial<Ends> = {}): Buffer =>
  ethernet({ ...OWN, ...frame }, ETHER_TYPE.ip6, ipv6({ ...V6, ...ends }, transport))
const frameArp = (fields: Partial<Parameters<typeof arp>[0]> = {}, frame: Partial<Ends> = {}): Buffer =>
  ethernet(
    { ...OWN, destination: BROADCAST, ...frame },
    ETHER_TYPE.arp,
    arp({ operation: 1, senderMac: POD.mac, sender: POD.ipv4, target: GATEWAY.ipv4, ...fields }),
  )

const NS = 135
const NA = ICMPV6_TYPE['nd-neighbor-advert']
const RESERVED = Buffer.alloc(4)
const about = (address: string): Uint8Array => ipToBytes(address)
const advertisement = (address: string): Transport => icmpv6(NA, RESERVED, about(address))
/** With another address where it is looked for: in an option in front of the packet. */
const hiddenAdvertisement = (address: string, decoy: string): Buffer =>
  ethernet(OWN, ETHER_TYPE.ip6, ipv6(V6, advertisement(address), hopByHop(Buffer.concat([RESERVED, about(decoy)]))))
const router = icmpv6(ICMPV6_TYPE['nd-router-advert'], Buffer.alloc(12))
const redirect = icmpv6(ICMPV6_TYPE['nd-redirect'], RESERVED, about(OTHER.ipv6), about('fd00:9::1'))
const fromLinkLocal = { source: LINK_LOCAL, destination: ALL_NODES }

/** What a container says as itself. */
const HONEST: Readonly<Record<string, Buffer>> = {
  'IPv4 from its address': frame4(),
  'IPv4 to everybody': frame4({ destination: '255.255.255.255' }, DATA, { destination: BROADCAST }),
  'IPv6 from its address': frame6(),
  'IPv6 from its link-local address': frame6(fromLinkLocal),
  'neighbour solicitation from its link-local address': frame6(
    fromLinkLocal,
    icmpv6(NS, RESERVED, about(GATEWAY.ipv6)),
  ),
  'neighbour solicitation from its address': frame6({}, icmpv6(NS, RESERVED, about(GATEWAY.ipv6))),
  'advertisement of its address': frame6({}, advertisement(POD.ipv6)),
  'advertisement of its link-local address': frame6(fromLinkLocal, advertisement(LINK_LOCAL)),
  'router solicitation': frame6(fromLinkLocal, icmpv6(133, RESERVED)),
  'ARP request': frameArp(),
  'ARP reply': frameArp({ operation: 2, target: GATEWAY.ipv4 }, { destination: GATEWAY.mac }),
  'DHCP from one relay to another': frame4({}, udp(67, 67)),
}

/** What would be somebody else's, or is none of a container's business. */
const FALSE: Readonly<Record<string, Buffer>> = {
  'IPv4 from a foreign MAC address': frame4({}, DATA, { source: OTHER.mac }),
  'IPv6 from a foreign MAC address': frame6({}, DATA, { source: OTHER.mac }),
  'IPv4 from a foreign address': frame4({ source: OTHER.ipv4 }),
  'IPv4 from the gateway': frame4({ source: GATEWAY.ipv4, destination: OTHER.ipv4 }),
  'IPv4 from nowhere': frame4({ source: '0.0.0.0' }),
  'IPv4 all of it as another': frame4({ source: OTHER.ipv4 }, DATA, { source: OTHER.mac }),
  'IPv6 from a foreign address': frame6({ source: OTHER.ipv6 }),
  'IPv6 from a foreign link-local address': frame6({ source: linkLocalOf(OTHER.mac), destination: ALL_NODES }),
  'IPv6 from nowhere': frame6({ source: '::', destination: ALL_NODES }, icmpv6(NS, RESERVED, about(OTHER.ipv6))),
  'IPv6 all of it as another': frame6({ source: OTHER.ipv6 }, DATA, { source: OTHER.mac }),
  'ARP request with a foreign address': frameArp({ sender: OTHER.ipv4 }),
  'ARP reply with a foreign address': frameArp({ operation: 2, sender: OTHER.ipv4 }, { destination: GATEWAY.mac }),
  'ARP with a foreign MAC address': frameArp({ senderMac: OTHER.mac }),
  'ARP from a foreign MAC address': frameArp({}, { source: OTHER.mac }),
  'ARP about the gateway': frameArp({ operation: 2, sender: GATEWAY.ipv4 }),
  'ARP from nowhere': frameArp({ sender: '0.0.0.0' }),
  'advertisement of a foreign address': frame6({}, advertisement(OTHER.ipv6)),
  'advertisement of a foreign address behind its own': hiddenAdvertisement(OTHER.ipv6, POD.ipv6),
  'router advertisement': frame6(fromLinkLocal, router),
  'router advertisement from its address': frame6({ destination: ALL_NODES }, router),
  'router advertisement behind options': ethernet(OWN, ETHER_TYPE.ip6, ipv6(fromLinkLocal, router, hopByHop(RESERVED))),
  redirect: frame6({ source: LINK_LOCAL }, redirect),
  'DHCP offer': frame4({ destination: '255.255.255.255' }, udp(67, 68), { destination: BROADCAST }),
  'DHCP offer from another port': frame4({}, udp(40_000, 68)),
  'DHCPv6 reply': frame6({ source: LINK_LOCAL, destination: ALL_NODES }, udp(547, 546)),
  'IPv4 from a foreign address to a group of bridges': frame4({ source: OTHER.ipv4 }, DATA, {
    destination: '01:80:c2:00:00:0e',
  }),
  'IPv6 from a foreign address to a group of bridges': frame6({ source: OTHER.ipv6 }, DATA, {
    destination: '01:80:c2:00:00:0e',
  }),
  'ARP with a foreign address to a group of bridges': frameArp(
    { sender: OTHER.ipv4 },
    { destination: '01:80:c2:00:00:0e' },
  ),
}

/** What only a bridge takes in: nothing on the node listens to it on a link of its own. */
const FALSE_ON_BRIDGES: Readonly<Record<string, Buffer>> = {
  'VLAN tag': ethernet(OWN, ETHER_TYPE['8021q'], tagged(7, ETHER_TYPE.ip, ipv4(V4, DATA))),
  'VLAN tag of a priority alone': ethernet(OWN, ETHER_TYPE['8021q'], tagged(0xe000, ETHER_TYPE.ip, ipv4(V4, DATA))),
  'VLAN tag before ARP': ethernet(
    OWN,
    ETHER_TYPE['8021q'],
    tagged(7, ETHER_TYPE.arp, arp({ operation: 1, senderMac: POD.mac, sender: POD.ipv4, target: GATEWAY.ipv4 })),
  ),
  'VLAN tag of a provider': ethernet(OWN, ETHER_TYPE['8021ad'], tagged(7, ETHER_TYPE.ip6, ipv6(V6, DATA))),
  'another protocol': ethernet({ ...OWN, destination: BROADCAST }, 0x88b5, Buffer.alloc(60)),
  'a frame of 802.3': ethernet({ ...OWN, destination: BROADCAST }, 60, Buffer.alloc(60)),
  'IPv4 to a group of bridges': frame4({}, DATA, { destination: '01:80:c2:00:00:0e' }),
}

for (const on of KINDS)
  t.test(`${on}: a container sends as itself, and as nobody else`, { skip: noNft }, async (t) => {
    const trial = raise(t, on)
    const guarded = guardedOn(on)
    const wrong = { ...FALSE, ...(on === 'bridge' ? FALSE_ON_BRIDGES : {}) }
    await sync([])
    await applier.apply(planGuard(guarded))
    for (const [name, frame] of Object.entries(HONEST)) t.equal(await trial.passes(frame), true, name)
    for (const [name, frame] of Object.entries(wrong)) t.equal(await trial.passes(frame), false, name)
    await applier.apply([...planUnguard(guarded), ...planGuard({ ...guarded, hostInterface: 'nlm-other' })])
    for (const [name, frame] of Object.entries({ ...HONEST, ...wrong }))
      t.equal(await trial.passes(frame), true, `${name}: without the guard it passes`)
  })

for (const on of KINDS)
  t.test(`${on}: a container's own kernel finds its neighbours and is answered`, async (t) => {
    t.teardown(clear)
    createNamespace('pod')
    ip('link', 'set', 'lo', 'up')
    attach(on)
    await sync([guardedOn(on)])
    const route = (address: string, gateway: string): void => {
      ip('-n', 'pod', 'address', 'add', address, 'dev', 'eth0', ...(address.includes(':') ? ['nodad'] : []))
      ip('-n', 'pod', 'route', 'add', gateway, 'dev', 'eth0')
      ip('route', 'add', address, 'dev', on === 'bridge' ? 'netloom0' : LINK)
    }
    route(POD.ipv4, GATEWAY.ipv4)
    route(POD.ipv6, GATEWAY.ipv6)
    const place = new Place('/run/netns/pod')
    t.teardown(() => place.close())
    t.ok(await answered(place, 'udp4', GATEWAY.ipv4), 'IPv4, found by ARP')
    t.ok(await answered(place, 'udp6', GATEWAY.ipv6), 'IPv6, found by neighbour discovery')
    const linkLocal = (): string => ip('-n', 'pod', '-6', 'address', 'show', 'dev', 'eth0', 'scope', 'link')
    t.ok(await eventually(() => !linkLocal().includes('tentative'), 10_000), 'nobody disputes its link-local address')
    t.match(linkLocal(), `inet6 ${LINK_LOCAL}/64 `)
    t.notMatch(linkLocal(), /dadfailed/)
  })

/** Whether a datagram from a container to the node comes back. */
async function answered(place: Place, type: 'udp4' | 'udp6', address: string): Promise<boolean> {
  const node = new Place('/proc/self/ns/net')
  const [here, there] = [await node.bind(type, 4711), await place.bind(type, 0)]
  try {
    here.on('message', (message, from) => here.send(message, from.port, from.address))
    const answer = new Promise<boolean>((resolve) => there.once('message', () => resolve(true)))
    place.run(() => there.send('netloom', 4711, address))
    return await answer
  } finally {
    here.close()
    there.close()
    node.close()
  }
}

const SOME: readonly Guarded[] = [
  guardedOn('bridge'),
  { hostInterface: 'nlm-2', mac: OTHER.mac, addresses: [OTHER.ipv4], on: 'link' },
  { hostInterface: 'nlm-3', mac: '0a:59:00:00:00:04', addresses: ['fd00:1::4'], on: 'link' },
]

const missing = async (desired: readonly Guarded[]): Promise<string> =>
  planText(planAntispoof(desired, await observe()))

t.test('guards come and go, and what is read back is as it was wanted', async (t) => {
  t.teardown(removeTables)
  await sync([])
  t.equal(await missing([]), '')
  await applier.apply(planGuard(...SOME))
  t.equal(await missing(SOME), '')
  for (const guarded of SOME) t.strictSame([...antispoofDifferences(guarded, await observe())], [])
  await t.resolves(applier.apply(planGuard(...SOME)), 'a guard that is there is no error')
  await applier.apply(planUnguard(SOME[0]!))
  t.equal(await missing(SOME.slice(1)), '')
  await t.resolves(applier.apply(planUnguard(SOME[0]!)), 'nor is one that is gone')
  await applier.apply(ANTISPOOF.map(({ table, sets }) => ({ kind: 'set.flush', table, set: sets[1]!.name })))
  await t.resolves(applier.apply(planUnguard(...SOME)), 'nor is one of which half is gone')
  t.equal(await missing([]), '')
})

t.test('where the tables are gone, guards are refused, and the tables are made anew', async (t) => {
  t.teardown(removeTables)
  await sync(SOME)
  removeTables()
  await t.rejects(applier.apply(planGuard(SOME[0]!)), { code: 'not-found' })
  await t.rejects(applier.apply(planUnguard(SOME[0]!)), { code: 'not-found' })
  await sync(SOME)
  t.equal(await missing(SOME), '')
})

t.test('what others did to the tables is undone', { skip: noNft }, async (t) => {
  t.teardown(removeTables)
  await sync(SOME)
  const intact = nft(['list', 'ruleset'])
  const name = ANTISPOOF_TABLE
  const deeds = [
    `flush ruleset`,
    `flush chain bridge ${name} sender`,
    `insert rule bridge ${name} prerouting accept`,
    `flush set inet ${name} guarded`,
    `delete table arp ${name}`,
    `add element bridge ${name} ipv4 { "${LINK}" . ${POD.mac} . 10.1.0.99 }`,
    `delete element bridge ${name} ipv6 { "${LINK}" . ${POD.mac} . ${POD.ipv6} }`,
  ]
  for (const deed of deeds) {
    nft(['-f', '-'], deed)
    t.not(nft(['list', 'ruleset']), intact, deed)
    await sync(SOME)
    t.equal(await missing(SOME), '', `${deed}: undone`)
  }
  t.strictSame(lines(nft(['list', 'ruleset'])), lines(intact))
})

/** A list, whatever the order of tables, and of elements in sets. */
const lines = (list: string): string[] => list.split(/[\s,]+/).sort()

t.test('nft lists the tables as people would write them, and loads its list again', { skip: noNft }, async (t) => {
  t.teardown(removeTables)
  await sync([SOME[0]!])
  const list = nft(['list', 'ruleset'])
  const golden = new URL('../../../test/kernel/antispoof.nft', import.meta.url)
  t.equal(list, readFileSync(golden, 'utf8'))
  nft(['flush', 'ruleset'])
  nft(['-f', '-'], list)
  t.equal(nft(['list', 'ruleset']), list, 'identical')
  t.equal(await missing([SOME[0]!]), '', 'nothing to do afterwards')
  await t.resolves(applier.apply(planUnguard(SOME[0]!)), 'and its elements can be deleted by us')
  t.equal(await missing([]), '')
})

const removeTables = (): void => void run('nft', ['flush', 'ruleset'])
