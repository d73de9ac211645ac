import { createHash } from 'node:crypto'
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node as YamlNode,
  parseAllDocuments,
  visit,
} from 'yaml'
import { asNetloomError, invalid } from '../base/errors.js'
import { type KubeObject, parseObjects } from '../model/object.js'

/** What is wrong with a text, and where. */
export interface Flaw {
  readonly message: string
  /** From 1. */
  readonly line?: number | undefined
  /** From 1. */
  readonly column?: number | undefined
  /** Path of the field within its document. */
  readonly field?: string | undefined
}

/** An object and the line it starts on; undefined where the text was JSON. */
export interface LocatedObject {
  readonly object: KubeObject
  readonly line: number | undefined
}

/** What a text says, and what is wrong with it: one flaw for each document that has any. */
export interface Manifest {
  readonly objects: readonly LocatedObject[]
  readonly flaws: readonly Flaw[]
}

type Position = Pick<Flaw, 'line' | 'column'>

/** One document as plain data, and where its fields stand in the text. */
export interface ManifestDocument {
  readonly value: unknown
  /** Position of a field, or of the closest thing around it that is there; the document's own for ''. */
  readonly position: (field: string) => Position
}

/** Largest nesting of aliases a document may unfold to; yaml counts uses of an anchor times those within it. */
const MOST_ALIASES = 1000

/** What each document of a text said, by the digest of its text; lines count from the document's own first. */
export type DocumentCache = Map<string, readonly LocatedObject[]>

/** A text up to the next line of three dashes. */
interface Part {
  readonly text: string
  /** Lines before it. */
  readonly line: number
}

/**
 * Kubernetes objects of a text in YAML or JSON: documents, and lists in them. Kinds that are not used are left out.
 * Never throws.
 * @param cache of the last reading of the same file: only documents that are not in it are parsed, so that a change
 * costs what the document costs, not the file. It is left with what this reading found.
 */
export function readManifest(text: string, cache: DocumentCache = new Map()): Manifest {
  const objects: LocatedObject[] = []
  const flaws: Flaw[] = []
  const parts = split(text)
  const known = new Map(cache)
  cache.clear()
  for (const part of parts) {
    const digest = createHash('sha256').update(part.text).digest('base64')
    const read = known.get(digest) ?? readPart(part.text, part.line, flaws)
    if (read === undefined) continue
    if (parts.length > 1) cache.set(digest, read)
    for (const { object, line } of read) objects.push({ object, line: line === undefined ? line : line + part.line })
  }
  return { objects, flaws }
}

/**
 * Three dashes at the start of a line begin a document wherever they stand, within block scalars and quotes as well
 * (YAML 1.2.2, 9.1.2). Directives hold for the document after them; where there are any the text stays whole.
 */
function split(text: string): Part[] {
  if (/^%/m.test(text)) return [{ text, line: 0 }]
  const parts: Part[] = []
  let line = 0
  for (const part of text.split(/^(?=---(?:\s|$))/m)) {
    parts.push({ text: part, line })
    for (let at = part.indexOf('\n'); at !== -1; at = part.indexOf('\n', at + 1)) line++
  }
  return parts
}

/** Objects of a part; undefined, and flaws, where any of its documents is broken. */
function readPart(text: string, linesBefore: number, flaws: Flaw[]): LocatedObject[] | undefined {
  const objects: LocatedObject[] = []
  const found: Flaw[] = []
  for (const document of documents(text)) {
    if ('message' in document) found.push(document)
    else
      try {
        for (const { object, path } of parseObjects(document.value))
          objects.push({ object, line: document.position(path).line })
      } catch (thrown) {
        const { message, field } = asNetloomError(thrown)
        found.push({ message, field, ...(field === undefined ? {} : locateInText(text, document, field)) })
      }
  }
  for (const flaw of found) flaws.push(flaw.line === undefined ? flaw : { ...flaw, line: flaw.line + linesBefore })
  return found.length === 0 ? objects : undefined
}

