/** What a responder says of itself and of its client: one line of JSON. */
export interface Answer {
  /** `namespace/name`. */
  readonly pod: string
  readonly node: string
  readonly port: number
  /** The client's address as the pod's socket saw it. */
  readonly client: string
}

/** The ways in which an attempt can go wrong. */
export type Failure = 'refused' | 'timeout' | 'unreachable' | 'reset' | 'bad answer' | 'not tried'

/** What became of one attempt. */
export type Outcome =
  | { readonly answer: Answer; readonly ms: number; readonly failure?: undefined }
  | { readonly failure: Failure; readonly ms: number; readonly answer?: undefined }

const FAILURES: Readonly<Record<string, Failure>> = {
  ECONNREFUSED: 'refused',
  EPERM: 'refused', // by a rule of the client's own namespace, which a node's processes meet before they send
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  EACCES: 'unreachable', // an ICMP answer that it is prohibited
}

/** What an error of a socket means; an unknown one is as bad as a broken answer. */
export const failureOf = (error: NodeJS.ErrnoException): Failure => FAILURES[error.code ?? ''] ?? 'bad answer'

/** Reads a responder's line; undefined where it is something else. */
export function parseAnswer(line: string): Answer | undefined {
  try {
    const value = JSON.parse(line) as Partial<Answer> | null
    const { pod, node, port, client } = value ?? {}
    if (typeof pod !== 'string' || typeof node !== 'string') return undefined
    if (typeof port !== 'number' || typeof client !== 'string') return undefined
    return { pod, node, port, client }
  } catch {
    return undefined
  }
}
