import { API_MANAGER, EVENT_CONTROLLER, type EventReason } from '../base/names.js'
import { type ApiRequest } from '../kube/api/client.js'

/**
 * Events as events.k8s.io/v1 has them. The server keeps one kind of Event for both of its APIs, so whatever is written
 * here is what `kubectl describe` and `kubectl get events` show, a series as "(x7 over 3m)". core/v1 was turned down: it
 * checks next to nothing, and its count is a field that any writer may set back; here all but the series is immutable.
 */

/** Kinds that Events are about: where the API has them. */
const KINDS = {
  Node: { apiVersion: 'v1', resource: 'nodes' },
  Namespace: { apiVersion: 'v1', resource: 'namespaces' },
  Pod: { apiVersion: 'v1', resource: 'pods' },
  Service: { apiVersion: 'v1', resource: 'services' },
  EndpointSlice: { apiVersion: 'discovery.k8s.io/v1', resource: 'endpointslices' },
  NetworkPolicy: { apiVersion: 'networking.k8s.io/v1', resource: 'networkpolicies' },
  Lease: { apiVersion: 'coordination.k8s.io/v1', resource: 'leases' },
} as const

/** The object that an Event is about. */
export interface Regarding {
  readonly kind: keyof typeof KINDS
  /** None for kinds that are not in a namespace. */
  readonly namespace?: string | undefined
  readonly name: string
  readonly uid?: string | undefined
}

/** Something that people must know of. */
export interface EventReport {
  readonly type: 'Normal' | 'Warning'
  readonly reason: EventReason
  /** One sentence. The same thing in the same words is one Event that is counted. */
  readonly message: string
  /** What was being done, in one word: `AttachPod`. */
  readonly action: string
  readonly regarding: Regarding
}

/** What happened once, or several times. Times are milliseconds of the Unix epoch. */
export interface Occurrences {
  readonly count: number
  readonly firstAt: number
  readonly lastAt: number
}

/** Longest texts in bytes (pkg/apis/core/validation/events.go); a name is one of any object. */
const MOST = { name: 253, reason: 128, action: 128, reportingInstance: 128, note: 1024 } as const

/** An Event's name is that of its object and something that tells it from the others: NAME.HEX. */
export function eventName({ name }: Regarding, now: number, random: number): string {
  const unique = ((BigInt(Math.trunc(now)) << 20n) | BigInt(Math.trunc(random * 2 ** 20))).toString(16)
  // No part of a name ends with a hyphen, also where it is cut off.
  return `${name.slice(0, MOST.name - unique.length - 1).replace(/[-.]+$/, '')}.${unique}`
}

export interface Identified {
  /** Name of the Event. */
  readonly name: string
  /** Name of the reporting node. */
  readonly node: string
}

/** The request that makes an Event. */
export const creation = (report: EventReport, occurrences: Occurrences, { name, node }: Identified): ApiRequest => {
  const { type, reason, message, action, regarding } = report
  const namespace = eventNamespace(regarding)
  return {
    method: 'POST',
    path: eventsPath(namespace),
    query: { fieldManager: API_MANAGER },
    body: {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace, name },
      eventTime: microTime(occurrences.firstAt),
      ...(occurrences.count < 2 ? {} : { series: seriesOf(occurrences) }),
      type,
      reason: clip(reason, MOST.reason),
      action: clip(action, MOST.action),
      note: clip(message, MOST.note),
      regarding: referenceTo(regarding),
      reportingController: EVENT_CONTROLLER,
      reportingInstance: clip(node, MOST.reportingInstance),
    },
  }
}

/** The request that says how often something has happened by now. */
export const repetition = (regarding: Regarding, occurrences: Occurrences, name: string): ApiRequest => ({
  method: 'PATCH',
  path: `${eventsPath(eventNamespace(regarding))}/${encodeURIComponent(name)}`,
  query: { fieldManager: API_MANAGER },
  patch: 'merge',
  body: { series: seriesOf(occurrences) },
})

/** Where an object is itself. */
export function objectPath({ kind, namespace, name }: Regarding): string {
  const { apiVersion, resource } = KINDS[kind]
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const within = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  return `${root}${within}/${resource}/${encodeURIComponent(name)}`
}

/** Events about what is in no namespace are in this one: the server takes them in no other. */
const eventNamespace = ({ namespace }: Regarding): string => namespace ?? 'default'

const eventsPath = (namespace: string): string =>
  `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`

/**
 * `kubectl describe` looks for Events by the uid of their object. For a Node it also looks for those that have its name
 * there, which is how kubelet writes them.
 */
const referenceTo = ({ kind, namespace, name, uid }: Regarding): object => ({
  apiVersion: KINDS[kind].apiVersion,
  kind,
  ...(namespace === undefined ? {} : { namespace }),
  name,
  ...(uid === undefined ? (kind === 'Node' ? { uid: name } : {}) : { uid }),
})

/** All that happened, the first time included; the server takes no series of less than two. */
const seriesOf = ({ count, lastAt }: Occurrences): object => ({ count, lastObservedTime: microTime(lastAt) })

/** MicroTime of the API: exactly six digits behind the point. */
const microTime = (ms: number): string => new Date(ms).toISOString().replace(/Z$/, '000Z')

const ELLIPSIS = '…'

/** The beginning of a text that is too long; the server counts bytes of UTF-8. */
export function clip(text: string, most: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= most) return text
  const head = bytes.subarray(0, most - Buffer.byteLength(ELLIPSIS))
  // What is cut off within a character waits in the decoder for the rest of it.
  return new TextDecoder().decode(head, { stream: true }) + ELLIPSIS
}
