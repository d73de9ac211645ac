import { createLog, type Logger } from '../base/log.js'
import { Agent } from '../daemon/agent.js'
import { type ClusterOptions } from '../daemon/cluster.js'
import { conflistText } from '../daemon/conflist.js'
import { Health, type Readiness } from '../daemon/health.js'
import { type InstallationPlan } from '../daemon/installation.js'
import { type AgentSettings } from '../daemon/settings.js'
import { loadSettings } from '../daemon/settings-io.js'
import { VERSION } from '../daemon/version.js'
import { findAccess } from '../kube/api/find-access.js'
import { HttpApiClient } from '../kube/api/http-client.js'
import { ApiSource } from '../kube/api/source.js'
import { DirectorySource } from '../kube/directory.js'
import { type Source } from '../kube/source.js'
import { type Routing } from '../routes/routing.js'
import { clusterNetworksOf } from '../subnets/networks.js'
import { type Command, EXIT, type ExitCode, type OptionValues } from './command.js'
import { PLUGIN } from './demo/installation.js'
import { optionsText, SETTING_OPTIONS, settingRows, settingsJson, settingsText } from './settings-text.js'

const HELP = `Usage: netloom agent [OPTION]...

Runs the agent of one node: it answers the CNI executable, and keeps the node's bridge, its routes to the other nodes,
masquerade and Services as the source of truth wants them. When it stops, what it made stays and traffic flows on.

${optionsText([
  ...settingRows(),
  ['--config PATH', 'file with any of the above in YAML, read at the start'],
  ['--print-config', 'print what is in force, and who said so; then end'],
  ['--json', 'the same as one JSON object'],
  ['-h, --help', 'this text'],
])}
Every option is as well a variable (--route-mode: NETLOOM_ROUTE_MODE; several values with commas) and a key of the file
(route-mode). A flag overrules a variable, a variable the file.

Examples:
  netloom agent --source dir:./objects --node node-1 --masquerade-except 192.0.2.0/24
  netloom agent --config /etc/netloom/config.yaml --print-config
`

export const agentCommand: Command = {
  name: 'agent',
  summary: "run a node's agent",
  help: HELP,
  operands: 0,
  options: {
    ...SETTING_OPTIONS,
    config: { type: 'string' },
    'print-config': { type: 'boolean' },
    json: { type: 'boolean' },
  },
  run,
}

async function run(values: OptionValues): Promise<ExitCode> {
  const effective = loadSettings(values, process.env)
  if (values['print-config'] === true) {
    process.stdout.write(values['json'] === true ? settingsJson(effective) : settingsText(effective))
    return EXIT.OK
  }
  const { settings } = effective
  const log = createLog(settings.logLevel, 'netloom')
  const { stopped, release } = untilStopped(settings.stopOnStdinEnd)
  try {
    await runUntil(stopped, settings, log)
    return EXIT.OK
  } finally {
    release()
  }
}

/** An agent, and what answers probes for it: before all else, as a start may take as long as the API server is away. */
async function runUntil(stopped: Promise<string>, settings: AgentSettings, log: Logger): Promise<void> {
  let agent: Agent | undefined
  const readiness = (): string | undefined => (agent === undefined ? 'the agent is starting' : agent.whyNotReady())
  const health = await listenForProbes(settings, readiness, log)
  const stop = new AbortController()
  try {
    const { source, cluster } = await createSource(settings, log)
    // A start that waits for the API server ends with its source.
    void stopped.then(() => {
      stop.abort()
      return source.close()
    })
    agent = await Agent.start({
      node: settings.node,
      source,
      cluster,
      socket: settings.socket,
      stateDir: settings.stateDir,
      masqueradeExceptions: settings.masqueradeExcept,
      routing: routingOf(settings),
      installation: installationOf(settings),
      log,
    })
    log.info({ reason: await stopped }, 'stopping; what the kernel holds stays')
    await agent.stop()
  } catch (error) {
    if (!stop.signal.aborted || agent !== undefined) throw error
    log.info({ reason: await stopped, err: error }, 'stopped before it was ready')
  } finally {
    await health?.close()
  }
}

const listenForProbes = async (
  { healthAddress }: AgentSettings,
  readiness: Readiness,
  log: Logger,
): Promise<Health | undefined> => (healthAddress === 'off' ? undefined : Health.listen(healthAddress, readiness, log))

/** Where the agent learns how everything is to be, and what it says to the API server, if there is one. */
async function createSource(
  settings: AgentSettings,
  log: Logger,
): Promise<{ readonly source: Source; readonly cluster?: ClusterOptions }> {
  const { source, kubeconfig, node, claimNamespace } = settings
  if (source.kind === 'directory') return { source: new DirectorySource(source.path, { log }) }
  const networks = clusterNetworksOf(settings)
  const access = await findAccess({ kubeconfig, env: process.env })
  const client = new HttpApiClient(access, { userAgent: `netloom/${VERSION}` })
  const claims = networks.length > 0 ? claimNamespace : undefined
  return {
    source: new ApiSource({ client, server: client.server, node, claimNamespace: claims, log }),
    cluster: { client, networks, claimNamespace },
  }
}

const routingOf = ({ routeMode, vxlanVni, vxlanPort, mtu, nodeInterface, nodeCidr }: AgentSettings): Routing => ({
  mode: routeMode,
  vxlan: { vni: vxlanVni, port: vxlanPort },
  mtu: mtu === 'auto' ? undefined : mtu,
  select: { interfaces: nodeInterface, cidrs: nodeCidr },
})

const installationOf = (settings: AgentSettings): InstallationPlan => ({
  executable: PLUGIN,
  binDir: settings.cniBinDir,
  confDir: settings.cniConfDir,
  confName: settings.cniConfName,
  conflist: conflistText(settings),
})

/** Answers why the agent is to stop; `release` lets the process end though standard input is still open. */
function untilStopped(withStdin: boolean): { readonly stopped: Promise<string>; readonly release: () => void } {
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal))
    if (withStdin) process.stdin.resume().once('close', () => resolve('end of standard input'))
  })
  const release = (): void => {
    if (withStdin) process.stdin.destroy()
  }
  return { stopped, release }
}
