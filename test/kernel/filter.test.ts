import { createSocket, type SocketOptions } from 'node:dgram'
import { once } from 'node:events'
import t from 'tap'
import { FAMILIES, type Family, type FamilyName } from '../../src/base/family.js'
import { type PacketSource } from '../../src/codec/rtnl/u32.js'
import { Place } from '../../src/cli/demo/place.js'
import { createNamespace, deleteNamespace } from '../../src/kernel/netns.js'
import { type Op } from '../../src/ops/op.js'
import { connect } from '../support/namespaces.js'
import { eventually, ip } from '../support/node.js'

/** Which packets a filter takes, told by the packets that the link which they are sent to has seen. */

const MAC = '0a:58:0a:f4:01:05'
/** The container's address, another one that it has, and the node's. */
const ADDRESSES: Readonly<Record<FamilyName, readonly [own: string, other: string, node: string]>> = {
  ipv4: ['10.244.1.5', '10.244.1.6', '10.244.1.1'],
  ipv6: ['fd00:244:1::5', 'fd00:244:1::6', 'fd00:244:1::1'],
}

const connection = connect()
const here = new Place('/proc/self/ns/net')
const pod = new Place(createNamespace('a'))
t.teardown(() => {
  connection.close()
  here.close()
  pod.close()
  deleteNamespace('a')
})

t.before(() => {
  ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'eth0', 'address', MAC, 'netns', 'a')
  ip('link', 'add', 'i0', 'type', 'ifb')
  ip('link', 'set', 'i0', 'addrgenmode', 'none')
  for (const name of ['v0', 'i0']) ip('link', 'set', name, 'up')
  ip('-n', 'a', 'link', 'set', 'eth0', 'up')
  for (const { name, bits } of FAMILIES) {
    const [own, other, node] = ADDRESSES[name]
    const noDad = bits === 128 ? ['nodad'] : []
    ip('address', 'add', `${node}/${bits - 8}`, 'dev', 'v0', ...noDad)
    for (const address of [own, other])
      ip('-n', 'a', 'address', 'add', `${address}/${bits - 8}`, 'dev', 'eth0', ...noDad)
  }
})

interface Counters {
  readonly stats64: { readonly tx: { readonly packets: number } }
}

const seen = (): number => (JSON.parse(ip('-j', '-s', 'link', 'show', 'i0')) as [Counters])[0].stats64.tx.packets

/** Sends packets from an address and waits until the node has them. @returns how many went by the other link */
async function taken(family: Family, address: string): Promise<number> {
  const node = ADDRESSES[family.name][2]
  const type = family.bits === 128 ? 'udp6' : 'udp4'
  const receiver = await here.bind(type, 9000)
  const sender = createSocket({ type, lookup: atOnce })
  let received = 0
  receiver.on('message', () => received++)
  const before = seen()
  try {
    const listening = once(sender, 'listening')
    pod.run(() => sender.bind({ address, port: 0 }))
    await listening
    for (let i = 0; i < PACKETS; i++) sender.send('x', 9000, node)
    await eventually(() => received === PACKETS)
    return seen() - before
  } finally {
    sender.close()
    receiver.close()
  }
}
const PACKETS = 5

/** What is looked up is an address; answered at once, the socket is made where it is asked for. */
const atOnce: SocketOptions['lookup'] = (address, _options, answer) =>
  answer(null, address, address.includes(':') ? 6 : 4)

const sources: Readonly<
  Record<string, readonly [of: (own: string, other: string) => PacketSource, own: boolean, other: boolean]>
> = {
  'no source': [() => ({}), true, true],
  'its address': [(own) => ({ address: own }), true, false],
  'another address': [(_, other) => ({ address: other }), false, true],
  'its MAC address': [() => ({ mac: MAC }), true, true],
  'its MAC address and its address': [(own) => ({ mac: MAC, address: own }), true, false],
  'a MAC address that begins otherwise': [() => ({ mac: '0a:58:0a:f4:00:05' }), false, false],
  'a MAC address that ends otherwise': [() => ({ mac: '0a:58:0a:f4:01:06' }), false, false],
  'another MAC address and its address': [(own) => ({ mac: '0a:58:0a:f4:01:06', address: own }), false, false],
}
for (const [name, [sourceOf, own, other]] of Object.entries(sources))
  for (const family of FAMILIES) {
    t.test(`a filter for ${name} takes ${family.name} packets of that and no other`, async (t) => {
      const [address, otherAddress] = ADDRESSES[family.name]
      const filter: Op = {
        kind: 'filter.add',
        device: 'v0',
        family,
        priority: 7,
        source: sourceOf(address, otherAddress),
        to: 'egress',
        target: 'i0',
      }
      await connection.applier.apply([{ kind: 'clsact.add', device: 'v0' }, filter])
      t.teardown(() => connection.applier.apply([{ kind: 'clsact.delete', device: 'v0' }]))
      // Beside them the kernel may look for neighbours.
      t.equal((await taken(family, address)) >= PACKETS, own, 'its own')
      t.equal((await taken(family, otherAddress)) >= PACKETS, other, 'the other')
    })
  }
