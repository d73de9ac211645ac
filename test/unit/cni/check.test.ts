import t from 'tap'
import { parseCidr } from '../../../src/base/ip.js'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { redirected, type Surroundings } from '../../../src/cni/attach.js'
import {
  checkAttachment,
  differences,
  type FoundAttachment,
  type FoundContainer,
  type FoundNode,
} from '../../../src/cni/check.js'
import { type Filter } from '../../../src/codec/rtnl/filter.js'
import { NUD } from '../../../src/codec/rtnl/constants.js'
import { type Neighbour } from '../../../src/codec/rtnl/neighbour.js'
import { macOf } from '../../../src/model/lease.js'
import { CNI_CODE } from '../../../src/cni/error.js'
import { type Link } from '../../../src/codec/rtnl/link.js'
import { type Route } from '../../../src/codec/rtnl/route.js'
import { exampleLease } from '../../support/lease.js'
import { observedAddress } from '../../support/address.js'

const LEASE = exampleLease()

const link = (fields: Partial<Link>): Link => ({
  index: 2,
  name: 'eth0',
  kind: 'veth',
  up: true,
  running: true,
  loopback: false,
  mtu: 1450,
  mac: LEASE.mac,
  group: 0,
  peerIndex: 9,
  ...fields,
})

const address = (text: string, index = 2) => observedAddress(text, index)

function route(to: string, gateway?: string, fields: Partial<Route> = {}): Route {
  const destination = parseCidr(to)
  return {
    family: destination.family,
    destination,
    gateway,
    index: 2,
    tos: 0,
    table: 254,
    protocol: 4,
    scope: 0,
    type: 1,
    onlink: false,
    dead: false,
    cloned: false,
    multipath: false,
    nextHops: [],
    ...fields,
  }
}

const HOST = link({ index: 9, name: 'nlm-1', master: 7, peerIndex: 2, port: { isolated: true } })
const ROUTES = [
  route('10.1.0.1/32'),
  route('0.0.0.0/0', '10.1.0.1'),
  route('fd00:1::1/128'),
  route('::/0', 'fd00:1::1'),
] as const

const SURROUNDINGS: Surroundings = {
  bridge: { name: 'netloom0', index: 7, mac: '0a:58:0a:01:00:01' },
  covered: [parseCidr('10.1.0.0/24'), parseCidr('fd00:1::/64')],
  redirect: true,
}

const known = (index: number): Neighbour[] =>
  ['10.1.0.2', 'fd00:1::2'].map((text) => ({
    family: text.includes(':') ? IPV6 : IPV4,
    address: text,
    index,
    mac: LEASE.mac,
    state: NUD.PERMANENT,
    flags: 0,
    type: 0,
    protocol: 0,
  }))

const FILTERS: readonly Filter[] = redirected(LEASE).map(({ family, source }, i) => ({
  index: 9,
  family,
  source,
  priority: 1,
  kind: 'u32',
  handle: { table: 0x800, bucket: 0, node: i },
  redirect: { to: 'ingress', target: 7 },
}))

const CONTAINER: FoundContainer = {
  link: link({}),
  addresses: [address('10.1.0.2/32'), address('fd00:1::2/128'), address('127.0.0.1/8', 1)],
  routes: ROUTES,
}

const RIGHT: FoundAttachment = {
  lease: LEASE,
  surroundings: SURROUNDINGS,
  node: { link: HOST, device: 7, addresses: [], routes: [], neighbours: known(7), filters: FILTERS },
  container: CONTAINER,
}

const PTP_HOST = link({ index: 9, name: 'nlm-1', mac: macOf('10.1.0.1'), peerIndex: 2 })
const POD_ROUTES = [route('10.1.0.2/32', undefined, { index: 9 }), route('fd00:1::2/128', undefined, { index: 9 })]

