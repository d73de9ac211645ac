import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { MOUNT, mount, setNetworkNamespace, unmount, unshareNetwork } from './libc.js'
import { asNetloomError, NetloomError } from '../base/errors.js'

/**
 * Network namespaces. A thread is in one namespace at a time, so everything done in another is synchronous: a socket
 * opened or a process started there stays there, whatever the thread does afterwards.
 */

/** The namespace of the calling thread. Not /proc/self, which is the main thread's also in a worker. */
const OWN = '/proc/thread-self/ns/net'

/** Opens a namespace file; the descriptor keeps the namespace alive until it is closed. */
export function openNamespace(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    throw asNetloomError(error, `open network namespace ${path}`)
  }
}

/**
 * Runs `work` inside a namespace and comes back, also when it throws.
 * @param work synchronous; a promise is refused, because the thread would be back before it went on.
 * @throws NetloomError `io` where there is no such namespace, `internal` for a promise, or what `work` throws.
 */
export function inNamespace<T>(namespace: string | number, work: () => T): T {
  const own = openSync(OWN, 'r')
  try {
    const target = typeof namespace === 'number' ? namespace : openNamespace(namespace)
    try {
      setNetworkNamespace(target)
    } finally {
      if (typeof namespace !== 'number') closeSync(target)
    }
    try {
      return refusePromise(work())
    } finally {
      setNetworkNamespace(own)
    }
  } finally {
    closeSync(own)
  }
}

function refusePromise<T>(result: T): T {
  if (!(result instanceof Promise)) return result
  result.catch(() => undefined) // nobody will wait for it, and what is wrong is said here
  throw new NetloomError('internal', 'work in another namespace must be synchronous')
}

/** Moves the calling thread for good: for a worker that lives in one pod's namespace. */
export function enterNamespace(path: string): void {
  const target = openNamespace(path)
  try {
    setNetworkNamespace(target)
  } finally {
    closeSync(target)
  }
}

/** Where `ip netns` keeps its namespaces, so that its users find ours. */
export const NAMESPACE_DIR = '/run/netns'

export const namespacePath = (name: string): string => join(NAMESPACE_DIR, name)

/**
 * Creates a named namespace as `ip netns add` does: a new namespace bound to a file. Returns the file's path.
 * @throws NetloomError `exists` where the name is taken.
 */
export function createNamespace(name: string): string {
  const path = createFile(name)
  const own = openSync(OWN, 'r')
  try {
    unshareNetwork()
    try {
      mount(OWN, path, null, MOUNT.BIND)
    } finally {
      setNetworkNamespace(own)
    }
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(own)
  }
  return path
}

/**
 * Makes the folder a shared mount, as `ip netns add` does: other mount namespaces see what is bound in it later. Where
 * ip did it after us, names that we bound before could not be deleted any more, because they would be bound twice.
 */
function shareDirectory(): void {
  const share = (): void => mount('', NAMESPACE_DIR, 'none', MOUNT.SHARED | MOUNT.REC)
  try {
    share()
  } catch (error) {
    if (!(error instanceof NetloomError) || error.errno !== constants.errno.EINVAL) throw error
    mount(NAMESPACE_DIR, NAMESPACE_DIR, 'none', MOUNT.BIND | MOUNT.REC) // it was no mount at all
    share()
  }
}

function createFile(name: string): string {
  const operation = `create network namespace ${name}`
  const path = namespacePath(name)
  try {
    mkdirSync(NAMESPACE_DIR, { recursive: true })
    shareDirectory()
    writeFileSync(path, '', { flag: 'wx', mode: 0o444 })
    return path
  } catch (error) {
    const { code, errno, message } = asNetloomError(error, operation)
    const exists = errno === constants.errno.EEXIST
    throw new NetloomError(exists ? 'exists' : code, `${operation}: ${message}`, { operation, errno, cause: error })
  }
}

/**
 * Takes a named namespace away; it ends when the last process and socket in it do. Takes away also the file of one
 * whose creation was cut off before the namespace was bound to it.
 * @throws NetloomError `not-found`.
 */
export function deleteNamespace(name: string): void {
  const path = namespacePath(name)
  try {
    unmount(path)
  } catch (error) {
    const { errno, message, operation } = asNetloomError(error)
    if (errno === constants.errno.ENOENT) throw new NetloomError('not-found', message, { operation, errno })
    if (errno !== constants.errno.EINVAL) throw error
  }
  rmSync(path, { force: true })
}
