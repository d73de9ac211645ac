import { DEFAULT_SOCKET } from '../base/names.js'
import { type AgentStatus, callAgent } from '../daemon/client.js'
import { type Command, EXIT, type ExitCode, type OptionValues, textOption } from './command.js'

const HELP = `Usage: netloom status [--socket PATH] [--json]

Shows what the agent of this node holds. Exit code 0 when all is well, 1 when the agent has problems, 3 when no agent
answers.

  --socket PATH  unix socket of the agent (default ${DEFAULT_SOCKET})
  --json         the same as one JSON object
  -h, --help     this text

Examples:
  netloom status
  netloom status --json | jq .problems
`

export const statusCommand: Command = {
  name: 'status',
  summary: 'show what the agent of this node holds',
  help: HELP,
  operands: 0,
  options: { socket: { type: 'string' }, json: { type: 'boolean' } },
  run,
}

async function run(values: OptionValues): Promise<ExitCode> {
  const status = (await callAgent(textOption(values, 'socket', DEFAULT_SOCKET), 'status')) as AgentStatus
  process.stdout.write(values['json'] === true ? `${JSON.stringify(status, null, 2)}\n` : statusText(status))
  return status.ready && status.problems.length === 0 ? EXIT.OK : EXIT.FAILED
}

/** The status for people. */
export function statusText(status: AgentStatus): string {
  const { services, pods, routes, problems } = status
  const lines = [
    `node ${status.node}, netloom ${status.version}: ${status.ready ? 'ready' : 'not ready'}`,
    `pod networks: ${status.subnets.join(', ') || 'none'}`,
    `routes to other nodes: ${routes.length}`,
    ...routes.map(({ destination, gateway, node, kind }) => `  ${destination} via ${gateway} (${node}, ${kind})`),
    `pods: ${pods.length}`,
    ...pods.map(
      ({ pod, containerId, ifname, addresses }) => `  ${pod ?? containerId} ${ifname} ${addresses.join(' ')}`,
    ),
    `Services: ${services.frontends} of ${services.desired} frontends in the kernel, ${services.endpoints} endpoints`,
    problems.length === 0 ? 'no problems' : `problems: ${problems.length}`,
    ...problems.map((problem) => `  ${problem}`),
  ]
  return `${lines.join('\n')}\n`
}
