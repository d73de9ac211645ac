import { parseCidr, parseIp, parseIpPrefix } from '../../../src/base/ip.js'
import { TUNNELS } from '../../../src/base/names.js'
import { type Address } from '../../../src/codec/rtnl/address.js'
import { type Link } from '../../../src/codec/rtnl/link.js'
import { type Route } from '../../../src/codec/rtnl/route.js'
import { type Node } from '../../../src/model/node.js'
import { parseObject } from '../../../src/model/object.js'
import { planText } from '../../../src/ops/text.js'
import { planBridge } from '../../../src/routes/bridge.js'
import { selectNodeAddresses } from '../../../src/routes/node-addresses.js'
import { PeerCatalog } from '../../../src/routes/peers.js'
import { observedWays, planWays, waysOf } from '../../../src/routes/plan.js'
import { DEFAULT_ROUTING, type RouteMode } from '../../../src/routes/routing.js'
import { desiredTunnels, planTunnel, vtepMac } from '../../../src/routes/tunnel.js'
import { podMtu, underlaysOf } from '../../../src/routes/underlay.js'
import { type Planner } from './section.js'

interface Input {
  readonly node: string
  readonly mode?: RouteMode
  /** MTU of the node's own link. */
  readonly mtu: number
  /** Addresses on that link. */
  readonly uplink?: readonly string[]
  readonly nodes: readonly unknown[]
  /** What the kernel has. */
  readonly bridge?: { readonly up: boolean; readonly mtu: number; readonly mac: string; readonly addresses: string[] }
  readonly routes?: readonly { readonly to: string; readonly via: string; readonly protocol: number }[]
  /** What there is of tunnels: `node` is whose end it is. */
  readonly vteps?: readonly { readonly node: string; readonly device: string; readonly remote: string }[]
  readonly sysctls: Readonly<Record<string, string>>
}

const INDEX = 7
const UPLINK = 2
/** Indexes of the tunnel devices. */
const NAMES = new Map(Object.values(TUNNELS).map((name, i) => [20 + i, name]))

export const routesPlans: Planner = ([document]) => {
  const input = document as Input
  const routing = { ...DEFAULT_ROUTING, mode: input.mode ?? 'direct' }
  const nodes = input.nodes.map((value) => parseObject(value) as Node)
  const self = nodes.find(({ name }) => name === input.node)
  const subnets = self?.podCIDRs ?? []
  const links = new Map([[UPLINK, { name: 'eth0', mtu: input.mtu, loopback: false }]])
  const uplink = (input.uplink ?? []).map((text) => ({ ...parseIpPrefix(text), index: UPLINK }) as Address)
  const own =
    self === undefined ? [] : selectNodeAddresses(self, {}, { addresses: uplink, links, own: new Set() }).addresses
  const underlays = underlaysOf(own, uplink, links)
  const catalog = new PeerCatalog(input.node)
  catalog.move({ mode: routing.mode, subnets, underlays })
  for (const node of nodes) catalog.set(node.name, node)
  const bridge = planBridge(
    { name: 'netloom0', subnets, mtu: underlays.length === 0 ? input.mtu : podMtu(routing, underlays) },
    {
      link: linkOf(input.bridge),
      addresses: (input.bridge?.addresses ?? []).map((text) => ({ ...parseIpPrefix(text), index: INDEX }) as Address),
      sysctls: new Map(Object.entries(input.sysctls)),
    },
  )
  const tunnels = desiredTunnels({ node: input.node, routing, subnets, underlays })
  return [
    { title: 'the bridge', plan: planText(bridge) },
    ...tunnels.map((tunnel) => ({
      title: `tunnels over ${tunnel.family.kubernetes}`,
      plan: planText(planTunnel(tunnel, { link: undefined, addresses: [], sysctls: new Map() })),
    })),
    {
      title: 'ways to the other nodes',
      plan: planText(planWays(waysOf(catalog.routes()), observedWays({ ...observed(input), names: NAMES }))),
    },
    {
      title: 'problems',
      plan: catalog
        .problems()
        .map((problem) => `# ${problem}\n`)
        .join(''),
    },
  ]
}

const observed = ({ routes = [], vteps = [] }: Input) => ({
  routes: routes.map(routeOf),
  neighbours: [],
  vteps: vteps.map(({ node, device, remote }) => ({
    index: [...NAMES].find(([, name]) => name === device)?.[0] ?? 0,
    mac: vtepMac(node),
    destination: parseIp(remote).address,
    state: 0x80,
    flags: 0x2,
  })),
})

const linkOf = (bridge: Input['bridge']): Link | undefined =>
  bridge === undefined
    ? undefined
    : { ...bridge, index: INDEX, name: 'netloom0', kind: 'bridge', running: bridge.up, loopback: false, group: 0 }

function routeOf({ to, via, protocol }: NonNullable<Input['routes']>[number]): Route {
  const destination = parseCidr(to)
  return {
    family: destination.family,
    destination,
    gateway: via,
    protocol,
    table: 254,
    ...(destination.family.bytes === 16 ? { priority: 1024 } : {}),
    tos: 0,
    scope: 0,
    type: 1,
    onlink: false,
    dead: false,
    cloned: false,
    multipath: false,
    nextHops: [],
  }
}
