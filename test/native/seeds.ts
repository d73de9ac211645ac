import { DOCUMENTS } from './documents.js'
import { ACCEPTED, REFUSED } from './replies.js'

/** Inputs that the harnesses of native/fuzz start from, and how their bytes are put together. */

/** An input of the harness `call`: variables, then standard input. */
export const callInput = (env: Readonly<Record<string, string>>, config: string | Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(Object.entries(env).map(([name, value]) => `${name}=${value}\0`).join('') + '\0'), // prettier-ignore
    Buffer.from(config),
  ])

/** Standard input within an input of the harness `call`. */
export function configOf(input: Buffer): Buffer {
  let at = 0
  for (let count = 0; count < 16 && at < input.length; count++) {
    const end = input.indexOf(0, at)
    const variable = input.subarray(at, end < 0 ? input.length : end)
    at = end < 0 ? input.length : end + 1
    if (!variable.includes('=')) break
  }
  return input.subarray(at)
}

const BEHAVIOUR_BYTES = 4

/** An input of the harness `reply`: how the socket behaves, then what the agent sends. */
export const replyInput = (
  frame: Buffer,
  behaviour: readonly number[] = Array<number>(BEHAVIOUR_BYTES).fill(0),
): Buffer => Buffer.concat([Buffer.from(behaviour), frame])

/** What the agent sends within an input of the harness `reply`. */
export const frameIn = (input: Buffer): Buffer => input.subarray(BEHAVIOUR_BYTES)

const pathOf = (length: number): string => `/${'x'.repeat(length - 1)}`

const ENVIRONMENTS: readonly Readonly<Record<string, string>>[] = [
  {},
  { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_NETNS: '/n', CNI_IFNAME: 'eth0', CNI_ARGS: 'A=ü', CNI_PATH: '/b' },
  { CNI_COMMAND: 'STATUS', NETLOOM_SOCKET: '/s', NETLOOM_TIMEOUT_MS: '100' },
  { CNI_COMMAND: 'VERSION' },
  { CNI_COMMAND: 'ADD', NETLOOM_WAIT: '500ms' },
  { CNI_COMMAND: 'ADD', NETLOOM_WAIT: '61m' },
  { CNI_COMMAND: 'DEL', NETLOOM_PROGRAM: '/p', NETLOOM_NESTED: '' },
  { CNI_COMMAND: 'GC', NETLOOM_TIMEOUT_MS: '3600001' },
  { CNI_COMMAND: 'CHECK', NETLOOM_SOCKET: pathOf(107), NETLOOM_PROGRAM: pathOf(4095) },
  { CNI_COMMAND: 'CHECK', NETLOOM_SOCKET: pathOf(108), NETLOOM_PROGRAM: pathOf(4096) },
]

const CONFIGS: readonly string[] = [
  '{"cniVersion":"1.0.0","agentSocket":"/run/\\u0061.sock","name":"pods"}',
  '{"cniVersion":"0.3.0","agent":"off"}',
  '{}',
  '{"agentWait":"10s"}',
  '{"agentWait":"60\\u006d","agentSocket":"/s"}',
  '{"agentWait":"3600001ms"}',
  '{"cniVersion":"0.4.0","agent":"off","program":"/usr/bin/\\ud83d\\ude42"}',
  `{"agentSocket":"${pathOf(107)}","cniVersion":"${'1'.repeat(64)}"}`,
  `{"agentSocket":"${pathOf(108)}","cniVersion":"${'1'.repeat(65)}"}`,
  `{"agent":"off","program":"${pathOf(4095)}"}`,
  `{"agent":"off","program":"${pathOf(4096)}"}`,
  '{"agent":"on","agent":"\\u006fff","program":1,"agentSocket":{}}',
]

export const SEEDS: Readonly<Record<string, readonly Buffer[]>> = {
  call: [
    ...ENVIRONMENTS.flatMap((env) => CONFIGS.map((config) => callInput(env, config))),
    ...DOCUMENTS.map(([, document]) => callInput({ CNI_COMMAND: 'ADD' }, document)),
  ],
  reply: [...ACCEPTED, ...REFUSED].flatMap(([, frame]) => [
    replyInput(frame),
    replyInput(frame, [1, 3, 3, 1]),
    replyInput(frame, [7, 20, 0xf5, 2]),
    replyInput(frame, [9, 0, 0x10, 4]),
  ]),
}