const RIGHT_PTP: FoundAttachment = {
  lease: exampleLease({ mode: 'ptp' }),
  surroundings: { ...SURROUNDINGS, bridge: undefined },
  node: {
    link: PTP_HOST,
    device: 9,
    addresses: [address('10.1.0.1/32', 9), address('fd00:1::1/128', 9)],
    routes: POD_ROUTES,
    neighbours: known(9),
    filters: [],
  },
  container: CONTAINER,
}

const ELSEWHERE: FoundAttachment = { ...RIGHT, surroundings: { ...SURROUNDINGS, covered: [] } }

t.test('an attachment that is as it was made passes', async (t) => {
  for (const found of [RIGHT, RIGHT_PTP]) t.doesNotThrow(() => checkAttachment(found))
  const routed = [route('10.1.0.2/32', undefined, { index: 7 }), route('fd00:1::2/128', undefined, { index: 7 })]
  t.doesNotThrow(() => checkAttachment({ ...ELSEWHERE, node: { ...RIGHT.node, routes: routed } }))
})

t.test('of an interface that another plugin made, it is enough that it is there and up', async (t) => {
  const chained = { ...RIGHT, lease: exampleLease({ mode: 'chained', hostInterface: '' }) }
  const bare = { ...chained, node: { ...RIGHT.node, link: undefined, neighbours: [] } }
  t.doesNotThrow(() => checkAttachment({ ...bare, container: { ...CONTAINER, addresses: [], routes: [] } }))
  const gone = { ...bare, container: { ...CONTAINER, link: undefined } }
  t.throws(() => checkAttachment(gone), { cniCode: CNI_CODE.CHANGED, message: /no link eth0/ })
})

const node = (fields: Partial<FoundNode>, found = RIGHT): FoundAttachment => ({
  ...found,
  node: { ...found.node, ...fields },
})
const container = (fields: Partial<FoundContainer>): FoundAttachment => ({
  ...RIGHT,
  container: { ...CONTAINER, ...fields },
})

