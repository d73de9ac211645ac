import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { asNetloomError, NetloomError } from '../base/errors.js'
import {
  CONFIG_VARIABLE,
  effectiveSettings,
  type EffectiveSettings,
  environmentSettings,
  fileSettings,
  flagSettings,
} from './effective-settings.js'
import { type Surroundings } from './settings.js'

/** Kubernetes mounts a pod's namespace beside the token of its service account. */
const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace'

/**
 * The agent's settings: of its command line, its environment and the file that one of the two names, read once.
 * @throws NetloomError `invalid`, naming the place; `io` where the file cannot be read
 */
export function loadSettings(flags: Parameters<typeof flagSettings>[0], env: Surroundings['env']): EffectiveSettings {
  const surroundings: Surroundings = { env, hostname: hostname(), namespace: namespaceOf(env) }
  const config = flags['config'] ?? env[CONFIG_VARIABLE]
  const path = typeof config === 'string' && config !== '' ? config : undefined
  return effectiveSettings(
    surroundings,
    flagSettings(flags),
    environmentSettings(env),
    path === undefined ? new Map() : fileSettings(textOf(path), path),
  )
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { message, errno } = asNetloomError(error)
    throw new NetloomError('io', `--config: ${message}`, { field: '--config', errno, cause: error })
  }
}

/** Told by the manifest, else by the token's mount; neither is there outside of a cluster. */
function namespaceOf(env: Surroundings['env']): string | undefined {
  const told = env['POD_NAMESPACE'] ?? ''
  if (told !== '') return told
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw asNetloomError(error, `read ${NAMESPACE_FILE}`)
  }
}
