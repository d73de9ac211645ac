import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { encodeFrame, FRAME_KIND, FrameDecoder } from '../../src/codec/frame.js'
import { Agent } from '../../src/daemon/agent.js'
import { type AgentStatus } from '../../src/daemon/client.js'
import { Applier } from '../../src/kernel/apply.js'
import { createNamespace, deleteNamespace } from '../../src/kernel/netns.js'
import { Feed } from '../../src/kube/feed.js'
import { Problems } from '../../src/kube/problems.js'
import { type Listener, type Problem, type Source } from '../../src/kube/source.js'
import { changeOf, type ReadonlyStore } from '../../src/kube/store.js'
import { keyOf } from '../../src/model/meta.js'
import { type KubeObject, parseObject } from '../../src/model/object.js'
import { type Op } from '../../src/ops/op.js'
import { DEFAULT_ROUTING, type Routing } from '../../src/routes/routing.js'

/** A node with a real agent, to be used in a network namespace of the test's own. */

const silent = pino({ level: 'silent' })

export interface TestContext {
  teardown: (work: () => unknown) => void
}

/** Runs a program of the machine and answers what it printed; what it says of an error is the error's message. */
export const run = (program: string, ...args: readonly string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

export const ip = (...args: readonly string[]): string => run('ip', ...args)
export const nft = (...args: readonly string[]): string => run('nft', ...args)

/** Waits until `check` neither throws nor answers false; fails with its last words after `ms`. */
export async function eventually(check: () => boolean, ms = 5000): Promise<void> {
  const patience = performance.now() + ms
  for (;;) {
    let reason = 'it is not so'
    try {
      if (check()) return
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error)
    }
    if (performance.now() > patience) throw new Error(`not within ${ms} ms: ${reason}`)
    await sleep(5)
  }
}

/** A source of truth that a test writes into. */
export class MemorySource implements Source {
  readonly #feed = new Feed({ log: silent, problems: new Problems(silent), deriveSlices: true })
  readonly #first: KubeObject[]

  constructor(objects: readonly object[]) {
    this.#first = objects.map(parsed)
  }

  get store(): ReadonlyStore {
    return this.#feed.store
  }

  subscribe(listener: Listener): () => void {
    return this.#feed.subscribe(listener)
  }

  async start(): Promise<void> {
    this.#publish(this.#first, [])
  }

  problems(): readonly Problem[] {
    return []
  }

  async close(): Promise<void> {
    await Promise.resolve()
  }

  put(...objects: readonly object[]): void {
    this.#publish(objects.map(parsed), [])
  }

  remove(...objects: readonly object[]): void {
    this.#publish([], objects.map(parsed))
  }

  #publish(added: readonly KubeObject[], removed: readonly KubeObject[]): void {
    const before = (object: KubeObject) => this.store.get(object.kind, keyOf(object))
    const changes = [
      ...added.map((object) => changeOf(before(object), object)),
      ...removed.map((object) => changeOf(before(object), undefined)),
    ]
    this.#feed.publish(changes.filter((change) => change !== undefined))
  }
}

function parsed(value: object): KubeObject {
  const object = parseObject(value)
  if (object === undefined) throw new Error(`of no use: ${JSON.stringify(value)}`)
  return object
}

export const nodeObject = (name: string, podCIDRs: readonly string[], ips: readonly string[]): object => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec: { podCIDRs },
  status: { addresses: ips.map((address) => ({ type: 'InternalIP', address })) },
})

export const serviceObject = (name: string, clusterIPs: readonly string[]): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'shop' },
  spec: { clusterIPs, ports: [{ port: 80 }] },
})

export interface SliceFields {
  readonly service: string
  readonly addresses: readonly string[]
  /** Node of all endpoints. */
  readonly node?: string
}

