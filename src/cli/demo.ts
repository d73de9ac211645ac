import { type Command, numberOption, type OptionValues } from './command.js'
import { type DemoOptions, runInside } from './demo/inside.js'
import { MAIN } from './demo/installation.js'
import { isInside, runIsolated } from './demo/isolation.js'
import { MOST_NODES } from './demo/layout.js'

const HELP = `Usage: netloom demo [PATH] [options]

Brings up nodes, runs an agent in each, attaches pods, serves Services, sends real packets, shows the result, and
leaves nothing behind. Needs no cluster, and root only where the machine forbids user namespaces.

  PATH         a file or folder of Kubernetes manifests; without it, a small shop of our own.
               Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and Pods become pods, each a network
               namespace with a small responder on every containerPort. No image is run.

Options:
  --nodes N    nodes to bring up, 1 to ${MOST_NODES} (3)
  --keep       stay up until Ctrl-C, and say how to look around
  --json       print one JSON document instead of tables
  -h, --help   this text

Examples:
  netloom demo
  netloom demo ./manifests --nodes 5 --keep

Exit code: 0 all as it should be, 1 something is not, 2 wrong usage, 3 the machine does not allow it, 130 Ctrl-C.
`

/** `netloom demo`: starts itself again in namespaces of its own, and there does the work. */
export const demoCommand: Command = {
  name: 'demo',
  summary: 'bring up nodes, pods and Services from manifests, and show that packets flow',
  help: HELP,
  options: { nodes: { type: 'string' }, keep: { type: 'boolean' }, json: { type: 'boolean' } },
  operands: 1,
  run: async (values, [path]) => {
    const options = readOptions(values, path)
    return isInside() ? runInside(options) : runIsolated(MAIN, ['demo', ...commandLine(options)])
  },
}

const readOptions = (values: OptionValues, path: string | undefined): DemoOptions => ({
  path,
  nodes: numberOption(values, 'nodes', { fallback: 3, min: 1, max: MOST_NODES }),
  keep: values['keep'] === true,
  json: values['json'] === true,
})

/** Options as arguments again; `--` because a path may begin with a dash. */
const commandLine = ({ path, nodes, keep, json }: DemoOptions): string[] => [
  '--nodes',
  String(nodes),
  ...(keep ? ['--keep'] : []),
  ...(json ? ['--json'] : []),
  ...(path === undefined ? [] : ['--', path]),
]
