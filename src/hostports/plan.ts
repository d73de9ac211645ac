import { diff, keyBy } from '../base/diff.js'
import { FAMILIES, type Family } from '../base/family.js'
import { bigIntToIp, cidrRange, type Cidr } from '../base/ip.js'
import { BRIDGE } from '../base/names.js'
import { type Element } from '../codec/nft/element.js'
import { type SetSpec } from '../codec/nft/set.js'
import { PROTOCOL } from '../codec/nft/statement.js'
import { type Lease } from '../model/lease.js'
import { type FlowsOp, type NftOp, type Op, type SysctlOp } from '../ops/op.js'
import { type ActualRuleset, planStructure } from '../ops/ruleset.js'
import { type HostPort, hostPortText, isAtLoopback, LOOPBACK } from './hostport.js'
import { HOSTPORT_SETS, HOSTPORTS, HOSTPORTS_RULESET, SETS } from './layout.js'

/** The table as the kernel has it, elements by the name of their set. */
export interface HostPortsActual {
  readonly structure: ActualRuleset
  readonly elements: ReadonlyMap<string, readonly Element[]>
}

export interface HostPortsDesired {
  readonly ports: readonly HostPort[]
  /** Links that lead to containers with ports at 127.0.0.1; see {@link localnetDevice}. */
  readonly devices: readonly string[]
}

/** Lets packets from 127.0.0.0/8 leave by a link, and their answers come back. */
export const localnetSysctl = (device: string): string => `net/ipv4/conf/${device}/route_localnet`

/** The link that leads to the lease's container, where a port of it is to be reached at 127.0.0.1. */
export function localnetDevice(lease: Lease, ports: readonly HostPort[]): string | undefined {
  if (!ports.some(isAtLoopback)) return undefined
  return lease.mode === 'bridge' ? BRIDGE : lease.hostInterface
}

const openLoopback = (device: string): SysctlOp => ({ kind: 'sysctl.set', path: localnetSysctl(device), value: '1' })

/**
 * What opens the ports of one attachment, in a table that stands: a few elements, without looking at what there is.
 * To be done when the container can be reached. An element that is there already may stay.
 * @param device from {@link localnetDevice}
 */
export const planExpose = (ports: readonly HostPort[], device?: string): Op[] => [
  ...(device === undefined ? [] : [openLoopback(device)]),
  ...elementsOps('elements.add', elementsOf(ports)),
  ...ports.flatMap(forgetUntranslated),
]

/**
 * What closes them again; before the container goes, so that nobody is sent where another may be soon. The kernel
 * refuses all of it as `not-found` where somebody else took an element: {@link planHostPorts} puts that right.
 */
export const planConceal = (ports: readonly HostPort[]): Op[] => [
  ...elementsOps('elements.delete', elementsOf(ports)),
  ...ports.flatMap(forgetTranslated),
]

/** What makes the table and the links as wanted; nothing where they are so. Never a flush: what stays is not touched. */
export function planHostPorts(
  { ports, devices }: HostPortsDesired,
  actual: HostPortsActual | undefined,
  sysctls: ReadonlyMap<string, string>,
): Op[] {
  const { rebuild, before, after } = planStructure(HOSTPORTS_RULESET, actual?.structure)
  const desired = elementsOf(ports)
  const found = rebuild ? undefined : actual?.elements
  const sets = HOSTPORT_SETS.map((set) => ({ set, ...changes(desired.get(set) ?? [], found?.get(set.name) ?? []) }))
  return [
    ...before,
    ...elementsOps('elements.delete', new Map(sets.map(({ set, gone }) => [set, gone]))),
    ...elementsOps('elements.add', new Map(sets.map(({ set, come }) => [set, come]))),
    ...after,
    // Behind the rules that keep what is not the node's own from using it.
    ...devices.filter((device) => sysctls.get(localnetSysctl(device)) !== '1').map(openLoopback),
    ...flowsOps(sets),
  ]
}

/** What takes the table away: first what would be dangerous without it. */
export const planWithdraw = (devices: readonly string[]): Op[] => [
  ...devices.map((device): Op => ({ ...openLoopback(device), value: '0' })),
  { kind: 'table.delete', table: HOSTPORTS },
]

/** What of an attachment's ports is not as it was made, for people; nothing where all is well. */
export function* hostPortDifferences(
  ports: readonly HostPort[],
  actual: HostPortsActual | undefined,
): Generator<string> {
  if (ports.length === 0) return
  const { before, after } = planStructure(HOSTPORTS_RULESET, actual?.structure)
  if (before.length + after.length > 0) yield 'the table of host ports is not as it was made'
  for (const port of ports) {
    const { set, element } = translationOf(port)
    const found = (actual?.elements.get(set.name) ?? []).find(({ key }) => key.join() === element.key.join())
    if (found !== undefined && elementKey(found) === elementKey(element)) continue
    const { address, port: number } = port.target
    const instead = found === undefined ? 'nowhere' : dataText(found)
    yield `host port ${hostPortText(port)} leads ${instead}, not to ${address} port ${number}`
  }
  for (const [set, wanted] of elementsOf(ports)) {
    if (set.data !== undefined) continue
    const { come } = changes(wanted, actual?.elements.get(set.name) ?? [])
    for (const { key } of come) yield `clients in ${String(key[0])} do not get the answers of ${String(key[1])}`
  }
}

