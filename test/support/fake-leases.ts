import { setTimeout as sleep } from 'node:timers/promises'
import { NetloomError } from '../../src/base/errors.js'
import { type ApiClient, type ApiRequest } from '../../src/kube/api/client.js'

/** What a call may meet; each a probability. */
export interface FakeFaults {
  /** It is refused before anything happens. */
  readonly refused: number
  /** It is carried out, and its answer is lost. */
  readonly lost: number
  /** Its answer is lost, and it is carried out some time after the caller was told so. */
  readonly late: number
}

interface Meta {
  name: string
  uid: string
  resourceVersion: string
  creationTimestamp: string
  ownerReferences?: { kind: string; name: string; uid: string }[]
  [field: string]: unknown
}

export interface FakeObject {
  metadata: Meta
  spec: Record<string, unknown>
}

/** Until the call is given up. */
const silence = ({ signal }: ApiRequest): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal?.aborted === true) reject(signal.reason as Error)
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })

const NO_FAULTS: FakeFaults = { refused: 0, lost: 0, late: 0 }

/**
 * Nodes and Leases of a namespace as an API server keeps them: one change at a time, with versions and preconditions.
 * Calls take their time before and after they are carried out, so whatever can overtake does.
 */
export class FakeLeases {
  readonly nodes = new Map<string, FakeObject>()
  readonly leases = new Map<string, FakeObject>()
  faults = NO_FAULTS
  /** Called after every change of a Lease. */
  onChange: () => void = () => undefined
  /** Carried out, by method and kind: `GET leases`. */
  readonly calls: string[] = []
  readonly #random: () => number
  readonly #mostMs: number
  #version = 1

  constructor(random: () => number, mostMs = 0) {
    this.#random = random
    this.#mostMs = mostMs
  }

  addNode(name: string, podCIDRs: readonly string[] = []): FakeObject {
    const node = { metadata: this.#meta({ name }), spec: { podCIDRs } }
    this.nodes.set(name, node)
    return node
  }

  addLease(name: string, metadata: object, spec: Record<string, unknown>): FakeObject {
    const lease = { metadata: this.#meta({ ...metadata, name }), spec }
    this.leases.set(name, lease)
    return lease
  }

  /** A client whose process may die: then it is never answered any more, while what it has sent takes its course. */
  client(): ApiClient & { crash: () => void } {
    const life = { over: false }
    const call = async (request: ApiRequest): Promise<unknown> => {
      const [outcome] = await Promise.allSettled([life.over ? silence(request) : this.#course(request)])
      if (life.over) return silence(request)
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    }
    return { call, crash: () => (life.over = true) }
  }

  async #course(request: ApiRequest): Promise<unknown> {
    const { refused, lost, late } = this.faults
    const luck = this.#random()
    await this.#while()
    request.signal?.throwIfAborted()
    if (luck < refused) throw new NetloomError('unavailable', 'the fake API server is busy')
    if (luck < refused + late) {
      void sleep(5 * this.#mostMs * this.#random()).then(() => this.#attempt(request))
      throw new NetloomError('unavailable', 'the fake API server did not answer in time')
    }
    const answer = this.#execute(request)
    await this.#while()
    if (luck < refused + late + lost) throw new NetloomError('unavailable', 'the fake API server did not answer')
    return answer
  }

  /** What nobody hears of any more. */
  #attempt(request: ApiRequest): void {
    try {
      this.#execute(request)
    } catch {
      return
    }
  }

  #while = (): Promise<unknown> => sleep(this.#mostMs * this.#random())

  #execute({ method, path, body, query }: ApiRequest): unknown {
    const [, kind = '', name = ''] = /\/(nodes|leases)(?:\/(.*))?$/.exec(path) ?? []
    this.calls.push(`${method} ${kind}`)
    const objects = kind === 'nodes' ? this.nodes : this.leases
    if (method === 'GET' && name === '') return this.#list(kind, objects, query)
    if (method === 'POST') return this.#create(body as FakeObject)
    const object = objects.get(name)
    if (object === undefined) throw new NetloomError('not-found', `${kind} "${name}" not found`)
    if (method === 'GET') return structuredClone(object)
    const given = body as { metadata?: Partial<Meta>; preconditions?: Partial<Meta> }
    const { uid, resourceVersion } = { ...given.metadata, ...given.preconditions }
    const { metadata } = object
    if ((uid ?? metadata.uid) !== metadata.uid || (resourceVersion ?? '') !== metadata.resourceVersion)
      throw new NetloomError('conflict', 'the object has been modified')
    if (method === 'DELETE') this.leases.delete(name)
    else this.leases.set(name, this.#patched(object, given))
    this.onChange()
    return structuredClone(this.leases.get(name) ?? object)
  }

  #list(kind: string, objects: ReadonlyMap<string, FakeObject>, query: ApiRequest['query']): unknown {
    if (query?.['resourceVersion'] !== undefined) throw new NetloomError('invalid', 'such a list may be old')
    const items = structuredClone([...objects.values()])
    const type = kind === 'nodes' ? 'NodeList' : 'LeaseList'
    return { kind: type, metadata: { resourceVersion: String(this.#version) }, items }
  }

  #create(object: FakeObject): unknown {
    const { name } = object.metadata
    if (this.leases.has(name)) throw new NetloomError('exists', `leases "${name}" already exists`)
    this.leases.set(name, structuredClone({ ...object, metadata: this.#meta(object.metadata) }))
    this.onChange()
    return structuredClone(this.leases.get(name))
  }

  /** RFC 7386. */
  #patched(object: FakeObject, patch: object): FakeObject {
    const merge = (into: unknown, from: unknown): unknown => {
      if (typeof from !== 'object' || from === null || Array.isArray(from)) return from
      const result: Record<string, unknown> = { ...(into as object | undefined) }
      for (const [key, value] of Object.entries(from))
        result[key] = value === null ? undefined : merge(result[key], value)
      return result
    }
    const patched = merge(structuredClone(object), patch) as FakeObject
    patched.metadata.resourceVersion = String(++this.#version)
    return patched
  }

  /** Deletes a Node and, as the garbage collector does, what it owns. */
  deleteNode(name: string): void {
    const uid = this.nodes.get(name)?.metadata.uid
    this.nodes.delete(name)
    for (const [key, { metadata }] of this.leases)
      if (metadata.ownerReferences?.some((owner) => owner.uid === uid)) this.leases.delete(key)
    this.onChange()
  }

  #meta(metadata: object & { readonly name: string }): Meta {
    const version = String(++this.#version)
    const creationTimestamp = new Date(Date.UTC(2026, 0, 1) + 1000 * this.#version).toISOString()
    return { ...metadata, uid: `uid-${version}`, resourceVersion: version, creationTimestamp }
  }
}
