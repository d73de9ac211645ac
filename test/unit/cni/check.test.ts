import t from 'tap'
import { parseCidr, parseIpPrefix } from '../../../src/base/ip.js'
import { checkAttachment, type FoundAttachment } from '../../../src/cni/check.js'
import { CNI_CODE } from '../../../src/cni/error.js'
import { type Address } from '../../../src/codec/rtnl/address.js'
import { type Link } from '../../../src/codec/rtnl/link.js'
import { type Route } from '../../../src/codec/rtnl/route.js'
import { exampleLease } from '../../support/lease.js'

const LEASE = exampleLease()

const link = (fields: Partial<Link>): Link => ({
  index: 2,
  name: 'eth0',
  kind: 'veth',
  up: true,
  running: true,
  loopback: false,
  mtu: 1500,
  mac: LEASE.mac,
  group: 0,
  peerIndex: 9,
  ...fields,
})

const address = (text: string, index = 2): Address => ({
  ...parseIpPrefix(text),
  index,
  scope: 0,
  flags: 0x80,
  permanent: true,
  tentative: false,
  dadFailed: false,
})

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

const RIGHT: FoundAttachment = {
  lease: LEASE,
  bridge: { name: 'netloom0', index: 7 },
  subnets: [parseCidr('10.1.0.0/24'), parseCidr('fd00:1::/64')],
  host: HOST,
  link: link({}),
  addresses: [address('10.1.0.2/32'), address('fd00:1::2/128'), address('127.0.0.1/8', 1)],
  routes: ROUTES,
}

t.test('an attachment that is as it was made passes', async (t) => {
  t.doesNotThrow(() => checkAttachment(RIGHT))
})

const DIFFERENCES: Readonly<Record<string, readonly [found: Partial<FoundAttachment>, says: RegExp]>> = {
  "the node's end is gone": [{ host: undefined }, /node has no link nlm-1/],
  "the node's end is down": [{ host: { ...HOST, up: false } }, /nlm-1 of the node is down/],
  'it left the bridge': [{ host: { ...HOST, master: undefined } }, /nlm-1 is no port of bridge netloom0/],
  'it is at another bridge': [{ host: { ...HOST, master: 8 } }, /no port of bridge netloom0/],
  'the bridge is gone': [{ bridge: undefined, host: { ...HOST, master: 7 } }, /\(missing\)/],
  'the port is not isolated': [{ host: { ...HOST, port: { isolated: false } } }, /not isolated/],
  'the port does not say': [{ host: { ...HOST, port: undefined } }, /not isolated/],
  "the pod's end is gone": [{ link: undefined }, /pod has no link eth0/],
  "the pod's end is down": [{ link: link({ up: false }) }, /eth0 of the pod is down/],
  'another link took its name': [{ link: link({ index: 5 }) }, /eth0 of the pod is not the other end of nlm-1/],
  'it leads elsewhere': [{ link: link({ peerIndex: 4 }) }, /not the other end/],
  'its MAC address changed': [{ link: link({ mac: '02:00:00:00:00:01' }) }, /MAC address 02:00:00:00:00:01/],
  'an address is missing': [{ addresses: [address('10.1.0.2/32')] }, /eth0 does not have address fd00:1::2/],
  'an address is on another link': [
    { addresses: [address('10.1.0.2/32', 1), address('fd00:1::2/128')] },
    /does not have address 10\.1\.0\.2/,
  ],
  'no route to the gateway': [{ routes: ROUTES.slice(1) }, /no route to its gateway 10\.1\.0\.1/],
  'no default route': [{ routes: ROUTES.filter((_, i) => i !== 3) }, /no default route through fd00:1::1/],
  'the default route leads elsewhere': [
    { routes: [ROUTES[0], route('0.0.0.0/0', '10.1.0.9'), ROUTES[2], ROUTES[3]] },
    /no default route through 10\.1\.0\.1/,
  ],
  'the default route leaves by another link': [
    { routes: [ROUTES[0], route('0.0.0.0/0', '10.1.0.1', { index: 3 }), ROUTES[2], ROUTES[3]] },
    /no default route through 10\.1\.0\.1/,
  ],
  'the default route is dead': [
    { routes: [ROUTES[0], ROUTES[1], ROUTES[2], route('::/0', 'fd00:1::1', { dead: true })] },
    /no default route through fd00:1::1/,
  ],
}

for (const [name, [found, message]] of Object.entries(DIFFERENCES))
  t.test(`CHECK finds it: ${name}`, async (t) => {
    t.throws(() => checkAttachment({ ...RIGHT, ...found }), { cniCode: CNI_CODE.CHANGED, message })
  })
