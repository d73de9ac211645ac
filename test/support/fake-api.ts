import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

/** An object as the API has it. */
export interface ApiObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly [field: string]: unknown
  }
  readonly [field: string]: unknown
}

/** A request as the server saw it. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** What goes wrong with a request. */
export type Fault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown }
  /** A success with this text. */
  | { readonly text: string }
  /** It is never answered. */
  | 'hang'
  /** The connection is closed without an answer. */
  | 'reset'
  /** The connection breaks in the middle of the answer. */
  | 'cut'

interface Event {
  readonly version: number
  readonly path: string
  readonly key: string
  readonly before: ApiObject | undefined
  readonly after: ApiObject | undefined
  /** No watch is told of it, as happens. */
  readonly missed: boolean
}

/** A watch that a client has open. */
export class FakeWatch {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly #response: ServerResponse
  /** Nothing is sent any more, though the connection stands: a half-open connection as the client sees it. */
  mute = false

  constructor(response: ServerResponse, { path, query }: SeenRequest) {
    this.path = path
    this.query = query
    this.#response = response
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
  }

  get open(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded
  }

  send(value: unknown): void {
    this.write(`${JSON.stringify(value)}\n`)
  }

  /** Sends bytes as they are. */
  write(bytes: string | Uint8Array): void {
    if (!this.mute) this.#response.write(bytes)
  }

  /** Ends it in order, as the server does after `timeoutSeconds`. */
  end(): void {
    this.#response.end()
  }

  /** Breaks the connection. */
  drop(): void {
    this.#response.destroy()
  }
}

/** `kind` and `apiVersion` of what a path lists. */
const LISTS: Readonly<Record<string, readonly [apiVersion: string, kind: string]>> = {
  nodes: ['v1', 'NodeList'],
  namespaces: ['v1', 'NamespaceList'],
  pods: ['v1', 'PodList'],
  services: ['v1', 'ServiceList'],
  endpointslices: ['discovery.k8s.io/v1', 'EndpointSliceList'],
  networkpolicies: ['networking.k8s.io/v1', 'NetworkPolicyList'],
  leases: ['coordination.k8s.io/v1', 'LeaseList'],
}

export const listTypeOf = (path: string): readonly [apiVersion: string, kind: string] =>
  LISTS[path.slice(path.lastIndexOf('/') + 1)] ?? ['v1', 'List']

/**
 * An API server of few words on loopback: it lists (in pages, at a version), watches (from a version, with bookmarks),
 * forgets (compaction), and goes wrong in whatever way a test says.
 */
export class FakeApi {
  readonly requests: SeenRequest[] = []
  readonly watches: FakeWatch[] = []
  /** Answers are compressed for who accepts that. */
  gzip = false
  /** Where set, only these bearer tokens are known. */
  tokens: ReadonlySet<string> | undefined
  readonly #server: Server
  readonly #faults: { matches: (request: SeenRequest) => boolean; fault: Fault; left: number }[] = []
  readonly #objects = new Map<string, Map<string, ApiObject>>()
  #history: Event[] = []
  #version = 1
  #compacted = 0

  static async start(): Promise<FakeApi> {
    const api = new FakeApi()
    await api.listen()
    return api
  }

  private constructor() {
    this.#server = createServer((request, response) => void this.#handle(request, response))
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Goes away with all connections; {@link listen} with the same port brings it back. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
    this.watches.length = 0
  }

  /** The next request that matches goes wrong, or the next several. */
  fail(fault: Fault, matches: (request: SeenRequest) => boolean = () => true, times = 1): void {
    this.#faults.push({ fault, matches, left: times })
  }

  /** All requests are right again. */
  heal(): void {
    this.#faults.length = 0
  }

  /** Puts an object and answers it as it is now. */
  put(path: string, object: ApiObject, { missed = false } = {}): ApiObject {
    const version = ++this.#version
    const metadata = { uid: `uid-${version}`, ...object.metadata, resourceVersion: String(version) }
    const after = { ...object, metadata }
    this.#change({ version, path, key: keyOf(object), before: this.get(path, keyOf(object)), after, missed })
    return after
  }

