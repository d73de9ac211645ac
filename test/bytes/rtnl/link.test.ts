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
import { kernelError, decodeAcknowledgement } from '../../../src/codec/error.js'
import { decodeLink, decodePortChange, type Link } from '../../../src/codec/rtnl/link.js'
import { captures, checkRequests, repliesOf, type ShapeOptions } from './captured.js'

/** iproute2 asks for the virtual functions of network cards, and with -d for statistics; netloom reads neither. */
const EXT_MASK = '/29'
/** iproute2 lists links as AF_PACKET, for which the kernel has no list but that of AF_UNSPEC. */
const LIST: ShapeOptions = { without: [EXT_MASK], anyFamily: true }

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
    addLink({
      kind: 'vxlan',
      name: 'vx1',
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
        flood: false,
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
  'delete link': [deleteLink({ index: 7 })],
  'delete group': [deleteLinkGroup(7)],
}

t.test('link requests are byte for byte what ip sends', async (t) => {
  checkRequests(t, 'link', requests)
})
