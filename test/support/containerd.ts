import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { asError, NetloomError } from '../../src/base/errors.js'
import { PLUGIN } from '../../src/cli/demo/installation.js'
import { type Place } from '../../src/cli/demo/place.js'
import { ROOT } from './cni-exec.js'
import { eventually, run, type TestContext } from './node.js'

/**
 * A real container runtime: containerd with everything of its own (socket, state, images, configuration) below /run,
 * which is in memory and belongs to the test, and its client `ctr`, which calls CNI plugins by the library that
 * Kubernetes' runtimes use.
 */

const FOLDER = '/run/containerd-test'
const SOCKET = join(FOLDER, 'containerd.sock')
const IMAGE = 'netloom.test/guest:1'
const SOURCE = join(ROOT, 'test/support/guest/guest.c')

/** `ctr` looks for networks and plugins here, and cannot be told to look elsewhere. */
const NETWORKS = '/etc/cni/net.d'
const PLUGINS = '/opt/cni/bin'

const PROGRAMS = ['containerd', 'ctr', 'runc', 'cc']

/** How long the runtime may take to come up, and a container to start or end. */
const PATIENCE_MS = 20_000

/** Why there can be no runtime, as far as that can be told without starting it; false where nothing speaks against it. */
export function withoutContainerd(): string | false {
  const absent = PROGRAMS.find((program) => spawnSync(program, ['--version']).error !== undefined)
  if (absent !== undefined) return `${absent} is not installed`
  // A user namespace's root has no devices to make and no control groups to limit.
  if (!/^\s*0\s+0\s+4294967295$/m.test(readFileSync('/proc/self/uid_map', 'utf8')))
    return 'containerd needs root outside of all user namespaces'
  return false
}

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A container that runs until it is told to end. */
export interface Container {
  /** Its first process. */
  readonly pid: number
  /** SIGTERM; the client takes it off its network when it has ended, and answers with the exit code. */
  readonly end: () => Promise<number | null>
}

export class Containerd {
  readonly #node: Place

  private constructor(node: Place) {
    this.#node = node
  }

  /**
   * Starts it on a node. Mounts over /etc and /opt, so the caller has to be in a mount namespace of its own.
   * @throws NetloomError `unavailable` where the machine does not allow it
   */
  static async start(t: TestContext, node: Place): Promise<Containerd> {
    mkdirSync(FOLDER)
    orUnavailable(() => ['/etc', '/opt'].forEach(cover))
    for (const folder of [NETWORKS, PLUGINS]) mkdirSync(folder, { recursive: true })
    symlinkSync(PLUGIN, join(PLUGINS, 'netloom'))
    await startDaemon(t, node)
    ctr('images', 'import', '--snapshotter', 'native', buildImage())
    const containerd = new Containerd(node)
    const { code, stderr } = await containerd.#ctr(...RUN, '--rm', IMAGE, 'trial', '/guest', 'nothing')
    if (code !== 0) throw unavailable(stderr.trim())
    return containerd
  }

  /** Writes the only network that there is. */
  configure(list: object): void {
    writeFileSync(join(NETWORKS, '10-test.conflist'), JSON.stringify(list))
  }

  /** Runs a container to its end, and takes it off its network. */
  runToEnd(name: string, ...command: readonly string[]): Promise<Ended> {
    return this.#ctr(...RUN, '--rm', '--cni', IMAGE, name, '/guest', ...command)
  }

  /** Starts a container; the test ends it, where nobody has before. */
  async start(t: TestContext, name: string, ...command: readonly string[]): Promise<Container> {
    const file = join(FOLDER, `${name}.pid`)
    const args = ['--address', SOCKET, ...RUN, '--rm', '--cni', '--pid-file', file, IMAGE, name, '/guest', ...command]
    const client = this.#node.run(() => spawn('ctr', args, { stdio: ['ignore', 'ignore', 'inherit'] }))
    t.teardown(() => end(client))
    // The file is there before the network is, and the process runs after it.
    await eventually(() => client.exitCode !== null || isRunning(file), PATIENCE_MS)
    if (client.exitCode !== null) throw new Error(`container ${name} has ended: ${client.exitCode}`)
    return { pid: Number(readFileSync(file, 'utf8')), end: () => end(client) }
  }