function dataText({ data }: Element): string {
  const [address, port] = data === undefined || 'verdict' in data ? [] : data
  return `to ${String(address)} port ${String(port)}`
}

/** The map that a host port stands in, and what stands there. */
function translationOf({ family, address, protocol, port, target }: HostPort): { set: SetSpec; element: Element } {
  const { atAddress, anywhere } = SETS[family.name]
  const data = [target.address, target.port]
  return address === undefined
    ? { set: anywhere, element: { key: [PROTOCOL[protocol], port], data } }
    : { set: atAddress, element: { key: [address, PROTOCOL[protocol], port], data } }
}

/** Of each set the elements that host ports need, each of them once. */
function elementsOf(ports: readonly HostPort[]): Map<SetSpec, Element[]> {
  const bySet = new Map<SetSpec, Map<string, Element>>(HOSTPORT_SETS.map((set) => [set, new Map<string, Element>()]))
  const put = (set: SetSpec, element: Element): void => void bySet.get(set)?.set(elementKey(element), element)
  for (const port of ports) {
    const { set, element } = translationOf(port)
    put(set, element)
    const { nearby } = SETS[port.family.name]
    put(nearby, between(port.nearby, port.target.address))
    if (isAtLoopback(port)) put(nearby, between(LOOPBACK, port.target.address))
  }
  return new Map([...bySet].map(([set, elements]) => [set, [...elements.values()]]))
}

/** What goes from a network to an address. */
function between(network: Cidr, address: string): Element {
  const last = bigIntToIp(network.family, cidrRange(network).last)
  const key = [network.address, address]
  return last === network.address ? { key } : { key, upTo: [last, address] }
}

/** An element with another value is another element. */
const elementKey = ({ key, upTo = key, data }: Element): string =>
  [...key, '-', ...upTo, ':', ...(data === undefined || 'verdict' in data ? [] : data)].join(' ')

function changes(desired: readonly Element[], found: readonly Element[]): { come: Element[]; gone: Element[] } {
  const { added, removed } = diff(keyBy(desired, elementKey), keyBy(found, elementKey), () => true)
  return { come: added.map(([, element]) => element), gone: removed.map(([, element]) => element) }
}

const elementsOps = (
  kind: 'elements.add' | 'elements.delete',
  bySet: ReadonlyMap<SetSpec, readonly Element[]>,
): NftOp[] =>
  [...bySet]
    .filter(([, elements]) => elements.length > 0)
    .map(([set, elements]) => ({ kind, table: HOSTPORTS, set, elements }))

/**
 * Connections of TCP are left alone: a new one starts with a new flow. A client of the others may use one port for
 * ever, and with it the flow as it was when it first sent.
 */
const LASTING: ReadonlySet<number> = new Set([PROTOCOL.UDP, PROTOCOL.SCTP])

type Way = Omit<FlowsOp, 'kind'>

const forget = (way: Way): FlowsOp[] => (LASTING.has(way.protocol) ? [{ kind: 'flows.delete', ...way }] : [])

const wayTo = ({ family, address, protocol, port }: HostPort): Way => ({
  family,
  protocol: PROTOCOL[protocol],
  port,
  ...(address === undefined ? {} : { address }),
})

const forgetUntranslated = (port: HostPort): FlowsOp[] => forget(wayTo(port))
const forgetTranslated = (port: HostPort): FlowsOp[] => forget({ ...wayTo(port), target: port.target })

/** Flows that follow elements which go, or do not yet follow those which come. */
const flowsOps = (sets: readonly { set: SetSpec; come: readonly Element[]; gone: readonly Element[] }[]): FlowsOp[] =>
  sets.flatMap(({ set, come, gone }) => {
    const family = familyOfMap(set)
    if (family === undefined) return []
    return [
      ...gone.flatMap((element) => forget({ ...wayOf(family, element), ...targetOf(element) })),
      ...come.flatMap((element) => forget(wayOf(family, element))),
    ]
  })

const familyOfMap = (set: SetSpec): Family | undefined =>
  FAMILIES.find(({ name }) => set === SETS[name].atAddress || set === SETS[name].anywhere)

function wayOf(family: Family, { key }: Element): Way {
  const [port, protocol, address] = key.toReversed()
  return {
    family,
    protocol: Number(protocol),
    port: Number(port),
    ...(address === undefined ? {} : { address: String(address) }),
  }
}

function targetOf({ data }: Element): Pick<Way, 'target'> {
  if (data === undefined || 'verdict' in data) return {}
  return { target: { address: String(data[0]), port: Number(data[1]) } }
}
