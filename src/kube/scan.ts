import { type BigIntStats } from 'node:fs'
import { lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { asNetloomError } from '../base/errors.js'

/** File names that hold manifests. */
const MANIFEST = /\.(ya?ml|json)$/

/** What lies at a place in a tree and below it. Paths are relative to the root, '' is the root itself. */
export interface Scan {
  /** Stamps of the manifests by path. */
  readonly files: Map<string, string>
  /** Identities of the folders by path. */
  readonly directories: Map<string, string>
  /** Why something could not be looked at, by path. It may still be there. */
  readonly unreadable: Map<string, string>
}

export interface ScanOptions {
  readonly root: string
  /** Where to start. */
  readonly at: string
  /** Identities of folders that are known at other places: links to them are not followed. */
  readonly known: ReadonlySet<string>
  /** Told of each folder before it is read, so that whatever changes from then on is noticed. */
  readonly onDirectory: (path: string, identity: string) => void
}

/** Differs whenever a file is another one or has other contents; also where its times were set back (ctime). */
export const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join(':')

export const identityOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`

/**
 * Looks at a place and all below. Links are followed, as the files of mounted ConfigMaps are links, but a folder is
 * entered once only. Names that start with a dot are left out. Only regular files count: a pipe would never end.
 */
export async function scan({ root, at, known, onDirectory }: ScanOptions): Promise<Scan> {
  const found: Scan = { files: new Map(), directories: new Map(), unreadable: new Map() }
  const entered = new Set(known)

  const visit = async (path: string, stats: BigIntStats | undefined): Promise<void> => {
    if (stats?.isFile() === true && MANIFEST.test(path)) found.files.set(path, stampOf(stats))
    if (stats?.isDirectory() !== true || entered.has(identityOf(stats))) return
    entered.add(identityOf(stats))
    onDirectory(path, identityOf(stats))
    found.directories.set(path, identityOf(stats))
    const children = (await namesIn(path)).map((name) => (path === '' ? name : `${path}/${name}`))
    const all = await Promise.all(children.map((child) => look(child)))
    for (const [i, child] of children.entries()) await visit(child, all[i])
  }

  const namesIn = async (path: string): Promise<string[]> => {
    try {
      return (await readdir(join(root, path))).filter((name) => !name.startsWith('.')).sort()
    } catch (error) {
      found.unreadable.set(path, asNetloomError(error).message)
      return []
    }
  }

  const look = async (path: string): Promise<BigIntStats | undefined> => {
    try {
      return await stat(join(root, path), { bigint: true })
    } catch (error) {
      const problem = await whyNot(join(root, path), error)
      if (problem !== undefined) found.unreadable.set(path, problem)
      return undefined
    }
  }

  await visit(at, await look(at))
  return found
}

/** Undefined for what is simply not there; a link that leads nowhere is there. */
async function whyNot(path: string, error: unknown): Promise<string | undefined> {
  const { message } = asNetloomError(error)
  const absent = ['ENOENT', 'ENOTDIR']
  if (!absent.includes(codeOf(error))) return message
  try {
    return (await lstat(path)).isSymbolicLink() ? 'is a link that leads nowhere' : undefined
  } catch (again) {
    return absent.includes(codeOf(again)) ? undefined : message
  }
}

/** Node's code of a system error, `ENOENT`; empty for other errors. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
