import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
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
import { fileOf, type KubeValue, runningPod, StateDirectory } from '../../src/cli/demo/state.js'
import { type Listener } from '../../src/cli/demo/targets.js'
import { type Protocol } from '../../src/model/port.js'
import { parseObject } from '../../src/model/object.js'
import { demoNode, type LabRouting, raiseTopology, type Topology } from './topology.js'

/** The agent whose routing can be told. */
const LAB_AGENT = fileURLToPath(new URL('./lab-agent.js', import.meta.url))

/** Nodes on one segment or as a topology says, each with a real agent, and pods attached by the real executable: a cluster to try things in. */
export class Lab {
  readonly nodes: readonly LabNode[]
  /** The segment's host: outside of all nodes and pods. */
  readonly outside: Place
  readonly #directory: string
  readonly #state: StateDirectory
  readonly #runtime: Runtime
  readonly #pods: LabPod[] = []

  private constructor(directory: string, nodes: readonly LabNode[], state: StateDirectory) {
    this.#directory = directory
    this.nodes = nodes
    this.#state = state
    this.outside = new Place('/proc/self/ns/net')
    this.#runtime = new Runtime({ executable: PLUGIN, socketOf: (name) => this.node(name).agent.socket })
  }

  /** Brings `count` nodes up; {@link close} ends them. Runs in a network namespace of the test's own. */
  static async raise(count: number): Promise<Lab> {
    const nodes = layOut(count)
    return Lab.#raise(nodes, await raiseSegment(nodes), [])
  }

  /** The same with something between the nodes. */
  static async between(topology: Topology): Promise<Lab> {
    const { nodes } = topology
    return Lab.#raise(
      nodes.map(demoNode),
      raiseTopology(topology),
      nodes.map(({ routing = {} }) => routing),
    )
  }

  static async #raise(
    nodes: readonly DemoNode[],
    places: readonly Place[],
    routing: readonly LabRouting[],
  ): Promise<Lab> {
    const directory = mkdtempSync(join(tmpdir(), 'netloom-lab-'))
    const state = new StateDirectory(join(directory, 'objects'))
    await state.write(nodes.map(nodeObject))
    const lab = new Lab(
      directory,
      nodes.map((node, i) => new LabNode(node, places[i]!, { directory, source: state.path, routing: routing[i] })),
      state,
    )
    try {
      await Promise.all(lab.nodes.map(({ agent }) => agent.ready()))
    } catch (error) {
      await lab.close()
      throw error
    }
    return lab
  }

  node(name: string): LabNode {
    const found = this.nodes.find((node) => node.name === name)
    if (found === undefined) throw new Error(`no node ${name}`)
    return found
  }

  /** Writes objects for the agents to read. */
  async write(...objects: KubeValue[]): Promise<void> {
    await this.#state.write(objects)
  }

  /** Deletes an object's file. */
  remove(object: KubeValue): void {
    rmSync(join(this.#state.path, fileOf(object)))
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

  /** DEL: the pod's object stays until {@link remove}. */
  async detach(pod: LabPod): Promise<void> {
    await this.#runtime.delete(pod.sandbox)
  }

  /** Waits until every agent has so many endpoints in its kernel. */
  async endpoints(count: number): Promise<void> {
    await Promise.all(
      this.nodes.map(async ({ agent, name }) => {
        const status = await agent.waitFor(({ services }) => services.endpoints === count, 10_000)
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
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

interface LabPaths {
  readonly directory: string
  readonly source: string
  readonly routing: LabRouting | undefined
}

export class LabNode {
  readonly name: string
  readonly place: Place
  readonly addresses: readonly string[]
  agent: Agent
  readonly #paths: LabPaths

  constructor(node: DemoNode, place: Place, paths: LabPaths) {
    this.name = node.name
    this.place = place
    this.addresses = node.addresses.map(({ address }) => address)
    this.#paths = paths
    this.agent = this.startAgent()
  }

  /** Starts an agent for the node, with the state that one before it left. */
  startAgent(): Agent {
    const { directory, source, routing } = this.#paths
    const { name: node, place } = this
    const [main, args] = routing === undefined ? [MAIN, []] : [LAB_AGENT, ['--routing', JSON.stringify(routing)]]
    this.agent = new Agent({ node, place, main, source, directory: join(directory, node), args })
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
      { name: 'main', ports: ports.map(({ protocol, port }) => ({ containerPort: port, protocol, name: `p${port}` })) },
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
