import { readFile, stat } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { asNetloomError, invalid, NetloomError } from '../../base/errors.js'
import { documents, type ManifestDocument } from '../../kube/manifest.js'
import { scan } from '../../kube/scan.js'
import { Cursor } from '../../model/cursor.js'

/** One Kubernetes object of a user's file, as it stands there, and where that is. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly value: Readonly<Record<string, unknown>>
  /** Path of the file as the user gave it. */
  readonly file: string
  /** Line of a field of the object, from 1; undefined where the text was JSON. */
  readonly line: (field: string) => number | undefined
}

export interface Manifests {
  readonly objects: readonly Manifest[]
  readonly files: number
  /** Documents that say neither apiVersion nor kind: values of charts, settings of other tools. */
  readonly strangers: number
}

/** An error about a manifest: FILE:LINE first, then the field and what is wrong with it. */
export function manifestError({ file, line }: Pick<Manifest, 'file' | 'line'>, thrown: unknown): NetloomError {
  const error = asNetloomError(thrown)
  const field = error.field ?? ''
  const place = line(field)
  const where = place === undefined ? file : `${file}:${place}`
  return new NetloomError(error.code, `${where}: ${error.message}`, { field, cause: error })
}

/** Runs `read` over a manifest; what it throws names the manifest's file and line. */
export function reading<T>(manifest: Manifest, read: (object: Cursor) => T): T {
  try {
    return read(new Cursor(manifest.value))
  } catch (error) {
    throw manifestError(manifest, error)
  }
}

/**
 * The objects of one file or of a folder and all below it, in the order of their paths; lists are unfolded.
 * @throws NetloomError naming file and line of what cannot be read.
 */
export async function readManifests(path: string): Promise<Manifests> {
  const files = await filesOf(path)
  const read = await Promise.all(files.map(async (file) => parseManifests(file, await text(file))))
  return {
    objects: read.flatMap(({ objects }) => objects),
    files: files.length,
    strangers: read.reduce((sum, { strangers }) => sum + strangers, 0),
  }
}

async function filesOf(path: string): Promise<string[]> {
  const what = await stat(path).catch((error: unknown) => {
    throw invalid('', `${path}: ${asNetloomError(error).message}`, error)
  })
  if (!what.isDirectory()) return [path]
  const found = await scan({ root: path, at: '', known: new Set(), onDirectory: () => undefined })
  for (const [place, problem] of found.unreadable) throw invalid('', `${join(path, place)}: ${problem}`)
  const files = [...found.files.keys()].sort().map((file) => join(path, file))
  if (files.length === 0) throw invalid('', `${path}: holds no file that ends in .yaml, .yml or .json`)
  return files.map((file) => (relative('', file).startsWith('..') ? file : relative('', file)))
}

async function text(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw invalid('', `${file}: ${asNetloomError(error).message}`, error)
  }
}

/** The objects of a text. Kustomizations are instructions to another tool and none of the cluster's objects. */
export function parseManifests(file: string, text: string): Manifests {
  const objects: Manifest[] = []
  let strangers = 0
  if (/^kustomization\.ya?ml$/.test(basename(file))) return { objects, files: 1, strangers: 1 }
  for (const document of documents(text)) {
    if ('message' in document)
      throw manifestError({ file, line: () => document.line }, invalid(document.field ?? '', document.message))
    const place: Place = { file, line: (field) => document.position(field).line }
    if (isStranger(document)) strangers++
    else collect({ object: new Cursor(document.value), place, inherited: undefined, into: objects })
  }
  return { objects, files: 1, strangers }
}

type Place = Pick<Manifest, 'file' | 'line'>
type Type = Pick<Manifest, 'apiVersion' | 'kind'>

const isStranger = ({ value }: ManifestDocument): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !Object.hasOwn(value, 'apiVersion') &&
  !Object.hasOwn(value, 'kind')

interface Collection {
  readonly object: Cursor
  readonly place: Place
  /** What the items of a typed list are, which they need not repeat. */
  readonly inherited: Type | undefined
  readonly into: Manifest[]
}

function collect({ object, place, inherited, into }: Collection): void {
  try {
    const { apiVersion, kind } = readType(object, inherited)
    if (kind.endsWith('List') && !object.field('items').absent) {
      const item = kind === 'List' ? undefined : { apiVersion, kind: kind.slice(0, -'List'.length) }
      const items = object.field('items').list((each) => each)
      for (const each of items) collect({ object: each, place, inherited: item, into })
      return
    }
    const value = { ...(object.value as Record<string, unknown>), apiVersion, kind }
    const { path } = object
    into.push({ apiVersion, kind, value, file: place.file, line: (field) => place.line(joined(path, field)) })
  } catch (error) {
    throw error instanceof NetloomError && error.cause instanceof NetloomError ? error : manifestError(place, error)
  }
}

function readType(object: Cursor, inherited: Type | undefined): Type {
  if (inherited !== undefined && object.field('kind').absent) return inherited
  return { apiVersion: object.field('apiVersion').string(), kind: object.field('kind').string() }
}

const joined = (before: string, field: string): string =>
  before === '' || field === '' ? before + field : `${before}.${field}`
