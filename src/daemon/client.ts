import { createConnection } from 'node:net'
import { asNetloomError, NetloomError, type ErrorCode } from '../base/errors.js'
import { encodeFrame, FRAME_KIND, type FrameBody, FrameDecoder } from '../codec/frame.js'

/** What the agent answers to `status`. */
export interface AgentStatus {
  readonly node: string
  readonly version: string
  /** The first complete state stands in the kernel: pods can be attached, Services answer. */
  readonly ready: boolean
  /** The node's own pod networks. */
  readonly subnets: readonly string[]
  /** Routes to the other nodes' pod networks. */
  readonly routes: readonly {
    readonly destination: string
    /** Address of the node that it leads to. */
    readonly gateway: string
    readonly node: string
    /** Straight to the node, or in a tunnel to it. */
    readonly kind: 'direct' | 'vxlan'
  }[]
  /** Pods attached to this node. */
  readonly pods: readonly {
    readonly containerId: string
    readonly ifname: string
    readonly addresses: readonly string[]
    readonly pod?: string
  }[]
  /** Frontends and endpoints in the kernel, and those that should be. */
  readonly services: { readonly frontends: number; readonly endpoints: number; readonly desired: number }
  /** What is wrong at the moment, a line for each. */
  readonly problems: readonly string[]
}

export interface CallOptions {
  /** Milliseconds to wait for the answer. */
  readonly timeoutMs?: number
}

const DEFAULT_TIMEOUT_MS = 10_000

/**
 * Calls a method of the agent behind a unix socket.
 * @throws NetloomError `unavailable` where no agent answers; otherwise what the agent's error says.
 */
export async function callAgent(
  socket: string,
  method: string,
  params: Readonly<Record<string, unknown>> = {},
  { timeoutMs = DEFAULT_TIMEOUT_MS }: CallOptions = {},
): Promise<unknown> {
  const body = await exchange(socket, encodeFrame(FRAME_KIND.REQUEST, { method, ...params }), timeoutMs)
  if (body['ok'] === true) return body['result']
  const error = (body['error'] ?? {}) as { code?: ErrorCode; message?: string; field?: string }
  throw new NetloomError(error.code ?? 'internal', error.message ?? 'the agent gave no reason', { field: error.field })
}

function exchange(socket: string, frame: Uint8Array, timeoutMs: number): Promise<FrameBody> {
  return new Promise((resolve, reject) => {
    const decoder = new FrameDecoder()
    const connection = createConnection(socket)
    const settle = (work: () => void): void => {
      clearTimeout(timer)
      connection.destroy()
      work()
    }
    const fail = (error: unknown): void => {
      const cause = asNetloomError(error)
      const message = `no agent answers at ${socket}: ${cause.message}`
      settle(() => reject(new NetloomError('unavailable', message, { cause })))
    }
    // Not the socket's own timeout: that one starts again with each byte.
    const timer = setTimeout(() => fail(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    connection.on('error', fail)
    connection.on('close', () => fail(new Error('the connection was closed')))
    connection.on('connect', () => connection.write(frame))
    connection.on('data', (chunk) => {
      try {
        for (const { kind, body } of decoder.push(chunk)) {
          if (kind !== FRAME_KIND.REPLY) throw new NetloomError('invalid', 'kind: not a reply', { field: 'kind' })
          settle(() => resolve(body))
        }
      } catch (error) {
        fail(error)
      }
    })
  })
}