const DIFFERENCES: Readonly<Record<string, readonly [found: FoundAttachment, says: RegExp]>> = {
  "the node's end is gone": [node({ link: undefined }), /node has no link nlm-1/],
  "the node's end is down": [node({ link: { ...HOST, up: false } }), /nlm-1 of the node is down/],
  'it left the bridge': [node({ link: { ...HOST, master: undefined } }), /nlm-1 is no port of bridge netloom0/],
  'it is at another bridge': [node({ link: { ...HOST, master: 8 } }), /no port of bridge netloom0/],
  'the bridge is gone': [{ ...RIGHT, surroundings: { ...SURROUNDINGS, bridge: undefined } }, /\(missing\)/],
  'the port is not isolated': [node({ link: { ...HOST, port: { isolated: false } } }), /not isolated/],
  'the port does not say': [node({ link: { ...HOST, port: undefined } }), /not isolated/],
  'the port is not redirected': [node({ filters: FILTERS.slice(1) }), /nlm-1 does not redirect IPv4 from 10\.1\.0\.2/],
  'the port is redirected elsewhere': [
    node({ filters: FILTERS.map((one) => ({ ...one, redirect: { to: 'ingress', target: 8 } })) }),
    /does not redirect IPv4/,
  ],
  'another address is redirected': [
    node({ filters: FILTERS.map((one) => ({ ...one, source: { ...one.source, address: '10.1.0.9' } })) }),
    /does not redirect IPv4/,
  ],
  'the node forgot where the container is': [
    node({ neighbours: known(7).slice(1) }),
    /takes 10\.1\.0\.2 on netloom0 for nobody's/,
  ],
  'the node takes another for it': [
    node({ neighbours: known(7).map((one) => ({ ...one, mac: '02:00:00:00:00:07' })) }),
    /10\.1\.0\.2 on netloom0 for 02:00:00:00:00:07/,
  ],
  'the route to an address of another network is gone': [ELSEWHERE, /no route to 10\.1\.0\.2 by netloom0/],
  'point to point: the route is gone': [
    node({ routes: POD_ROUTES.slice(1) }, RIGHT_PTP),
    /no route to 10\.1\.0\.2 by nlm-1/,
  ],
  'point to point: the route leads elsewhere': [
    node({ routes: POD_ROUTES.map((one) => ({ ...one, index: 3 })) }, RIGHT_PTP),
    /no route to 10\.1\.0\.2 by nlm-1/,
  ],
  "point to point: the gateway's address is gone": [
    node({ addresses: RIGHT_PTP.node.addresses.slice(0, 1) }, RIGHT_PTP),
    /nlm-1 of the node does not have the gateway's address fd00:1::1/,
  ],
  'point to point: somebody made it a port': [
    node({ link: { ...PTP_HOST, master: 5 } }, RIGHT_PTP),
    /nlm-1 of the node is a port/,
  ],
  'point to point: the near end has another MAC address': [
    node({ link: { ...PTP_HOST, mac: '02:00:00:00:00:07' } }, RIGHT_PTP),
    /nlm-1 of the node has MAC address 02:00:00:00:00:07/,
  ],
  "the container's end is gone": [container({ link: undefined }), /container has no link eth0/],
  "the container's end is down": [container({ link: link({ up: false }) }), /eth0 of the container is down/],
  'another link took its name': [
    container({ link: link({ index: 5 }) }),
    /eth0 of the container is not the other end of nlm-1/,
  ],
  'it leads elsewhere': [container({ link: link({ peerIndex: 4 }) }), /not the other end/],
  'its MAC address changed': [container({ link: link({ mac: '02:00:00:00:00:01' }) }), /MAC address 02:00:00:00:00:01/],
  'its MTU changed': [container({ link: link({ mtu: 1500 }) }), /MTU 1500 and not 1450/],
  'an address is missing': [container({ addresses: [address('10.1.0.2/32')] }), /eth0 does not have address fd00:1::2/],
  'an address is on another link': [
    container({ addresses: [address('10.1.0.2/32', 1), address('fd00:1::2/128')] }),
    /does not have address 10\.1\.0\.2/,
  ],
  'no route to the gateway': [container({ routes: ROUTES.slice(1) }), /no route to 10\.1\.0\.1\/32/],
  'no default route': [container({ routes: ROUTES.filter((_, i) => i !== 3) }), /no route to ::\/0 through fd00:1::1/],
  'the default route leads elsewhere': [
    container({ routes: [ROUTES[0], route('0.0.0.0/0', '10.1.0.9'), ROUTES[2], ROUTES[3]] }),
    /no route to 0\.0\.0\.0\/0 through 10\.1\.0\.1/,
  ],
  'the default route leaves by another link': [
    container({ routes: [ROUTES[0], route('0.0.0.0/0', '10.1.0.1', { index: 3 }), ROUTES[2], ROUTES[3]] }),
    /no route to 0\.0\.0\.0\/0/,
  ],
  'the default route is dead': [
    container({ routes: [ROUTES[0], ROUTES[1], ROUTES[2], route('::/0', 'fd00:1::1', { dead: true })] }),
    /no route to ::\/0/,
  ],
  'a route in a table of its own is gone': [
    { ...RIGHT, lease: { ...LEASE, routes: [{ destination: '192.0.2.0/24', gateway: '10.1.0.1', table: 100 }] } },
    /no route to 192\.0\.2\.0\/24 through 10\.1\.0\.1 in table 100/,
  ],
  'a route lost its MTU': [
    { ...RIGHT, lease: { ...LEASE, routes: [{ destination: '::/0', gateway: 'fd00:1::1', mtu: 1400 }] } },
    /no route to ::\/0/,
  ],
}

for (const [name, [found, message]] of Object.entries(DIFFERENCES))
  t.test(`CHECK finds it: ${name}`, async (t) => {
    t.throws(() => checkAttachment(found), { cniCode: CNI_CODE.CHANGED, message })
  })

t.test('all that is wrong is told to whoever asks for all', async (t) => {
  const broken = {
    ...RIGHT,
    node: { ...RIGHT.node, filters: FILTERS.slice(1) },
    container: { ...CONTAINER, addresses: [] },
  }
  t.equal(differences(broken).length, 3)
})
