import {
  hostPortDifferences,
  type HostPortsActual,
  localnetDevice,
  localnetSysctl,
  planConceal,
  planExpose,
  planHostPorts,
} from '../hostports/plan.js'
import { HOSTPORTS, HOSTPORTS_RULESET } from '../hostports/layout.js'
import { type HostPortRegistry } from '../hostports/registry.js'
import { observeLinks, observeSysctls, observeTable } from '../kernel/observe.js'
import { type Lease } from '../model/lease.js'
import { type Kept } from './keeper.js'
import { type Kernel } from './kernel.js'

export interface HostPortsSeen {
  readonly table: HostPortsActual | undefined
  /** Names of the links that are there. */
  readonly links: ReadonlySet<string>
}

/**
 * Ports of the node that lead to containers, as a {@link Kept} feature.
 * @param registry says which of a lease's ports it has
 */
export const hostPorts = ({ route, netfilter }: Kernel, registry: HostPortRegistry): Kept<HostPortsSeen> => ({
  name: 'host ports',
  tables: [HOSTPORTS],
  observe: async () => ({
    table: await observeTable(netfilter, HOSTPORTS_RULESET),
    links: new Set((await observeLinks(route)).keys()),
  }),
  planAll: (leases, { table, links }) => {
    const devices = new Set(leases.flatMap((lease) => localnetDevice(lease, registry.of(lease)) ?? []))
    // One whose link is gone is about to be released, and needs none.
    const present = [...devices].filter((device) => links.has(device))
    return planHostPorts(
      { ports: leases.flatMap((lease) => registry.of(lease)), devices: present },
      table,
      observeSysctls(present.map(localnetSysctl)),
    )
  },
  planAdd: (lease) => {
    const ports = registry.of(lease)
    return ports.length === 0 ? [] : planExpose(ports, localnetDevice(lease, ports))
  },
  planRemove: (lease: Lease) => planConceal(registry.of(lease)),
  differences: (lease, { table }) => hostPortDifferences(registry.of(lease), table),
})
