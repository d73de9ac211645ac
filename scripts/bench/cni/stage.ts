import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { asError, asNetloomError, NetloomError } from '../../../src/base/errors.js'
import { IPV4 } from '../../../src/base/family.js'
import { formatCidr } from '../../../src/base/ip.js'
import { Agent } from '../../../src/cli/demo/agents.js'
import { MAIN, PLUGIN } from '../../../src/cli/demo/installation.js'
import { type DemoNode, layOut, nodeObject } from '../../../src/cli/demo/layout.js'
import { type Place } from '../../../src/cli/demo/place.js'
import { parseResult } from '../../../src/cli/demo/runtime.js'
import { raiseSegment } from '../../../src/cli/demo/segment.js'
import { StateDirectory } from '../../../src/cli/demo/state.js'
import { openSocket, PROTOCOL } from '../../../src/kernel/socket.js'
import { Talk } from '../../../src/kernel/talk.js'
import { type Surroundings } from '../benchmark.js'
import { Children } from '../children.js'
import { Execution, type Program } from '../execution.js'
import { bridgeConfiguration, type Call, environment, netloomConfiguration, type NetworkConfiguration } from './call.js'
import { NETLOOM, PEERS } from './contenders.js'
import { type PodNamespace, PodNamespaces } from './namespaces.js'

/** Where distributions and Kubernetes put the reference plugins. */
const PLUGIN_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni']
const NEEDED = ['bridge', 'host-local']

/** One of those that are compared, on a node of its own: the tables of one are not searched for the other. */
export interface Contender {
  readonly name: string
  readonly executable: string
  /** File of its network configuration. */
  readonly configuration: string
  readonly place: Place
}

/** The nodes, netloom's agent on its own, and pods to attach. All of it ends with the process's namespaces. */
export class Stage {
  readonly pods: PodNamespaces
  readonly children: Children
  readonly #scratch: string
  readonly #route: Talk
  readonly #agent: Agent
  #contenders: readonly Contender[]

  private constructor(parts: {
    contenders: Contender[]
    agent: Agent
    route: Talk
    surroundings: Pick<Surroundings, 'directory' | 'signal'>
  }) {
    this.#contenders = parts.contenders
    this.#agent = parts.agent
    this.#route = parts.route
    this.#scratch = parts.surroundings.directory
    this.children = new Children(parts.surroundings.signal)
    this.pods = new PodNamespaces(parts.route)
  }

  /** @param plugins folder of the reference plugins; undefined for the usual ones */
  static async raise(surroundings: Surroundings, plugins: string | undefined): Promise<Stage> {
    const { directory, note } = surroundings
    requireExecutable()
    const nodes = layOut(1 + PEERS.length)
    const places = await raiseSegment(nodes)
    const [own, ...others] = nodes.map((node, i) => ({ node, place: places[i] as Place }))
    if (own === undefined) throw new NetloomError('internal', 'no node')
    const agent = await startAgent(own, directory)
    const netloom = contender(directory, {
      name: NETLOOM,
      executable: PLUGIN,
      place: own.place,
      network: netloomConfiguration(agent.socket),
    })
    const peers = peersOn(others, { directory, folder: plugins ?? findPlugins() })
    if (peers.length === 0)
      note(`no ${NEEDED.join(' and ')} in ${plugins ?? PLUGIN_FOLDERS.join(', ')}: nothing to compare with`)
    const route = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
    const stage = new Stage({ contenders: [netloom, ...peers], agent, route, surroundings })
    try {
      await stage.#leaveOut(surroundings)
      return stage
    } catch (error) {
      await stage.close()
      throw error
    }
  }

  /** netloom, and behind it the peers that this machine has. */
  get contenders(): readonly Contender[] {
    return this.#contenders
  }

  get netloom(): Contender {
    const [first] = this.#contenders
    if (first === undefined) throw new NetloomError('internal', 'no contender')
    return first
  }