  #ctr(...args: readonly string[]): Promise<Ended> {
    return new Promise((resolve, reject) => {
      this.#node.run(() =>
        execFile('ctr', ['--address', SOCKET, ...args], { timeout: PATIENCE_MS }, (error, stdout, stderr) => {
          if (error !== null && typeof error.code !== 'number') reject(asError(error))
          else resolve({ code: Number(error?.code ?? 0), stdout, stderr })
        }),
      )
    })
  }
}

/** Without control groups, which belong to the machine. */
const RUN = ['run', '--snapshotter', 'native', '--cgroup', '']

const CONFIGURATION = `version = 2
root = "${FOLDER}/root"
state = "${FOLDER}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "${SOCKET}"
`

const unavailable = (reason: string): NetloomError =>
  new NetloomError('unavailable', `containerd cannot start containers here: ${reason}`)

function orUnavailable(work: () => void): void {
  try {
    work()
  } catch (error) {
    throw unavailable(asError(error).message)
  }
}

async function startDaemon(t: TestContext, node: Place): Promise<void> {
  const [configuration, log] = [join(FOLDER, 'config.toml'), join(FOLDER, 'log')]
  writeFileSync(configuration, CONFIGURATION)
  const output = openSync(log, 'w')
  const options = ['--config', configuration, '--log-level', 'error']
  const daemon = node.run(() => spawn('containerd', options, { stdio: ['ignore', output, output] }))
  closeSync(output)
  t.teardown(() => end(daemon))
  await eventually(() => existsSync(SOCKET) || daemon.exitCode !== null, PATIENCE_MS)
  if (daemon.exitCode !== null) throw unavailable(readFileSync(log, 'utf8').trim())
  t.teardown(removeTasks)
}

/** What is written below a folder from now on goes to memory. */
function cover(folder: string): void {
  const [upper, work] = [join(FOLDER, `upper${folder}`), join(FOLDER, `work${folder}`)]
  for (const path of [upper, work]) mkdirSync(path, { recursive: true })
  run('mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=${folder},upperdir=${upper},workdir=${work}`, folder)
}

const ctr = (...args: readonly string[]): string => run('ctr', '--address', SOCKET, ...args)

/** The client forgets about a container whose network failed, and the process that waits for it would outlive the test. */
function removeTasks(): void {
  for (const name of ctr('tasks', 'list', '--quiet').split('\n').filter(Boolean))
    ctr('tasks', 'delete', '--force', name)
}

/** True when a container's own program runs: until then its first process is runc's, which waits for its network. */
function isRunning(pidFile: string): boolean {
  if (!existsSync(pidFile)) return false
  return readFileSync(`/proc/${readFileSync(pidFile, 'utf8')}/cmdline`, 'utf8').startsWith('/guest\0')
}

async function end(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  await ended
  clearTimeout(timer)
  return child.exitCode
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64' }

/** An image of one layer of one file, as the OCI image layout has it. @returns path of the archive */
function buildImage(): string {
  const [layout, root, layer] = ['layout', 'guest', 'layer.tar'].map((name) => join(FOLDER, name)) as [
    string,
    string,
    string,
  ]
  const blobs = join(layout, 'blobs/sha256')
  for (const folder of [blobs, root]) mkdirSync(folder, { recursive: true })
  run('cc', '-std=gnu11', '-O1', '-static', '-Wall', '-Wextra', '-Werror', SOURCE, '-o', join(root, 'guest'))
  run('tar', '-C', root, '-cf', layer, 'guest')
  const blob = (mediaType: string, content: Buffer) => {
    const digest = createHash('sha256').update(content).digest('hex')
    writeFileSync(join(blobs, digest), content)
    return { mediaType: `application/vnd.oci.image.${mediaType}`, digest: `sha256:${digest}`, size: content.length }
  }
  const json = (mediaType: string, value: object) => blob(mediaType, Buffer.from(JSON.stringify(value)))
  const content = blob('layer.v1.tar', readFileSync(layer))
  const config = json('config.v1+json', {
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: [content.digest] },
  })
  const manifest = json('manifest.v1+json', { schemaVersion: 2, config, layers: [content] })
  const annotations = { 'io.containerd.image.name': IMAGE }
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  )
  const archive = join(FOLDER, 'image.tar')
  run('tar', '-C', layout, '-cf', archive, '.')
  return archive
}
