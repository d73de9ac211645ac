import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './cni-exec.js'
import { agentPod } from './manifest.js'
import { run, type TestContext } from './node.js'

/** The image, unpacked and started by runc as a kubelet would have it started by the DaemonSet's pod. */

const ARCHIVE = join(ROOT, 'dist/image/netloom.tar')

/** Why the image cannot be started here; false where nothing speaks against it. */
export function withoutImage(): string | false {
  if (spawnSync('runc', ['--version']).error !== undefined) return 'runc is not installed'
  if (!/^\s*0\s+0\s+4294967295$/m.test(readFileSync('/proc/self/uid_map', 'utf8')))
    return 'runc needs root outside of all user namespaces'
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts/image.mjs')], { encoding: 'utf8' })
  if (status === 3) return `the image cannot be built: ${stderr.trim()}`
  if (status !== 0) throw new Error(`scripts/image.mjs: ${stderr}`)
  return false
}

interface Described {
  readonly digest: string
}

/** What the image's configuration has for whoever starts it. */
export interface ImageConfig {
  readonly config: { readonly Entrypoint: readonly string[]; readonly Env: readonly string[] }
  readonly rootfs: { readonly diff_ids: readonly string[] }
}

/** Unpacks all layers, each over the one before. */
export function unpackImage(layout: string, root: string): ImageConfig {
  for (const folder of [layout, root]) mkdirSync(folder, { recursive: true })
  run('tar', '-C', layout, '-xf', ARCHIVE)
  const pathOf = ({ digest }: Described): string => join(layout, 'blobs', digest.replace(':', '/'))
  const read = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'))
  const [described] = (read(join(layout, 'index.json')) as { manifests: Described[] }).manifests
  if (described === undefined) throw new Error('the index names no manifest')
  const manifest = read(pathOf(described)) as { config: Described; layers: Described[] }
  for (const layer of manifest.layers) run('tar', '-C', root, '-xzf', pathOf(layer))
  return read(pathOf(manifest.config)) as ImageConfig
}

/** Folders of the node that are mounted, by their path in the DaemonSet, where the test has its own in their place. */
export type Folders = Readonly<Record<string, string>>

interface Mount {
  readonly destination: string
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
}

/** Those that every container has (Kubernetes' runtimes). */
const USUAL: readonly Mount[] = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
]

/** What a container without privileges may not see or write. */
const READ_ONLY = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']
const MASKED = ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/scsi', '/sys/firmware']

/** Mounts of the pod. Volumes that are no folders of the node (the configuration, the token) have to be given. */
const mountsOf = (folders: Folders): Mount[] => {
  const { pod, container } = agentPod()
  return container.volumeMounts.map(({ name, mountPath, readOnly = false, mountPropagation }) => {
    const onNode = pod.volumes.find((volume) => volume.name === name)?.hostPath?.path
    const source = folders[mountPath] ?? onNode
    if (source === undefined) throw new Error(`nothing to mount at ${mountPath}`)
    const propagation = mountPropagation === 'HostToContainer' ? 'rslave' : 'rprivate'
    return { destination: mountPath, type: 'bind', source, options: ['rbind', propagation, readOnly ? 'ro' : 'rw'] }
  })
}

export interface BundleOptions {
  readonly folder: string
  readonly image: ImageConfig
  readonly root: string
  readonly folders: Folders
  /** Those of the DaemonSet unless given. */
  readonly args?: readonly string[]
}

/** The bundle's configuration (OCI runtime specification 1.0): in the node's network, as the pod's container is. */
function specOf({ image: { config }, root, folders, args }: BundleOptions): object {
  const { args: usual, securityContext } = agentPod().container
  const capabilities = securityContext.capabilities.add.map((name) => `CAP_${name}`)
  const sets = ['bounding', 'effective', 'permitted'].map((set) => [set, capabilities])
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 0, gid: 0 },
      args: [...config.Entrypoint, ...(args ?? usual)],
      env: [...config.Env, 'NODE_NAME=node-1', 'POD_NAMESPACE=netloom'],
      cwd: '/',
      capabilities: Object.fromEntries(sets) as object,
    },
    root: { path: root, readonly: securityContext.readOnlyRootFilesystem },
    mounts: [...USUAL, ...mountsOf(folders)],
    linux: {
      namespaces: ['mount', 'pid', 'ipc', 'uts'].map((type) => ({ type })),
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
    },
  }
}

const STATE = '/run/runc-test'
const NAME = 'netloom-agent'
const PATIENCE_MS = 20_000

const runc = (...args: readonly string[]): string => run('runc', '--root', STATE, ...args)

/** The agent in its container. */
export class AgentContainer {
  readonly #child: ChildProcess
  words = ''

  constructor(t: TestContext, options: BundleOptions) {
    writeFileSync(join(options.folder, 'config.json'), JSON.stringify(specOf(options)))
    const args = ['--root', STATE, 'run', '--bundle', options.folder, NAME]
    this.#child = spawn('runc', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.words += text))
    t.teardown(() => {
      if (existsSync(join(STATE, NAME))) runc('delete', '--force', NAME)
    })
  }

  get exitCode(): number | null {
    return this.#child.exitCode
  }

  /** Of the agent, as this process sees it. */
  get pid(): number {
    return (JSON.parse(runc('state', NAME)) as { pid: number }).pid
  }

  exec(...command: readonly string[]): string {
    return runc('exec', NAME, ...command)
  }

  /** Ends it as a kubelet does. @returns its exit code */
  async stop(): Promise<number | null> {
    const ended = once(this.#child, 'exit')
    runc('kill', NAME, 'TERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE_MS)
    await ended
    clearTimeout(timer)
    return this.#child.exitCode
  }
}
