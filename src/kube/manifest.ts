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

/** Either the objects of a text, or what is wrong with it: one flaw for each document that has any. */
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

/**
 * Kubernetes objects of a text in YAML or JSON: documents, and lists in them. Kinds that are not used are left out.
 * Pure; never throws.
 */
export function readManifest(text: string): Manifest {
  const objects: LocatedObject[] = []
  const flaws: Flaw[] = []
  for (const document of documents(text)) {
    if ('message' in document) flaws.push(document)
    else
      try {
        for (const { object, path } of parseObjects(document.value))
          objects.push({ object, line: document.position(path).line })
      } catch (thrown) {
        const { message, field } = asNetloomError(thrown)
        flaws.push({ message, field, ...(field === undefined ? {} : locateInText(text, document, field)) })
      }
  }
  return { objects, flaws }
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