  delete(path: string, key: string, { missed = false } = {}): void {
    const before = this.get(path, key)
    if (before === undefined) return
    const version = ++this.#version
    this.#change({ version, path, key, before, after: undefined, missed })
  }

  get(path: string, key: string): ApiObject | undefined {
    return this.#objects.get(path)?.get(key)
  }

  all(path: string): ApiObject[] {
    return [...(this.#objects.get(path)?.values() ?? [])]
  }

  /** Forgets what was before now: older versions are Gone. */
  compact(): void {
    this.#compacted = ++this.#version
  }

  /** Tells all watches that want bookmarks how far they are. */
  bookmark(): void {
    for (const watch of this.openWatches()) {
      const [apiVersion, list] = listTypeOf(watch.path)
      const object = {
        apiVersion,
        kind: list.replace(/List$/, ''),
        metadata: { resourceVersion: String(this.#version) },
      }
      if (watch.query['allowWatchBookmarks'] === 'true') watch.send({ type: 'BOOKMARK', object })
    }
  }

  openWatches(path?: string): FakeWatch[] {
    return this.watches.filter((watch) => watch.open && (path === undefined || watch.path === path))
  }

  /** Requests for lists of a path, pages included. */
  lists(path: string): SeenRequest[] {
    return this.requests.filter((request) => request.path === path && request.query['watch'] === undefined)
  }

  #change(event: Event): void {
    const objects = this.#objects.get(event.path) ?? new Map<string, ApiObject>()
    this.#objects.set(event.path, objects)
    if (event.after === undefined) objects.delete(event.key)
    else objects.set(event.key, event.after)
    this.#history.push(event)
    for (const watch of this.openWatches(event.path)) tell(watch, event)
  }

  async #handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'http://fake')
    let body = ''
    for await (const piece of incoming) body += String(piece)
    const query = Object.fromEntries(url.searchParams)
    const request = { method: incoming.method ?? '', path: url.pathname, query, headers: incoming.headers, body }
    this.requests.push(request)
    const fault = this.#faultOf(request)
    if (fault === 'hang') return
    if (fault === 'reset') return void incoming.socket.destroy()
    const token = /^Bearer (.*)$/.exec(incoming.headers.authorization ?? '')?.[1] ?? ''
    if (this.tokens?.has(token) === false) {
      this.#answer(request, response, { status: 401, body: status(401) })
      return
    }
    if (fault === 'cut') {
      this.#cut(response, this.#ask(request))
      return
    }
    if (fault !== undefined && 'text' in fault) return void response.end(fault.text)
    if (fault !== undefined) {
      this.#answer(request, response, fault)
      return
    }
    if (query['watch'] === 'true') {
      this.#watch(request, response)
      return
    }
    this.#answer(request, response, this.#ask(request))
  }

  #faultOf(request: SeenRequest): Fault | undefined {
    const found = this.#faults.find(({ matches, left }) => left > 0 && matches(request))
    if (found !== undefined) found.left--
    return found?.fault
  }

  #answer(
    { headers: asked }: SeenRequest,
    response: ServerResponse,
    { status, body, headers = {} }: Exclude<Fault, string | { text: string }>,
  ): void {
    const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
    const compress = this.gzip && String(asked['accept-encoding']).includes('gzip')
    response.writeHead(status, { 'content-type': 'application/json', ...headers, ...(compress ? GZIP : {}) })
    response.end(compress ? gzipSync(text) : text)
  }

