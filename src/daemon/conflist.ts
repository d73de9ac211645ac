import { API_MANAGER, API_PREFIX, DEFAULT_SOCKET, PLUGIN_TYPE } from '../base/names.js'
import { durationText } from './setting-kind.js'
import { type AgentSettings, SETTINGS } from './settings.js'

/** The list of plugins that an agent installs for the runtimes of its node (CNI specification, "Section 1"). */

/** Says whose a list is. Runtimes skip keys that they do not know; a plugin is not shown those of the list. */
const MARK = `${API_PREFIX}/managed-by`

/** What a runtime may ask for beside an interface; see cni-conf/README.md. */
const CAPABILITIES = ['portMappings', 'bandwidth', 'ips', 'mac', 'ipRanges', 'dns', 'aliases'] as const

export type ConflistSettings = Pick<AgentSettings, 'socket' | 'cniMode' | 'cniWait'>

/** The list as a file. What is the plugin's default is left out, so that what was chosen is seen. */
export function conflistText({ socket, cniMode, cniWait }: ConflistSettings): string {
  const plugin = {
    type: PLUGIN_TYPE,
    ...(cniMode === 'bridge' ? {} : { mode: cniMode }),
    ...(socket === DEFAULT_SOCKET ? {} : { agentSocket: socket }),
    ...(cniWait === DEFAULT_WAIT ? {} : { agentWait: durationText(cniWait) }),
    capabilities: Object.fromEntries(CAPABILITIES.map((name) => [name, true])),
  }
  const list = { cniVersion: '1.1.0', name: PLUGIN_TYPE, [MARK]: API_MANAGER, plugins: [plugin] }
  return `${JSON.stringify(list, null, 2)}\n`
}

const DEFAULT_WAIT: number = SETTINGS.cniWait.fallback({
  env: {},
  hostname: '',
  namespace: undefined,
  source: undefined,
})

/** Whether an agent made this list. One that somebody wrote by hand is theirs, also if it names our plugin. */
export function isOurConflist(text: string): boolean {
  try {
    const list = JSON.parse(text) as Readonly<Record<string, unknown>> | null
    return list?.[MARK] === API_MANAGER
  } catch {
    return false // whatever it is, no agent made it
  }
}

/** What libcni takes for a configuration. */
const CONFIGURATION = /\.(conf|conflist|json)$/

/** Configurations that a runtime takes before ours: it goes by the bytes of their names, and takes the first. */
export const listsBefore = (names: readonly string[], own: string): string[] =>
  names.filter((name) => CONFIGURATION.test(name) && Buffer.compare(Buffer.from(name), Buffer.from(own)) < 0).sort()
