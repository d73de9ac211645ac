import { LOG_LEVELS } from '../base/log.js'
import {
  DEFAULT_CONFLIST,
  DEFAULT_HEALTH_PORT,
  DEFAULT_SOCKET,
  DEFAULT_STATE_DIR,
  DEFAULT_VXLAN,
  VARIABLE_PREFIX,
} from '../base/names.js'
import { invalid } from '../base/errors.js'
import { ROUTE_MODES, type RouteMode } from '../routes/routing.js'
import {
  autoKind,
  BOOLEAN,
  CIDRS,
  CONFLIST_NAME,
  durationKind,
  integerKind,
  type Kind,
  LINK_PATTERNS,
  LISTEN_ADDRESS,
  type ListenAddress,
  NAME,
  oneOf,
  PATH,
  SOURCE,
  type SourceSetting,
} from './setting-kind.js'

/** What a machine says of itself before anybody sets anything. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly hostname: string
  /** Namespace of the pod that this process is in, where it is in one. */
  readonly namespace: string | undefined
}

/** What a default may follow from. */
export interface DefaultContext extends Surroundings {
  /** The source, which is settled first; undefined while it is not. */
  readonly source: SourceSetting | undefined
}

/** One setting of the agent: a flag, a variable and a key of the file. */
export interface Setting<K, D> {
  readonly kind: Kind<K>
  /** Where nobody set it. */
  readonly fallback: (context: DefaultContext) => D
  /** What the help says of the default, where it is no plain value. */
  readonly fallbackText: string | undefined
  readonly help: string
}

const setting = <K, const D = K>(kind: Kind<K>, help: string, fallback: D): Setting<K, D> => ({
  kind,
  help,
  fallback: () => fallback,
  fallbackText: undefined,
})

/** A setting whose default follows from something. */
const following = <K, const D = K>(
  kind: Kind<K>,
  help: string,
  fallbackText: string,
  fallback: (context: DefaultContext) => D,
): Setting<K, D> => ({ kind, help, fallback, fallbackText })

/** Kubernetes tells every container where its API server is. */
export const isInCluster = ({ env }: Pick<Surroundings, 'env'>): boolean =>
  (env['KUBERNETES_SERVICE_HOST'] ?? '') !== ''

function sourceInCluster(context: DefaultContext): SourceSetting {
  if (isInCluster(context)) return { kind: 'api' }
  throw invalid('--source', 'is needed outside of a cluster: dir:PATH, or api with --kubeconfig')
}

const nodeName = ({ env, hostname }: DefaultContext): string => env['NODE_NAME'] || hostname.toLowerCase()

const healthAddress = (context: DefaultContext): ListenAddress | 'off' =>
  isInCluster(context) ? { host: '127.0.0.1', port: DEFAULT_HEALTH_PORT } : 'off'

/** Everything that can be set, in the order of the help. The source is first: others follow from it. */
export const SETTINGS = {
  source: following(SOURCE, 'the API server, or a folder of objects in YAML', 'api in a cluster', sourceInCluster),
  kubeconfig: setting(PATH, 'how to reach the API server from outside of the cluster', undefined),
  node: following(NAME, 'the Node object that this machine is', 'NODE_NAME, else the host name', nodeName),
  socket: setting(PATH, 'unix socket to listen on', DEFAULT_SOCKET),
  stateDir: setting(PATH, 'where leases are kept', DEFAULT_STATE_DIR),
  masqueradeExcept: setting(CIDRS, "networks that are reached with pods' own addresses", []),
  routeMode: following(
    oneOf(ROUTE_MODES),
    "how other nodes' pods are reached",
    'auto from the API, direct from a folder',
    ({ source }): RouteMode => (source?.kind === 'api' ? 'auto' : 'direct'),
  ),
  vxlanPort: setting(integerKind(1, 65_535), 'UDP port of tunnels to other nodes', DEFAULT_VXLAN.port),
  vxlanVni: setting(integerKind(1, 0xff_ffff), 'number of the network in these tunnels', DEFAULT_VXLAN.vni),
  mtu: setting(autoKind(576, 65_535), "MTU of pods' links; auto follows the node's own links", 'auto'),
  nodeInterface: setting(LINK_PATTERNS, 'links whose addresses other nodes use, as eth*; else the InternalIPs', []),
  nodeCidr: setting(CIDRS, 'the same, by the networks that these addresses are in', []),
  clusterNetworks: setting(CIDRS, 'claim pod networks out of these, where nobody sets spec.podCIDRs', []),
  nodePrefixLengthIpv4: setting(integerKind(8, 30), 'size of a claimed network', 24),
  nodePrefixLengthIpv6: setting(integerKind(32, 124), 'size of a claimed network', 64),
  claimNamespace: following(
    NAME,
    'where the Leases of claims are',
    "the agent's own, else kube-system",
    ({ namespace }) => namespace ?? 'kube-system',
  ),
  cniBinDir: setting(PATH, 'install the CNI executable into this folder', undefined),
  cniConfDir: setting(PATH, 'install the list of plugins into this folder, once the agent is ready', undefined),
  cniConfName: setting(CONFLIST_NAME, 'its file name; runtimes take the first by name', DEFAULT_CONFLIST),
  cniMode: setting(oneOf(['bridge', 'ptp']), 'how it attaches pods', 'bridge'),
  cniWait: setting(durationKind(60_000), 'how long a CNI call waits for an agent that is being replaced', 10_000),
  healthAddress: following(
    LISTEN_ADDRESS,
    'where probes are answered',
    `127.0.0.1:${DEFAULT_HEALTH_PORT} in a cluster, else off`,
    healthAddress,
  ),
  logLevel: setting(oneOf(LOG_LEVELS), LOG_LEVELS.join(', '), 'info'),
  stopOnStdinEnd: setting(BOOLEAN, 'stop when standard input ends, for a supervisor that may be killed', false),
} as const

export type SettingKey = keyof typeof SETTINGS

type ValueOf<S> = S extends Setting<infer K, infer D> ? K | D : never

/** All settings with their values. */
export type AgentSettings = { readonly [K in SettingKey]: ValueOf<(typeof SETTINGS)[K]> }

export const SETTING_KEYS = Object.keys(SETTINGS) as SettingKey[]

/** `routeMode` is `route-mode` in a file, `--route-mode` on the command line, `NETLOOM_ROUTE_MODE` in the environment. */
export const nameOf = (key: SettingKey): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

export const flagOf = (key: SettingKey): string => `--${nameOf(key)}`

export const variableOf = (key: SettingKey): string =>
  `${VARIABLE_PREFIX}${nameOf(key).toUpperCase().replaceAll('-', '_')}`