export const sliceObject = ({ service, addresses, node }: SliceFields): object => {
  const addressType = addresses[0]?.includes(':') === true ? 'IPv6' : 'IPv4'
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${service}-${addressType.toLowerCase()}`,
      namespace: 'shop',
      labels: { 'kubernetes.io/service-name': service },
    },
    addressType,
    ports: [{ port: 8080 }],
    endpoints: addresses.map((address) => ({ addresses: [address], nodeName: node })),
  }
}

/** This node and its neighbour, on one link. */
export const SELF = nodeObject('node-1', ['10.244.1.0/24', 'fd00:244:1::/64'], ['192.168.50.1', 'fd00:50::1'])
export const PEER = nodeObject('node-2', ['10.244.2.0/24', 'fd00:244:2::/64'], ['192.168.50.2', 'fd00:50::2'])

/** The link that the node's own address is on. */
export const UPLINK = 'uplink0'

/** Gives the namespace that the test is in an uplink with the addresses of {@link SELF}. */
export function raiseUplink(): void {
  ip('link', 'set', 'lo', 'up')
  // A veth, since not every kernel has dummy links.
  ip('link', 'add', UPLINK, 'mtu', '1480', 'type', 'veth', 'peer', 'name', 'uplink1')
  ip('link', 'set', 'uplink1', 'up')
  ip('address', 'add', '192.168.50.1/24', 'dev', UPLINK)
  ip('address', 'add', 'fd00:50::1/64', 'dev', UPLINK, 'nodad')
  ip('link', 'set', UPLINK, 'up')
}

/** Counts what is done to the kernel, whoever in this process does it. */
export class OperationCounter {
  readonly ops: Op[] = []
  readonly #own = Object.getOwnPropertyDescriptor(Applier.prototype, 'apply')

  constructor(t: TestContext) {
    const { ops } = this
    const apply = this.#own?.value as Applier['apply']
    Applier.prototype.apply = function (this: Applier, list, ...others) {
      ops.push(...list)
      return apply.call(this, list, ...others)
    }
    t.teardown(() => {
      if (this.#own !== undefined) Object.defineProperty(Applier.prototype, 'apply', this.#own)
    })
  }

  /** The operations since the last call. */
  take(): Op[] {
    return this.ops.splice(0)
  }
}

export interface CniAnswer {
  readonly exit: number
  /** What was printed, parsed; undefined where nothing was. */
  readonly answer: CniOutput | undefined
}

/** A result, or an error. */
export interface CniOutput {
  readonly code?: number
  readonly msg?: string
  readonly details?: string
  readonly ips?: readonly { readonly address: string }[]
  readonly interfaces?: readonly { readonly name: string; readonly mac: string }[]
}

export interface CniFields {
  readonly ifname?: string
  readonly netns?: string
  readonly config?: object
  /** CNI_ARGS. */
  readonly args?: string
  /** Where other plugins are. */
  readonly path?: string
  /** An agent that went away was sent the same call. */
  readonly again?: boolean
}

/** A node's agent with its folder, its source and its pods. */
export class TestNode {
  readonly folder = mkdtempSync(join(tmpdir(), 'netloom-node-'))
  readonly socket = join(this.folder, 'agent.sock')
  readonly stateDir = join(this.folder, 'state')
  source: MemorySource
  #agent: Agent | undefined
  readonly #namespaces = new Set<string>()
  readonly #routing: Partial<Routing>

  constructor(t: TestContext, objects: readonly object[] = [SELF, PEER], routing: Partial<Routing> = {}) {
    this.#routing = routing
    this.source = new MemorySource(objects)
    t.teardown(() => this.close())
  }

  async start(): Promise<this> {
    this.#agent = await Agent.start({
      node: 'node-1',
      source: this.source,
      socket: this.socket,
      stateDir: this.stateDir,
      masqueradeExceptions: [],
      routing: { ...DEFAULT_ROUTING, ...this.#routing },
      log: silent,
    })
    return this
  }

  async stop(): Promise<void> {
    await this.#agent?.stop()
    this.#agent = undefined
  }

  /** A new agent over what the old one left, with the world as it is given. */
  async restart(objects: readonly object[]): Promise<void> {
    await this.stop()
    this.source = new MemorySource(objects)
    await this.start()
  }

  get status(): AgentStatus {
    if (this.#agent === undefined) throw new Error('no agent is running')
    return this.#agent.status()
  }

  /** A namespace as a runtime makes one for a pod; answers its path. */
  createPod(name: string): string {
    const path = createNamespace(name)
    this.#namespaces.add(name)
    ip('-n', name, 'link', 'set', 'lo', 'up')
    return path
  }

  deletePod(name: string): void {
    if (this.#namespaces.delete(name)) deleteNamespace(name)
  }

  /** Calls the agent as the executable does. */
  async cni(command: string, containerId: string, fields: CniFields = {}): Promise<CniAnswer> {
    const { ifname = 'eth0', netns = `/run/netns/${containerId}`, config = {}, ...environment } = fields
    const whole = { cniVersion: '1.1.0', name: 'pods', type: 'netloom', ...config }
    const call = { method: 'cni', command, containerId, netns, ifname, ...environment }
    const body = { ...call, config: Buffer.from(JSON.stringify(whole)) }
    const { exit, output } = (await exchange(this.socket, body)) as { exit: number; output: string }
    return { exit, answer: output === '' ? undefined : (JSON.parse(output) as CniOutput) }
  }

  async close(): Promise<void> {
    await this.stop()
    for (const name of [...this.#namespaces]) this.deletePod(name)
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** One request and its reply. */
function exchange(socket: string, body: Record<string, unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const decoder = new FrameDecoder()
    const connection = createConnection(socket)
    connection.on('error', reject)
    connection.on('close', () => reject(new Error('the agent closed the connection')))
    connection.on('connect', () => connection.write(encodeFrame(FRAME_KIND.REQUEST, body)))
    connection.on('data', (chunk) => {
      for (const { body: reply } of decoder.push(chunk)) {
        resolve(reply)
        connection.destroy()
      }
    })
  })
}

/** Takes away what a test left in its namespace, so that the next one starts from nothing. */
export function clearNamespace(): void {
  nft('flush', 'ruleset')
  const links = JSON.parse(ip('-j', 'link')) as { readonly ifname: string }[]
  for (const { ifname } of links)
    if (/^(netloom|nlm-|nlx|uplink|foreign|old)/.test(ifname)) tryIp('link', 'delete', ifname)
}

/** Deletes what may be gone: a veth goes with its other end. */
function tryIp(...args: readonly string[]): void {
  try {
    ip(...args)
  } catch (error) {
    if (!(error instanceof Error) || !/Cannot find device/.test(error.message)) throw error
  }
}
