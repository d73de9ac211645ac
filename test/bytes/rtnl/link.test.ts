import t from 'tap'
import { ADDR_GEN_MODE, RTM } from '../../../src/codec/rtnl/constants.js'
import {
  addLink,
  decodeLink,
  decodePortChange,
  deleteLink,
  deleteLinkGroup,
  dumpLinks,
  getLink,
  type Link,
  setBridge,
  setBridgePort,
  setLink,
  setVxlan,
} from '../../../src/codec/rtnl/link.js'
import {
  captures,
  checkRefusals,
  checkRequests,
  known,
  type Refusal,
  repliesOf,
  type RequestTable,
  type ShapeOptions,
} from './captured.js'

/** iproute2 asks for the virtual functions of network cards, and with -d for statistics; netloom reads neither. */
const EXT_MASK = '/29'
/** iproute2 lists links as AF_PACKET, for which the kernel has no list but that of AF_UNSPEC. */
const LIST: ShapeOptions = { without: [EXT_MASK], anyFamily: true }

const { captured } = captures('link')
const requests: RequestTable = {
  'create bridge': [
    addLink({
      kind: 'bridge',
      name: 'br0',
      mac: '02:00:00:00:00:01',
      mtu: 1400,
      up: true,
      bridge: { forwardDelay: 0, ageingTime: 30000, stp: false, mcastSnooping: false },
    }),
  ],
  'create bridge with options that this kernel lacks': [
    addLink({
      kind: 'bridge',
      name: 'br1',
      bridge: { vlanFiltering: false, nfCallIptables: false, nfCallIp6tables: false, nfCallArptables: false },
    }),
  ],
  'create dummy, which this kernel lacks': [addLink({ kind: 'dummy', name: 'd0' })],
  'create veth pair with peer in a namespace': [
    addLink({
      kind: 'veth',
      name: 'v0',
      mac: '02:00:00:00:00:02',
      mtu: 1400,
      master: 2,
      group: 7,
      numTxQueues: 1,
      numRxQueues: 1,
      up: true,
      peer: { name: 'p0', mac: '02:00:00:00:00:03', mtu: 1400, netnsFd: 4 },
    }),
  ],
  'create link with a name that is taken': [addLink({ kind: 'veth', name: 'v0', peer: { name: 'p9' } })],
  'create vxlan': [
    addLink({
      kind: 'vxlan',
      name: 'vx0',
      mac: '02:00:00:00:00:07',
      vxlan: { id: 100, local: '192.0.2.1', link: 2, learning: false, port: 4789, udpChecksum: true },
    }),
  ],
  'create vxlan over IPv6': [
    addLink({
      kind: 'vxlan',
      name: 'vx1',
      mac: '02:00:00:00:00:08',
      vxlan: { id: 101, local: '2001:db8::1', link: 2, learning: true, port: 4790 },
    }),
  ],
  'set up': [setLink({ index: 7 }, { up: true })],
  'set down': [setLink({ index: 7 }, { up: false })],
  'set mtu and mac': [setLink({ index: 7 }, { mac: '02:00:00:00:00:06', mtu: 1300 })],
  'set master': [setLink({ index: 7 }, { master: 2 })],
  'set bridge port': [
    setBridgePort(
      { index: 7 },
      {
        hairpin: true,
        bpduGuard: true,
        learning: false,
        unicastFlood: false,
        mcastFlood: false,
        bcastFlood: false,
        neighSuppress: true,
        isolated: true,
      },
    ),
    { without: ['/18/1', '/18/4'] }, // the kind of the port: see setBridgePort
  ],
  'set bridge': [setBridge({ index: 2 }, { ageingTime: 20000, mcastSnooping: true })],
  'set alias': [setLink({ index: 7 }, { alias: 'hello' })],
  'set address generation': [setLink({ index: 7 }, { addrGenMode: ADDR_GEN_MODE.NONE })],
  'get link': [getLink({ name: 'v1' }), LIST],
  'get link that is not there': [getLink({ name: 'nope' }), LIST],
  'list links': [dumpLinks(), LIST],
  'list ports of a bridge': [dumpLinks({ master: 2 }), LIST],
  'list links of a kind': [dumpLinks({ kind: 'vxlan' }), LIST],
  'set no master': [setLink({ index: 7 }, { master: 0 })],
  'set group': [setLink({ index: 7 }, { group: 11 })],
  rename: [setLink({ index: 7 }, { name: 'w1' })],
  'move to a namespace': [setLink({ index: 7 }, { netnsFd: 4 })],
  'set vxlan': [setVxlan({ index: 8 }, { id: 100, local: '192.0.2.7', learning: false })],
  'delete link': [deleteLink({ index: 7 })],
  'delete group': [deleteLinkGroup(7)],
  'create ifb': [addLink({ kind: 'ifb', name: 'i0', mtu: 1400 })],
}

