import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { ask } from '../../src/cli/demo/client.js'
import { Place } from '../../src/cli/demo/place.js'
import { Responder } from '../../src/cli/demo/responder.js'
import { createNamespace, deleteNamespace } from '../../src/kernel/netns.js'
import { type Protocol } from '../../src/model/port.js'
import { clearNamespace, type CniAnswer, type CniFields, ip, PEER, raiseUplink, SELF, TestNode } from './node.js'
import { type TestContext } from './node.js'

/** A node whose uplink leads to a host outside, and containers with servers on it. */
export class Scene {
  readonly node: TestNode
  readonly here = new Place('/proc/self/ns/net')
  readonly outside: Place
  readonly #t: TestContext

  private constructor(t: TestContext, outside: Place) {
    this.#t = t
    this.outside = outside
    this.node = new TestNode(t, [SELF, PEER])
    t.teardown(() => this.here.close())
  }

  static async raise(t: TestContext): Promise<Scene> {
    t.teardown(clearNamespace)
    raiseUplink()
    const outside = new Place(createNamespace('outside'))
    t.teardown(() => {
      outside.close()
      deleteNamespace('outside')
    })
    ip('link', 'set', 'uplink1', 'netns', 'outside')
    const inside = (...args: readonly string[]): string => ip('-n', 'outside', ...args)
    for (const link of ['lo', 'uplink1']) inside('link', 'set', link, 'up')
    inside('address', 'add', '192.168.50.9/24', 'dev', 'uplink1')
    inside('address', 'add', 'fd00:50::9/64', 'dev', 'uplink1', 'nodad')
    const scene = new Scene(t, outside)
    await scene.node.start()
    return scene
  }

  /** A container with servers on the ports 80 of TCP and UDP. */
  async attach(name: string, fields: CniFields = {}): Promise<Pod> {
    const place = new Place(this.node.createPod(name))
    const added = await this.node.cni('ADD', name, fields)
    if (added.exit !== 0) throw new Error(JSON.stringify(added.answer))
    await this.serve(place, name)
    this.#t.teardown(() => place.close())
    return { place, addresses: addressesOf(added), answer: added }
  }

  async serve(place: Place, name: string, port = 80): Promise<void> {
    const responder = new Responder(place, { pod: name, node: 'node-1' })
    this.#t.teardown(() => responder.close())
    const problems = await responder.listen(PROTOCOLS.map((protocol) => ({ protocol, port, undeclared: false })))
    if (problems.length > 0) throw new Error(problems.join())
  }
}

export interface Pod {
  readonly place: Place
  readonly addresses: readonly string[]
  readonly answer: CniAnswer
}

export const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP']

export const addressesOf = ({ answer }: CniAnswer): string[] =>
  (answer?.ips ?? []).map(({ address }) => address.replace(/\/.*/, ''))

/** Who answered and whom it saw, or why nobody did. */
export async function answerOf(from: Place, address: string, port: number, protocol: Protocol = 'TCP') {
  const { answer, failure } = await ask(from, protocol, address, port)
  return answer === undefined ? failure : `${answer.pod} saw ${answer.client}`
}

const bridgeCall = (name: string): string => `/proc/sys/net/bridge/bridge-nf-call-${name}`

/** Whether br_netfilter hands what passes bridges to iptables; undefined where it is not loaded. */
export const bridgeCalls = (): boolean | undefined =>
  existsSync(bridgeCall('iptables')) ? readFileSync(bridgeCall('iptables'), 'utf8').trim() === '1' : undefined

export function setBridgeCalls(on: boolean): void {
  if (bridgeCalls() === undefined) return
  for (const name of ['iptables', 'ip6tables']) writeFileSync(bridgeCall(name), on ? '1' : '0')
}
