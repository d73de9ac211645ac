import { NetloomError } from '../../base/errors.js'
import { type ApiAccess } from './access.js'
import { inClusterAccess, isInCluster } from './in-cluster.js'
import { readKubeconfig } from './kubeconfig.js'

export interface FindAccessOptions {
  /** Path of a kubeconfig file; where undefined, KUBECONFIG, then the pod's own service account. */
  readonly kubeconfig: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * How the API server is reached.
 * @throws NetloomError `invalid` or `not-found`, naming the file and its field, or the variable
 */
export async function findAccess({ kubeconfig, env }: FindAccessOptions): Promise<ApiAccess> {
  const path = kubeconfig ?? env['KUBECONFIG']
  if (path !== undefined && path !== '') return readKubeconfig(refuseSeveral(path))
  if (isInCluster(env)) return inClusterAccess(env)
  const message = 'no API server: neither --kubeconfig nor KUBECONFIG names a file, and this is no pod of a cluster'
  throw new NetloomError('invalid', message, { field: 'kubeconfig' })
}

/** KUBECONFIG may be a list for kubectl, which merges; who runs an agent says which one is meant. */
function refuseSeveral(path: string): string {
  if (path.includes(':'))
    throw new NetloomError('invalid', `KUBECONFIG: '${path}' names several files, give one`, { field: 'KUBECONFIG' })
  return path
}