checkRequests(t, 'link', requests)

const defaults = { up: false, running: false, loopback: false, mtu: 1500, group: 0 }
const openPort = {
  hairpin: false,
  bpduGuard: false,
  learning: true,
  unicastFlood: true,
  mcastFlood: true,
  bcastFlood: true,
  neighSuppress: false,
  isolated: false,
}
const closedPort = {
  hairpin: true,
  bpduGuard: true,
  learning: false,
  unicastFlood: false,
  mcastFlood: false,
  bcastFlood: false,
  neighSuppress: true,
  isolated: true,
}
const BR0: Link = {
  ...defaults,
  index: 2,
  name: 'br0',
  kind: 'bridge',
  up: true,
  running: true,
  mtu: 1300,
  mac: '02:00:00:00:00:01',
  bridge: {
    forwardDelay: 0,
    ageingTime: 20000,
    stp: false,
    vlanFiltering: false,
    mcastSnooping: true,
    nfCallIptables: false,
    nfCallIp6tables: false,
    nfCallArptables: false,
  },
}
const P0: Link = {
  ...defaults,
  index: 4,
  name: 'p0',
  kind: 'veth',
  up: true,
  running: true,
  mtu: 1400,
  mac: '02:00:00:00:00:03',
  peerIndex: 5,
}
const V0: Link = {
  ...P0,
  index: 5,
  name: 'v0',
  mac: '02:00:00:00:00:02',
  master: 2,
  group: 7,
  peerIndex: 4,
  port: openPort,
}
const P1: Link = { ...defaults, index: 6, name: 'p1', kind: 'veth', mac: '02:00:00:00:00:05', peerIndex: 7 }
const V1: Link = {
  ...defaults,
  index: 7,
  name: 'v1',
  kind: 'veth',
  mtu: 1300,
  mac: '02:00:00:00:00:06',
  master: 2,
  group: 9,
  peerIndex: 6,
  alias: 'hello',
  port: closedPort,
}
const VX0: Link = {
  ...defaults,
  index: 8,
  name: 'vx0',
  kind: 'vxlan',
  mtu: 1350,
  mac: '02:00:00:00:00:07',
  vxlan: { id: 100, link: 2, local: '192.0.2.1', learning: false, port: 4789, udpChecksum: true },
}
const VX1: Link = {
  ...VX0,
  index: 9,
  name: 'vx1',
  mtu: 1330,
  mac: '02:00:00:00:00:08',
  vxlan: { id: 101, link: 2, local: '2001:db8::1', learning: true, port: 4790, udpChecksum: true },
}
const LO: Link = { ...defaults, index: 1, name: 'lo', loopback: true, mtu: 65536, mac: '00:00:00:00:00:00' }

const replies: Record<string, readonly Link[]> = {
  'get link': [V1],
  'list links': [LO, BR0, P0, V0, P1, V1, VX0, VX1],
  'list ports of a bridge': [V0, V1],
  'list links of a kind': [VX0, VX1],
}

for (const [name, expected] of Object.entries(replies)) {
  t.test(`${name}: the kernel's answer is read whole`, async (t) => {
    const found = repliesOf(captured(name)).filter(({ type }) => type === RTM.NEWLINK)
    t.strictSame(
      found.map(({ payload }) => known(decodeLink(payload))),
      expected,
    )
  })
}

t.test('a link that leaves its bridge is told from a link that is gone', async (t) => {
  const heard = repliesOf(captured('hear that a port leaves'))
  const left = heard.filter(({ type }) => type === RTM.DELLINK)
  t.strictSame(
    left.map(({ payload }) => decodeLink(payload)),
    [undefined],
  )
  t.strictSame(
    left.map(({ payload }) => known(decodePortChange(payload))),
    [{ index: 7, master: 2 }],
  )
  const changed = heard.filter(({ type }) => type === RTM.NEWLINK)
  const ports = changed.flatMap(({ payload }) => decodePortChange(payload) ?? [])
  t.strictSame(ports, [{ index: 7, master: 2, port: closedPort }], 'its flags come with every change')
  const links = changed.flatMap(({ payload }) => decodeLink(payload) ?? [])
  t.strictSame(
    links.filter(({ index }) => index === 7).map(({ master }) => master),
    [2, undefined],
  )
})

const refusals: Record<string, Refusal> = {
  'create link with a name that is taken': ['exists', /^create link v0: .*\(EEXIST\)$/],
  'create dummy, which this kernel lacks': ['unsupported', /^create link d0: .*\(EOPNOTSUPP\): Unknown device type$/],
  'get link that is not there': ['not-found', /^find link nope: .*\(ENODEV\)$/],
}
checkRefusals(t, 'link', requests, refusals)
