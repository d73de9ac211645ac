import { type Socket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type Place } from '../../src/cli/demo/place.js'
import { createNamespace, deleteNamespace } from '../../src/kernel/netns.js'
import { Lab } from '../support/lab.js'
import { type CniAnswer, eventually, type TestContext } from '../support/node.js'
import { ExecRuntime } from '../support/runtime.js'

/** The agent is replaced while containers come and go and packets flow: nobody notices. */

/** Milliseconds between two datagrams: a gap of that length is seen. */
const BEAT_MS = 5

/** Asks a pod's responder over and over by UDP, and counts what comes back; nothing is sent a second time. */
class Pulse {
  sent = 0
  received = 0
  readonly #socket: Socket
  readonly #timer: NodeJS.Timeout

  private constructor(socket: Socket, address: string) {
    this.#socket = socket
    socket.on('message', () => this.received++)
    this.#timer = setInterval(() => {
      this.sent++
      socket.send('who is there?', 80, address)
    }, BEAT_MS)
  }

  static async start(t: TestContext, from: Place, address: string): Promise<Pulse> {
    const pulse = new Pulse(await from.bind(address.includes(':') ? 'udp6' : 'udp4', 0), address)
    t.teardown(() => pulse.#socket.close())
    return pulse
  }

  /** Answers when all that was sent has had its answer, or patience is over. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await eventually(() => this.received >= this.sent, 10_000)
  }
}

t.setTimeout(180_000)
const lab = await Lab.raise(1)
t.teardown(() => lab.close())
const node = lab.node('node-1')
const runtime = new ExecRuntime(node.agent.socket)

/** A container that comes, is there, and goes; the runtime asks each time once. */
async function life(containerId: string, i: number): Promise<CniAnswer[]> {
  const one = { containerId, config: { mode: i % 2 === 0 ? 'bridge' : 'ptp' } }
  const added = await runtime.call({ ...one, command: 'ADD' })
  const checked = await runtime.call({ ...one, command: 'CHECK' })
  const deleted = await runtime.call({ ...one, command: 'DEL' })
  return [added, checked, deleted]
}

const COUNT = 100
/** How many containers come and go at once. */
const AT_ONCE = 8

t.test(
  '100 containers come and go while the agent is replaced three times: no call fails, no packet is lost',
  async (t) => {
    const names = Array.from({ length: COUNT }, (_, i) => `upgrade-${i}`)
    for (const name of names) {
      createNamespace(name)
      t.teardown(() => deleteNamespace(name))
    }
    const server = await lab.start({
      name: 'server',
      node: 'node-1',
      ports: [{ protocol: 'UDP', port: 80, undeclared: false }],
    })
    const client = await lab.start({ name: 'client', node: 'node-1' })
    const pulses = await Promise.all(server.addresses.map((address) => Pulse.start(t, client.place, address)))
    await eventually(() => pulses.every(({ received }) => received > 0), 10_000)

    let begun = 0
    const answers: CniAnswer[] = []
    const worker = async (): Promise<void> => {
      for (let i = begun++; i < COUNT; i = begun++) answers.push(...(await life(`upgrade-${i}`, i)))
    }
    const all = Promise.all(Array.from({ length: AT_ONCE }, worker))
    for (const [round, end] of (['stop', 'kill', 'stop'] as const).entries()) {
      while (begun < (COUNT * (round + 1)) / 4) await sleep(2)
      const old = node.agent
      const ended = old[end]()
      if (end === 'kill') await ended // else the next one starts while it ends its last calls
      await node.startAgent().ready()
      await ended
    }
    await all
    for (const pulse of pulses) {
      await pulse.stop().catch(() => undefined)
      t.equal(pulse.received, pulse.sent)
      t.ok(pulse.sent > 100, `${pulse.sent} datagrams`)
    }
    t.strictSame(
      answers.filter(({ exit }) => exit !== 0),
      [],
    )
    t.equal(answers.length, 3 * COUNT)
    const { pods, problems } = await node.agent.status()
    t.strictSame([pods.map(({ pod }) => pod).sort(), problems], [['default/client', 'default/server'], []])
  },
)
