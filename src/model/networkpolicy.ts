import { type Cidr, cidrContains } from '../base/ip.js'
import { readCidr } from './address.js'
import { type Cursor } from './cursor.js'
import { type Identity, readNamespaced } from './meta.js'
import { type Protocol, readPortOrName, readProtocol } from './port.js'
import { readSelector, type Selector } from './selector.js'

/** Addresses in `cidr`, less those in `except`. */
export interface IpBlock {
  readonly cidr: Cidr
  /** Each lies within `cidr` and is smaller. */
  readonly except: readonly Cidr[]
}

/** Who is at the other end: pods by selectors (an absent one says nothing), or addresses. */
export type PolicyPeer =
  | {
      /** Undefined: all pods of the namespaces. */
      readonly podSelector: Selector | undefined
      /** Undefined: the policy's own namespace. */
      readonly namespaceSelector: Selector | undefined
      readonly ipBlock: undefined
    }
  | { readonly podSelector: undefined; readonly namespaceSelector: undefined; readonly ipBlock: IpBlock }

export interface PolicyPort {
  readonly protocol: Protocol
  /** A number, the name of a container's port, or undefined for all ports of the protocol. */
  readonly port: number | string | undefined
  /** Last port of a range that starts with the number `port`. */
  readonly endPort: number | undefined
}

export interface PolicyRule {
  /** Empty: anybody. */
  readonly peers: readonly PolicyPeer[]
  /** Empty: all ports of all protocols. */
  readonly ports: readonly PolicyPort[]
}

/** networking.k8s.io/v1 NetworkPolicy. */
export interface NetworkPolicy extends Identity {
  readonly kind: 'NetworkPolicy'
  readonly podSelector: Selector
  /** Undefined: the policy does not concern the direction. Empty: it allows nothing. */
  readonly ingress: readonly PolicyRule[] | undefined
  readonly egress: readonly PolicyRule[] | undefined
}

const TYPES = ['Ingress', 'Egress'] as const

/**
 * Fields that this version does not know are refused: what a misspelt or newer field restricts would else be open.
 * @throws NetloomError `invalid`, naming the field
 */
export function readNetworkPolicy(object: Cursor): NetworkPolicy {
  const spec = object.field('spec').only(['podSelector', 'policyTypes', 'ingress', 'egress'])
  const ingress = spec.field('ingress').list((rule) => readRule(rule, 'from'))
  const egress = spec.field('egress').list((rule) => readRule(rule, 'to'))
  const stated = spec.field('policyTypes').list((type) => type.oneOf(TYPES))
  // The API's defaults: always Ingress, and Egress where there are rules for it.
  const types = stated.length > 0 ? stated : egress.length > 0 ? TYPES : TYPES.slice(0, 1)
  return {
    kind: 'NetworkPolicy',
    ...readNamespaced(object),
    podSelector: readSelector(spec.field('podSelector')),
    ingress: types.includes('Ingress') ? ingress : undefined,
    egress: types.includes('Egress') ? egress : undefined,
  }
}

function readRule(place: Cursor, peers: 'from' | 'to'): PolicyRule {
  place.only([peers, 'ports'])
  return { peers: place.field(peers).list(readPeer), ports: place.field('ports').list(readPolicyPort) }
}

function readPeer(place: Cursor): PolicyPeer {
  place.only(['podSelector', 'namespaceSelector', 'ipBlock'])
  const podSelector = place.field('podSelector').optional(readSelector)
  const namespaceSelector = place.field('namespaceSelector').optional(readSelector)
  const ipBlock = place.field('ipBlock').optional(readIpBlock)
  const selects = podSelector !== undefined || namespaceSelector !== undefined
  if (ipBlock === undefined) {
    if (!selects) throw place.error('names no peer')
    return { podSelector, namespaceSelector, ipBlock }
  }
  if (selects) throw place.field('ipBlock').error('does not go with selectors')
  return { podSelector: undefined, namespaceSelector: undefined, ipBlock }
}

function readIpBlock(place: Cursor): IpBlock {
  place.only(['cidr', 'except'])
  const cidr = readCidr(place.field('cidr'))
  const except = place.field('except').list((item) => {
    const hole = readCidr(item)
    if (hole.family !== cidr.family || hole.prefix <= cidr.prefix || !cidrContains(cidr, hole.address))
      throw item.error(`${item.quoted} is not a part of ${place.field('cidr').quoted}`)
    return hole
  })
  return { cidr, except }
}

function readPolicyPort(place: Cursor): PolicyPort {
  place.only(['protocol', 'port', 'endPort'])
  const port = place.field('port').optional(readPortOrName)
  const endPort = place.field('endPort').optional((end) => {
    if (typeof port !== 'number') throw end.error('needs a number as port')
    return end.integer(port, 65_535)
  })
  return { protocol: readProtocol(place.field('protocol')), port, endPort }
}
