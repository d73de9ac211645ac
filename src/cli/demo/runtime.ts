import { execFile } from 'node:child_process'
import { type Ip, parseIpPrefix } from '../../base/ip.js'
import { NetloomError } from '../../base/errors.js'
import { namespacePath } from '../../kernel/netns.js'
import { type Pod } from '../../model/pod.js'
import { Cursor } from '../../model/cursor.js'
import { keyOf } from '../../model/meta.js'
import { containerId } from './identity.js'

/** What a container runtime does: calls the CNI executable for each pod (CNI specification 1.1.0, section 2). */

export interface RuntimeOptions {
  /** The CNI executable. */
  readonly executable: string
  /** Socket of the agent of a node. */
  readonly socketOf: (node: string) => string
}

export interface Sandbox {
  readonly pod: Pod
  readonly node: string
  /** Name of its network namespace. */
  readonly namespace: string
}

const TIMEOUT_MS = 30_000
const INTERFACE = 'eth0'

export class Runtime {
  readonly #options: RuntimeOptions

  constructor(options: RuntimeOptions) {
    this.#options = options
  }

  /** Attaches a pod. @returns its addresses as the plugin's result has them */
  async add(sandbox: Sandbox): Promise<Ip[]> {
    const output = await this.#call('ADD', sandbox)
    return parseResult(output)
  }

  async delete(sandbox: Sandbox): Promise<void> {
    await this.#call('DEL', sandbox)
  }

  #call(command: 'ADD' | 'DEL', { pod, node, namespace }: Sandbox): Promise<string> {
    const { executable, socketOf } = this.#options
    // Nobody replaces agents here: one that has gone is gone, and so the demo ends at once.
    const own = { agentSocket: socketOf(node), agentWait: '0s' }
    const config = { cniVersion: '1.1.0', name: 'netloom', type: 'netloom', ...own }
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId(keyOf(pod)),
      CNI_NETNS: namespacePath(namespace),
      CNI_IFNAME: INTERFACE,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name}`,
      CNI_PATH: executable.slice(0, executable.lastIndexOf('/')),
    }
    return new Promise((resolve, reject) => {
      const child = execFile(executable, [], { env, timeout: TIMEOUT_MS }, (error, stdout) => {
        if (error === null) resolve(stdout)
        else
          reject(new NetloomError('unavailable', `CNI ${command} of ${keyOf(pod)}: ${reason(stdout) ?? error.message}`))
      })
      // A plugin that ends without reading breaks the pipe; its own error says more.
      child.stdin?.on('error', () => undefined)
      child.stdin?.end(JSON.stringify(config))
    })
  }
}

/** The text of an error of the specification, section 5; undefined where the output is none. */
function reason(output: string): string | undefined {
  try {
    const { msg, details } = JSON.parse(output) as { msg?: string; details?: string }
    if (msg === undefined) return undefined
    return details === undefined || details === '' ? msg : `${msg}: ${details}`
  } catch {
    return undefined
  }
}

/** The addresses of an ADD result. @throws NetloomError `invalid` where it is none */
export function parseResult(output: string): Ip[] {
  const result = new Cursor(JSON.parse(output))
  return result.field('ips').list((ip) => {
    const { family, address } = ip.field('address').address(parseIpPrefix)
    return { family, address }
  }) as Ip[]
}
