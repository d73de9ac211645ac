import { join } from 'node:path'
import { asError } from '../../base/errors.js'
import { type Ip } from '../../base/ip.js'
import { NAMESPACE_DIR } from '../../kernel/netns.js'
import { keyOf } from '../../model/meta.js'
import { Agent } from './agents.js'
import { mapBounded } from './bounded.js'
import { checkDirect, checkHairpin, checkReachability, checkShares, type LivePod } from './checks.js'
import { type Scene } from './cluster.js'
import { namespaceNames } from './identity.js'
import { type DemoNode, nodeObject } from './layout.js'
import { type Phases } from './phases.js'
import { type Place } from './place.js'
import { type NodeReport, type PodReport, type Report } from './report.js'
import { Responder } from './responder.js'
import { Runtime, type Sandbox } from './runtime.js'
import { createPodNamespace, raiseSegment } from './segment.js'
import { runningPod, StateDirectory } from './state.js'
import { type Target } from './targets.js'
import { type PodPlan } from './workloads.js'

/** One run: nodes, agents, pods, packets. Everything it makes is in namespaces that end with the process. */

export interface DemonstrationOptions {
  readonly scene: Scene
  readonly source: string
  readonly nodes: readonly DemoNode[]
  /** Folder of its own below the private /run. */
  readonly directory: string
  /** The program's main file, and the CNI executable. */
  readonly main: string
  readonly plugin: string
  readonly phases: Phases
}

/** Calls of the CNI executable at a time: what a kubelet with several pods to start does. */
const ATTACH_AT_A_TIME = 8
/** How long the Services may take to stand in the kernel; later the checks show what is missing. */
const SETTLE_MS = 10_000

interface RunningNode {
  readonly node: DemoNode
  readonly place: Place
  readonly agent: Agent
}

interface RunningPlan extends LivePod {
  readonly plan: PodPlan
  readonly sandbox: Sandbox
  readonly responder: Responder
}

export class Demonstration {
  readonly #options: DemonstrationOptions
  readonly #state: StateDirectory
  readonly #runtime: Runtime
  readonly #problems: string[] = []
  #nodes: RunningNode[] = []
  #pods: RunningPlan[] = []
  /** Of all pods, also of those that are being started. */
  readonly #responders: Responder[] = []
  #stopped = false

  constructor(options: DemonstrationOptions) {
    this.#options = options
    this.#state = new StateDirectory(join(options.directory, 'cluster'))
    const socketOf = (node: string): string => this.#node(node).agent.socket
    this.#runtime = new Runtime({ executable: options.plugin, socketOf })
  }

  /** The folder of YAML that the agents follow. */
  get stateDirectory(): string {
    return this.#state.path
  }

