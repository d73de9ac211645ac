import { resolve } from 'node:path'
import { type Cursor } from '../../model/cursor.js'

const VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'] as const
const MODES = ['Never', 'IfAvailable', 'Always'] as const

/** Extension of a cluster that is meant for its users' plugins. */
const EXTENSION = 'client.authentication.k8s.io/exec'

/** A program that answers who the caller is (kubeconfig `users[].user.exec`). */
export interface ExecPlugin {
  readonly apiVersion: (typeof VERSIONS)[number]
  /** A name that PATH finds, or an absolute path. */
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** What to do where there is no such program. */
  readonly installHint: string
  /** What the plugin is told of the cluster; undefined where it does not want to know. */
  readonly cluster: ExecCluster | undefined
  /** Path of the field, for errors. */
  readonly field: string
}

/** `spec.cluster` of an ExecCredential. */
export type ExecCluster = Readonly<Record<string, unknown>>

/**
 * @param cluster the cluster that the plugin is for, of the same kubeconfig
 * @param folder what paths are relative to
 * @throws NetloomError `invalid`, naming the field
 */
export function readExecPlugin(place: Cursor, cluster: Cursor, folder: string): ExecPlugin {
  const command = place.field('command')
  if (command.string() === '') throw command.error('is empty')
  const apiVersion = place.field('apiVersion').oneOf(VERSIONS)
  const mode = place.field('interactiveMode')
  // v1 made it mandatory; v1beta1 has a default.
  const interactive = mode.oneOf(MODES, apiVersion.endsWith('/v1') ? undefined : 'IfAvailable')
  if (interactive === 'Always') throw mode.error('"Always" needs somebody at a terminal, which an agent does not have')
  return {
    apiVersion,
    // As kubectl has it: a path is the file's, a name is PATH's.
    command: command.string().includes('/') ? resolve(folder, command.string()) : command.string(),
    args: place.field('args').list((arg) => arg.string()),
    env: Object.fromEntries(place.field('env').list(readVariable)),
    installHint: place.field('installHint').optional((hint) => hint.string()) ?? '',
    cluster: place.field('provideClusterInfo').boolean() ? clusterInfo(cluster) : undefined,
    field: place.path,
  }
}

/** Often a secret, so no error repeats it. */
function readVariable(place: Cursor): [name: string, value: string] {
  if (typeof place.value !== 'object') throw place.error('is not a mapping of name and value')
  const value = place.field('value')
  if (typeof value.value !== 'string') throw value.error(value.absent ? 'is missing' : 'is not a string')
  return [place.field('name').string(), value.value]
}

const TOLD_FIELDS = [
  'server',
  'tls-server-name',
  'insecure-skip-tls-verify',
  'certificate-authority-data',
  'disable-compression',
] as const

function clusterInfo(cluster: Cursor): ExecCluster {
  const told = TOLD_FIELDS.map((name) => [name, cluster.field(name).value]).filter(([, value]) => value !== undefined)
  const extension = cluster
    .field('extensions')
    .list((entry) => entry)
    .find((entry) => entry.field('name').value === EXTENSION)
  const config = extension?.field('extension').value
  return { ...Object.fromEntries(told), ...(config === undefined ? {} : { config }) } as ExecCluster
}
