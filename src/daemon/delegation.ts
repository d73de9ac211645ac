import { type CniRequest } from '../cni/request.js'
import { type CniResult } from '../cni/result.js'

/** Addresses of another plugin's IPAM: the verbs of a call, for the plugin that its configuration names (`ipam.type`). */
export class Delegation {
  /** What the plugin gave; undefined where the addresses are ours to give. */
  async add(_request: CniRequest): Promise<CniResult | undefined> {
    return Promise.resolve(undefined)
  }
  async undo(_request: CniRequest): Promise<void> {
    await Promise.resolve()
  }
  async del(_request: CniRequest): Promise<void> {
    await Promise.resolve()
  }
  async check(_request: CniRequest): Promise<void> {
    await Promise.resolve()
  }
  async gc(_request: CniRequest): Promise<void> {
    await Promise.resolve()
  }
}
