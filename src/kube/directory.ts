import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { asNetloomError, NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import { Debounce } from './debounce.js'
import { Feed } from './feed.js'
import { FileObjects } from './file-objects.js'
import { type DocumentCache, type Flaw, type LocatedObject, type Manifest, readManifest } from './manifest.js'
import { Problems } from './problems.js'
import { codeOf, identityOf, type Scan, scan } from './scan.js'
import { type Listener, type Problem, type Source } from './source.js'
import { readStable } from './stable-read.js'
import { type ReadonlyStore } from './store.js'
import { Watches } from './watches.js'

export interface DirectorySourceOptions {
  readonly log: Logger
  /** Quiet time after which a burst of changes is read, in milliseconds. */
  readonly debounceMs?: number
  /** Time between two looks at everything, in milliseconds: notifications can be lost, or not exist (NFS). */
  readonly rescanMs?: number
}

/** Files read at the same time. */
const READERS = 16

/** A look at everything may take one part in so many of the time. */
const RESCAN_SHARE = 50

/** Stamp of a file that could not be read: no file has it, so every look at it tries again. */
const UNREAD = ''

type Updates = Map<string, readonly LocatedObject[] | undefined>

/**
 * A folder of YAML and JSON files, with subfolders, as a source of truth.
 *
 * The unit is the file. A file of which any document is broken keeps its last good state as a whole, for a file in
 * the middle of an edit says nothing reliable about its other documents either. A file that becomes empty keeps its
 * state too: that is how many editors begin to write. Deleting the file, or its documents, removes objects. A folder
 * that cannot be read, and a root that is gone or is suddenly another, empty one (an unmounted volume), keep
 * everything. Each of these is a problem until it is put right.
 */
export class DirectorySource implements Source {
  readonly #root: string
  readonly #rescanMs: number
  readonly #feed: Feed
  readonly #objects: FileObjects
  readonly #problems: Problems
  readonly #watches: Watches
  readonly #debounce: Debounce
  /** Stamps of the files as they were read, by path; paths are relative to the root. */
  readonly #files = new Map<string, string>()
  /** What the documents of files with several of them said last, by path. */
  readonly #documents = new Map<string, DocumentCache>()
  /** Identities of the folders by path. */
  readonly #directories = new Map<string, string>()
  readonly #unreadable = new Set<string>()
  readonly #duplicates = new Set<string>()
  /** Places where something may have changed. */
  readonly #dirty = new Set<string>()
  #running: Promise<void> | undefined
  #rescan: NodeJS.Timeout | undefined
  #started: Promise<void> | undefined
  #rootLost = false
  #closed = false

  constructor(path: string, { log, debounceMs = 5, rescanMs = 2000 }: DirectorySourceOptions) {
    this.#root = path
    this.#rescanMs = rescanMs
    this.#problems = new Problems(log)
    this.#feed = new Feed({ log, problems: this.#problems, deriveSlices: true })
    this.#objects = new FileObjects(this.#feed.store)
    this.#debounce = new Debounce(debounceMs, () => this.#wake())
    this.#watches = new Watches({
      root: path,
      onEvent: (place) => this.#touch(place),
      onState: (place, problem) => this.#report('watch', place, unwatched(problem)),
    })
  }

  get store(): ReadonlyStore {
    return this.#feed.store
  }

  /** @throws NetloomError `not-found` where there is no such folder, `invalid` where it is none, `io` */
  start(): Promise<void> {
    return (this.#started ??= this.#begin())
  }

  subscribe(listener: Listener): () => void {
    return this.#feed.subscribe(listener)
  }

  problems(): readonly Problem[] {
    return this.#problems.list()
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#rescan)
    this.#debounce.close()
    this.#watches.clear()
    await this.#running
  }

  async #begin(): Promise<void> {
    await requireDirectory(this.#root)
    this.#dirty.add('')
    const first = this.#round()
    this.#running = first.catch(() => undefined)
    try {
      await first
    } catch (error) {
      await this.close()
      throw error
    }
    this.#rest()
    this.#planRescan(0)
  }

  #touch(place: string): void {
    this.#dirty.add(place)
    if (!this.#closed) this.#debounce.touch()
  }

  /** Starts a round unless one is under way, which starts the next one itself. */
  #wake(): void {
    if (this.#closed || this.#running !== undefined) return
    this.#running = this.#round()
      .then(() => this.#report('round', '', []))
      .catch((error: unknown) => this.#report('round', '', [{ message: asNetloomError(error).message }]))
      .finally(() => this.#rest())
  }

  #rest(): void {
    this.#running = undefined
    if (this.#dirty.size > 0 && !this.#closed) this.#debounce.touch()
  }

  #planRescan(lastMs: number): void {
    if (this.#closed) return
    this.#rescan = setTimeout(() => void this.#rescanAll(), Math.max(this.#rescanMs, RESCAN_SHARE * lastMs))
  }

  async #rescanAll(): Promise<void> {
    const start = performance.now()
    this.#dirty.add('')
    this.#wake()
    await this.#running
    this.#planRescan(performance.now() - start)
  }

  /** Looks at all dirty places, reads what changed, publishes the differences as one batch. */
  async #round(): Promise<void> {
    const places = await this.#places()
    const updates: Updates = new Map()
    const reads = new Set<string>()
    const scanned = new Set<string>()
    for (const at of places) {
      const known = new Set([...this.#identitiesOutside(places), ...scanned])
      const onDirectory = (path: string, identity: string): void => this.#watch(path, identity)
      const found = await scan({ root: this.#root, at, known, onDirectory })
      for (const identity of found.directories.values()) scanned.add(identity)
      if (this.#isBelievable(at, found)) this.#compare(at, found, { updates, reads })
    }
    await this.#read([...reads], updates)
    if (!this.#closed) this.#publish(updates)
  }

  /** The dirty places, or the root where that covers them; none where there is no root now. */
  async #places(): Promise<string[]> {
    const dirty = [...this.#dirty]
    this.#dirty.clear()
    try {
      const stats = await stat(this.#root, { bigint: true })
      const all = dirty.includes('') || this.#rootLost || identityOf(stats) !== this.#directories.get('')
      if (all) return ['']
      return dirty.filter((place) => !dirty.some((other) => other !== place && within(place, other)))
    } catch (error) {
      const message = `cannot be read (${asNetloomError(error).message}), its last good state is kept`
      this.#report('root', '', [{ message }])
      this.#rootLost = true
      this.#watches.clear()
      return []
    }
  }

  #identitiesOutside(places: readonly string[]): string[] {
    return [...this.#directories].flatMap(([path, identity]) =>
      places.some((place) => within(path, place)) ? [] : [identity],
    )
  }

  #watch(path: string, identity: string): void {
    if (!this.#closed) this.#watches.add(path, identity)
  }

  /** False where the root has been replaced by an empty folder: more likely an unmounted volume than a wish. */
  #isBelievable(at: string, found: Scan): boolean {
    if (at !== '') return true
    const replaced = found.directories.get('') !== this.#directories.get('')
    const emptied = replaced && found.files.size === 0 && this.#files.size > 0
    const message = 'is another folder now, without manifests; its last good state is kept'
    this.#report('root', '', emptied ? [{ message }] : [])
    this.#rootLost = emptied
    return !emptied
  }

  /** What a scan of a place says against what is known of it. */
  #compare(at: string, found: Scan, { updates, reads }: { updates: Updates; reads: Set<string> }): void {
    const hidden = (path: string): boolean => [...found.unreadable.keys()].some((place) => within(path, place))
    const gone = (path: string, present: ReadonlyMap<string, string>): boolean =>
      within(path, at) && !present.has(path) && !hidden(path)
    for (const path of [...this.#files.keys()]) if (gone(path, found.files)) this.#forget(path, updates)
    for (const [path, stamp] of found.files) if (this.#files.get(path) !== stamp) reads.add(path)
    for (const path of [...this.#directories.keys()]) if (gone(path, found.directories)) this.#leave(path)
    for (const [path, identity] of found.directories) this.#directories.set(path, identity)
    for (const path of [...this.#unreadable]) if (within(path, at) && !found.unreadable.has(path)) this.#sees(path)
    for (const [path, message] of found.unreadable) {
      this.#unreadable.add(path)
      this.#report('scan', path, [{ message }])
    }
  }

  #forget(path: string, updates: Updates): void {
    this.#files.delete(path)
    this.#documents.delete(path)
    updates.set(path, undefined)
    this.#report('file', path, [])
  }

  /** The folder may be at another place now, where a scan took it for a link to this one: look everywhere once. */
  #leave(path: string): void {
    this.#directories.delete(path)
    this.#watches.delete(path)
    this.#dirty.add('')
  }

  #sees(path: string): void {
    this.#unreadable.delete(path)
    this.#report('scan', path, [])
  }

  async #read(paths: readonly string[], updates: Updates): Promise<void> {
    const queue = paths.values()
    const reader = async (): Promise<void> => {
      for (const path of queue) await this.#readOne(path, updates)
    }
    await Promise.all(Array.from({ length: Math.min(READERS, paths.length) }, reader))
  }

  async #readOne(path: string, updates: Updates): Promise<void> {
    try {
      const file = await readStable(join(this.#root, path))
      if (file === undefined) {
        this.#dirty.add(path)
        return
      }
      this.#files.set(path, file.stamp)
      const { objects, flaws } = this.#judge(path, file.text)
      this.#report('file', path, flaws)
      if (flaws.length === 0) updates.set(path, objects)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') this.#dirty.add(path)
      else {
        this.#files.set(path, UNREAD)
        this.#report('file', path, [{ message: asNetloomError(error).message }])
      }
    }
  }

  #judge(path: string, text: string): Manifest {
    if (text.trim() === '' && this.#objects.has(path))
      return { objects: [], flaws: [{ message: 'is empty; its last good state is kept' }] }
    const cache = this.#documents.get(path) ?? new Map<string, readonly LocatedObject[]>()
    const manifest = readManifest(text, cache)
    if (cache.size > 0) this.#documents.set(path, cache)
    else this.#documents.delete(path)
    return manifest
  }

  #publish(updates: Updates): void {
    if (updates.size === 0) return
    this.#feed.publish(this.#objects.update(updates))
    const duplicates = this.#objects.duplicates()
    for (const path of this.#duplicates) if (!duplicates.has(path)) this.#report('duplicates', path, [])
    this.#duplicates.clear()
    for (const [path, flaws] of duplicates) {
      this.#duplicates.add(path)
      this.#report('duplicates', path, flaws)
    }
  }

  #report(what: string, path: string, flaws: readonly Flaw[]): void {
    this.#problems.set(`${what} ${path}`, join(this.#root, path), flaws)
  }
}

const unwatched = (problem: string | undefined): Flaw[] =>
  problem === undefined ? [] : [{ message: `cannot be watched (${problem}), changes are seen later` }]

/** True where a path is a place or lies below it. */
const within = (path: string, place: string): boolean => place === '' || path === place || path.startsWith(`${place}/`)

async function requireDirectory(path: string): Promise<void> {
  const operation = `read objects from ${path}`
  try {
    if ((await stat(path)).isDirectory()) return
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw asNetloomError(error, operation)
    throw new NetloomError('not-found', `there is no folder ${path}`, { operation, cause: error })
  }
  throw new NetloomError('invalid', `${path} is not a folder`, { operation })
}
