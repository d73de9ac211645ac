import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { invalid } from '../../base/errors.js'
import { type ApiAccess } from './access.js'
import { textCredentials } from './credentials.js'
import { FileText } from './text.js'

/** Where the kubelet puts a pod's token and the cluster's authority. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

type Environment = Readonly<Record<string, string | undefined>>

/** True in a pod: the kubelet tells every container where the API server is. */
export const isInCluster = (env: Environment): boolean => env['KUBERNETES_SERVICE_HOST'] !== undefined

/**
 * How a pod reaches its cluster's API server, as its service account.
 * @throws NetloomError `invalid`, naming the variable
 */
export function inClusterAccess(env: Environment, folder = SERVICE_ACCOUNT): ApiAccess {
  const host = required(env, 'KUBERNETES_SERVICE_HOST')
  const port = required(env, 'KUBERNETES_SERVICE_PORT')
  const url = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
  if (!/^\d+$/.test(port) || !URL.canParse(url))
    throw invalid('KUBERNETES_SERVICE_HOST', `'${host}' and port '${port}' are no address of an API server`)
  const text = (name: string): FileText => new FileText(join(folder, name), { field: join(folder, name) })
  return {
    server: new URL(url),
    authority: text('ca.crt'),
    serverName: undefined,
    insecure: false,
    credentials: textCredentials(text('token'), undefined),
  }
}

function required(env: Environment, name: string): string {
  const value = env[name]
  if (value === undefined || value === '') throw invalid(name, 'is not set')
  return value
}
