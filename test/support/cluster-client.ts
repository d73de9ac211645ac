import { type ClientRequest, type IncomingMessage } from 'node:http'
import { Agent, request as send } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { asError, type ErrorCode, NetloomError } from '../../src/base/errors.js'
import { type Place } from '../../src/cli/demo/place.js'
import { type ApiClient, type ApiRequest } from '../../src/kube/api/client.js'
import { type Credential } from './certificates.js'

/**
 * The tests' own client of an API server, apart from the agent's, which is under test. It knows no kinds: where an
 * object belongs it asks the server.
 */

/** What names an object. */
export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string | undefined }
}

/** An object as the server has it. */
export interface KubeObject extends ObjectReference {
  readonly metadata: ObjectReference['metadata'] & {
    readonly uid: string
    readonly resourceVersion: string
    readonly generation?: number
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  // Everything else, by the names of the API: tests know what they ask for.
  readonly [field: string]: unknown
}

/** What is written: a reference and all else. */
export interface KubeInput extends ObjectReference {
  readonly metadata: ObjectReference['metadata'] & Readonly<Record<string, unknown>>
  readonly [field: string]: unknown
}

export interface ServerAddress {
  readonly address: string
  readonly port: number
  /** PEM. */
  readonly ca: string
  /** The network namespace that connections are made in, where it is not this process's own. */
  readonly place?: Place | undefined
}

/** Who asks. Nobody where it is empty. */
export interface Caller {
  readonly credential?: Credential
  readonly token?: string
}

/** What the server knows about a kind. */
interface Resource {
  readonly name: string
  readonly namespaced: boolean
}

const TIMEOUT_MS = 60_000
const CONNECTIONS = 64
/** How long what controllers do may take, and how often it is looked at. */
const PATIENCE_MS = 60_000
const LOOK_MS = 50
/** Who the server says has written what tests apply. */
const MANAGER = 'netloom-test'

const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

type AnyRequest = Omit<ApiRequest, 'patch'> & { readonly patch?: keyof typeof PATCH_TYPES }

/** HTTP answers as the codes of errors; others are `unavailable`. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid',
  401: 'denied',
  403: 'denied',
  404: 'not-found',
  409: 'conflict',
  422: 'invalid',
}

export class ClusterClient implements ApiClient {
  readonly #server: ServerAddress
  readonly #caller: Caller
  readonly #agent: Agent
  readonly #resources = new Map<string, Promise<Map<string, Resource>>>()

  constructor(server: ServerAddress, caller: Caller = {}) {
    this.#server = server
    this.#caller = caller
    this.#agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
    const { place } = server
    if (place !== undefined)
      this.#agent.createConnection = (options) => {
        const socket = place.connect(server.address, server.port)
        return connect({ ...(options as object), socket })
      }
  }

  /** Ends its connections; one that is used again makes new ones. */
  close(): void {
    this.#agent.destroy()
  }

  async call(request: AnyRequest): Promise<unknown> {
    const { status, text } = await this.#exchange(request)
    if (status < 300) return text === '' ? undefined : (JSON.parse(text) as unknown)
    const { reason, message } = statusOf(text)
    const code = reason === 'AlreadyExists' ? 'exists' : (CODES[status] ?? 'unavailable')
    throw new NetloomError(code, `${request.method} ${request.path}: ${status} ${message}`)
  }

  /** The answer of any path as it is: `/healthz`, `/metrics`. */
  async text(path: string): Promise<{ readonly status: number; readonly text: string }> {
    return this.#exchange({ method: 'GET', path })
  }

  /** Makes an object that is not there yet; its status as well. */
  async create(object: KubeInput): Promise<KubeObject> {
    const path = await this.#collection(object)
    const created = (await this.call({ method: 'POST', path, body: object })) as KubeObject
    if (object['status'] === undefined) return created
    const status = { method: 'PATCH', path: `${path}/${object.metadata.name}/status` } as const
    return (await this.call({ ...status, patch: 'merge', body: { status: object['status'] } })) as KubeObject
  }

  /** Makes objects what they are given as, in their order: by server-side apply, and their status as well. */
  async apply(...objects: readonly KubeInput[]): Promise<KubeObject[]> {
    const applied: KubeObject[] = []
    for (const object of objects) applied.push(await this.#apply(object))
    return applied
  }

  async #apply(object: KubeInput): Promise<KubeObject> {
    const path = await this.path(object)
    const query = { fieldManager: MANAGER, force: true }
    const patch = { method: 'PATCH', patch: 'apply', query, body: object } as const
    const applied = (await this.call({ ...patch, path })) as KubeObject
    if (object['status'] === undefined) return applied
    return (await this.call({ ...patch, path: `${path}/status` })) as KubeObject
  }

  /** Changes some fields of an object: a JSON merge patch. */
  async patch(object: ObjectReference, body: object, subresource = ''): Promise<KubeObject> {
    const path = `${await this.path(object)}${subresource}`
    return (await this.call({ method: 'PATCH', path, patch: 'merge', body })) as KubeObject
  }

