import { lstatSync, rmdirSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { FAMILIES } from '../base/family.js'
import { asNetloomError, NetloomError } from '../base/errors.js'
import {
  BRIDGE,
  DEFAULT_CNI_BIN_DIR,
  DEFAULT_CNI_CONF_DIR,
  DEFAULT_SOCKET,
  DEFAULT_STATE_DIR,
  IFB_PREFIX,
  ROUTE_PROTOCOL,
  VETH_PREFIX,
  NODE_MEMORY,
} from '../base/names.js'
import { ANTISPOOF_TABLES } from '../antispoof/layout.js'
import { HOSTPORTS } from '../hostports/layout.js'
import { ISOLATION } from '../isolation/layout.js'
import { type Table } from '../codec/nft/table.js'
import { LEASES, LOCK } from '../daemon/leases.js'
import { callAgent } from '../daemon/client.js'
import { installedFiles } from '../daemon/installation.js'
import { Kernel } from '../daemon/kernel.js'
import { journalFiles } from '../ipam/journal-io.js'
import { observeLinks, observeRoutes, observeTables } from '../kernel/observe.js'
import { MASQUERADE } from '../masquerade/plan.js'
import { type Op } from '../ops/op.js'
import { planText } from '../ops/text.js'
import { servicesTable } from '../proxy/layout.js'
import { observedWays, planWays, waysOf } from '../routes/plan.js'
import { planLeftovers } from '../routes/tunnel.js'
import { TUNNEL_GUARD } from '../tunnelguard/layout.js'
import { type Command, EXIT, type ExitCode, type OptionValues, textOption } from './command.js'

const HELP = `Usage: netloom uninstall [OPTION]...

Removes everything that netloom made on this node: links of pods, bridge, routes, nftables tables, leases, socket, and
what agents installed for the runtime. Pods that are attached lose their network. Refuses while an agent is running,
since it would make everything again.

  --dry-run            print what would be done
  --socket PATH        unix socket of the agent (default ${DEFAULT_SOCKET})
  --state-dir PATH     where leases are kept (default ${DEFAULT_STATE_DIR})
  --cni-bin-dir PATH   folder of the CNI executable (default ${DEFAULT_CNI_BIN_DIR})
  --cni-conf-dir PATH  folder of lists of plugins (default ${DEFAULT_CNI_CONF_DIR})
  -h, --help           this text

Examples:
  netloom uninstall --dry-run
  netloom uninstall
`

export const uninstallCommand: Command = {
  name: 'uninstall',
  summary: 'remove everything that netloom made on this node',
  help: HELP,
  operands: 0,
  options: {
    'dry-run': { type: 'boolean' },
    socket: { type: 'string' },
    'state-dir': { type: 'string' },
    'cni-bin-dir': { type: 'string' },
    'cni-conf-dir': { type: 'string' },
  },
  run,
}

async function run(values: OptionValues): Promise<ExitCode> {
  const socket = textOption(values, 'socket', DEFAULT_SOCKET)
  const stateDir = textOption(values, 'state-dir', DEFAULT_STATE_DIR)
  if (await answers(socket)) throw new NetloomError('exists', `an agent is running on ${socket}; stop it first`)
  const installed = installedFiles({
    binDir: textOption(values, 'cni-bin-dir', DEFAULT_CNI_BIN_DIR),
    confDir: textOption(values, 'cni-conf-dir', DEFAULT_CNI_CONF_DIR),
  })
  const kernel = new Kernel()
  try {
    const ops = await planUninstall(kernel)
    const files = filesOf(stateDir, socket)
    process.stdout.write(`${removalText(installed)}${planText(ops)}${removalText(files)}`)
    if (values['dry-run'] === true) return EXIT.OK
    for (const file of installed) rmSync(file, { force: true })
    await kernel.applier.apply(ops)
    for (const file of files) rmSync(file, { force: true })
    for (const folder of [stateDir, dirname(socket)]) removeEmpty(folder)
    return EXIT.OK
  } finally {
    kernel.close()
  }
}

const removalText = (files: readonly string[]): string => files.map((file) => `rm ${file}\n`).join('')

/** Our files that are there; whatever else stands beside them is not ours. */
const filesOf = (stateDir: string, socket: string): string[] =>
  [...journalFiles(join(stateDir, LEASES)), join(stateDir, LOCK), join(stateDir, NODE_MEMORY), socket].filter(
    (path) => {
      const there = lstatSync(path, { throwIfNoEntry: false })
      return there !== undefined && (path === socket ? there.isSocket() : there.isFile())
    },
  )

/** Somebody uses it, it is gone, or it is a mount: in a container, over a root that is read-only. */
const KEPT = new Set(['ENOTEMPTY', 'ENOENT', 'EBUSY', 'EROFS'])

/** Folders that were made for our files go with them, unless somebody uses them for more. */
function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!KEPT.has(code)) throw asNetloomError(error, `remove ${folder}`)
  }
}

/** Only where nobody listens at all it is certain that no agent runs: one that is stuck runs as well. */
async function answers(socket: string): Promise<boolean> {
  try {
    await callAgent(socket, 'status')
    return true
  } catch (error) {
    const { cause } = error as Error
    return !(cause instanceof NetloomError && (cause.errno === ENOENT || cause.errno === ECONNREFUSED))
  }
}

const { ENOENT, ECONNREFUSED } = constants.errno

/** What is on the devices goes with them. */
const NOTHING_ELSE = { neighbours: [], vteps: [], names: new Map<number, string>() }

/** Everything in the kernel that has one of our names or numbers. Routes and rules first: traffic stops cleanly. */
export async function planUninstall({ route, netfilter }: Kernel): Promise<Op[]> {
  const links = [...(await observeLinks(route)).values()]
  // Routes to this node's own containers go with the links they lead by.
  const routes = await Promise.all(FAMILIES.map((family) => observeRoutes(route, family, { protocol: ROUTE_PROTOCOL })))
  const present = await observeTables(netfilter)
  const removal = (tables: readonly Table[]): Op[] =>
    tables
      .filter(({ family, name }) => present.some((table) => table.family === family && table.name === name))
      .map((table) => ({ kind: 'table.delete', table }))
  return [
    ...planWays(waysOf([]), observedWays({ ...NOTHING_ELSE, routes: routes.flat() })),
    ...removal([MASQUERADE, HOSTPORTS, ...ANTISPOOF_TABLES, ISOLATION, ...FAMILIES.map(servicesTable)]),
    ...planLeftovers([], links),
    // A tunnel without its guard lets anybody in.
    ...removal([TUNNEL_GUARD]),
    ...links
      .filter(
        ({ name, kind }) =>
          name.startsWith(VETH_PREFIX) || name.startsWith(IFB_PREFIX) || (name === BRIDGE && kind === 'bridge'),
      )
      .map(({ name }): Op => ({ kind: 'link.delete', name })),
  ]
}
