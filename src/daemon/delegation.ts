import { type Logger } from '../base/log.js'
import { type DelegatedCommand } from '../cni/delegate.js'
import { delegate } from '../cni/delegate-io.js'
import { type CniRequest } from '../cni/request.js'
import { type CniResult } from '../cni/result.js'

/** How long another plugin may take: less than the executable waits for us. */
const TIMEOUT_MS = 20_000

/** Addresses of another plugin's IPAM: the verbs of a call, for the plugin that its configuration names (`ipam.type`). */
export class Delegation {
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * What the plugin gave; undefined where the addresses are ours to give. What it gave halfway is given back.
   * @throws PluginFailure with the plugin's own error, NetloomError where it cannot be run
   */
  add(request: CniRequest): Promise<CniResult | undefined> {
    return this.#call('ADD', request)
  }

  /** Gives back what {@link add} answered, where the rest of the attachment failed; the runtime calls DEL all the same. */
  async undo(request: CniRequest): Promise<void> {
    try {
      await this.#call('DEL', request)
    } catch (error) {
      this.#log.error({ err: error, plugin: request.config.delegate }, 'addresses could not be given back')
    }
  }

  /** @throws PluginFailure, NetloomError */
  async del(request: CniRequest): Promise<void> {
    await this.#call('DEL', request)
  }

  /** @throws PluginFailure, NetloomError */
  async check(request: CniRequest): Promise<void> {
    await this.#call('CHECK', request)
  }

  /** @throws PluginFailure, NetloomError */
  async gc(request: CniRequest): Promise<void> {
    await this.#call('GC', request)
  }

  /** @throws PluginFailure, NetloomError */
  async status(request: CniRequest): Promise<void> {
    await this.#call('STATUS', request)
  }

  async #call(command: DelegatedCommand, { config, environment }: CniRequest): Promise<CniResult | undefined> {
    const { delegate: type, cniVersion, bytes } = config
    if (type === undefined) return undefined
    return delegate({
      type,
      command,
      cniVersion,
      env: {
        ...given('containerId', environment['CNI_CONTAINERID']),
        ...given('netns', environment['CNI_NETNS']),
        ...given('ifname', environment['CNI_IFNAME']),
        ...given('args', environment['CNI_ARGS']),
        ...given('path', environment['CNI_PATH']),
      },
      config: bytes,
      timeoutMs: TIMEOUT_MS,
      log: (line) => this.#log.info({ plugin: type }, line),
    })
  }
}

const given = <K extends string>(name: K, value: string | undefined): { [P in K]?: string } =>
  value === undefined ? {} : ({ [name]: value } as { [P in K]?: string })
