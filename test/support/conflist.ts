import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { PLUGIN } from '../../src/cli/demo/installation.js'
import { REFERENCE_PLUGINS } from './cnitool.js'
import { type CniOutput } from './node.js'

/** A list of plugins called as the specification says ("Section 3"), for tests that must not go without a client. */

export interface PluginConfig {
  readonly type: string
  readonly capabilities?: Readonly<Record<string, boolean>>
  readonly [key: string]: unknown
}

export interface ConfigurationList {
  readonly cniVersion: string
  readonly name: string
  readonly disableCheck?: boolean
  readonly plugins: readonly PluginConfig[]
}

export interface ListCall {
  readonly containerId: string
  readonly ifname?: string
  /** What the runtime has for plugins that have the capability. */
  readonly capabilities?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
}

const executableOf = (type: string): string => (type === 'netloom' ? PLUGIN : join(REFERENCE_PLUGINS, type))

/** Names of the plugins of a list, and of those that they call, that are not on this machine. */
export const missingOf = ({ plugins }: ConfigurationList): string[] =>
  plugins
    .flatMap(({ type, ipam }) => [type, (ipam as { type?: string } | undefined)?.type ?? 'netloom'])
    .filter((type) => !existsSync(executableOf(type)))

/** Calls the plugins in turn, for DEL the last one first. Answers what the last one to be called printed. */
export async function callList(
  command: 'ADD' | 'CHECK' | 'DEL',
  list: ConfigurationList,
  call: ListCall & { readonly prevResult?: CniOutput | undefined },
): Promise<CniOutput | undefined> {
  if (command === 'CHECK' && list.disableCheck === true) return undefined
  const plugins = command === 'DEL' ? [...list.plugins].reverse() : list.plugins
  let prevResult = call.prevResult
  for (const plugin of plugins) {
    const { capabilities, ...config } = plugin
    const asked = Object.entries(call.capabilities ?? {}).filter(([name]) => capabilities?.[name] === true)
    const whole = {
      ...config,
      cniVersion: list.cniVersion,
      name: list.name,
      ...(asked.length === 0 ? {} : { runtimeConfig: Object.fromEntries(asked) }),
      ...(prevResult === undefined ? {} : { prevResult }),
    }
    const output = await execute(command, whole, call)
    if (command === 'ADD') prevResult = output
  }
  return prevResult
}

function execute(command: string, config: PluginConfig, call: ListCall): Promise<CniOutput | undefined> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    CNI_COMMAND: command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: `/run/netns/${call.containerId}`,
    CNI_IFNAME: call.ifname ?? 'eth0',
    CNI_PATH: REFERENCE_PLUGINS,
    ...call.env,
  }
  return new Promise((resolve, reject) => {
    const child = spawn(executableOf(config.type), [], { env, stdio: ['pipe', 'pipe', 'pipe'] })
    const printed = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => (printed[name] += text))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code !== 0) reject(new Error(`${config.type} ${command}: ${printed.stdout}${printed.stderr}`))
      else resolve(printed.stdout === '' ? undefined : (JSON.parse(printed.stdout) as CniOutput))
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(JSON.stringify(config))
  })
}
