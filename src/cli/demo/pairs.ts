import { FAMILIES, type FamilyName } from '../../base/family.js'
import { type Ip } from '../../base/ip.js'
import { addressOf, type Listener } from './targets.js'

/** Which pods ask which by their own addresses. */

/** A pod as it runs. */
export interface RunningPod {
  /** `namespace/name`. */
  readonly key: string
  readonly node: string
  readonly addresses: readonly Ip[]
  readonly hostNetwork: boolean
  readonly listeners: readonly Listener[]
}

export interface Pair<P extends RunningPod = RunningPod> {
  readonly client: P
  readonly server: P
  readonly family: FamilyName
  readonly listener: Listener
  /** Addresses of the two in that family. */
  readonly from: string
  readonly to: string
}

/** With more pods than this, each asks a few of the others and not all. */
const ALL_UP_TO = 24
/** Partners of a pod on its own node, and as many on other nodes. */
const PARTNERS = 2

/**
 * Pairs of all pods, or where they are many, for each pod some on its own node and some on others. Servers are those
 * that listen on TCP or UDP; pods of the host's network have no addresses of their own and are left out.
 */
export function pairs<P extends RunningPod>(pods: readonly P[]): Pair<P>[] {
  const own = pods.filter(({ hostNetwork }) => !hostNetwork)
  const servers = own.filter((pod) => listenerOf(pod) !== undefined)
  return own.flatMap((client, i) => partners(client, servers, i).flatMap((server) => inEachFamily(client, server)))
}

const listenerOf = ({ listeners }: RunningPod): Listener | undefined =>
  listeners.find(({ protocol }) => protocol === 'TCP') ?? listeners.find(({ protocol }) => protocol === 'UDP')

function partners<P extends RunningPod>(client: P, servers: readonly P[], turn: number): P[] {
  const others = servers.filter(({ key }) => key !== client.key)
  if (servers.length <= ALL_UP_TO) return others
  const near = others.filter(({ node }) => node === client.node)
  const far = others.filter(({ node }) => node !== client.node)
  return [...some(near, turn), ...some(far, turn)]
}

/** A few of a list, others at each turn, so that every server gets its share. */
const some = <T>(list: readonly T[], turn: number): T[] =>
  Array.from({ length: Math.min(PARTNERS, list.length) }, (_, i) => list[(turn * PARTNERS + i) % list.length]).filter(
    (item) => item !== undefined,
  )

function inEachFamily<P extends RunningPod>(client: P, server: P): Pair<P>[] {
  const listener = listenerOf(server)
  if (listener === undefined) return []
  return FAMILIES.flatMap(({ name: family }) => {
    const [from, to] = [addressOf(client.addresses, family), addressOf(server.addresses, family)]
    return from === undefined || to === undefined ? [] : [{ client, server, family, listener, from, to }]
  })
}
