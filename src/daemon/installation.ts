import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { asError, NetloomError } from '../base/errors.js'
import { type Logger } from '../base/log.js'
import { PLUGIN_TYPE } from '../base/names.js'
import { isOurConflist, listsBefore } from './conflist.js'
import { clearDraft, draftOf, placedAt, type PlacedFile, placeFile, stampOf } from './place-file.js'

/** What goes where on a node. */
export interface InstallationPlan {
  /** The CNI executable that came with this program. */
  readonly executable: string
  /** Folders of the runtime; undefined where somebody else installs. */
  readonly binDir: string | undefined
  readonly confDir: string | undefined
  readonly confName: string
  /** Text of the list of plugins. */
  readonly conflist: string
}

export interface InstallationOptions extends InstallationPlan {
  /** Whether the agent can attach pods. */
  readonly isReady: () => boolean
  readonly log: Logger
}

/** Milliseconds between two looks at what is installed: a few calls of stat(2). */
const LOOK_MS = 1000

/** Within every release of the executable: the start of what it says of itself. */
const EXECUTABLE_MARK = 'CNI plugin netloom v'

const isOurExecutable = (bytes: Buffer): boolean => bytes.includes(EXECUTABLE_MARK)
const isOurList = (bytes: Buffer): boolean => isOurConflist(bytes.toString())

/** What agents left in a runtime's folders, the lists first: without one, no runtime starts a pod that waits in vain. */
export function installedFiles({ binDir, confDir }: { readonly binDir: string; readonly confDir: string }): string[] {
  const lists = namesIn(confDir)
    .filter((name) => name.endsWith('.conflist'))
    .map((name) => join(confDir, name))
  const executable = join(binDir, PLUGIN_TYPE)
  const drafts = [...lists, executable].map(draftOf).filter((path) => existsSync(path))
  const isOurs = (path: string, judge: (bytes: Buffer) => boolean): boolean => {
    const there = placedAt(path)
    return there !== undefined && judge(there.bytes)
  }
  return [
    ...lists.filter((path) => isOurs(path, isOurList)),
    ...[executable].filter((path) => isOurs(path, isOurExecutable)),
    ...drafts,
  ]
}

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : [])

/**
 * The runtime's files on this node: the executable from the start, the list of plugins once the agent is ready, since
 * from then on the kubelet says that the node is. They stay when the agent stops, whose successor is about to start, and
 * come back when somebody removes or changes them. What is somebody else's is never touched.
 */
export class Installation {
  readonly #options: InstallationOptions
  #timer: NodeJS.Timeout | undefined
  /** Of what was put in place, so that it is compared only after somebody touched it. */
  readonly #stamps = new Map<string, string>()
  #problems: readonly string[] = []
  #isAnnounced = false

  constructor(options: InstallationOptions) {
    this.#options = options
  }

  /** Installs what can be by now, the rest as soon as it can. Never throws. */
  start(): void {
    this.look()
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref()
  }

  /** What keeps pods from coming by this installation. */
  problems(): readonly string[] {
    return this.#problems
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** Compares with what is there, and puts right what is not as it should be. Never throws. */
  look(): void {
    const before = this.#problems
    this.#problems = this.#installed()
    for (const problem of this.#problems)
      if (!before.includes(problem)) this.#options.log.warn({ problem }, 'the installation is not as it should be')
  }

  #installed(): string[] {
    const { binDir, confDir, confName, executable, conflist, isReady } = this.#options
    try {
      if (binDir !== undefined)
        this.#install({ path: join(binDir, PLUGIN_TYPE), mode: 0o755 }, isOurExecutable, () => readFileSync(executable))
      if (confDir === undefined) return []
      this.#isAnnounced ||= isReady()
      if (!this.#isAnnounced) return []
      this.#install({ path: join(confDir, confName), mode: 0o644 }, isOurList, () => Buffer.from(conflist))
      return listsBefore(readdirSync(confDir), confName).map(
        (name) => `${join(confDir, name)} comes before ${confName}: runtimes attach pods to that network`,
      )
    } catch (error) {
      return [asError(error).message]
    }
  }

  #install({ path, mode }: Omit<PlacedFile, 'bytes'>, isOurs: (bytes: Buffer) => boolean, read: () => Buffer): void {
    const stamp = stampOf(path)
    if (stamp !== '' && stamp === this.#stamps.get(path)) return
    clearDraft(path)
    const bytes = read()
    const there = placedAt(path)
    if (there !== undefined && !isOurs(there.bytes))
      throw new NetloomError('exists', `${path} is there already, and not netloom's own: it stays as it is`)
    if (there === undefined || there.mode !== mode || !there.bytes.equals(bytes)) {
      mkdirSync(dirname(path), { recursive: true })
      placeFile({ path, bytes, mode })
      this.#options.log.info({ path }, there === undefined ? 'installed' : 'installed anew')
    }
    this.#stamps.set(path, stampOf(path))
  }
}
