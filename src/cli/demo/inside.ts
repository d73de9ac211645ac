import { accessSync, constants, mkdirSync } from 'node:fs'
import { asNetloomError, NetloomError } from '../../base/errors.js'
import { MOUNT, mount } from '../../kernel/libc.js'
import { EXIT, type ExitCode } from '../command.js'
import { planScene } from './cluster.js'
import { Demonstration } from './demonstration.js'
import { MAIN, PLUGIN, SHOP } from './installation.js'
import { assertIsolated, untilStopped } from './isolation.js'
import { keepText } from './keep.js'
import { layOut } from './layout.js'
import { readManifests } from './manifests.js'
import { Phases } from './phases.js'
import { Progress } from './progress.js'
import { render } from './render.js'
import { type Report } from './report.js'

/** The demo as it runs in its own namespaces. */

export interface DemoOptions {
  /** A file or folder of manifests; undefined for the shop. */
  readonly path: string | undefined
  readonly nodes: number
  /** Stay up until told to end. */
  readonly keep: boolean
  /** Print the report as JSON. */
  readonly json: boolean
}

/** Below the private /run. */
const DIRECTORY = '/run/netloom-demo'

export async function runInside(options: DemoOptions): Promise<ExitCode> {
  const { ownUsers } = assertIsolated()
  const { stopped, release } = untilStopped()
  const progress = new Progress()
  let demonstration: Demonstration | undefined
  let report: Report | undefined
  try {
    demonstration = await prepare(options, new Phases(progress))
    const work = perform(demonstration, options, progress)
    report = (await Promise.race([work, stopped])) ?? undefined
    if (report === undefined) return EXIT.INTERRUPTED
    if (options.keep) {
      process.stderr.write(keepText({ report, ownUsers, pid: process.pid, state: demonstration.stateDirectory }))
      await stopped
    }
    return report.ok ? EXIT.OK : EXIT.FAILED
  } finally {
    progress.clear()
    await demonstration?.stop(report === undefined ? 'kill' : 'stop')
    release()
  }
}

/** Reads and plans everything before anything is made. */
async function prepare({ path, nodes: count }: DemoOptions, phases: Phases): Promise<Demonstration> {
  requirePlugin()
  const nodes = layOut(count)
  const manifests = await readManifests(path ?? SHOP)
  const scene = planScene(
    manifests,
    nodes.map(({ name }) => name),
  )
  if (scene.pods.length + scene.services.length === 0)
    throw new NetloomError('invalid', `${path ?? SHOP}: has neither workloads nor Services`)
  // A folder of our own under /run, so that `ip netns` and the agents' defaults find only what is ours.
  mount('tmpfs', '/run', 'tmpfs', MOUNT.NOSUID | MOUNT.NODEV)
  mkdirSync(DIRECTORY, { recursive: true })
  const source = path ?? 'shop'
  return new Demonstration({ scene, source, nodes, directory: DIRECTORY, main: MAIN, plugin: PLUGIN, phases })
}

function requirePlugin(): void {
  try {
    accessSync(PLUGIN, constants.X_OK)
  } catch (error) {
    const cause = asNetloomError(error)
    throw new NetloomError('unavailable', `the CNI executable is not built (npm run build): ${cause.message}`, {
      cause,
    })
  }
}

async function perform(demonstration: Demonstration, options: DemoOptions, progress: Progress): Promise<Report> {
  const found = await demonstration.run()
  const failures = [...found.failures, ...(options.keep ? [] : await demonstration.end())]
  const report = { ...found, failures, ok: failures.length === 0 }
  progress.clear()
  const colour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
  process.stdout.write(options.json ? `${JSON.stringify(report, undefined, 2)}\n` : render(report, { colour }))
  return report
}
