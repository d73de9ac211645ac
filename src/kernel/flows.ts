import { type Family } from '../base/family.js'
import { type Cidr, cidrContains } from '../base/ip.js'
import { decodeFlow, deleteFlow, dumpFlows, type Flow } from '../codec/ct/flow.js'
import { RT_TABLE, RTN } from '../codec/rtnl/constants.js'
import { type FlowsOp } from '../ops/op.js'
import { observeRoutes } from './observe.js'
import { type Talk } from './talk.js'

export interface FlowsTalk {
  readonly route: Talk
  readonly netfilter: Talk
}

/**
 * Deletes the flows that the operations mean. conntrack deletes one flow at a time, so they are looked for first: once
 * for each family and protocol, however many ports are meant, because every look takes the kernel through its whole
 * table.
 */
export async function deleteFlows(talk: FlowsTalk, ops: readonly FlowsOp[]): Promise<void> {
  const groups = groupBy(ops, ({ family, protocol }) => `${family.name} ${protocol}`)
  for (const group of groups.values()) {
    const flows = await find(talk, group)
    const outcomes = await talk.netfilter.pipeline(flows.map(deleteFlow))
    for (const { error } of outcomes) {
      // One that ended meanwhile is what was wanted.
      if (error !== undefined && error.code !== 'not-found') throw error
    }
  }
}

/** The flows that operations of one family and protocol mean. */
async function find({ route, netfilter }: FlowsTalk, ops: readonly [FlowsOp, ...FlowsOp[]]): Promise<Flow[]> {
  const [{ family, protocol }] = ops
  const byPort = groupBy(ops, ({ port }) => port)
  const [port, ...furtherPorts] = byPort.keys()
  const filter = { protocol, destinationPort: furtherPorts.length === 0 ? port : undefined }
  const messages = await netfilter.dump(dumpFlows(family, filter))
  const found = messages
    .flatMap((message) => decodeFlow(message) ?? [])
    .map((flow) => ({ flow, ops: (byPort.get(flow.original.destinationPort) ?? []).filter((op) => means(op, flow)) }))
    .filter((match) => match.ops.length > 0)
  const local = found.some((match) => match.ops.some(isForNode)) ? await localNetworks(route, family) : []
  const isLocal = ({ original }: Flow): boolean => local.some((network) => cidrContains(network, original.destination))
  return found.filter(({ flow, ops }) => ops.some((op) => !isForNode(op) || isLocal(flow))).map(({ flow }) => flow)
}

function groupBy<T, K>(items: readonly T[], key: (item: T) => K): Map<K, [T, ...T[]]> {
  const groups = new Map<K, [T, ...T[]]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group === undefined) groups.set(key(item), [item])
    else group.push(item)
  }
  return groups
}

/** True where the operation means the flow, as far as can be seen from the flow. */
function means({ family, protocol, port, address, target }: FlowsOp, { original, reply, ...flow }: Flow): boolean {
  const from = target ?? { address: original.destination, port }
  return (
    flow.family === family &&
    original.protocol === protocol &&
    original.destinationPort === port &&
    (address === undefined || original.destination === address) &&
    reply.source === from.address &&
    reply.sourcePort === from.port
  )
}

/** What passes the node on its way to the same port elsewhere is not meant; what was translated is told by where to. */
const isForNode = ({ address, target }: FlowsOp): boolean => address === undefined && target === undefined

/** Networks whose addresses are the node's own; 127.0.0.0/8 is one. */
const localNetworks = async (route: Talk, family: Family): Promise<Cidr[]> =>
  (await observeRoutes(route, family, { table: RT_TABLE.LOCAL }))
    .filter(({ type }) => type === RTN.LOCAL)
    .map(({ destination }) => destination)
