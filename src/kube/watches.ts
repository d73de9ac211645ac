import { type FSWatcher, watch } from 'node:fs'
import { basename, join } from 'node:path'
import { asNetloomError } from '../base/errors.js'

interface Watch {
  readonly identity: string
  readonly watcher: FSWatcher
}

export interface WatchesOptions {
  readonly root: string
  /** Something happened at a path; where that has no name that counts, at the folder it happened in. */
  readonly onEvent: (path: string) => void
  /** A folder can be watched (undefined), or cannot, and why. */
  readonly onState: (path: string, problem: string | undefined) => void
}

/**
 * One watch for each folder of a tree (fs.watch, not recursive: that would watch hidden folders as well, and follows
 * no links). Whoever scans the folders keeps it in step.
 */
export class Watches {
  readonly #options: WatchesOptions
  readonly #watches = new Map<string, Watch>()

  constructor(options: WatchesOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#watches.size
  }

  /** Watches the folder at a path; anew if it is another one than before. */
  add(path: string, identity: string): void {
    const present = this.#watches.get(path)
    if (present?.identity === identity) return
    present?.watcher.close()
    this.#watches.delete(path)
    try {
      const watcher = watch(join(this.#options.root, path), (_event, name) => this.#happened(path, name ?? ''))
      watcher.on('error', (error) => this.#fail(path, watcher, error))
      this.#watches.set(path, { identity, watcher })
      this.#options.onState(path, undefined)
    } catch (error) {
      this.#options.onState(path, asNetloomError(error).message)
    }
  }

  /** Paths that are watched. */
  paths(): string[] {
    return [...this.#watches.keys()]
  }

  delete(path: string): void {
    this.#watches.get(path)?.watcher.close()
    this.#watches.delete(path)
    this.#options.onState(path, undefined)
  }

  /** Watches nothing any more. */
  clear(): void {
    for (const { watcher } of this.#watches.values()) watcher.close()
    this.#watches.clear()
  }

  /**
   * The system reports the end of a watched folder as an event on its own name. The watch is dead then, while a new
   * folder may well get the old one's identity. Where it was a child of the same name, the next scan watches again.
   */
  #happened(path: string, name: string): void {
    const ended = name === basename(join(this.#options.root, path))
    if (ended) this.delete(path)
    this.#options.onEvent(ended ? path : placeOf(path, name))
  }

  #fail(path: string, watcher: FSWatcher, error: Error): void {
    if (this.#watches.get(path)?.watcher !== watcher) return
    this.delete(path)
    this.#options.onState(path, error.message)
    this.#options.onEvent(path)
  }
}

/**
 * Hidden entries are not read, but others may be links through them: the kubelet updates a mounted ConfigMap by
 * putting another link in the place of `..data`. So these concern the whole folder.
 */
function placeOf(folder: string, name: string): string {
  if (name === '' || name.startsWith('.')) return folder
  return folder === '' ? name : `${folder}/${name}`
}
