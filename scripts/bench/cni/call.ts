import { dirname } from 'node:path'
import { containerId } from '../../../src/cli/demo/identity.js'
import { type Capability } from './contenders.js'
import { type PodNamespace } from './namespaces.js'

/** What a container runtime gives to CNI plugins, and the network configurations that are compared. */

type Command = 'ADD' | 'DEL' | 'STATUS' | 'VERSION'

/** A version that netloom and every release of the reference plugins since 2021 speak; STATUS came with a later one. */
const versionFor = (command: Command): string => (command === 'STATUS' ? '1.1.0' : '1.0.0')

/** For iptables, which the reference plugins run; a user's own PATH may lack the folders for administrators. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export type Pod = Pick<PodNamespace, 'name' | 'netns' | 'number'>

export interface Call {
  readonly command: Command
  readonly executable: string
  /** None for STATUS and VERSION, which are about no pod. */
  readonly pod?: Pod | undefined
}

/** The whole environment of a plugin (CNI specification 1.0.0, "Parameters"). */
export const environment = ({ command, executable, pod }: Call): Record<string, string> => ({
  PATH: SYSTEM_PATH,
  CNI_COMMAND: command,
  CNI_PATH: dirname(executable),
  ...(pod === undefined
    ? {}
    : {
        CNI_CONTAINERID: containerId(pod.name),
        CNI_NETNS: pod.netns,
        CNI_IFNAME: 'eth0',
        CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.name}`,
      }),
})

/** The configuration of one plugin, without what is about one pod. */
export interface Plugin {
  readonly type: string
  readonly capabilities?: readonly Capability[]
  readonly [key: string]: unknown
}

export const CONTAINER_PORT = 8080

/** Below the ports that the kernel itself gives to clients, and another one for each pod of a run. */
export const hostPortOf = ({ number }: Pick<Pod, 'number'>): number => 10_000 + (number % 20_000)

/** Bits per second, and bits at once: slow enough to be noticed by who tries it. */
export const LIMIT = { rate: 8_000_000, burst: 262_144 } as const

const VALUES: Readonly<Record<Capability, (pod: Pod) => unknown>> = {
  portMappings: (pod) => [{ hostPort: hostPortOf(pod), containerPort: CONTAINER_PORT, protocol: 'tcp' }],
  bandwidth: () => ({
    ingressRate: LIMIT.rate,
    ingressBurst: LIMIT.burst,
    egressRate: LIMIT.rate,
    egressBurst: LIMIT.burst,
  }),
}

export interface Occasion {
  readonly command: Command
  readonly pod?: Pod | undefined
  /** What the plugins before have answered. */
  readonly previous?: string | undefined
}

/**
 * What a plugin reads: its configuration, and what the runtime puts into it ("Deriving execution configuration from
 * plugin configuration"). A result is put in as it came: to read and write it is work that not every runtime would do.
 */
export function inputFor({ capabilities = [], ...plugin }: Plugin, { command, pod, previous }: Occasion): string {
  const able = Object.fromEntries(capabilities.map((name) => [name, true]))
  const given = pod === undefined ? {} : Object.fromEntries(capabilities.map((name) => [name, VALUES[name](pod)]))
  const whole = {
    cniVersion: versionFor(command),
    name: 'bench',
    ...plugin,
    ...(capabilities.length === 0 ? {} : { capabilities: able, runtimeConfig: given }),
  }
  const text = JSON.stringify(whole)
  return previous === undefined ? text : `${text.slice(0, -1)},"prevResult":${previous}}`
}

export const netloomPlugin = (agentSocket: string, capabilities: readonly Capability[]): Plugin => ({
  type: 'netloom',
  agentSocket,
  capabilities,
})

/** @param subnet pod network, ADDRESS/PREFIX @param program what the executable starts where there is no agent */
export const standalonePlugin = (subnet: string, program: string): Plugin => ({
  type: 'netloom',
  agent: 'off',
  program,
  ipam: { type: 'netloom', ranges: [[{ subnet }]] },
})

export interface ChainOptions {
  /** Pod network, ADDRESS/PREFIX. */
  readonly subnet: string
  /** Where host-local keeps its addresses. */
  readonly dataDir: string
  readonly capabilities: readonly Capability[]
}

/** The reference plugin that has a capability. */
const PLUGIN_WITH: Readonly<Record<Capability, string>> = { portMappings: 'portmap', bandwidth: 'bandwidth' }

/** What netloom does of itself: a bridge with the gateway's address, a default route, masquerade for what leaves. */
export const referenceChain = ({ subnet, dataDir, capabilities }: ChainOptions): readonly Plugin[] => [
  {
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    ipMasq: true,
    ipam: { type: 'host-local', dataDir, ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] },
  },
  ...capabilities.map((name) => ({ type: PLUGIN_WITH[name], capabilities: [name] })),
]