  #cut(response: ServerResponse, { status, body }: { status: number; body: unknown }): void {
    const text = JSON.stringify(body)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    response.write(text.slice(0, text.length / 2), () => response.destroy())
  }

  #ask({ method, path, query }: SeenRequest): { status: number; body: unknown } {
    if (method !== 'GET') return { status: 200, body: { kind: 'Status', status: 'Success' } }
    const list =
      query['limit'] !== undefined || this.#objects.has(path) || path.slice(path.lastIndexOf('/') + 1) in LISTS
    if (list) return this.#list(path, query)
    const found = this.get(path.slice(0, path.lastIndexOf('/')), path.slice(path.lastIndexOf('/') + 1))
    return found === undefined ? { status: 404, body: status(404) } : { status: 200, body: found }
  }

  #list(path: string, query: Readonly<Record<string, string>>): { status: number; body: unknown } {
    const [from, start] = positionOf(query['continue'])
    const exact = query['resourceVersionMatch'] === 'Exact' ? Number(query['resourceVersion']) : undefined
    const version = from ?? exact ?? this.#version
    if (version < this.#compacted) return { status: 410, body: status(410) }
    const items = this.#at(path, version).filter((object) => selects(query, object))
    const limit = Number(query['limit'] ?? items.length)
    const next = start + limit < items.length ? `${version}:${start + limit}` : ''
    const metadata = { resourceVersion: String(version), ...(next === '' ? {} : { continue: next }) }
    const [apiVersion, kind] = listTypeOf(path)
    const page = items.slice(start, start + limit).map((item) => ({ ...item, kind: undefined, apiVersion: undefined }))
    return { status: 200, body: { kind, apiVersion, metadata, items: page } }
  }

  /** The objects of a path as they were at a version, in the order of their keys. */
  #at(path: string, version: number): ApiObject[] {
    const objects = new Map<string, ApiObject>()
    if (version === this.#version) for (const [key, object] of this.#objects.get(path) ?? []) objects.set(key, object)
    else
      for (const event of this.#history) {
        if (event.path !== path || event.version > version) continue
        if (event.after === undefined) objects.delete(event.key)
        else objects.set(event.key, event.after)
      }
    return [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object)
  }

  #watch(request: SeenRequest, response: ServerResponse): void {
    const since = Number(request.query['resourceVersion'])
    const watch = new FakeWatch(response, request)
    this.watches.push(watch)
    if (since < this.#compacted) {
      watch.send({ type: 'ERROR', object: status(410) })
      watch.end()
      return
    }
    for (const event of this.#history) if (event.path === request.path && event.version > since) tell(watch, event)
  }
}

const GZIP = { 'content-encoding': 'gzip' }

const keyOf = ({ metadata: { name, namespace } }: ApiObject): string =>
  namespace === undefined ? name : `${namespace}/${name}`

function tell(watch: FakeWatch, { before, after, missed, version }: Event): void {
  if (missed) return
  const was = before !== undefined && selects(watch.query, before)
  const is = after !== undefined && selects(watch.query, after)
  if (is) watch.send({ type: was ? 'MODIFIED' : 'ADDED', object: after })
  else if (was) {
    const object = after ?? before
    const metadata = { ...object.metadata, resourceVersion: String(version) }
    watch.send({ type: 'DELETED', object: { ...object, metadata } })
  }
}

/** Label and field selectors in the forms `key=value` and `!key`. */
function selects(query: Readonly<Record<string, string>>, object: ApiObject): boolean {
  const terms = (text: string | undefined): string[] => (text === undefined || text === '' ? [] : text.split(','))
  const labels = object.metadata.labels ?? {}
  const holds = (term: string, read: (key: string) => unknown): boolean => {
    if (term.startsWith('!')) return read(term.slice(1)) === undefined
    const [key = '', value] = term.split('=')
    return read(key) === value
  }
  const fieldOf = (path: string): unknown =>
    path.split('.').reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], object)
  return (
    terms(query['labelSelector']).every((term) => holds(term, (key) => labels[key])) &&
    terms(query['fieldSelector']).every((term) => holds(term, fieldOf))
  )
}

function positionOf(token: string | undefined): [version: number | undefined, start: number] {
  if (token === undefined) return [undefined, 0]
  const [version, start] = token.split(':').map(Number)
  return [version, start ?? 0]
}

const REASONS: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  410: 'Expired',
  429: 'TooManyRequests',
  500: 'InternalError',
}

/** A Status as the API server answers with. */
export const status = (code: number, rest: object = {}): object => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  reason: REASONS[code] ?? '',
  message: `made up: ${code}`,
  code,
  ...rest,
})
