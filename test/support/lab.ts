import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent } from '../../src/cli/demo/agents.js'
import { mapBounded } from '../../src/cli/demo/bounded.js'
import { ask } from '../../src/cli/demo/client.js'
import { containerId } from '../../src/cli/demo/identity.js'
import { MAIN, PLUGIN } from '../../src/cli/demo/installation.js'
import { type DemoNode, layOut, nodeObject, SEGMENT_HOST } from '../../src/cli/demo/layout.js'
import { type Outcome } from '../../src/cli/demo/outcome.js'
import { Place } from '../../src/cli/demo/place.js'
import { Responder } from '../../src/cli/demo/responder.js'
import { Runtime, type Sandbox } from '../../src/cli/demo/runtime.js'
import { createPodNamespace, raiseSegment } from '../../src/cli/demo/segment.js'
import { type KubeValue, runningPod } from '../../src/cli/demo/state.js'
import { type Listener } from '../../src/cli/demo/targets.js'
import { type Protocol } from '../../src/model/port.js'
import { parseObject } from '../../src/model/object.js'
import { DirectoryObjects, type LabObjects } from './lab-objects.js'
import { demoNode, type LabRouting, raiseTopology, routingArguments, type Topology } from './topology.js'

/**
 * Nodes on one segment or as a topology says, each with a real agent, and pods attached by the real executable: a
 * cluster to try things in.
 */
export class Lab {
  /** The segment's host: outside of all nodes and pods. */
  readonly outside: Place
  readonly #directory: string
  readonly #objects: LabObjects
  readonly #runtime: Runtime
  readonly #nodes: LabNode[] = []
  readonly #pods: LabPod[] = []

  private constructor(directory: string, objects: LabObjects) {
    this.#directory = directory
    this.#objects = objects
    this.outside = new Place('/proc/self/ns/net')
    this.#runtime = new Runtime({ executable: PLUGIN, socketOf: (name) => this.node(name).agent.socket })
  }

