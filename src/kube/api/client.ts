import { type CompiledShape } from './prune.js'

/** One call of the Kubernetes API. */
export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From the root, segments escaped: `/api/v1/nodes/node-1`. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON. */
  readonly body?: unknown
  /** What a PATCH is: a JSON merge patch (RFC 7386) unless given, a JSON patch (RFC 6902), a strategic merge patch. */
  readonly patch?: 'merge' | 'json' | 'strategic'
  /** The fields of the answer that are wanted: the others may be missing from it. */
  readonly keep?: CompiledShape
  /** Milliseconds for all of it, the answer included. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** Calls a Kubernetes API server as the agent. */
export interface ApiClient {
  /**
   * Answers the object that the server answered with. One call is one request: whoever may ask twice does so by itself.
   * @throws NetloomError `not-found` (404), `exists` (409 AlreadyExists), `conflict` (409 Conflict), `denied` (401,
   * 403), `invalid` (400, 422, with the field), `unavailable` (429, 5xx, no connection, no answer in time)
   */
  call(request: ApiRequest): Promise<unknown>
}

/** A question whose answer goes on for as long as the server has something to tell. */
export interface WatchRequest {
  readonly path: string
  readonly query: NonNullable<ApiRequest['query']>
  /** Ends the watch: its iteration throws the signal's reason. */
  readonly signal: AbortSignal
}

/** An {@link ApiClient} that can watch as well. */
export interface WatchingApiClient extends ApiClient {
  /**
   * Answers when the server has agreed. An item is what arrived at once, and never empty; the iteration ends where the
   * server ends its answer in order.
   * @throws NetloomError as `call` does; while iterated `unavailable` where the connection breaks, `invalid` for what
   * is no JSON
   */
  watch(request: WatchRequest): Promise<AsyncIterable<readonly unknown[]>>
}
