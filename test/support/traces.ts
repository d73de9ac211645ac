import { run } from './node.js'

/** All that attachments could leave on a node, in the words of the machine's own tools. */
const COMMANDS = [
  'ip -br link | sed "s/[@ ].*//" | sort',
  'for family in 4 6; do ip -$family route show table all proto 110; ip -$family route show table all proto 111; done',
  'ip neighbour show nud permanent',
  'ip -br address show dev netloom0 | sed "s/.*\\(UP\\|DOWN\\|UNKNOWN\\)//"',
  'nft list ruleset',
  'tc qdisc show',
  'tc filter show dev netloom0 ingress',
]

/** One process for all: a test looks often. */
const SCRIPT = COMMANDS.map((command) => `echo '${command.replaceAll("'", '')}'; ${command}`).join('\n')

export const traces = (): string => run('sh', '-c', SCRIPT)