  /** Brings everything up and checks it. */
  async run(): Promise<Report> {
    const { scene, phases, nodes } = this.#options
    const places = await phases.run('nodes and their segment', () => raiseSegment(nodes))
    await phases.run('objects', () => this.#writeObjects())
    await phases.run('agents', () => this.#startAgents(places))
    await phases.run('pods', () => this.#startPods())
    const probed = scene.targets.filter(({ unprobed }) => unprobed === undefined)
    await phases.run('Services in the kernel', () => this.#settle(probed))
    const reachability = await phases.run('reachability', () => checkReachability(this.#pods, probed))
    const shares = await phases.run('shares of endpoints', () => checkShares(this.#pods, scene.targets))
    const direct = await phases.run('pod to pod', () => checkDirect(this.#pods))
    const hairpin = await phases.run('pods to themselves', () => checkHairpin(this.#pods, probed))
    const nodeReports = await Promise.all(this.#nodes.map((node) => this.#nodeReport(node)))
    const found = [reachability, shares, direct, hairpin].flatMap(({ failures }) => failures)
    return {
      kind: 'netloom-demo',
      version: 1,
      ok: found.length + this.#problems.length === 0,
      source: this.#options.source,
      nodes: nodeReports,
      pods: this.#pods.map(podReport),
      services: shares.report,
      reachability: reachability.report,
      direct: direct.report,
      hairpin: hairpin.report,
      phases: phases.reports,
      notes: scene.notes,
      failures: [...this.#problems, ...found],
    }
  }

  /** Detaches the pods and ends the agents, as a node that is drained. @returns what went wrong, a line for each */
  async end(): Promise<string[]> {
    const problems = await this.#options.phases.run('clean-up', async () => {
      const found = await mapBounded(this.#attached(), ATTACH_AT_A_TIME, (pod) => this.#detach(pod))
      const left = await Promise.all(this.#nodes.map(({ agent }) => leftOn(agent)))
      await this.stop()
      return [...found, ...left.flat()]
    })
    return problems.filter((problem) => problem !== undefined)
  }

  /** Ends the processes, by force where nobody needs them any more; the rest ends with this one. */
  async stop(how: 'stop' | 'kill' = 'stop'): Promise<void> {
    this.#stopped = true
    for (const responder of this.#responders) responder.close()
    await Promise.all(this.#nodes.map(({ agent }) => agent[how]()))
  }

  #attached(): RunningPlan[] {
    return this.#pods.filter(({ hostNetwork }) => !hostNetwork)
  }

  #node(name: string): RunningNode {
    const found = this.#nodes.find(({ node }) => node.name === name)
    if (found === undefined) throw new Error(`no node ${name}`)
    return found
  }

  async #writeObjects(): Promise<void> {
    const { nodes, scene } = this.#options
    await this.#state.write([
      ...nodes.map(nodeObject),
      ...scene.others,
      ...scene.services.map(({ value }) => value),
      ...scene.pods.map(({ value }) => ({ ...value, status: { phase: 'Pending' } })),
    ])
  }

  async #startAgents(places: readonly Place[]): Promise<void> {
    const { nodes, main, directory } = this.#options
    this.#nodes = nodes.map((node, i) => {
      const place = places[i] as Place
      const source = `dir:${this.#state.path}`
      const agent = new Agent({ node: node.name, place, main, source, directory: join(directory, node.name) })
      return { node, place, agent }
    })
    await Promise.all(this.#nodes.map(({ agent }) => agent.ready()))
  }

  async #startPods(): Promise<void> {
    const { pods } = this.#options.scene
    const names = namespaceNames(pods.map(({ pod }) => keyOf(pod)))
    this.#pods = await mapBounded(pods, ATTACH_AT_A_TIME, (plan) => {
      const { pod, node } = plan
      const namespace = pod.hostNetwork ? node : (names.get(keyOf(pod)) ?? '')
      return this.#startPod(plan, { pod, node, namespace })
    })
  }

  async #startPod(plan: PodPlan, sandbox: Sandbox): Promise<RunningPlan> {
    const { pod, node } = plan
    const home = this.#node(node)
    const place = pod.hostNetwork ? home.place : await createPodNamespace(sandbox.namespace)
    const addresses: readonly Ip[] = pod.hostNetwork ? home.node.addresses : await this.#runtime.add(sandbox)
    const key = keyOf(pod)
    const listeners = this.#options.scene.listeners.get(key) ?? []
    const responder = new Responder(place, { pod: key, node })
    this.#responders.push(responder)
    this.#problems.push(...(await responder.listen(listeners.filter(({ protocol }) => protocol !== 'SCTP'))))
    // One that listens keeps the process from its end.
    if (this.#stopped) responder.close()
    await this.#state.write([runningPod(plan.value, addresses, home.node.addresses[0]?.address ?? '')])
    return { plan, sandbox, responder, key, node, place, addresses, hostNetwork: pod.hostNetwork, listeners }
  }

  /** Waits until every agent has at least the endpoints in the kernel that the manifests ask for. */
  async #settle(targets: readonly Target[]): Promise<void> {
    const wanted = targets.reduce((sum, { addresses, endpoints }) => sum + addresses.length * endpoints.length, 0)
    const settled = this.#nodes.map(({ agent }) =>
      agent.waitFor(({ services }) => services.endpoints >= wanted, SETTLE_MS),
    )
    await Promise.all(settled)
  }

  async #nodeReport({ node, agent }: RunningNode): Promise<NodeReport> {
    const { subnets, routes, problems } = await agent.status()
    this.#problems.push(...problems.map((problem) => `${node.name}: ${problem}`))
    return {
      name: node.name,
      addresses: node.addresses.map(({ address }) => address),
      subnets,
      routes,
      pods: this.#pods.filter((pod) => pod.node === node.name).length,
    }
  }

  async #detach({ sandbox, key }: RunningPlan): Promise<string | undefined> {
    try {
      await this.#runtime.delete(sandbox)
      return undefined
    } catch (error) {
      return `${key}: ${asError(error).message}`
    }
  }
}

async function leftOn(agent: Agent): Promise<string[]> {
  const { pods } = await agent.status()
  return pods.map(({ pod, containerId }) => `${agent.node} still has ${pod ?? containerId} after its DEL`)
}

const podReport = ({ key, plan, node, addresses, hostNetwork, listeners, sandbox }: RunningPlan): PodReport => ({
  pod: key,
  workload: plan.workload,
  node,
  addresses: addresses.map(({ address }) => address),
  hostNetwork,
  ports: listeners.map(({ protocol, port }) => `${protocol} ${port}`),
  namespace: join(NAMESPACE_DIR, sandbox.namespace),
})