  /** Brings `count` nodes up; {@link close} ends them. Runs in a network namespace of the test's own. */
  static async raise(count: number): Promise<Lab> {
    const nodes = layOut(count)
    const places = await raiseSegment(nodes)
    return Lab.#raise(
      nodes.map((node, i) => ({ node, place: places[i]!, routing: {} })),
      new DirectoryObjects(),
    )
  }

  /** The same with something between the nodes. */
  static async between(topology: Topology): Promise<Lab> {
    const places = raiseTopology(topology)
    return Lab.#raise(
      topology.nodes.map((node, i) => ({ node: demoNode(node), place: places[i]!, routing: node.routing ?? {} })),
      new DirectoryObjects(),
    )
  }

  /** The same as {@link raise} with objects that the caller keeps, of a cluster for instance, and a routing for all. */
  static async on(objects: (nodes: readonly DemoNode[]) => Promise<LabObjects>, count: number): Promise<Lab> {
    const nodes = layOut(count)
    const places = await raiseSegment(nodes)
    const plans = nodes.map((node, i) => ({ node, place: places[i]!, routing: {} }))
    return Lab.#raise(plans, await objects(nodes))
  }

  static async #raise(plans: readonly NodePlan[], objects: LabObjects): Promise<Lab> {
    const directory = mkdtempSync(join(tmpdir(), 'netloom-lab-'))
    const lab = new Lab(directory, objects)
    try {
      await objects.write(...plans.map(({ node }) => nodeObject(node)))
      lab.#nodes.push(...plans.map((plan) => new LabNode(plan, { directory, objects })))
      await Promise.all(lab.nodes.map(({ agent }) => agent.ready()))
    } catch (error) {
      await lab.close()
      throw error
    }
    return lab
  }

  get nodes(): readonly LabNode[] {
    return this.#nodes
  }

  node(name: string): LabNode {
    const found = this.nodes.find((node) => node.name === name)
    if (found === undefined) throw new Error(`no node ${name}`)
    return found
  }

  /** Writes objects for the agents to read. */
  async write(...objects: KubeValue[]): Promise<void> {
    await this.#objects.write(...objects)
  }

  /** Deletes an object. */
  async remove(object: KubeValue): Promise<void> {
    await this.#objects.remove(object)
  }

  /** Starts a pod: a namespace, attached, with responders on its ports, and its object written as running. */
  async start(spec: PodSpec): Promise<LabPod> {
    const value = podValue(spec)
    const pod = parseObject(value)
    if (pod?.kind !== 'Pod') throw new Error('no pod')
    const sandbox = { pod, node: spec.node, namespace: `pod-${spec.name}` }
    const place = await createPodNamespace(sandbox.namespace)
    const ips = await this.#runtime.add(sandbox)
    const responder = new Responder(place, { pod: spec.name, node: spec.node })
    const problems = await responder.listen(spec.ports ?? [])
    if (problems.length > 0) throw new Error(problems.join('; '))
    const object = runningPod(value, ips, '')
    await this.write(object)
    const started = { name: spec.name, node: spec.node, addresses: ips.map(({ address }) => address) }
    const labPod: LabPod = { ...started, place, object, sandbox, responder }
    this.#pods.push(labPod)
    return labPod
  }

  /** ADD alone. @returns the addresses of the result */
  async attach(sandbox: Sandbox): Promise<string[]> {
    const ips = await this.#runtime.add(sandbox)
    return ips.map(({ address }) => address)
  }

  /** DEL: the pod's object stays until {@link remove}. */
  async detach(pod: LabPod): Promise<void> {
    await this.#runtime.delete(pod.sandbox)
  }

  /** Waits until every agent has so many endpoints in its kernel. */
  async endpoints(count: number, patienceMs = 10_000): Promise<void> {
    await Promise.all(
      this.nodes.map(async ({ agent, name }) => {
        const status = await agent.waitFor(({ services }) => services.endpoints === count, patienceMs)
        if (status.services.endpoints !== count)
          throw new Error(
            `${name} has ${status.services.endpoints} endpoints, not ${count}: ${status.problems.join('; ')}`,
          )
      }),
    )
  }

  async close(): Promise<void> {
    for (const { responder, place } of this.#pods) {
      responder.close()
      place.close()
    }
    await Promise.all(this.nodes.map(({ agent }) => agent.stop()))
    for (const { place } of [...this.nodes, { place: this.outside }]) place.close()
    await this.#objects.close()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

interface NodePlan {
  readonly node: DemoNode
  readonly place: Place
  readonly routing: LabRouting
}

interface LabPaths {
  readonly directory: string
  readonly objects: LabObjects
}

export class LabNode {
  readonly name: string
  readonly place: Place
  readonly addresses: readonly string[]
  agent: Agent
  readonly #paths: LabPaths
  readonly #routing: LabRouting

  constructor({ node, place, routing }: NodePlan, paths: LabPaths) {
    this.name = node.name
    this.place = place
    this.addresses = node.addresses.map(({ address }) => address)
    this.#paths = paths
    this.#routing = routing
    this.agent = this.startAgent()
  }

  /** Starts an agent for the node, with the state that one before it left. */
  startAgent(): Agent {
    const { directory, objects } = this.#paths
    const { name: node, place } = this
    const args = [...objects.args, ...routingArguments(this.#routing)]
    this.agent = new Agent({ node, place, main: MAIN, source: objects.source, directory: join(directory, node), args })
    return this.agent
  }
}

export interface PodSpec {
  readonly name: string
  readonly node: string
  readonly labels?: Readonly<Record<string, string>>
  readonly ports?: readonly Listener[]
}

export interface LabPod {
  readonly name: string
  readonly node: string
  /** IPv4, then IPv6. */
  readonly addresses: readonly string[]
  readonly place: Place
  readonly object: KubeValue
  readonly sandbox: Sandbox
  readonly responder: Responder
}

const podValue = ({ name, node, labels = {}, ports = [] }: PodSpec): KubeValue => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels },
  spec: {
    nodeName: node,
    containers: [
      {
        name: 'main',
        image: 'server',
        ports: ports.map(({ protocol, port }) => ({ containerPort: port, protocol, name: `p${port}` })),
      },
    ],
  },
})

export interface ServiceSpec {
  readonly name: string
  readonly clusterIPs: readonly string[]
  readonly selector?: Readonly<Record<string, string>>
  readonly ports: readonly { name?: string; port: number; targetPort?: number | string; protocol?: Protocol }[]
}

export const serviceValue = ({ name, clusterIPs, selector, ports }: ServiceSpec): KubeValue => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { type: 'ClusterIP', clusterIP: clusterIPs[0], clusterIPs, selector, ports },
})

/** So many connections to one place, a bounded number at a time: how often each pod answered, and what failed. */
export async function survey(
  place: Place,
  target: { address: string; port: number; protocol?: Protocol },
  count: number,
) {
  const { address, port, protocol = 'TCP' } = target
  const outcomes = await mapBounded(Array.from({ length: count }), 16, () => ask(place, protocol, address, port))
  const pods = new Map<string, number>()
  const failures: Outcome[] = []
  for (const outcome of outcomes) {
    if (outcome.answer === undefined) failures.push(outcome)
    else pods.set(outcome.answer.pod, (pods.get(outcome.answer.pod) ?? 0) + 1)
  }
  return { pods, failures }
}

export { ask, containerId, SEGMENT_HOST, sleep }
