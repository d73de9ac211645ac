import { addChain, deleteChain } from '../codec/nft/chain.js'
import { addElements, deleteElements } from '../codec/nft/element.js'
import { addRule, flushRules } from '../codec/nft/rule.js'
import { addSet, deleteSet, flushSet } from '../codec/nft/set.js'
import { addTable, deleteTable } from '../codec/nft/table.js'
import { type Request } from '../codec/request.js'
import { FILTER_PRIORITY } from '../base/names.js'
import { addAddress, deleteAddress } from '../codec/rtnl/address.js'
import { addFilter, addFilterLink, addFilterTable, deleteFilter } from '../codec/rtnl/filter.js'
import { addLink, deleteLink, setBridgePort, setLink, setVxlan } from '../codec/rtnl/link.js'
import { NTF, NUD } from '../codec/rtnl/constants.js'
import { addFdb, addNeighbour, deleteFdb, deleteNeighbour } from '../codec/rtnl/neighbour.js'
import { addClsact, deleteClsact, deleteRootQdisc, replaceTokenBucket } from '../codec/rtnl/qdisc.js'
import { deleteRoute, replaceRoute } from '../codec/rtnl/route.js'
import { type FlowsOp, type NftOp, type Op, type OpOf, type SysctlOp } from './op.js'

/** The operations that are messages to rtnetlink. */
export type RtnlOp = Exclude<Op, NftOp | SysctlOp | FlowsOp>

/** Answers the index of a link by its name. */
export type IndexOf = (device: string) => number

const RTNL: { readonly [K in RtnlOp['kind']]: (op: OpOf<K>, indexOf: IndexOf) => Request } = {
  'link.add': ({ link }) => addLink(link, { echo: true }),
  'link.set': ({ name, changes }) => setLink({ name }, changes),
  'link.delete': ({ name }) => deleteLink({ name }),
  'port.set': ({ name, port }) => setBridgePort({ name }, port),
  'vxlan.set': ({ name, vxlan }) => setVxlan({ name }, vxlan),
  'address.add': ({ address }, indexOf) =>
    addAddress({ ...address, index: indexOf(address.device) }, { replace: true }),
  'address.delete': ({ address }, indexOf) => deleteAddress({ ...address, index: indexOf(address.device) }),
  'route.replace': ({ route }, indexOf) => replaceRoute({ ...route, ...deviceIndex(route.device, indexOf) }),
  'route.delete': ({ route }, indexOf) => deleteRoute({ ...route, ...deviceIndex(route.device, indexOf) }),
  'neighbour.replace': ({ neighbour }, indexOf) =>
    addNeighbour({ ...neighbour, index: indexOf(neighbour.device) }, { existing: 'replace' }),
  'neighbour.delete': ({ neighbour }, indexOf) => deleteNeighbour({ ...neighbour, index: indexOf(neighbour.device) }),
  'fdb.replace': ({ device, mac }, indexOf) =>
    addFdb({ index: indexOf(device), mac, state: NUD.NOARP, flags: NTF.MASTER }, { existing: 'replace' }),
  'vtep.replace': ({ device, mac, remote }, indexOf) =>
    addFdb({ index: indexOf(device), mac, destination: remote }, { existing: 'replace' }),
  'vtep.delete': ({ device, mac, remote }, indexOf) => deleteFdb({ index: indexOf(device), mac, destination: remote }),
  'clsact.add': ({ device }, indexOf) => addClsact(indexOf(device)),
  'clsact.delete': ({ device }, indexOf) => deleteClsact(indexOf(device)),
  'ingress.redirect': ({ device, family, target, source }, indexOf) =>
    addFilter({
      index: indexOf(device),
      family,
      priority: FILTER_PRIORITY.redirect[family.name],
      source,
      to: 'ingress',
      target: indexOf(target),
    }),
  'limit.replace': (op, indexOf) => replaceTokenBucket({ ...op, index: indexOf(op.device) }),
  'limit.delete': (op, indexOf) => deleteRootQdisc({ ...op, index: indexOf(op.device) }),
  'filter.add': (op, indexOf) => addFilter({ ...op, index: indexOf(op.device), target: indexOf(op.target) }),
  'filter.delete': (op, indexOf) => deleteFilter({ ...op, index: indexOf(op.device) }),
  'filter.table': (op, indexOf) => addFilterTable({ ...op, index: indexOf(op.device) }),
  'filter.link': (op, indexOf) => addFilterLink({ ...op, index: indexOf(op.device) }),
}

const deviceIndex = (device: string | undefined, indexOf: IndexOf): { index?: number } =>
  device === undefined ? {} : { index: indexOf(device) }

/** The request that an operation on links, addresses, routes or neighbours is. */
export const rtnlRequest = <K extends RtnlOp['kind']>(op: OpOf<K>, indexOf: IndexOf): Request =>
  (RTNL[op.kind] as (op: OpOf<K>, indexOf: IndexOf) => Request)(op, indexOf)

const NFT: { readonly [K in NftOp['kind']]: (op: OpOf<K>) => Request | Request[] } = {
  'table.add': ({ table }) => addTable(table),
  'table.delete': ({ table }) => deleteTable(table),
  'chain.add': ({ table, chain }) => addChain(table, chain),
  'chain.delete': ({ table, chain }) => deleteChain(table, chain),
  'rules.flush': ({ table, chain }) => flushRules(table, chain),
  'rule.add': ({ table, chain, rule }) => addRule(table, chain, rule),
  'set.add': ({ table, set }) => addSet(table, set),
  'set.delete': ({ table, set }) => deleteSet(table, set),
  'set.flush': ({ table, set }) => flushSet(table, set),
  'elements.add': ({ table, set, elements }) => addElements(table, set, elements),
  'elements.delete': ({ table, set, elements }) => deleteElements(table, set, elements),
}

/** The requests that an operation on a ruleset is; several where its elements do not fit into one message. */
export function nftRequests<K extends NftOp['kind']>(op: OpOf<K>): Request[] {
  const requests = (NFT[op.kind] as (op: OpOf<K>) => Request | Request[])(op)
  return Array.isArray(requests) ? requests : [requests]
}
