import { type Cidr, formatCidr, ipToBytes } from '../base/ip.js'
import { API_MANAGER, CLAIM_PREFIX, MANAGED_BY_LABEL, SUBNET_ANNOTATION } from '../base/names.js'
import { type Cursor } from '../model/cursor.js'
import { readSubnetClaim } from '../model/subnetclaim.js'

/**
 * A Lease that claims a subnet, with what it takes to renew, take over and withdraw it.
 *
 * A claim is made in two steps: the Lease is created, and acquired (spec.acquireTime) when a list that was asked for
 * afterwards shows no other claim that overlaps. Names alone keep equal subnets apart, not those of different sizes.
 * Of two overlapping claims the later one's maker sees the earlier one, so never are both acquired. Since that is in
 * the Lease itself, it also holds when the agent dies between any two steps.
 */
export interface Claim {
  /** Of the Lease. */
  readonly name: string
  readonly uid: string
  readonly version: string
  readonly subnet: Cidr
  /** Name of the Node; undefined while nobody holds it. */
  readonly holder: string | undefined
  /** The holder's uid. */
  readonly owner: string | undefined
  readonly acquired: boolean
  /** Milliseconds of the epoch; 0 where unknown. */
  readonly created: number
  readonly renewed: number
  readonly expires: number
  readonly transitions: number
}

/** Who claims. */
export interface Claimant {
  readonly name: string
  readonly uid: string
}

/** A moment, in milliseconds of the epoch, and for how long a claim is good from then on. */
export interface Term {
  readonly now: number
  readonly seconds: number
}

/**
 * The name of the Lease for a subnet, a DNS subdomain (RFC 1123) and the same whoever makes it: `netloom-10.0.1.0-24`.
 * IPv6 is written out in full, because `::` would leave a label that ends in a hyphen.
 */
export function claimName({ family, address, prefix }: Cidr): string {
  if (family.name === 'ipv4') return `${CLAIM_PREFIX}${address}-${prefix}`
  const digits = Buffer.from(ipToBytes(address)).toString('hex')
  return `${CLAIM_PREFIX}${digits.match(/.{4}/g)?.join('-')}-${prefix}`
}

/**
 * @returns undefined for a Lease that is for something else
 * @throws NetloomError `invalid`, naming the field
 */
export function readClaim(object: Cursor): Claim | undefined {
  const claim = readSubnetClaim(object)
  if (claim === undefined) return undefined
  const [metadata, spec] = [object.field('metadata'), object.field('spec')]
  const holder = spec.field('holderIdentity').value
  const renewed = timeOf(spec.field('renewTime'))
  const owners = metadata.field('ownerReferences').list((owner) => ({
    kind: owner.field('kind').value,
    uid: owner.field('uid').string(),
  }))
  return {
    name: claim.name,
    uid: metadata.field('uid').string(),
    version: metadata.field('resourceVersion').string(),
    subnet: claim.subnet,
    holder: typeof holder === 'string' && holder !== '' ? holder : undefined,
    owner: owners.find(({ kind }) => kind === 'Node')?.uid,
    acquired: !spec.field('acquireTime').absent,
    created: timeOf(metadata.field('creationTimestamp')),
    renewed,
    expires: renewed + 1000 * numberOf(spec.field('leaseDurationSeconds')),
    transitions: numberOf(spec.field('leaseTransitions')),
  }
}

function timeOf(place: Cursor): number {
  const ms = typeof place.value === 'string' ? Date.parse(place.value) : NaN
  return Number.isNaN(ms) ? 0 : ms
}

const numberOf = ({ value }: Cursor): number => (typeof value === 'number' ? value : 0)

/** The Lease by which a node claims a subnet: not acquired yet. */
export const newLease = (subnet: Cidr, namespace: string, claimant: Claimant, term: Term): object => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: {
    name: claimName(subnet),
    namespace,
    labels: { [MANAGED_BY_LABEL]: API_MANAGER },
    annotations: { [SUBNET_ANNOTATION]: formatCidr(subnet) },
    ownerReferences: [ownerOf(claimant)],
  },
  spec: { ...held(claimant, term), leaseTransitions: 0 },
})

/** A merge patch (RFC 7386) by which the holder keeps a claim, and acquires it where it has not yet. */
export const renewal = (claim: Claim, claimant: Claimant, term: Term): object => ({
  metadata: { resourceVersion: claim.version, ownerReferences: [ownerOf(claimant)] },
  spec: { ...held(claimant, term), ...(claim.acquired ? {} : { acquireTime: microTime(term.now) }) },
})

/** A merge patch by which another node takes a claim over: it has to be acquired anew. */
export const takeover = (claim: Claim, claimant: Claimant, term: Term): object => ({
  metadata: { resourceVersion: claim.version, ownerReferences: [ownerOf(claimant)] },
  spec: { ...held(claimant, term), acquireTime: null, leaseTransitions: claim.transitions + 1 },
})

const held = ({ name }: Claimant, { now, seconds }: Term): object => ({
  holderIdentity: name,
  leaseDurationSeconds: seconds,
  renewTime: microTime(now),
})

/** The garbage collector deletes the Lease once the Node is gone. */
const ownerOf = ({ name, uid }: Claimant): object => ({ apiVersion: 'v1', kind: 'Node', name, uid })

/** MicroTime (meta/v1) wants six digits of a second. */
const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z')
