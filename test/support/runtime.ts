import { setTimeout as sleep } from 'node:timers/promises'
import { PLUGIN } from '../../src/cli/demo/installation.js'
import { runCni } from './cni-exec.js'
import { type CniAnswer, type CniOutput } from './node.js'

/** A runtime that calls the real executable, as often and as much at once as a test likes. */

export interface RuntimeCall {
  readonly command: string
  readonly containerId: string
  readonly config: object
}

/** Milliseconds before a call is made again that was told to come later. */
const AGAIN_MS = 20
const TRY_AGAIN = 11

export class ExecRuntime {
  readonly #socket: string

  constructor(socket: string) {
    this.#socket = socket
  }

  /** One call, as the executable answers it. */
  async call({ command, containerId, config }: RuntimeCall): Promise<CniAnswer> {
    const whole = { cniVersion: '1.1.0', name: 'pods', type: 'netloom', agentSocket: this.#socket, ...config }
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: `/run/netns/${containerId}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/opt/cni/bin',
    }
    const { code, stdout } = await runCni({ path: PLUGIN, env, stdin: JSON.stringify(whole) })
    return { exit: code ?? -1, answer: stdout === '' ? undefined : (JSON.parse(stdout) as CniOutput) }
  }

  /** The same again and again while the answer is to try again later. */
  async insist(call: RuntimeCall): Promise<CniAnswer> {
    for (;;) {
      const answer = await this.call(call)
      if (answer.answer?.code !== TRY_AGAIN) return answer
      await sleep(AGAIN_MS)
    }
  }

  /** Has a container attached as a kubelet does: after a failure, whatever it is, it is taken off and attached anew. */
  async attach(call: Omit<RuntimeCall, 'command'>): Promise<CniAnswer> {
    for (;;) {
      const answer = await this.insist({ ...call, command: 'ADD' })
      if (answer.exit === 0) return answer
      await this.detach(call)
    }
  }

  /** Until it is off. */
  async detach(call: Omit<RuntimeCall, 'command'>): Promise<void> {
    while ((await this.insist({ ...call, command: 'DEL' })).exit !== 0) await sleep(AGAIN_MS)
  }
}
