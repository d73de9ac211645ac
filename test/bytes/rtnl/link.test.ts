import t from 'tap'
import { ADDR_GEN_MODE } from '../../../src/codec/rtnl/constants.js'
import {
  addLink,
  deleteLink,
  deleteLinkGroup,
  dumpLinks,
  getLink,
  setBridge,
  setBridgePort,
  setLink,
} from '../../../src/codec/rtnl/link.js'
import { type Request } from '../../../src/codec/request.js'
import { captures, compare, type ShapeOptions } from './captured.js'

const { captured, names } = captures('link')
const requests: Record<string, readonly [Request, ShapeOptions?]> = {
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
      vxlan: { id: 100, local: '192.0.2.1', link: 2, learning: false, port: 4789, udpChecksum: true },
    }),
  ],
  'create vxlan over IPv6': [
    addLink({ kind: 'vxlan', name: 'vx1', vxlan: { id: 101, local: '2001:db8::1', link: 2, port: 4790 } }),
  ],
  'set up': [setLink({ index: 6 }, { up: true })],
  'set down': [setLink({ index: 6 }, { up: false })],
  'set mtu and mac': [setLink({ index: 6 }, { mac: '02:00:00:00:00:06', mtu: 1300 })],
  'set master': [setLink({ index: 6 }, { master: 2 })],
  'set bridge port': [
    setBridgePort(
      { index: 6 },
      {
        hairpin: true,
        bpduGuard: true,
        learning: false,
        flood: false,
        mcastFlood: false,
        bcastFlood: false,
        neighSuppress: true,
        isolated: true,
      },
    ),
  ],
  'set bridge': [setBridge({ index: 2 }, { ageingTime: 20000, mcastSnooping: true })],
  'set alias': [setLink({ index: 6 }, { alias: 'hello' })],
  'set address generation': [setLink({ index: 6 }, { addrGenMode: ADDR_GEN_MODE.NONE })],
  'get link': [getLink({ name: 'v1' })],
  'get link that is not there': [getLink({ name: 'nope' })],
  'list links': [dumpLinks()],
  'list ports of a bridge': [dumpLinks({ master: 2 })],
  'list links of a kind': [dumpLinks({ kind: 'vxlan' })],
  'set no master': [setLink({ index: 6 }, { master: 0 })],
  'set group': [setLink({ index: 6 }, { group: 11 })],
  rename: [setLink({ index: 6 }, { name: 'w1' })],
  'move to a namespace': [setLink({ index: 6 }, { netnsFd: 5 })],
  'delete link': [deleteLink({ index: 6 })],
  'delete group': [deleteLinkGroup(7)],
}

for (const [name, [request, options]] of Object.entries(requests)) {
  const { ours, theirs } = compare(request, captured(name), options)
  t.strictSame(ours, theirs, name)
}
t.comment(names)
