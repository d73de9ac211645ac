import t from 'tap'
import { type Link } from '../../../src/codec/rtnl/link.js'
import { Location } from '../../../src/daemon/location.js'
import { type AddressSelection, DEFAULT_ROUTING } from '../../../src/routes/routing.js'
import { node } from '../routes/fake-node.js'
import { observedAddress } from '../../support/address.js'

const link = (name: string): Link => ({ index: 0, name, up: true, running: true, loopback: false, mtu: 1500, group: 0 })
const LINKS = new Map([
  [2, link('eth0')],
  [3, link('eth1')],
])

const address = observedAddress
const BOTH = [address('192.168.0.1/24', 2), address('172.16.0.1/24', 3), address('fd00::1/64', 2)]
const SELF = node('a', ['10.1.0.0/24'], ['192.168.0.1', 'fd00::1'])

function located(select: AddressSelection = {}): { location: Location; told: (string | undefined)[] } {
  const told: (string | undefined)[] = []
  const onPublished = (addresses: readonly string[] | undefined): unknown => told.push(addresses?.join())
  return { location: new Location({ routing: { ...DEFAULT_ROUTING, select }, onPublished }), told }
}

const addresses = ({ underlays }: Location): string[] =>
  underlays.map((underlay) => `${underlay.address} ${underlay.link}`)

t.test('a node stands where its addresses are', async (t) => {
  const { location, told } = located()
  location.find(SELF, BOTH, LINKS)
  t.same(addresses(location), ['192.168.0.1 eth0', 'fd00::1 eth0'])
  t.same([location.problems, location.published, told], [[], undefined, []], 'there is nothing to publish')
})

t.test('what is selected is published once, and taken back when it is the same as what all know', async (t) => {
  const { location, told } = located({ interfaces: ['eth1'] })
  location.find(SELF, BOTH, LINKS)
  location.find(SELF, BOTH, LINKS)
  t.same([addresses(location), location.published], [['172.16.0.1 eth1'], ['172.16.0.1']])
  location.find(node('a', [], ['172.16.0.1']), BOTH, LINKS)
  t.same(told, ['172.16.0.1', undefined])
})

t.test('an address that is on no link is told of, and the way that was stays until it is there', async (t) => {
  const { location } = located()
  location.find(SELF, BOTH, LINKS)
  const moved = node('a', [], ['192.168.0.9', 'fd00::1'])
  location.find(moved, BOTH, LINKS)
  t.same(addresses(location), ['192.168.0.1 eth0', 'fd00::1 eth0'])
  t.same(location.problems, ['node address 192.168.0.9 is on no link of this node'])
  location.find(moved, [address('192.168.0.9/24', 3), address('fd00::1/64', 2)], LINKS)
  t.same([addresses(location), location.problems], [['192.168.0.9 eth1', 'fd00::1 eth0'], []])
})

t.test('a family that the Node no longer has is no way any more', async (t) => {
  const { location } = located()
  location.find(SELF, BOTH, LINKS)
  location.find(node('a', [], ['fd00::1']), BOTH, LINKS)
  t.same(addresses(location), ['fd00::1 eth0'])
})

t.test('a selection that nothing answers to leaves what was', async (t) => {
  const { location } = located({ interfaces: ['eth1'] })
  location.find(SELF, BOTH, LINKS)
  location.find(SELF, [address('192.168.0.1/24', 2)], LINKS)
  t.same(addresses(location), ['172.16.0.1 eth1'])
  t.match(location.problems, [/no address of this node is on a link called eth1/])
})
