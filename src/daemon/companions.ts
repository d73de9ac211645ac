import { antispoof } from './antispoof.js'
import { bandwidth } from './bandwidth.js'
import { isolation } from './isolation.js'
import { hostPorts } from './hostports.js'
import { HostPortRegistry } from '../hostports/registry.js'
import { Keeper, type KeeperOptions, type Keeping } from './keeper.js'

/** What the node keeps for attachments beside their links. */
export interface Companions {
  /** Made before a container's link, taken away behind it. */
  readonly guards: readonly Keeping[]
  /** Made when a container is attached, taken away before its link. */
  readonly extras: readonly Keeping[]
  /** Who has which port of the node. */
  readonly ports: HostPortRegistry
  /** What stands on the bridge, and goes with it. */
  readonly onBridge: readonly Keeping[]
}

export function companions(options: KeeperOptions): Companions {
  const { kernel } = options
  const ports = registryOf(options)
  const limits = new Keeper(bandwidth(kernel), options)
  const exposed = new Keeper(hostPorts(kernel, ports), options)
  return {
    ports,
    guards: [new Keeper(antispoof(kernel), options), new Keeper(isolation(kernel), options)],
    extras: [limits, exposed],
    // The setting that lets 127.0.0.1 be used is the bridge's as well.
    onBridge: [limits, exposed],
  }
}

/** What a salvaged journal has twice is the first one's: the other lease may have been released. */
function registryOf({ leases, log }: KeeperOptions): HostPortRegistry {
  const registry = new HostPortRegistry()
  for (const lease of leases())
    try {
      registry.claim(lease)
    } catch (error) {
      log.error({ err: error, containerId: lease.containerId }, 'a container does not get its host ports back')
    }
  return registry
}
