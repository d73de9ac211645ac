import { API_MANAGER, NODE_ADDRESSES_ANNOTATION, NOT_READY_TAINT, READY_REASON } from '../base/names.js'
import { type ApiRequest } from '../kube/api/client.js'
import { type Shape } from '../kube/api/prune.js'
import { Cursor } from '../model/cursor.js'

/** What the API is to know of a node. */
export interface NodeWish {
  /**
   * Pods can be attached. While they cannot, nothing is said about it: an agent that is being replaced leaves a network
   * that works, and no condition or taint is to drive pods off it.
   */
  readonly ready: boolean
  /** The addresses that other nodes are to use; undefined where these are the InternalIPs. */
  readonly addresses: readonly string[] | undefined
}

/** What {@link planNodeReport} looks at. Taints are wanted whole, since a JSON patch compares them. */
export const NODE_SHAPE: Shape = {
  metadata: { name: true, annotations: true },
  spec: { taints: true },
  status: { conditions: true },
}

const CONDITION = { type: 'NetworkUnavailable', status: 'False', reason: READY_REASON }
const CONDITION_MESSAGE = 'netloom has set up the pod network of this node'

/**
 * What makes a Node what it is wished to be, in the order in which it is to be done; nothing where it is so. Pods come
 * last: other nodes know by then where this one is.
 *
 * The taint node.kubernetes.io/network-unavailable is not ours to touch. The node lifecycle controller derives it from
 * the condition, sets it again as long as that says so, and takes it away once it does not.
 * @param node core/v1 Node, as the server answered
 * @param now milliseconds of the Unix epoch
 * @throws NetloomError `invalid` for what is no Node
 */
export function planNodeReport(wish: NodeWish, node: unknown, now: number): readonly ApiRequest[] {
  const place = new Cursor(node)
  const path = nodePath(place.field('metadata').field('name').string())
  return [
    ...planAddresses(wish, place, path),
    ...(wish.ready ? [...planCondition(place, path, now), ...planTaints(place, path)] : []),
  ]
}

export const nodePath = (name: string): string => `/api/v1/nodes/${encodeURIComponent(name)}`

const patchOf = (patch: NonNullable<ApiRequest['patch']>, path: string, body: unknown): ApiRequest => ({
  method: 'PATCH',
  path,
  query: { fieldManager: API_MANAGER },
  patch,
  body,
})

function planAddresses({ addresses }: NodeWish, node: Cursor, path: string): ApiRequest[] {
  const current = node.field('metadata').field('annotations').field(NODE_ADDRESSES_ANNOTATION).value
  const wanted = addresses?.join(',')
  if (current === wanted) return []
  return [patchOf('merge', path, { metadata: { annotations: { [NODE_ADDRESSES_ANNOTATION]: wanted ?? null } } })]
}

/** Conditions are merged by their type, so those of others stay as they are at that moment. */
function planCondition(node: Cursor, path: string, now: number): ApiRequest[] {
  const conditions = node.field('status').field('conditions')
  const current = conditions.list((item) => item).find((item) => item.field('type').value === CONDITION.type)
  const isSame = (field: keyof typeof CONDITION): boolean => current?.field(field).value === CONDITION[field]
  if (isSame('status') && isSame('reason')) return []
  const time = apiTime(now)
  const since = current?.field('lastTransitionTime')
  const condition = {
    ...CONDITION,
    message: CONDITION_MESSAGE,
    lastHeartbeatTime: time,
    lastTransitionTime: isSame('status') && since?.absent === false ? since.value : time,
  }
  return [patchOf('strategic', `${path}/status`, { status: { conditions: [condition] } })]
}

/**
 * Taints have no strategy to merge by but their key, and one key may be there with several effects; so they are taken
 * out by position. The server compares what is there and takes it out in one step: where somebody else has changed the
 * list since, it refuses (422), and nothing of theirs is lost. The last goes first, which leaves the positions before it.
 */
function planTaints(node: Cursor, path: string): ApiRequest[] {
  const steps = node
    .field('spec')
    .field('taints')
    .list(({ value }) => value)
    .flatMap((value, i) => {
      if (new Cursor(value).field('key').value !== NOT_READY_TAINT) return []
      const at = `/spec/taints/${i}`
      return [
        [
          { op: 'test', path: at, value },
          { op: 'remove', path: at },
        ],
      ]
    })
  return steps.length === 0 ? [] : [patchOf('json', path, steps.reverse().flat())]
}

/** A Time of the API (RFC 3339), in seconds. */
const apiTime = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
