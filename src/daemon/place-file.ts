import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** A file's text to be, and who may do what with it. */
export interface PlacedFile {
  readonly path: string
  readonly bytes: Buffer
  readonly mode: number
}

/** Where a file is written before it has its name: hidden, with an ending that no reader of such folders takes. */
export const draftOf = (path: string): string => join(dirname(path), `.${basename(path)}.netloom-draft`)

/**
 * Puts a file in place so that whoever looks finds the former one or this one, whole, also after a power failure.
 * @throws Error of the file system
 */
export function placeFile({ path, bytes, mode }: PlacedFile): void {
  const draft = draftOf(path)
  clearDraft(path)
  const fd = openSync(draft, 'wx', mode)
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
    fchmodSync(fd, mode) // not less, whatever the process's mask is
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(draft, path)
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** Takes away what a crash left of {@link placeFile}. */
export const clearDraft = (path: string): void => rmSync(draftOf(path), { force: true })

/** What is in place, undefined where nothing is. */
export function placedAt(path: string): PlacedFile | undefined {
  try {
    return { path, bytes: readFileSync(path), mode: statSync(path).mode & 0o7777 }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Changes whenever somebody writes, replaces or removes the file. */
export function stampOf(path: string): string {
  const there = statSync(path, { bigint: true, throwIfNoEntry: false })
  return there === undefined ? '' : [there.ino, there.size, there.mode, there.mtimeNs, there.ctimeNs].join()
}
