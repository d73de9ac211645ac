import { existsSync, readdirSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { Faults, type Strike } from './faults.js'
import { clearNamespace, type CniAnswer, eventually, raiseUplink, type TestContext, TestNode } from './node.js'
import { traces } from './traces.js'

/** A node on which calls of CNI fail half-way, and what they leave. */

const RATE = 100_000_000
const EVERYTHING = {
  spoofCheck: true,
  routes: [{ dst: '192.0.2.0/24' }, { dst: '2001:db8:1::/64' }],
  sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1' },
  runtimeConfig: {
    portMappings: [
      { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
      { hostPort: 8080, containerPort: 80, protocol: 'udp' },
      { hostPort: 8081, containerPort: 81, protocol: 'udp', hostIP: '127.0.0.1' },
    ],
    bandwidth: { ingressRate: RATE, ingressBurst: RATE, egressRate: RATE, egressBurst: RATE },
  },
}

const PLUGINS = '/usr/lib/cni'
const hostLocal = existsSync(join(PLUGINS, 'host-local')) ? false : 'host-local is absent (containernetworking-plugins)'

export interface Way {
  readonly config: object
  readonly skip?: string | false
}

const HOST_LOCAL = {
  type: 'host-local',
  ranges: [[{ subnet: '10.22.0.0/24' }], [{ subnet: 'fd00:22::/64' }]],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
}
const FURTHER = { type: 'netloom', ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] }

export const WAYS: Readonly<Record<string, Way>> = {
  bridge: { config: EVERYTHING },
  'point to point': { config: { ...EVERYTHING, mode: 'ptp' } },
  'bridge, a further network': { config: { ...EVERYTHING, ipam: FURTHER } },
  'bridge, addresses of host-local': {
    config: { ...EVERYTHING, cniVersion: '1.0.0', ipam: HOST_LOCAL },
    skip: hostLocal,
  },
}

/** A node, and all that is to be as it was after a call that failed. */
export class UndoScene {
  readonly node: TestNode
  readonly faults: Faults
  readonly #config: object
  readonly #dataDir: string
  #clean = ''

  private constructor(t: TestContext, config: object) {
    this.node = new TestNode(t)
    this.faults = new Faults(t)
    this.#dataDir = join(this.node.folder, 'host-local')
    const { ipam } = config as { readonly ipam?: object }
    this.#config = ipam === HOST_LOCAL ? { ...config, ipam: { ...ipam, dataDir: this.#dataDir } } : config
  }

  static async raise(t: TestContext, config: object): Promise<UndoScene> {
    t.teardown(clearNamespace)
    raiseUplink()
    const scene = new UndoScene(t, config)
    await scene.node.start()
    scene.node.createPod('a')
    // What the first container of all brings with it, and what stays for the next.
    await scene.expect(0, 'ADD')
    await scene.expect(0, 'DEL')
    scene.#clean = scene.found()
    return scene
  }

  call(command: string): Promise<CniAnswer> {
    return this.node.cni(command, 'a', { config: this.#config, path: PLUGINS })
  }

  async expect(exit: number, command: string): Promise<CniAnswer> {
    const answer = await this.call(command)
    if (answer.exit !== exit) throw new Error(`${command}: ${JSON.stringify(answer)}`)
    return answer
  }

  /** A call under faults, and what was refused in it. */
  async strike(command: string, strike: Strike): Promise<{ answer: CniAnswer; refused: readonly string[] }> {
    this.faults.arm(strike)
    const answer = await this.call(command)
    return { answer, refused: this.faults.disarm() }
  }

  found(): string {
    const given = join(this.#dataDir, 'pods')
    const files = existsSync(given) ? readdirSync(given).filter((name) => isIP(name) > 0) : []
    const pods = this.node.status.pods
    const states = readdirSync(this.node.stateDir).join(' ')
    return `${traces()}host-local: ${files.join(' ')}\nleases: ${JSON.stringify(pods)}\nfiles: ${states}\nproblems: ${this.node.status.problems.join('; ')}\n`
  }

  /** A line for each thing that is left, or missing. */
  remains(): string[] {
    const before = new Set(this.#clean.split('\n'))
    const after = new Set(this.found().split('\n'))
    return [
      ...[...after].filter((line) => !before.has(line)).map((line) => `+ ${line}`),
      ...[...before].filter((line) => !after.has(line)).map((line) => `- ${line}`),
    ]
  }

  /** The same, when what failed has been tried again. */
  async remainsInTheEnd(): Promise<string[]> {
    await eventually(() => this.remains().length === 0, 2000).catch(() => undefined)
    return this.remains()
  }
}

/** An error as runtimes want it: a code that the specification or we know, and words. */
export const isError = ({ exit, answer }: CniAnswer): boolean =>
  exit === 1 &&
  [100, 11].includes(answer?.code ?? 0) &&
  (answer?.msg ?? '') !== '' &&
  /ENOMEM|try|network/.test(answer?.details ?? '')

export interface Step {
  readonly number: number
  /** What was refused first, or what it was told at. */
  readonly text: string
}

export interface EveryStep {
  /** Before each call. */
  readonly prepare?: () => Promise<unknown>
  /** From the step on everything fails, not that alone. */
  readonly lasting?: boolean
  readonly instead?: () => void
  /** Steps between one that is tried and the next. */
  readonly stride?: number
}

/** Calls with a fault at each of their steps, until there are no more; answers how many there were. */
export async function everyStep(
  scene: UndoScene,
  command: string,
  visit: (answer: CniAnswer, step: Step) => Promise<void>,
  { prepare, lasting = false, instead, stride = 1 }: EveryStep = {},
): Promise<number> {
  for (let number = 1; ; number += stride) {
    await prepare?.()
    const { answer, refused } = await scene.strike(command, { from: number, once: !lasting, instead })
    const [first] = refused
    if (first === undefined) return number
    await visit(answer, { number, text: `step ${number}, ${first}` })
  }
}
