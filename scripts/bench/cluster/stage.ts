import { join } from 'node:path'
import { NetloomError } from '../../../src/base/errors.js'
import { Agent } from '../../../src/cli/demo/agents.js'
import { MAIN } from '../../../src/cli/demo/installation.js'
import { type DemoNode, layOut, nodeObject, SEGMENT_HOST } from '../../../src/cli/demo/layout.js'
import { type Place } from '../../../src/cli/demo/place.js'
import { raiseSegment } from '../../../src/cli/demo/segment.js'
import { fill, type Load } from '../../../test/support/cluster-load.js'
import { type ControlPlane, withoutControlPlane } from '../../../test/support/control-plane.js'
import { ClusterObjects, SERVICE_ACCOUNT } from '../../../test/support/lab-objects.js'
import { type Surroundings } from '../benchmark.js'
import { PlainClient } from './plain.js'

export interface StageOptions {
  readonly load: Load
  /** How often an agent is started, each time with policies and without. */
  readonly starts: number
}

/** A machine that an agent has not been on yet. */
export interface Home {
  readonly node: DemoNode
  readonly place: Place
}

/** Selects no pod, and yet makes the agent ask for all pods: a policy may speak of any. */
const POLICY = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'nobody', namespace: 'default' },
  spec: { podSelector: { matchLabels: { app: 'nobody' } }, policyTypes: ['Ingress'] },
}

/** The Service `kubernetes` stays without endpoints: the load's are all that there are. */
const FLAGS = { 'kube-apiserver': { 'endpoint-reconciler-type': 'none' } }

/** A large cluster, and nodes for agents of it. All of it ends with the process's namespaces. */
export class Stage {
  readonly load: Load
  readonly plain: PlainClient
  readonly starts: number
  readonly #objects: ClusterObjects
  readonly #directory: string
  readonly #homes: readonly Home[]
  #used = 0
  #agent: Agent | undefined

  private constructor(parts: {
    options: StageOptions
    objects: ClusterObjects
    plain: PlainClient
    directory: string
    homes: readonly Home[]
  }) {
    this.load = parts.options.load
    this.starts = parts.options.starts
    this.#objects = parts.objects
    this.plain = parts.plain
    this.#directory = parts.directory
    this.#homes = parts.homes
  }

  /** @throws NetloomError `unavailable` where no control plane can be had */
  static async raise(options: StageOptions, { directory, progress, signal }: Surroundings): Promise<Stage> {
    const reason = withoutControlPlane()
    if (reason !== false) throw new NetloomError('unavailable', reason)
    progress.say('nodes and API server')
    // One for each start, so that each finds an empty kernel, and one for the changes.
    const nodes = layOut(2 * options.starts + 1)
    const places = await raiseSegment(nodes)
    const homes = nodes.map((node, i) => ({ node, place: places[i] as Place }))
    const addresses = SEGMENT_HOST.map(({ address }) => address)
    const objects = await ClusterObjects.start({ addresses, controllers: [], flags: FLAGS })
    try {
      await objects.write(...nodes.map((node) => nodeObject(node)))
      progress.say('objects')
      const told = (written: number, total: number): void => progress.detail(`objects: ${written} of ${total}`)
      await fill(objects.plane, options.load, { progress: told, signal })
      const { plane } = objects
      const token = await plane.serviceAccountToken(SERVICE_ACCOUNT.namespace, SERVICE_ACCOUNT.name)
      const plain = new PlainClient({ server: plane.url(), ca: plane.ca, token })
      return new Stage({ options, objects, plain, directory, homes })
    } catch (error) {
      await objects.close()
      throw error
    }
  }

  get plane(): ControlPlane {
    return this.#objects.plane
  }

  /** Endpoints that an agent is to have in its kernel. */
  get endpoints(): number {
    return this.load.services * this.load.endpointsPerService
  }

  /** The next node that no agent has been on. */
  home(): Home {
    const home = this.#homes[this.#used++]
    if (home === undefined) throw new NetloomError('internal', 'all nodes have been used')
    return home
  }

  /** Starts the agent of a node, as the shipped service account; the one before it has to be stopped. */
  startAgent({ node: { name: node }, place }: Home): Agent {
    if (this.#agent !== undefined) throw new NetloomError('internal', 'an agent runs already')
    const { source, args } = this.#objects
    const directory = join(this.#directory, node)
    this.#agent = new Agent({ node, place, main: MAIN, source, directory, args })
    return this.#agent
  }

  /** Waits until all that the cluster says stands in a node's kernel. @throws NetloomError `unavailable` */
  async programmed(agent: Agent): Promise<void> {
    const { endpoints } = this
    const { ready, problems, services } = await agent.waitFor(
      ({ ready, services }) => ready && services.endpoints === endpoints,
      PATIENCE_MS,
    )
    if (ready && services.endpoints === endpoints) return
    const what = `the agent has ${services.endpoints} of ${endpoints} endpoints after ${PATIENCE_MS} ms`
    throw new NetloomError('unavailable', `${what}: ${problems.join('; ')}`)
  }

  async stopAgent(): Promise<void> {
    await this.#agent?.stop()
    this.#agent = undefined
  }

  /** With a policy agents know of all pods, without one of their own. */
  async police(policed: boolean): Promise<void> {
    if (policed) await this.plane.apply(POLICY)
    else await this.plane.delete(POLICY)
  }

  async close(): Promise<void> {
    await this.stopAgent()
    this.plain.close()
    for (const { place } of this.#homes) place.close()
    await this.#objects.close()
  }
}

/** For a machine that is busy with other things: what takes longer has failed. */
const PATIENCE_MS = 120_000
