import { Cursor } from './cursor.js'
import { type Endpoints, readEndpoints } from './endpoints.js'
import { type EndpointSlice, readEndpointSlice } from './endpointslice.js'
import { type Namespace, readNamespace } from './namespace.js'
import { type NetworkPolicy, readNetworkPolicy } from './networkpolicy.js'
import { type Node, readNode } from './node.js'
import { type Pod, readPod } from './pod.js'
import { readService, type Service } from './service.js'
import { readSubnetClaim, type SubnetClaim } from './subnetclaim.js'

/** The kinds netloom uses. */
export interface Kinds {
  readonly Node: Node
  readonly Namespace: Namespace
  readonly Pod: Pod
  readonly Service: Service
  readonly EndpointSlice: EndpointSlice
  readonly Endpoints: Endpoints
  readonly NetworkPolicy: NetworkPolicy
  readonly SubnetClaim: SubnetClaim
}

export type Kind = keyof Kinds
export type KubeObject = Kinds[Kind]

interface KindInfo<K extends Kind> {
  readonly apiVersion: string
  /** What the API calls it, where that is another name. */
  readonly apiKind?: string
  /** API groups that have, or had, the kind with this meaning: other versions are refused, not overlooked. */
  readonly groups: readonly string[]
  readonly read: (object: Cursor) => Kinds[K] | undefined
}

const INFO: { readonly [K in Kind]: KindInfo<K> } = {
  Node: { apiVersion: 'v1', groups: [''], read: readNode },
  Namespace: { apiVersion: 'v1', groups: [''], read: readNamespace },
  Pod: { apiVersion: 'v1', groups: [''], read: readPod },
  Service: { apiVersion: 'v1', groups: [''], read: readService },
  EndpointSlice: { apiVersion: 'discovery.k8s.io/v1', groups: ['discovery.k8s.io'], read: readEndpointSlice },
  Endpoints: { apiVersion: 'v1', groups: [''], read: readEndpoints },
  NetworkPolicy: {
    apiVersion: 'networking.k8s.io/v1',
    groups: ['networking.k8s.io', 'extensions'],
    read: readNetworkPolicy,
  },
  SubnetClaim: {
    apiVersion: 'coordination.k8s.io/v1',
    apiKind: 'Lease',
    groups: [],
    read: readSubnetClaim,
  },
}

export const KINDS = Object.keys(INFO) as readonly Kind[]

/** What the API calls a kind. */
export const apiKindOf = (kind: Kind): string => INFO[kind].apiKind ?? kind

const BY_API_KIND: ReadonlyMap<string, Kind> = new Map(KINDS.map((kind) => [apiKindOf(kind), kind]))

/** What an object says it is; items of a typed list leave it out, as the list has said it. */
interface TypeMeta {
  readonly apiVersion: string
  readonly kind: string
}

/**
 * One object from parsed YAML or JSON; not a list, see {@link parseObjects}.
 * @returns undefined for kinds that netloom does not use
 * @throws NetloomError `invalid`, naming the field
 */
export const parseObject = (value: unknown): KubeObject | undefined => {
  const place = new Cursor(value)
  return readObject(place, readTypeMeta(place))
}

/**
 * One object of which the kind is known already: an item of a typed list, or what a watch of one kind tells.
 * @returns undefined for an object that is of no use, such as a Lease that claims no subnet
 * @throws NetloomError `invalid`, naming the field
 */
export const readObjectOf = (kind: Kind, value: unknown): KubeObject | undefined => INFO[kind].read(new Cursor(value))

/** An object and where it stood: `items[3]` of a list, or empty. */
export interface PlacedObject {
  readonly object: KubeObject
  readonly path: string
}

/**
 * All objects of a value that is an object, a `List`, or a list of one kind as the API server answers with
 * (`PodList`). Kinds that netloom does not use are left out, null has no objects.
 * @throws NetloomError `invalid`, naming the field: `items[3].spec.ports[0].port`
 */
export function parseObjects(value: unknown): PlacedObject[] {
  const objects: PlacedObject[] = []
  const root = new Cursor(value)
  if (!root.absent) collect(root, undefined, objects)
  return objects
}

function collect(place: Cursor, inherited: TypeMeta | undefined, objects: PlacedObject[]): void {
  const type = readTypeMeta(place, inherited)
  const item = itemType(type)
  if (item === undefined) {
    const object = readObject(place, type)
    if (object !== undefined) objects.push({ object, path: place.path })
    return
  }
  place.field('items').list((entry) => collect(entry, item === 'any' ? undefined : item, objects))
}

/** What the items of a list are; undefined where it is no list. Lists of kinds not used are never looked into. */
function itemType({ apiVersion, kind }: TypeMeta): TypeMeta | 'any' | undefined {
  if (!kind.endsWith('List')) return undefined
  if (kind === 'List') return 'any'
  const item = kind.slice(0, -'List'.length)
  return BY_API_KIND.has(item) ? { apiVersion, kind: item } : undefined
}

function readTypeMeta(place: Cursor, inherited?: TypeMeta): TypeMeta {
  if (inherited !== undefined && place.field('kind').absent) return inherited
  return { apiVersion: place.field('apiVersion').string(), kind: place.field('kind').string() }
}

function readObject(place: Cursor, { apiVersion, kind }: TypeMeta): KubeObject | undefined {
  const known = BY_API_KIND.get(kind)
  if (known === undefined) return undefined
  const info = INFO[known]
  if (apiVersion === info.apiVersion) return info.read(place)
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  if (!info.groups.includes(group)) return undefined
  throw place.field('apiVersion').error(`${place.field('apiVersion').quoted} is not supported, only ${info.apiVersion}`)
}

/** True where two parsed objects, or parts of them, say the same. */
export function sameObject(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => sameObject(item, b[i]))
  const keys = Object.keys(a)
  if (Array.isArray(b) || keys.length !== Object.keys(b).length) return false
  return keys.every((key) => Object.hasOwn(b, key) && sameObject(property(a, key), property(b, key)))
}

const property = (object: object, key: string): unknown => (object as Readonly<Record<string, unknown>>)[key]
