import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
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
      const result = work()
      if (result instanceof Promise) throw new NetloomError('internal', 'work in another namespace must be synchronous')
      return result
    } finally {
      setNetworkNamespace(own)
    }
  } finally {
    closeSync(own)
  }
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

/** Creates a named namespace as `ip netns add` does: a new namespace bound to a file. Returns the file's path. */
export function createNamespace(name: string): string {
  const path = namespacePath(name)
  mkdirSync(NAMESPACE_DIR, { recursive: true })
  writeFileSync(path, '', { flag: 'wx', mode: 0o444 })
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

/** Takes a named namespace away; it ends when the last process and socket in it do. */
export function deleteNamespace(name: string): void {
  const path = namespacePath(name)
  unmount(path)
  rmSync(path, { force: true })
}
