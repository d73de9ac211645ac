import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { parseIp } from '../../../src/base/ip.js'
import { type Request } from '../../../src/codec/request.js'
import { NTF, NUD } from '../../../src/codec/rtnl/constants.js'
import {
  addFdb,
  addNeighbour,
  deleteFdb,
  deleteNeighbour,
  dumpFdb,
  dumpNeighbours,
} from '../../../src/codec/rtnl/neighbour.js'
import { checkRequests, type ShapeOptions } from './captured.js'

const at = (address: string, end: string) => ({ ...parseIp(address), index: 2, mac: `02:00:00:00:00:${end}` })
const fdb = (mac: string, destination: string) => ({ index: 3, mac, destination })
const MAC = '02:00:00:00:00:33'
const requests: Record<string, readonly [Request, ShapeOptions?]> = {
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

t.test('neighbour requests are byte for byte what ip and bridge send', async (t) => {
  checkRequests(t, 'neighbour', requests)
})
