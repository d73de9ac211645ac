import { parseCidr, parseIpPrefix } from '../../../src/base/ip.js'
import { type Address } from '../../../src/codec/rtnl/address.js'
import { type Link } from '../../../src/codec/rtnl/link.js'
import { type Route } from '../../../src/codec/rtnl/route.js'
import { type Node } from '../../../src/model/node.js'
import { parseObject } from '../../../src/model/object.js'
import { planText } from '../../../src/ops/text.js'
import { planBridge } from '../../../src/routes/bridge.js'
import { desiredRoutes, planPeerRoutes } from '../../../src/routes/peers.js'
import { type Planner } from './section.js'

interface Input {
  readonly node: string
  /** MTU of the node's own link. */
  readonly mtu: number
  readonly nodes: readonly unknown[]
  /** What the kernel has. */
  readonly bridge?: { readonly up: boolean; readonly mtu: number; readonly mac: string; readonly addresses: string[] }
  readonly routes?: readonly { readonly to: string; readonly via: string; readonly protocol: number }[]
  readonly sysctls: Readonly<Record<string, string>>
}

const INDEX = 7

export const routesPlans: Planner = ([document]) => {
  const input = document as Input
  const nodes = input.nodes.map((value) => parseObject(value) as Node)
  const self = nodes.find(({ name }) => name === input.node)
  const { routes, problems } = desiredRoutes(nodes, input.node)
  const bridge = planBridge(
    { name: 'netloom0', subnets: self?.podCIDRs ?? [], mtu: input.mtu },
    {
      link: linkOf(input.bridge),
      addresses: (input.bridge?.addresses ?? []).map((text) => ({ ...parseIpPrefix(text), index: INDEX }) as Address),
      sysctls: new Map(Object.entries(input.sysctls)),
    },
  )
  return [
    { title: 'the bridge', plan: planText(bridge) },
    { title: 'routes to the other nodes', plan: planText(planPeerRoutes(routes, (input.routes ?? []).map(routeOf))) },
    { title: 'problems', plan: problems.map((problem) => `# ${problem}\n`).join('') },
  ]
}

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
