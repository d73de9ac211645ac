import { once } from 'node:events'
import { type IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { createGunzip } from 'node:zlib'
import { NetloomError } from '../../../src/base/errors.js'
import { TIMING } from '../../../src/kube/api/reflector.js'
import { type Resource } from '../../../src/kube/api/resource.js'
import { type Awaited } from './awaited.js'

export interface PlainServer {
  readonly server: string
  /** PEM. */
  readonly ca: string
  readonly token: string
}

/** What reading lists took. */
export interface Reading {
  readonly ms: number
  readonly requests: number
  /** Of the bodies as they came, so compressed. */
  readonly bytes: number
}

/** What it is called in figures. */
export const PLAIN = 'plain client, nothing parsed'

/**
 * The least that a client has to do: it asks for the same, decompresses it, and looks no further into it. What an agent
 * takes longer is its own; what this takes is the server's, and TLS.
 */
export class PlainClient {
  readonly #server: PlainServer
  readonly #agent = new Agent({ keepAlive: true })

  constructor(server: PlainServer) {
    this.#server = server
  }

  /** Reads lists side by side, each page by page. */
  async readLists(resources: readonly Resource[]): Promise<Reading> {
    const begun = performance.now()
    const lists = await Promise.all(resources.map((resource) => this.#readList(resource)))
    const sum = (what: 'requests' | 'bytes'): number => lists.reduce((total, list) => total + list[what], 0)
    return { ms: performance.now() - begun, requests: sum('requests'), bytes: sum('bytes') }
  }

  async #readList({ path, labelSelector, fieldSelector }: Resource): Promise<Omit<Reading, 'ms'>> {
    let [requests, bytes] = [0, 0]
    let next: string | undefined = ''
    while (next !== undefined) {
      const query = { labelSelector, fieldSelector, limit: String(TIMING.pageSize), continue: next || undefined }
      const answer = await this.#get(path, query, 'gzip')
      answer.on('data', (chunk: Buffer) => (bytes += chunk.length))
      const body = answer.headers['content-encoding'] === 'gzip' ? answer.pipe(createGunzip()) : answer
      const text = Buffer.concat(await (body as AsyncIterable<Buffer> & typeof body).toArray())
      next = CONTINUE.exec(text.toString('latin1', 0, HEAD_BYTES))?.[1]
      requests++
    }
    return { requests, bytes }
  }

  /** Follows what happens to a kind, and tells which of the awaited texts came by. */
  async watch(path: string, texts: Awaited): Promise<() => void> {
    const [list] = await Promise.all([this.#get(path, { limit: '1' })])
    const { metadata } = JSON.parse((await list.setEncoding('utf8').toArray()).join('')) as {
      metadata: { resourceVersion: string }
    }
    const answer = await this.#get(path, { watch: '1', resourceVersion: metadata.resourceVersion })
    let open = true
    let rest = ''
    const close = (): void => {
      open = false
      answer.destroy()
    }
    answer.setEncoding('utf8')
    answer.on('data', (text: string) => {
      rest += text
      const end = rest.lastIndexOf('\n') + 1
      if (end > 0) texts.sawIn(rest.slice(0, end))
      rest = rest.slice(end)
    })
    answer.on('error', (error) => texts.fail(error))
    answer.on('close', () => {
      if (open) texts.fail(new NetloomError('unavailable', `the watch of ${path} has ended`))
    })
    return close
  }

  async #get(path: string, query: Readonly<Record<string, string | undefined>>, encoding = 'identity') {
    const { server, ca, token } = this.#server
    const url = new URL(path, server)
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value)
    const headers = { authorization: `Bearer ${token}`, accept: 'application/json', 'accept-encoding': encoding }
    const sent = request(url, { ca, agent: this.#agent, headers }).end()
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    if (answer.statusCode === 200) return answer
    answer.resume()
    throw new NetloomError('unavailable', `GET ${path}: ${answer.statusCode ?? 0}`)
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Where the next page begins. It stands before the objects of a list. */
const CONTINUE = /"continue":"([^"]+)"/
const HEAD_BYTES = 2000