/** The position of a field; JSON is read again for it, this time with positions. */
function locateInText(text: string, document: ManifestDocument, field: string): Position {
  const position = document.position(field)
  if (position.line !== undefined) return position
  const [located] = yamlDocuments(text)
  return located === undefined || 'message' in located ? position : located.position(field)
}

/** The documents of a text as plain data; a flaw in the place of each that is none. Empty documents are left out. */
export function documents(text: string): (ManifestDocument | Flaw)[] {
  return jsonDocument(text) ?? yamlDocuments(text)
}

/** JSON is YAML as well, but is read many times faster as what it is. What is wrong with it, YAML can say. */
function jsonDocument(text: string): ManifestDocument[] | undefined {
  if (!/^\s*\{/.test(text)) return undefined
  try {
    return [{ value: JSON.parse(text), position: () => ({}) }]
  } catch {
    return undefined // not JSON, or broken JSON, or several documents: the YAML parser has the last word
  }
}

function yamlDocuments(text: string): (ManifestDocument | Flaw)[] {
  const lineCounter = new LineCounter()
  try {
    const parsed = parseAllDocuments(text, { lineCounter, merge: true, prettyErrors: false, logLevel: 'error' })
    if ('empty' in parsed) return []
    return parsed.flatMap((document) => yamlDocument(document, lineCounter))
  } catch (thrown) {
    return [{ message: asNetloomError(thrown).message }] // nested deeper than the parser's stack
  }
}

function yamlDocument(document: Document.Parsed, lines: LineCounter): (ManifestDocument | Flaw)[] {
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const [error] = document.errors
  if (error !== undefined) return [{ message: error.message, ...at(error.pos[0]) }]
  const position = (field: string): Position => at(nodeOf(document, field)?.range?.[0] ?? document.range[0])
  try {
    const value = plain(document)
    return value === null || value === undefined ? [] : [{ value, position }]
  } catch (thrown) {
    return [{ message: asNetloomError(thrown).message, ...at(danglingAlias(document) ?? document.range[0]) }]
  }
}

/**
 * The document as data. A copy, because the parser cuts its strings out of the text, and V8 would keep the whole text
 * in memory for the sake of one address.
 */
function plain(document: Document.Parsed): unknown {
  try {
    return structuredClone(document.toJS({ maxAliasCount: MOST_ALIASES }))
  } catch (thrown) {
    throw invalid('', `cannot be unfolded: ${asNetloomError(thrown).message}`, thrown)
  }
}

/** Offset of the first alias whose anchor does not stand before it. */
function danglingAlias(document: Document.Parsed): number | undefined {
  const anchors = new Set<string>()
  let offset: number | undefined
  visit(document, {
    Value: (_key, { anchor }) => {
      if (anchor !== undefined) anchors.add(anchor)
    },
    Alias: (_key, { source, range }) => {
      if (anchors.has(source)) return undefined
      offset = range?.[0]
      return visit.BREAK
    },
  })
  return offset
}

/** The node of a field's path as far as it exists. */
function nodeOf(document: Document.Parsed, field: string): YamlNode | undefined {
  let node: YamlNode | undefined = document.contents ?? undefined
  for (const [, name, bracketed] of field.matchAll(/\.?([^.[\]]+)|\[([^\]]*)\]/g)) {
    const next = child(document, node, name ?? bracketed ?? '')
    if (next === undefined) break
    node = next
  }
  return node
}

function child(document: Document.Parsed, parent: YamlNode | undefined, name: string): YamlNode | undefined {
  const node = isAlias(parent) ? parent.resolve(document) : parent
  if (isSeq(node)) return asNode(node.items[Number(name)])
  if (!isMap(node)) return undefined
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === name)
  return asNode(pair?.value) ?? asNode(pair?.key)
}

const asNode = (value: unknown): YamlNode | undefined => (isNode(value) ? value : undefined)
