import t from 'tap'
import { IPV4, IPV6 } from '../../../src/base/family.js'
import { addClsact, addIngressRedirect, deleteClsact } from '../../../src/codec/rtnl/traffic.js'
import { checkRefusals, checkRequests, type Refusal, type RequestTable } from './captured.js'

/** v0 of the captures, and br0. */
const [LINK, BRIDGE] = [4, 2]

const requests: RequestTable = {
  'add clsact': [addClsact(LINK)],
  'add clsact that is there': [addClsact(LINK)],
  'redirect IPv4': [addIngressRedirect({ index: LINK, family: IPV4, target: BRIDGE })],
  'redirect IPv6': [addIngressRedirect({ index: LINK, family: IPV6, target: BRIDGE })],
  'delete clsact': [deleteClsact(LINK)],
  'delete clsact that is not there': [deleteClsact(LINK)],
}

checkRequests(t, 'traffic', requests)

const refusals: Readonly<Record<string, Refusal>> = {
  'add clsact that is there': ['exists', /add clsact to link 4: file already exists \(EEXIST\): Exclusivity flag on/i],
  // Of a link that never had one the kernel says ENOENT, of one that had one EINVAL.
  'delete clsact that is not there': ['kernel', /delete clsact of link 4: .*EINVAL.*Invalid handle/i],
}

checkRefusals(t, 'traffic', requests, refusals)