  get scratch(): string {
    return this.#scratch
  }

  /** An execution of a contender's plugin. */
  call({ executable, configuration, place }: Contender, command: Call['command'], pod?: PodNamespace): Execution {
    const env = environment({ command, executable, pod })
    return this.execution({ executable, env, input: configuration, place })
  }

  execution(program: Program): Execution {
    return new Execution(program, this.#scratch)
  }

  /** A peer that cannot attach a pod here is as one that is missing: iptables may be. */
  async #leaveOut({ note, signal }: Surroundings): Promise<void> {
    const able: Contender[] = []
    for (const contender of this.#contenders) {
      const problem = await this.#problemOf(contender)
      signal.throwIfAborted()
      if (problem === undefined) able.push(contender)
      else if (contender === this.netloom) throw problem
      else note(`${contender.name} cannot attach pods on this machine: ${problem.message}`)
    }
    this.#contenders = able
  }

  async #problemOf(contender: Contender): Promise<Error | undefined> {
    const pods = await this.pods.make(1)
    try {
      for (const command of ['ADD', 'DEL'] as const) {
        const execution = this.call(contender, command, pods[0])
        await execution.run(this.children)
        const output = execution.finish()
        if (command === 'ADD') checkAdded(output)
      }
      return undefined
    } catch (error) {
      return asError(error)
    } finally {
      await this.pods.retire(pods)
    }
  }

  async close(): Promise<void> {
    await this.children.close()
    this.#route.close()
    await this.#agent.stop()
  }
}

/** @throws NetloomError where the output of ADD has no address */
export function checkAdded(output: string): void {
  if (parseResult(output).length === 0) throw new NetloomError('internal', `ADD gave no address: ${output}`)
}

function requireExecutable(): void {
  try {
    accessSync(PLUGIN, constants.X_OK)
  } catch (error) {
    const cause = asNetloomError(error)
    throw new NetloomError('unavailable', `the CNI executable is not built: ${cause.message}`, { cause })
  }
}

const findPlugins = (): string | undefined =>
  PLUGIN_FOLDERS.find((folder) => NEEDED.every((name) => existsSync(join(folder, name))))

interface Home {
  readonly node: DemoNode
  readonly place: Place
}

/** IPv4 alone, because with IPv6 the bridge plugin waits for duplicate address detection, whatever it costs itself. */
const networks = (node: DemoNode): DemoNode['podCIDRs'] => node.podCIDRs.filter(({ family }) => family === IPV4)

async function startAgent({ node, place }: Home, directory: string): Promise<Agent> {
  const source = new StateDirectory(join(directory, 'cluster'))
  await source.write([nodeObject({ ...node, podCIDRs: networks(node) })])
  const agent = new Agent({
    node: node.name,
    place,
    main: MAIN,
    source: source.path,
    directory: join(directory, 'agent'),
  })
  try {
    await agent.ready()
    return agent
  } catch (error) {
    await agent.stop()
    throw error
  }
}

function peersOn(homes: readonly Home[], where: { directory: string; folder: string | undefined }): Contender[] {
  const { directory, folder } = where
  if (folder === undefined || !NEEDED.every((name) => existsSync(join(folder, name)))) return []
  return PEERS.map(({ name, masquerade }, i) => {
    const { node, place } = homes[i] as Home
    const subnet = networks(node).map(formatCidr)[0] ?? ''
    const network = bridgeConfiguration({ subnet, masquerade, dataDir: join(directory, node.name) })
    return contender(directory, { name, executable: join(folder, 'bridge'), place, network })
  })
}

function contender(
  directory: string,
  { network, ...rest }: Omit<Contender, 'configuration'> & { network: NetworkConfiguration },
): Contender {
  mkdirSync(directory, { recursive: true })
  const configuration = join(directory, `${rest.name.replace(/\W+/g, '-')}.json`)
  writeFileSync(configuration, JSON.stringify(network))
  return { ...rest, configuration }
}