  /** Deletes objects at once, as kubelet does when it is done with a Pod; those that are gone already are no error. */
  async delete(...objects: readonly ObjectReference[]): Promise<void> {
    for (const object of objects) {
      const path = await this.path(object)
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, propagationPolicy: 'Background' }
      await this.call({ method: 'DELETE', path, body }).catch(ignoreAbsence)
    }
  }

  async get(object: ObjectReference): Promise<KubeObject> {
    return (await this.call({ method: 'GET', path: await this.path(object) })) as KubeObject
  }

  /** The object, or undefined where there is none. */
  async find(object: ObjectReference): Promise<KubeObject | undefined> {
    return this.get(object).catch(ignoreAbsence)
  }

  /** All objects of a kind, in one namespace or in all. */
  async list(apiVersion: string, kind: string, namespace?: string): Promise<KubeObject[]> {
    const { name, namespaced } = await this.#resource(apiVersion, kind)
    const within = namespaced && namespace !== undefined ? `/namespaces/${namespace}` : ''
    const answer = await this.call({ method: 'GET', path: `${rootOf(apiVersion)}${within}/${name}` })
    return (answer as { items: KubeObject[] }).items.map((item) => ({ ...item, apiVersion, kind }))
  }

  /** The path of an object; its namespace is `default` where it needs one and has none. */
  async path(object: ObjectReference): Promise<string> {
    return `${await this.#collection(object)}/${encodeURIComponent(object.metadata.name)}`
  }

  async #collection({ apiVersion, kind, metadata: { namespace = 'default' } }: ObjectReference): Promise<string> {
    const { name, namespaced } = await this.#resource(apiVersion, kind)
    return `${rootOf(apiVersion)}${namespaced ? `/namespaces/${namespace}` : ''}/${name}`
  }

  async #resource(apiVersion: string, kind: string): Promise<Resource> {
    const known = this.#resources.get(apiVersion) ?? this.#discover(apiVersion)
    this.#resources.set(apiVersion, known)
    const resource = (await known).get(kind)
    if (resource !== undefined) return resource
    this.#resources.delete(apiVersion) // a definition of it may come yet
    throw new NetloomError('not-found', `the server knows no ${kind} in ${apiVersion}`)
  }

  async #discover(apiVersion: string): Promise<Map<string, Resource>> {
    const answer = await this.call({ method: 'GET', path: rootOf(apiVersion) })
    const { resources } = answer as { resources: (Resource & { kind: string })[] }
    // Subresources have a kind as well, and a slash in their name.
    return new Map(resources.filter(({ name }) => !name.includes('/')).map((resource) => [resource.kind, resource]))
  }

  #exchange(request: AnyRequest): Promise<{ status: number; text: string }> {
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body))
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        const { message } = asError(error)
        reject(new NetloomError('unavailable', `${request.method} ${request.path}: ${message}`, { cause: error }))
      }
      const sent = this.#send(request, body, (answer) => void textOf(answer).then(resolve, fail))
      sent.on('error', fail).end(body)
    })
  }

  #send(request: AnyRequest, body: Buffer | undefined, answered: (answer: IncomingMessage) => void): ClientRequest {
    const { method, path, query = {}, patch, timeoutMs = TIMEOUT_MS, signal } = request
    const { address, port, ca } = this.#server
    const { token, credential } = this.#caller
    const deadline = AbortSignal.timeout(timeoutMs)
    const options = {
      host: address,
      port,
      ca,
      agent: this.#agent,
      method,
      path: path + queryOf(query),
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined
          ? {}
          : {
              'content-type': method === 'PATCH' ? PATCH_TYPES[patch ?? 'merge'] : 'application/json',
              'content-length': body.length,
            }),
      },
      ...(credential === undefined ? {} : { cert: credential.certificate, key: credential.key }),
    }
    return send(options, answered)
  }
}

/** Asks until the answer satisfies, for what controllers do in their own time. @throws Error with the last answer */
export async function settled<T>(
  read: () => Promise<T>,
  satisfied: (value: T) => boolean,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const value = await read()
    if (satisfied(value)) return value
    if (performance.now() > deadline)
      throw new Error(`not so within ${patienceMs} ms; the last answer: ${JSON.stringify(value)}`)
    await sleep(LOOK_MS)
  }
}

/** Objects of the core group have their root where the API was before it had groups. */
const rootOf = (apiVersion: string): string => (apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`)

function queryOf(query: NonNullable<ApiRequest['query']>): string {
  const given = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value))
  return given.size === 0 ? '' : `?${given.toString()}`
}

async function textOf(answer: IncomingMessage): Promise<{ status: number; text: string }> {
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk as Buffer)
  return { status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() }
}

/** What is wrong, as a Status object says it; a server that is just starting answers with plain text. */
function statusOf(text: string): { reason?: string; message: string } {
  try {
    const { reason, message } = JSON.parse(text) as { reason?: string; message?: string }
    return { ...(reason === undefined ? {} : { reason }), message: message ?? text }
  } catch {
    return { message: text.trim() }
  }
}

/** For what may be gone, or not there yet. */
export function ignoreAbsence(error: unknown): undefined {
  if (error instanceof NetloomError && error.code === 'not-found') return undefined
  throw error
}
