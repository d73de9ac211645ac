import { hostname } from 'node:os'
import { type LogLevel, createLog, LOG_LEVELS } from '../base/log.js'
import { type Cidr, parseCidr } from '../base/ip.js'
import { DEFAULT_SOCKET, DEFAULT_STATE_DIR } from '../base/names.js'
import { Agent } from '../daemon/agent.js'
import { DirectorySource } from '../kube/directory.js'
import { type Command, EXIT, type ExitCode, listOption, type OptionValues, textOption, usage } from './command.js'

const HELP = `Usage: netloom agent --source dir:PATH [OPTION]...

Runs the agent of one node: it answers the CNI executable, and keeps the node's bridge, its routes to the other nodes,
masquerade and Services as the source of truth wants them. When it stops, what it made stays and traffic flows on.

  --source dir:PATH         a folder of Kubernetes objects in YAML (needed)
  --node NAME               the Node object that this machine is (default: the host name)
  --socket PATH             unix socket to listen on (default ${DEFAULT_SOCKET})
  --state-dir PATH          where leases are kept (default ${DEFAULT_STATE_DIR})
  --masquerade-except CIDR  reach this network with pods' own addresses; may be repeated
  --log-level LEVEL         ${LOG_LEVELS.join(', ')} (default info)
  --stop-on-stdin-end       stop when standard input ends, for a supervisor that may be killed
  -h, --help                this text

Examples:
  netloom agent --source dir:/etc/netloom/objects
  netloom agent --source dir:./objects --node node-1 --masquerade-except 192.0.2.0/24
`

export const agentCommand: Command = {
  name: 'agent',
  summary: "run a node's agent",
  help: HELP,
  operands: 0,
  options: {
    source: { type: 'string' },
    node: { type: 'string' },
    socket: { type: 'string' },
    'state-dir': { type: 'string' },
    'masquerade-except': { type: 'string', multiple: true },
    'log-level': { type: 'string' },
    'stop-on-stdin-end': { type: 'boolean' },
  },
  run,
}

async function run(values: OptionValues): Promise<ExitCode> {
  const log = createLog(levelOf(values), 'netloom')
  const { stopped, release } = untilStopped(values['stop-on-stdin-end'] === true)
  try {
    const agent = await Agent.start({
      node: textOption(values, 'node', hostname()),
      source: new DirectorySource(directoryOf(values), { log }),
      socket: textOption(values, 'socket', DEFAULT_SOCKET),
      stateDir: textOption(values, 'state-dir', DEFAULT_STATE_DIR),
      masqueradeExceptions: exceptionsOf(values),
      log,
    })
    log.info({ reason: await stopped }, 'stopping; what the kernel holds stays')
    await agent.stop()
    return EXIT.OK
  } finally {
    release()
  }
}

function levelOf(values: OptionValues): LogLevel {
  const text = textOption(values, 'log-level', 'info')
  const level = LOG_LEVELS.find((name) => name === text)
  if (level === undefined) throw usage(`--log-level: '${text}' is none of ${LOG_LEVELS.join(', ')}`, '--log-level')
  return level
}

function directoryOf(values: OptionValues): string {
  const source = textOption(values, 'source', '')
  if (!source.startsWith('dir:') || source === 'dir:') throw usage(`--source: '${source}' is not dir:PATH`, '--source')
  return source.slice('dir:'.length)
}

const exceptionsOf = (values: OptionValues): Cidr[] =>
  listOption(values, 'masquerade-except').map((text) => parseCidr(text, '--masquerade-except'))

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
