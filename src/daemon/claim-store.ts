import { asError, asNetloomError, NetloomError } from '../base/errors.js'
import { type Cidr, formatCidr } from '../base/ip.js'
import { API_MANAGER, MANAGED_BY_LABEL } from '../base/names.js'
import { type ApiClient, type ApiRequest } from '../kube/api/client.js'
import { compileShape } from '../kube/api/prune.js'
import { readPage } from '../kube/api/raw.js'
import { readListOrLegacy, readPodCidr } from '../model/address.js'
import { Cursor } from '../model/cursor.js'
import { type Claim, type Claimant, newLease, readClaim, renewal, takeover, type Term } from '../subnets/claim.js'
import { type NodeSubnet } from '../subnets/plan.js'
import { nodePath } from './node-report-plan.js'

export interface ClaimStoreOptions {
  readonly client: ApiClient
  /** Name of the Node that the agent runs on. */
  readonly node: string
  /** Where the Leases are. */
  readonly namespace: string
}

/** Claims as the API server holds them, and what cannot be read of them. */
export interface ClaimList {
  readonly claims: readonly Claim[]
  readonly flaws: readonly string[]
}

/** Nodes are large, and there are many: status and images of 500 are megabytes. */
const NODES_PER_PAGE = 500
const NODE_SHAPE = compileShape({
  kind: true,
  metadata: { resourceVersion: true, continue: true },
  items: { metadata: { name: true, uid: true }, spec: { podCIDR: true, podCIDRs: true } },
})

/**
 * Claims to subnets in the Kubernetes API. Everything that changes a claim names the version it is a change of, so that
 * a call which is carried out late, after its caller has given up on it, changes nothing any more.
 */
export class ClaimStore {
  readonly #options: ClaimStoreOptions
  readonly #leases: string

  constructor(options: ClaimStoreOptions) {
    this.#options = options
    this.#leases = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(options.namespace)}/leases`
  }

  /** The own Node. @throws NetloomError `not-found` while there is none */
  async self(signal: AbortSignal): Promise<NodeSubnet> {
    const { node } = this.#options
    try {
      return readNodeSubnet(new Cursor(await this.#call({ method: 'GET', path: nodePath(node), signal })))
    } catch (error) {
      if (asNetloomError(error).code !== 'not-found') throw error
      throw new NetloomError('not-found', `there is no Node ${node} yet, as which kubelet registers`, { cause: error })
    }
  }

  /**
   * All claims as they are now: without a resourceVersion the server answers with nothing older than what it has agreed
   * to before, which is what keeps claims of different sizes apart.
   */
  async claims(signal: AbortSignal): Promise<ClaimList> {
    const query = { labelSelector: `${MANAGED_BY_LABEL}=${API_MANAGER}` }
    const { items } = readPage('SubnetClaim', await this.#call({ method: 'GET', path: this.#leases, query, signal }))
    const claims: Claim[] = []
    const flaws: string[] = []
    for (const item of items) {
      try {
        const claim = readClaim(new Cursor(item))
        if (claim !== undefined) claims.push(claim)
      } catch (error) {
        const name = String(new Cursor(item).field('metadata').field('name').value)
        flaws.push(`Lease ${name} claims nothing, since it cannot be read: ${asError(error).message}`)
      }
    }
    return { claims, flaws }
  }

  /** All Nodes as they are now. */
  async nodes(signal: AbortSignal): Promise<NodeSubnet[]> {
    const nodes: NodeSubnet[] = []
    let next: string | undefined
    do {
      const query = { limit: NODES_PER_PAGE, continue: next }
      const answer = await this.#call({ method: 'GET', path: '/api/v1/nodes', query, keep: NODE_SHAPE, signal })
      const page = readPage('Node', answer)
      nodes.push(...page.items.map((item) => readNodeSubnet(new Cursor(item))))
      next = page.next
    } while (next !== undefined)
    return nodes
  }

  /** @throws NetloomError `exists` where there is a Lease of the name */
  async create(subnet: Cidr, claimant: Claimant, term: Term, signal: AbortSignal): Promise<void> {
    const body = newLease(subnet, this.#options.namespace, claimant, term)
    await this.#call({ method: 'POST', path: this.#leases, body, signal })
  }

  /** @throws NetloomError `conflict` or `not-found` where the claim is not what it was */
  async renew(claim: Claim, claimant: Claimant, term: Term, signal: AbortSignal): Promise<void> {
    await this.#call({ method: 'PATCH', path: this.#pathOf(claim), body: renewal(claim, claimant, term), signal })
  }

  /** @throws NetloomError as {@link renew} */
  async takeOver(claim: Claim, claimant: Claimant, term: Term, signal: AbortSignal): Promise<void> {
    await this.#call({ method: 'PATCH', path: this.#pathOf(claim), body: takeover(claim, claimant, term), signal })
  }

  /** @throws NetloomError as {@link renew} */
  async withdraw(claim: Claim, signal: AbortSignal): Promise<void> {
    const preconditions = { uid: claim.uid, resourceVersion: claim.version }
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions }
    await this.#call({ method: 'DELETE', path: this.#pathOf(claim), body, signal })
  }

  #pathOf = ({ name }: Claim): string => `${this.#leases}/${encodeURIComponent(name)}`

  #call(request: ApiRequest): Promise<unknown> {
    return this.#options.client.call(request)
  }
}

function readNodeSubnet(object: Cursor): NodeSubnet {
  const [metadata, spec] = [object.field('metadata'), object.field('spec')]
  return {
    name: metadata.field('name').string(),
    uid: metadata.field('uid').string(),
    podCIDRs: readListOrLegacy(spec.field('podCIDRs'), spec.field('podCIDR'), readPodCidr, formatCidr),
  }
}
