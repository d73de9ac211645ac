import { parseCidr, parseIpPrefix } from '../../src/base/ip.js'
import { type DemoNode } from '../../src/cli/demo/layout.js'
import { Place } from '../../src/cli/demo/place.js'
import { createNamespace } from '../../src/kernel/netns.js'
import { type Routing } from '../../src/routes/routing.js'
import { run } from './namespaces.js'

/** What lies between nodes, as data. Segments are bridges in the test's own namespace, all else is a namespace each. */
export interface Topology {
  /** By name: a host of the test's own namespace on it, outside of all nodes and pods. */
  readonly segments: Readonly<Record<string, readonly string[]>>
  /** Forward between segments, and know nothing but these: addresses by the segment's name. */
  readonly routers?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
  readonly nodes: readonly TopologyNode[]
  /** Bytes of every link; 1500 unless given. */
  readonly mtu?: number
}

export interface TopologyNode {
  readonly name: string
  /** By name: the segment that a link is on, and its addresses with prefixes. */
  readonly links: Readonly<Record<string, { readonly segment: string; readonly addresses: readonly string[] }>>
  /** Default routes; none for a family without. */
  readonly routers: readonly string[]
  readonly podCIDRs: readonly string[]
  /** InternalIPs; all addresses of the links unless given. */
  readonly internalIPs?: readonly string[]
  readonly routing?: LabRouting
  /** Set when its links are there, and before its agent starts. */
  readonly sysctls?: Readonly<Record<string, string>>
}

/** Routing as a command line says it. */
export interface LabRouting extends Partial<Omit<Routing, 'select'>> {
  readonly select?: { readonly interfaces?: readonly string[]; readonly cidrs?: readonly string[] }
}

/** The flags of an agent for it. */
export function routingArguments({ mode, vxlan, mtu, select = {} }: LabRouting): string[] {
  const flags: Readonly<Record<string, readonly (string | number | undefined)[]>> = {
    'route-mode': [mode],
    'vxlan-vni': [vxlan?.vni],
    'vxlan-port': [vxlan?.port],
    mtu: [mtu],
    'node-interface': select.interfaces ?? [],
    'node-cidr': select.cidrs ?? [],
  }
  return Object.entries(flags).flatMap(([name, values]) =>
    values.flatMap((value) => (value === undefined ? [] : [`--${name}`, String(value)])),
  )
}

/** Runs `ip` and answers what it printed; throws with its words where it refuses. */
export function ip(...args: readonly string[]): string {
  const { status, stdout, stderr } = run('ip', args)
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  return stdout
}

/** Runs a program in a namespace. */
export function inside(namespace: string, ...command: readonly string[]) {
  return run('ip', ['netns', 'exec', namespace, ...command])
}

const sysctl = (namespace: string, settings: Readonly<Record<string, string>>): void => {
  const { status, stderr } = inside(
    namespace,
    'sysctl',
    '-qw',
    ...Object.entries(settings).map(([key, value]) => `${key}=${value}`),
  )
  if (status !== 0) throw new Error(stderr)
}

const FORWARDING = { 'net.ipv4.ip_forward': '1', 'net.ipv6.conf.all.forwarding': '1' }
/**
 * Else the first packets to others would wait for the search for duplicates, and a second address would go with the
 * first.
 */
const HOST = {
  'net.ipv4.conf.all.promote_secondaries': '1',
  'net.ipv6.conf.all.accept_dad': '0',
  'net.ipv6.conf.default.accept_dad': '0',
}

interface Plug {
  readonly namespace: string
  readonly link: string
  readonly segment: string
  readonly addresses: readonly string[]
  readonly mtu: number
}

/** A link of a namespace on a segment. */
function plug({ namespace, link, segment, addresses, mtu }: Plug): void {
  const far = `${namespace.slice(0, 8)}-${link.slice(0, 6)}`
  const size = String(mtu)
  ip('link', 'add', far, 'mtu', size, 'type', 'veth', 'peer', 'name', link, 'netns', namespace, 'mtu', size)
  ip('link', 'set', far, 'master', segment, 'up')
  ip('-n', namespace, 'link', 'set', link, 'up')
  for (const address of addresses) ip('-n', namespace, 'address', 'add', address, 'dev', link, ...nodad(address))
}

const nodad = (address: string): string[] => (address.includes(':') ? ['nodad'] : [])

/** Brings all up. @returns the nodes' namespaces in their order */
export function raiseTopology({ segments, routers = {}, nodes, mtu = 1500 }: Topology): Place[] {
  ip('link', 'set', 'lo', 'up')
  for (const [segment, addresses] of Object.entries(segments)) {
    ip('link', 'add', segment, 'mtu', String(mtu), 'type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0')
    ip('link', 'set', segment, 'up')
    for (const address of addresses) ip('address', 'add', address, 'dev', segment, ...nodad(address))
  }
  for (const [router, links] of Object.entries(routers)) {
    createNamespace(router)
    sysctl(router, { ...FORWARDING, ...HOST })
    for (const [segment, addresses] of Object.entries(links))
      plug({ namespace: router, link: segment, segment, addresses, mtu })
  }
  return nodes.map(({ name, links, routers: gateways, sysctls }) => {
    const place = new Place(createNamespace(name))
    ip('-n', name, 'link', 'set', 'lo', 'up')
    sysctl(name, HOST)
    for (const [link, { segment, addresses }] of Object.entries(links))
      plug({ namespace: name, link, segment, addresses, mtu })
    if (sysctls !== undefined) sysctl(name, sysctls)
    for (const gateway of gateways) ip('-n', name, 'route', 'add', 'default', 'via', gateway)
    return place
  })
}

/** Takes all away again, pods too, so that the next one may have the same names. */
export function clearTopology(): void {
  const links = JSON.parse(ip('-j', 'link')) as { readonly ifname: string }[]
  // Not with their namespaces: these go some time later.
  for (const { ifname } of links) if (ifname !== 'lo') ip('link', 'delete', ifname)
  for (const line of ip('netns').split('\n')) if (line !== '') ip('netns', 'delete', line.split(' ')[0] ?? '')
}

export const demoNode = ({ name, links, podCIDRs, internalIPs }: TopologyNode): DemoNode => ({
  name,
  addresses: (internalIPs ?? Object.values(links).flatMap(({ addresses }) => addresses)).map((text) =>
    parseIpPrefix(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`),
  ),
  podCIDRs: podCIDRs.map((text) => parseCidr(text)),
})
