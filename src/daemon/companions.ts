import { antispoof } from './antispoof.js'
import { bandwidth } from './bandwidth.js'
import { isolation } from './isolation.js'
import { Keeper, type KeeperOptions, type Keeping } from './keeper.js'

/** What the node keeps for attachments beside their links. */
export interface Companions {
  /** Made before a container's link, taken away behind it. */
  readonly guards: readonly Keeping[]
  /** Made when a container is attached, taken away before its link. */
  readonly extras: readonly Keeping[]
  /** What stands on the bridge, and goes with it. */
  readonly onBridge: readonly Keeping[]
}

export function companions(options: KeeperOptions): Companions {
  const limits = new Keeper(bandwidth(options.kernel), options)
  const guards = [new Keeper(antispoof(options.kernel), options), new Keeper(isolation(options.kernel), options)]
  return { guards, extras: [limits], onBridge: [limits] }
}
