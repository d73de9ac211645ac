import { accessSync, constants, existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { asError, asNetloomError, NetloomError } from '../../../src/base/errors.js'
import { IPV4 } from '../../../src/base/family.js'
import { formatCidr } from '../../../src/base/ip.js'
import { Agent } from '../../../src/cli/demo/agents.js'
import { MAIN, PLUGIN } from '../../../src/cli/demo/installation.js'
import { type DemoNode, layOut, nodeObject } from '../../../src/cli/demo/layout.js'
import { Place } from '../../../src/cli/demo/place.js'
import { parseResult } from '../../../src/cli/demo/runtime.js'
import { raiseSegment } from '../../../src/cli/demo/segment.js'
import { StateDirectory } from '../../../src/cli/demo/state.js'
import { openSocket, PROTOCOL } from '../../../src/kernel/socket.js'
import { Talk } from '../../../src/kernel/talk.js'
import { type Surroundings } from '../benchmark.js'
import { Children } from '../children.js'
import { Execution, type Program } from '../execution.js'
import { netloomPlugin, referenceChain, standalonePlugin } from './call.js'
import { ChainCall, type Contender, type Turn } from './chain.js'
import { STANDALONE, type Work, WORKS } from './contenders.js'
import { type PodNamespace, PodNamespaces } from './namespaces.js'
import { proveWork } from './proof.js'

/** Where distributions and Kubernetes put the reference plugins. */
const PLUGIN_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni']
const NEEDED = ['bridge', 'host-local']

/** A contender, and what it is to do. */
interface Candidate extends Contender {
  readonly work: Work
  readonly node: DemoNode
  readonly place: Place
}

/** The nodes, netloom's agent on its own, and pods to attach. All of it ends with the process's namespaces. */
export class Stage {
  readonly pods: PodNamespaces
  readonly children: Children
  readonly #scratch: string
  readonly #route: Talk
  readonly #agent: Agent
  readonly #outside = new Place('/proc/self/ns/net')
  #candidates: readonly Candidate[]

  private constructor(parts: {
    candidates: readonly Candidate[]
    agent: Agent
    route: Talk
    surroundings: Pick<Surroundings, 'directory' | 'signal'>
  }) {
    this.#candidates = parts.candidates
    this.#agent = parts.agent
    this.#route = parts.route
    this.#scratch = parts.surroundings.directory
    this.children = new Children(parts.surroundings.signal)
    this.pods = new PodNamespaces(parts.route)
  }

  /** @param plugins folder of the reference plugins; undefined for the usual ones */
  static async raise(surroundings: Surroundings, plugins: string | undefined): Promise<Stage> {
    const { directory } = surroundings
    requireExecutable()
    const nodes = layOut(2 + WORKS.length)
    const places = await raiseSegment(nodes)
    const [own, alone, ...others] = nodes.map((node, i) => ({ node, place: places[i] as Place }))
    if (own === undefined || alone === undefined) throw new NetloomError('internal', 'no node')
    const agent = await startAgent(own, directory)
    const candidates = [
      ...WORKS.map((work) => netloomOn(own, work, agent.socket)),
      standaloneOn(alone, directory),
      ...peersOn(others, { surroundings, folder: plugins }),
    ]
    const route = new Talk(openSocket({ protocol: PROTOCOL.ROUTE }))
    const stage = new Stage({ candidates, agent, route, surroundings })
    try {
      await stage.#leaveOut(surroundings)
      return stage
    } catch (error) {
      await stage.close()
      throw error
    }
  }

  /** netloom, and behind it the others that this machine has. */
  get contenders(): readonly Contender[] {
    return this.#candidates
  }

  /** Those that are measured with many pods at once as well. */
  get forBursts(): readonly Contender[] {
    return this.#candidates.filter(({ work }) => work.bursts)
  }

  /** netloom with its agent, and nothing beside the address. */
  get netloom(): Contender {
    const [first] = this.#candidates
    if (first === undefined) throw new NetloomError('internal', 'no contender')
    return first
  }

  get scratch(): string {
    return this.#scratch
  }

  /** A call of a contender's plugins. */
  call(contender: Contender, turn: Turn): ChainCall {
    return new ChainCall(contender, turn, this.#scratch)
  }

  execution(program: Program): Execution {
    return new Execution(program, this.#scratch)
  }

  /**
   * One that cannot attach a pod here is as one that is missing: iptables may be. And one that attaches it but does less
   * than the others is not to be measured against them.
   */
  async #leaveOut({ note, signal }: Surroundings): Promise<void> {
    const able: Candidate[] = []
    for (const candidate of this.#candidates) {
      const problem = await this.#problemOf(candidate)
      signal.throwIfAborted()
      if (problem === undefined) able.push(candidate)
      else if (candidate === this.netloom) throw problem
      else note(`${candidate.name} cannot be measured on this machine: ${problem.message}`)
    }
    const measured = new Set(able.filter(({ name, work }) => name === work.own).map(({ work }) => work))
    this.#candidates = able.filter(({ work }) => measured.has(work))
  }

  async #problemOf(candidate: Candidate): Promise<Error | undefined> {
    const pods = await this.pods.make(1)
    const [pod] = pods as [PodNamespace]
    try {
      const previous = await this.#run(candidate, { command: 'ADD', pod })
      const address = addressIn(previous)
      await proveWork(candidate.work.capabilities, { pod, address, outside: this.#outside, ...candidate })
      await this.#run(candidate, { command: 'DEL', pod, previous })
      return undefined
    } catch (error) {
      return asError(error)
    } finally {
      await this.pods.retire(pods)
    }
  }

  async #run(contender: Contender, turn: Turn): Promise<string> {
    const call = this.call(contender, turn)
    await call.run(this.children)
    return call.finish()
  }

  async close(): Promise<void> {
    await this.children.close()
    this.#outside.close()
    this.#route.close()
    await this.#agent.stop()
  }
}

/** @throws NetloomError where the output of ADD has no address */
export function addressIn(output: string): string {
  const [first] = parseResult(output)
  if (first === undefined) throw new NetloomError('internal', `ADD gave no address: ${output}`)
  return first.address
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

const subnetOf = (node: DemoNode): string => networks(node).map(formatCidr)[0] ?? ''

async function startAgent({ node, place }: Home, directory: string): Promise<Agent> {
  const source = new StateDirectory(join(directory, 'cluster'))
  await source.write([nodeObject({ ...node, podCIDRs: networks(node) })])
  const agent = new Agent({
    node: node.name,
    place,
    main: MAIN,
    source: `dir:${source.path}`,
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

const netloomOn = (home: Home, work: Work, socket: string): Candidate => ({
  ...home,
  name: work.own,
  work,
  folder: dirname(PLUGIN),
  plugins: [netloomPlugin(socket, work.capabilities)],
})

/** The same as netloom with nothing beside the address; its own program is made executable, which an installation does. */
function standaloneOn(home: Home, directory: string): Candidate {
  const program = join(directory, 'netloom')
  writeFileSync(program, `#!${process.execPath}\nimport(${JSON.stringify(MAIN)})\n`, { mode: 0o755 })
  const [work] = WORKS
  return {
    ...home,
    name: STANDALONE,
    work,
    folder: dirname(PLUGIN),
    plugins: [standalonePlugin(subnetOf(home.node), program)],
  }
}

interface Where {
  readonly surroundings: Pick<Surroundings, 'directory' | 'note'>
  /** Undefined for the usual ones. */
  readonly folder: string | undefined
}

function peersOn(homes: readonly Home[], { surroundings, folder = findPlugins() }: Where): Candidate[] {
  const { directory, note } = surroundings
  const has = (name: string): boolean => folder !== undefined && existsSync(join(folder, name))
  if (folder === undefined || !NEEDED.every(has)) {
    note(`no ${NEEDED.join(' and ')} in ${folder ?? PLUGIN_FOLDERS.join(', ')}: nothing to compare with`)
    return []
  }
  return WORKS.flatMap((work, i) => {
    const home = homes[i] as Home
    const { name } = home.node
    const missing = work.plugins.filter((plugin) => !has(plugin))
    if (missing.length > 0) note(`no ${missing.join(', ')} in ${folder}: no ${work.peer} to compare with`)
    const options = { subnet: subnetOf(home.node), dataDir: join(directory, name), capabilities: work.capabilities }
    return missing.length > 0 ? [] : [{ ...home, name: work.peer, work, folder, plugins: referenceChain(options) }]
  })
}
