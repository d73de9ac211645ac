import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseIp } from '../../../src/base/ip.js'
import { NTF, NUD, RTM } from '../../../src/codec/rtnl/constants.js'
import {
  addFdb,
  addNeighbour,
  decodeFdb,
  decodeNeighbour,
  deleteFdb,
  deleteNeighbour,
  dumpFdb,
  dumpNeighbours,
  type Neighbour,
} from '../../../src/codec/rtnl/neighbour.js'
import {
  captures,
  checkRefusals,
  checkRequests,
  known,
  type Refusal,
  repliesOf,
  type RequestTable,
} from './captured.js'

const at = (address: string, end: string) => ({ ...parseIp(address), index: 2, mac: `02:00:00:00:00:${end}` })
const fdb = (mac: string, destination: string) => ({ index: 3, mac, destination })
const MAC = '02:00:00:00:00:33'
const requests: RequestTable = {
  'add IPv4': [addNeighbour(at('192.0.2.2', '22'))],
  'add IPv4 that is there': [addNeighbour(at('192.0.2.2', '22'))],
  'replace IPv4': [addNeighbour({ ...at('192.0.2.2', '23'), protocol: 110 }, { existing: 'replace' })],
  'add IPv6': [addNeighbour({ ...at('2001:db8::2', '24'), state: NUD.REACHABLE, flags: NTF.ROUTER })],
  'add fdb': [addFdb(fdb(MAC, '192.0.2.3'))],
  'append fdb': [addFdb(fdb('00:00:00:00:00:00', '192.0.2.4'), { existing: 'append' })],
  'replace fdb': [addFdb(fdb(MAC, '192.0.2.5'), { existing: 'replace' })],
  'list IPv4': [dumpNeighbours(IPV4)],
  'list IPv6': [dumpNeighbours(IPV6)],
  'list of a link': [dumpNeighbours(IPV4, { index: 2 })],
  'list fdb': [dumpFdb()],
  'list fdb of a link': [dumpFdb({ index: 3 })],
  'delete fdb': [deleteFdb(fdb(MAC, '192.0.2.5'))],
  'delete IPv4': [deleteNeighbour({ ...parseIp('192.0.2.2'), index: 2 })],
  'delete neighbour that is not there': [deleteNeighbour({ ...parseIp('192.0.2.99'), index: 2 })],
}

checkRequests(t, 'neighbour', requests)

const { captured } = captures('neighbour')
const answer = <T>(name: string, decode: (payload: Buffer) => T) =>
  repliesOf(captured(name))
    .filter(({ type }) => type === RTM.NEWNEIGH)
    .map(({ payload }) => known(decode(payload)))

/** The kernel adds neighbours for multicast groups as packets happen to be sent. */
const unicast = (found: Neighbour | undefined) => found?.mac?.startsWith('02:') === true

t.test('neighbours of the kernel are read whole', async (t) => {
  const two = { ...at('192.0.2.2', '23'), state: NUD.PERMANENT, flags: 0, protocol: 110 }
  t.strictSame(answer('list IPv4', decodeNeighbour).filter(unicast), [two])
  t.strictSame(answer('list of a link', decodeNeighbour).filter(unicast), [two])
  t.strictSame(answer('list IPv6', decodeNeighbour).filter(unicast), [
    { ...at('2001:db8::2', '24'), state: NUD.REACHABLE, flags: NTF.ROUTER, protocol: 0 },
    { ...at('2001:db8::3', '25'), state: NUD.NOARP, flags: 0, protocol: 0 },
  ])
})

t.test('forwarding entries of a VXLAN are read whole, several remotes of one MAC address included', async (t) => {
  const defaults = { index: 3, state: NUD.NOARP | NUD.PERMANENT, flags: NTF.SELF as number }
  const found = answer('list fdb of a link', decodeFdb)
  t.strictSame(found, [
    { ...defaults, mac: '00:00:00:00:00:00', destination: '192.0.2.4' },
    { ...defaults, mac: '00:00:00:00:00:00', destination: '192.0.2.6', port: 4790, vni: 7 },
    { ...defaults, mac: MAC, destination: '192.0.2.5' },
  ])
  const all = answer('list fdb', decodeFdb)
  t.strictSame(
    all.filter((entry) => entry?.index === 3),
    found,
  )
  t.strictSame(
    all.filter((entry) => entry?.master === 2),
    [{ index: 2, state: NUD.PERMANENT, flags: 0, mac: '02:00:00:00:00:01', master: 2 }],
    'those of a bridge name it',
  )
})

t.test('forwarding entries are no neighbours, and neighbours no forwarding entries', async (t) => {
  t.ok(answer('list fdb', decodeNeighbour).every((found) => found === undefined))
  t.ok(answer('list IPv4', decodeFdb).every((found) => found === undefined))
})

const refusals: Record<string, Refusal> = {
  'add IPv4 that is there': ['exists', /^add neighbour 192.0.2.2 \(02:00:00:00:00:22\) to link 2: .*\(EEXIST\)$/],
  'delete neighbour that is not there': ['not-found', /^delete neighbour 192.0.2.99 of link 2: .*\(ENOENT\)$/],
}
checkRefusals(t, 'neighbour', requests, refusals)
