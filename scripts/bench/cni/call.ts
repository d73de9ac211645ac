import { dirname } from 'node:path'
import { containerId } from '../../../src/cli/demo/identity.js'

/** What a container runtime gives to a CNI plugin, and the network configurations that are compared. */

/** A version that netloom and every release of the reference plugins since 2021 speak. */
const CNI_VERSION = '1.0.0'

/** For iptables, which the bridge plugin runs; a user's own PATH may lack the folders for administrators. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface Call {
  readonly command: 'ADD' | 'DEL' | 'STATUS' | 'VERSION'
  readonly executable: string
  /** Of the pod; none for STATUS and VERSION, which are about no pod. */
  readonly pod?: { readonly name: string; readonly netns: string } | undefined
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

export type NetworkConfiguration = Readonly<Record<string, unknown>>

export const netloomConfiguration = (agentSocket: string): NetworkConfiguration => ({
  cniVersion: CNI_VERSION,
  name: 'bench',
  type: 'netloom',
  agentSocket,
})

export interface BridgeOptions {
  /** Pod network, ADDRESS/PREFIX. */
  readonly subnet: string
  readonly masquerade: boolean
  /** Where host-local keeps its addresses. */
  readonly dataDir: string
}

/** What netloom does of itself: a bridge with the gateway's address, a default route, masquerade for what leaves. */
export const bridgeConfiguration = ({ subnet, masquerade, dataDir }: BridgeOptions): NetworkConfiguration => ({
  cniVersion: CNI_VERSION,
  name: 'bench',
  type: 'bridge',
  bridge: 'cni0',
  isGateway: true,
  ipMasq: masquerade,
  ipam: { type: 'host-local', dataDir, ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] },
})
